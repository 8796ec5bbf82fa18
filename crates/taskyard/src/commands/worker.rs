//! `taskyard worker`: claims tasks of one queue and runs them as processes of this machine.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use taskyard_client::Credentials;
use taskyard_worker::Config;
use tokio_util::sync::CancellationToken;

use crate::config::{Log, LogFormat};
use crate::logging;
use crate::signals::StopSignals;

/// Options of `taskyard worker`.
#[derive(Debug, clap::Args)]
#[command(after_help = CREDENTIALS)]
pub(crate) struct Args {
    /// Address of the server
    #[arg(long, value_name = "URL", env = "TASKCLUSTER_ROOT_URL")]
    root_url: String,

    /// Task queue to claim from, as PROVISIONER/TYPE
    #[arg(long, value_name = "QUEUE")]
    queue: String,

    /// Group this worker belongs to, such as its data centre
    #[arg(long, value_name = "GROUP", default_value = "local")]
    group: String,

    /// Name of this worker, unique in its group
    #[arg(long, value_name = "ID", default_value = "worker")]
    id: String,

    /// Tasks to run at the same time, 1 to 32
    #[arg(long, value_name = "COUNT", default_value = "1")]
    concurrency: u32,

    /// Folder in which each task gets a fresh one
    #[arg(long, value_name = "DIR", default_value = "./taskyard-work")]
    work_dir: PathBuf,

    /// File with the credentials as JSON: clientId, accessToken and, if temporary, certificate
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,

    /// What to log: error, warn, info, debug or trace
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "info",
        env = "TASKYARD_LOG_LEVEL"
    )]
    log_level: String,
}

const CREDENTIALS: &str = "\
Without --credentials, the worker signs with TASKCLUSTER_CLIENT_ID, TASKCLUSTER_ACCESS_TOKEN and
TASKCLUSTER_CERTIFICATE, and calls anonymously when these are not set. It needs the scopes
queue:claim-work:QUEUE and queue:worker-id:GROUP/ID.

SIGTERM and Ctrl-C stop claiming, end the running tasks as worker-shutdown, and end the worker; a
second one ends it at once.";

/// Runs until a signal comes.
pub(crate) async fn execute(args: Args) -> anyhow::Result<ExitCode> {
    logging::install(&Log {
        format: LogFormat::Text,
        level: args.log_level,
    })?;
    let mut stop = StopSignals::new()?;
    let credentials = match &args.credentials {
        Some(file) => Some(read_credentials(file)?),
        None => Credentials::from_env()?,
    };
    let config = Config {
        credentials,
        concurrency: args.concurrency,
        ..Config::new(
            args.root_url,
            args.queue,
            args.group,
            args.id,
            args.work_dir,
        )
    };

    let shutdown = CancellationToken::new();
    let worker = taskyard_worker::run(config, shutdown.clone());
    tokio::pin!(worker);
    let ended = tokio::select! {
        ended = worker.as_mut() => ended,
        () = stop.next() => {
            tracing::info!("stopping; a second signal ends at once");
            shutdown.cancel();
            tokio::select! {
                ended = worker.as_mut() => ended,
                () = stop.next() => return Ok(ExitCode::FAILURE),
            }
        }
    };
    ended.context("the worker gave up")?;
    Ok(ExitCode::SUCCESS)
}

fn read_credentials(file: &Path) -> anyhow::Result<Credentials> {
    let text = std::fs::read(file)
        .with_context(|| format!("cannot read the credentials in {}", file.display()))?;
    // The parser's own reason may quote the text, and with it the token.
    serde_json::from_slice(&text).map_err(|error| {
        anyhow::anyhow!(
            "{}:{}: not credentials; expected JSON such as \
             {{\"clientId\": \"…\", \"accessToken\": \"…\"}}",
            file.display(),
            error.line()
        )
    })
}
