//! `taskyard stack`: runs the jobs of one queue as processes of this machine, each as an agent of
//! its own. Works with any server that has the Stacks API.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use taskyard_client::stacks::Options;
use taskyard_worker::Keep;
use taskyard_worker::stack::StackConfig;
use tokio_util::sync::CancellationToken;

use crate::config::{Log, LogFormat, any_duration as duration};
use crate::logging;
use crate::signals::StopSignals;

/// Options of `taskyard stack`.
#[derive(Debug, clap::Args)]
#[command(after_help = TOKEN)]
pub(crate) struct Args {
    /// Address of the API
    #[arg(
        long,
        value_name = "URL",
        env = "BUILDKITE_AGENT_ENDPOINT",
        default_value = "http://127.0.0.1:8080/v3"
    )]
    endpoint: String,

    /// Queue to take jobs from
    #[arg(long, value_name = "KEY")]
    queue: String,

    /// Key of the stack, unique on the server [default: taskyard- and this machine's name]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,

    /// A tag of the agents, besides queue; jobs that ask for others are left alone
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = tag)]
    tags: Vec<(String, String)>,

    /// Jobs to run at the same time, 1 to 256
    #[arg(long, value_name = "COUNT", default_value = "1")]
    concurrency: u32,

    /// Folder in which each job gets a fresh one
    #[arg(long, value_name = "DIR", default_value = "./taskyard-work")]
    work_dir: PathBuf,

    /// Look for jobs so often, unless the server says otherwise
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1s")]
    poll: Duration,

    /// Kill jobs that run longer, whatever they ask for
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "24h")]
    max_run_time: Duration,

    /// Leave nothing of a job on disk, not even its log
    #[arg(long)]
    keep_nothing: bool,

    /// File with the cluster's token, instead of BUILDKITE_AGENT_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Log requests and answers too, without tokens and values of variables (needs debug)
    #[arg(long)]
    log_payloads: bool,

    /// What to log: error, warn, info, debug or trace
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "info",
        env = "TASKYARD_LOG_LEVEL"
    )]
    log_level: String,
}

const TOKEN: &str = "\
The stack comes with a token of a cluster, from --token-file or BUILDKITE_AGENT_TOKEN; `taskyard
stacks token create` makes one. Jobs never see it: each runs with a token of its own.

SIGTERM and Ctrl-C stop taking jobs, end those that run, deregister and end the stack; a second one
ends it at once.";

/// The variable with the token.
const TOKEN_VARIABLE: &str = "BUILDKITE_AGENT_TOKEN";
/// No token is longer.
const MAX_TOKEN_BYTES: usize = 4096;

/// Runs until a signal comes.
pub(crate) async fn execute(args: Args) -> anyhow::Result<ExitCode> {
    logging::install(&Log {
        format: LogFormat::Text,
        level: args.log_level.clone(),
    })?;
    let mut stop = StopSignals::new()?;
    let config = config(args)?;
    let shutdown = CancellationToken::new();
    let stack = taskyard_worker::stack::run(config, shutdown.clone());
    tokio::pin!(stack);
    let ended = tokio::select! {
        ended = stack.as_mut() => ended,
        () = stop.next() => {
            tracing::info!("stopping; a second signal ends at once");
            shutdown.cancel();
            tokio::select! {
                ended = stack.as_mut() => ended,
                () = stop.next() => return Ok(ExitCode::FAILURE),
            }
        }
    };
    let summary = ended.context("the stack gave up")?;
    tracing::info!(
        passed = summary.passed,
        failed = summary.failed,
        lost = summary.lost,
        "stopped"
    );
    Ok(ExitCode::SUCCESS)
}

fn config(args: Args) -> anyhow::Result<StackConfig> {
    let mut options = Options::new(token(args.token_file.as_deref())?)
        .with_base_url(args.endpoint)
        .with_user_agent_prefix("taskyard");
    options.log_payloads = args.log_payloads;
    let key = args.key.unwrap_or_else(default_key);
    let mut config = StackConfig::new(options, key, args.queue, args.work_dir);
    config.tags = args.tags.into_iter().collect();
    config.concurrency = args.concurrency;
    config.poll_interval = args.poll;
    config.max_run_time = args.max_run_time;
    if args.keep_nothing {
        config.keep = Keep::Nothing;
    }
    Ok(config)
}

fn token(file: Option<&Path>) -> anyhow::Result<String> {
    let Some(file) = file else {
        return std::env::var(TOKEN_VARIABLE)
            .ok()
            .filter(|token| !token.is_empty())
            .with_context(|| {
                format!("there is no token: set {TOKEN_VARIABLE}, or name a file with --token-file")
            });
    };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the token in {}", file.display()))?;
    let token = text.trim();
    anyhow::ensure!(
        !token.is_empty() && token.len() <= MAX_TOKEN_BYTES,
        "{} holds no token: one line is expected",
        file.display()
    );
    Ok(token.to_owned())
}

/// A key that names this machine.
fn default_key() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name
        .trim()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(60)
        .collect();
    format!("taskyard-{name}")
}

fn tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() && name != "queue" => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("write a name and a value, like os=linux; the queue is --queue".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_a_name_and_a_value() {
        assert_eq!(tag("os=a=b"), Ok(("os".to_owned(), "a=b".to_owned())));
        for wrong in ["os", "=x", "os=", "queue=x"] {
            assert!(tag(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_token_is_the_one_line_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "bkct_x\n").unwrap();
        assert_eq!(token(Some(&file)).unwrap(), "bkct_x");
        std::fs::write(&file, "\n").unwrap();
        assert!(token(Some(&file)).is_err());
    }
}
