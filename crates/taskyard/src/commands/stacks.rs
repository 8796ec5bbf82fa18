//! `taskyard stacks`: makes jobs from a pipeline file, and manages the tokens of stacks.

mod build;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;
use taskyard_client::stacks::{ClusterToken, ClusterTokens, NewClusterToken};

use super::access::moment;
use super::lines::print;
use super::target::{Target, credentials};
use crate::pipeline_file;

/// Options of `taskyard stacks`.
#[derive(Debug, clap::Args)]
#[command(after_help = credentials!(" `taskyard stack` runs the jobs."))]
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
    /// Make the steps of a pipeline file jobs of their queues, and print their ids
    #[command(after_help = "--help explains the file.", after_long_help = pipeline_file::FORMAT)]
    Build {
        /// The pipeline file (YAML)
        file: PathBuf,
        /// Queue of steps that name none
        #[arg(long, value_name = "KEY", default_value = "default", value_parser = queue_key)]
        queue: String,
        /// Branch that is built, for whoever looks at the jobs
        #[arg(long, value_name = "NAME")]
        branch: Option<String>,
        /// Wait until all jobs have ended; exit code 1 unless all have passed
        #[arg(long)]
        wait: bool,
    },
    /// Make, list and revoke the tokens that stacks and agents come with
    #[command(subcommand)]
    Token(Tokens),
}

#[derive(Debug, Subcommand)]
enum Tokens {
    /// Make a token and print it; it is never shown again
    Create {
        /// What it is for
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
        /// A queue it is good for; may be given more than once. All queues without
        #[arg(long = "queue", value_name = "KEY")]
        queues: Vec<String>,
        /// When it is to expire: an offset such as "30 days", or a time. Never without
        #[arg(long, value_name = "WHEN")]
        expires: Option<String>,
    },
    /// List the tokens, without what they say
    List,
    /// Make a token worthless
    Revoke {
        /// Its id, as `list` shows it
        id: String,
    },
}

/// Does one action.
pub(crate) async fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let options = args.target.options()?;
    match args.action {
        Action::Build {
            file,
            queue,
            branch,
            wait,
        } => {
            let pipeline = pipeline_file::load(&file)?;
            let build = build::Build::new(options, &pipeline, queue, branch)?;
            build.submit().await?;
            if wait {
                return build.wait(args.json).await;
            }
            build.print(args.json)?;
        }
        Action::Token(action) => tokens(&ClusterTokens::new(options)?, action, args.json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn tokens(tokens: &ClusterTokens, action: Tokens, json: bool) -> anyhow::Result<()> {
    match action {
        Tokens::Create {
            description,
            queues,
            expires,
        } => {
            let token = NewClusterToken {
                description,
                queues,
                expires_at: expires.as_deref().map(moment).transpose()?,
            };
            let made = tokens.create(&token).await?;
            if json {
                return print([json!({"id": made.known.id, "token": made.token}).to_string()]);
            }
            // What a shell can take in.
            print([format!("BUILDKITE_AGENT_TOKEN={}", made.token)])
        }
        Tokens::List => print(tokens.list().await?.iter().map(|it| token_line(it, json))),
        Tokens::Revoke { id } => Ok(tokens.revoke(&id).await?),
    }
}

fn token_line(token: &ClusterToken, json: bool) -> String {
    let ClusterToken {
        id,
        description,
        queues,
        created_by,
        created_at,
        expires_at,
    } = token;
    if json {
        return json!({"id": id, "description": description, "queues": queues,
            "createdBy": created_by, "createdAt": created_at, "expiresAt": expires_at})
        .to_string();
    }
    let queues = if queues.is_empty() {
        "all queues".to_owned()
    } else {
        queues.join(" ")
    };
    let until = expires_at.map_or("for ever".to_owned(), |until| format!("until {until}"));
    format!("{id}\t{queues}\t{until}\t{}", description.escape_debug())
}

fn queue_key(text: &str) -> Result<String, String> {
    if pipeline_file::is_queue(text) {
        Ok(text.to_owned())
    } else {
        Err("up to 38 lower-case letters, digits and `-`, beginning with a letter".to_owned())
    }
}
