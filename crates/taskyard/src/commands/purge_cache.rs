//! `taskyard purge-cache`: asks workers to forget caches.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;
use taskyard_client::taskcluster::{PurgeCache, PurgeRequest};

use super::lines::print;
use super::target::{Target, credentials};

/// Options of `taskyard purge-cache`.
#[derive(Debug, clap::Args)]
#[command(after_help = credentials!(" Workers are asked for a day."))]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,

    /// Print one JSON object a line
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Ask the workers of a pool to forget what they have kept under a name so far
    Request {
        /// The pool: PROVISIONER/WORKER-TYPE
        pool: String,
        /// Name of the cache
        cache: String,
    },
    /// List what workers are asked to forget
    List {
        /// Only those of this pool
        pool: Option<String>,
    },
}

/// Does one action.
pub(crate) async fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let purge_cache = PurgeCache::new(args.target.options()?)?;
    match args.action {
        Action::Request { pool, cache } => purge_cache.purge_cache(&pool, &cache).await?,
        Action::List { pool } => {
            let requests = match pool {
                Some(pool) => purge_cache.purge_requests(&pool, None).await?,
                None => purge_cache.all_purge_requests_all().await?,
            };
            print(requests.iter().map(|request| line(request, args.json)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn line(request: &PurgeRequest, json: bool) -> String {
    let pool = format!("{}/{}", request.provisioner_id, request.worker_type);
    let (cache, before) = (&request.cache_name, request.before);
    if json {
        return json!({"pool": pool, "cacheName": cache, "before": before}).to_string();
    }
    format!("{pool}\t{}\tbefore {before}", cache.escape_debug())
}
