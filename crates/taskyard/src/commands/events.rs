//! `taskyard events`: follows what happens.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::json;
use taskyard_client::taskcluster::exchange::{
    AuthEvents, AwsProvisionerEvents, CloudTasksEvents, Exchange, GithubEvents, HooksEvents,
    NotifyEvents, PurgeCacheEvents, QueueEvents, TreeherderEvents, WorkerManagerEvents,
};
use taskyard_client::taskcluster::{Binding, EventMessage, Events, Heard};

use super::lines::print;
use super::target::{Target, credentials};

/// Options of `taskyard events`.
#[derive(Debug, clap::Args)]
#[command(after_help = credentials!())]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print messages as they are published
    Tail {
        /// An exchange, such as task-completed, auth/client-created or a full name; may be given
        /// more than once [default: every exchange of the queue]
        #[arg(long = "exchange", value_name = "NAME")]
        exchanges: Vec<String>,
        /// What the routing key or a route has to match, such as primary.# or route.index.#; may
        /// be given more than once
        #[arg(long = "pattern", value_name = "PATTERN", default_value = "#")]
        patterns: Vec<String>,
        /// Begin behind the message with this id, as --json prints it
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        /// Stop after so many messages
        #[arg(long, value_name = "COUNT")]
        count: Option<u64>,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// List the exchanges that can be followed
    Exchanges,
}

/// Does one action.
pub(crate) async fn execute(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Exchanges => {
            for exchange in all() {
                print([exchange.full_name()])?;
            }
        }
        Action::Tail {
            exchanges,
            patterns,
            after,
            count,
            json,
        } => {
            let options = args.target.options()?;
            let bindings = bindings(&exchanges, &patterns)?;
            let mut subscription = Events::new(options)?.subscribe(&bindings)?;
            if let Some(after) = after {
                subscription = subscription.after(after);
            }
            let mut left = count.unwrap_or(u64::MAX);
            while left > 0 {
                match subscription.next().await? {
                    Heard::Ready => complain("listening")?,
                    Heard::Missed => {
                        complain("some messages are missing: the server no longer has them")?;
                    }
                    Heard::Message(message) => {
                        print([line(&message, json)])?;
                        left -= 1;
                    }
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn all() -> impl Iterator<Item = &'static Exchange> {
    [
        QueueEvents::ALL,
        AuthEvents::ALL,
        GithubEvents::ALL,
        HooksEvents::ALL,
        NotifyEvents::ALL,
        PurgeCacheEvents::ALL,
        WorkerManagerEvents::ALL,
        TreeherderEvents::ALL,
        AwsProvisionerEvents::ALL,
        CloudTasksEvents::ALL,
    ]
    .into_iter()
    .flatten()
}

fn bindings(names: &[String], patterns: &[String]) -> anyhow::Result<Vec<Binding>> {
    let mut exchanges = Vec::new();
    for name in names {
        exchanges.push(find(name).with_context(|| {
            format!("there is no exchange {name}; `taskyard events exchanges` lists them")
        })?);
    }
    if names.is_empty() {
        exchanges.extend(QueueEvents::ALL);
    }
    let each = |exchange: &Exchange| {
        let exchange = *exchange;
        patterns
            .iter()
            .map(move |pattern| exchange.matching(pattern.as_str()))
    };
    Ok(exchanges.into_iter().flat_map(each).collect())
}

/// The exchange of this name: in full, as `service/name`, or its last part.
fn find(name: &str) -> Option<&'static Exchange> {
    all().find(|exchange| {
        let full = exchange.full_name();
        let short = ["exchange/taskcluster-", "exchange/taskyard-"]
            .iter()
            .find_map(|prefix| full.strip_prefix(prefix))
            .and_then(|short| short.split_once("/v1/"));
        full == name
            || short.is_some_and(|(service, last)| {
                last == name || name.split_once('/') == Some((service, last))
            })
    })
}

fn line(message: &EventMessage, json: bool) -> String {
    if json {
        let object = json!({
            "id": message.id,
            "exchange": message.exchange,
            "routingKey": message.routing_key,
            "routes": message.routes,
            "payload": message.payload,
        });
        return object.to_string();
    }
    let name = message.exchange.rsplit('/').next().unwrap_or_default();
    let mut line = format!("{} {name} {}", message.id, message.routing_key);
    for route in &message.routes {
        line.push_str(" route.");
        line.push_str(route);
    }
    line
}

fn complain(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stderr(), "{text}").context("cannot write to the error output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exchanges_are_found_by_what_people_call_them() {
        for name in [
            "task-completed",
            "queue/task-completed",
            "exchange/taskcluster-queue/v1/task-completed",
        ] {
            assert_eq!(find(name), Some(&QueueEvents::task_completed()), "{name}");
        }
        let cloud = CloudTasksEvents::task_completed();
        assert_eq!(find("cloudtasks/task-completed"), Some(&cloud));
        assert_eq!(find("auth/task-completed"), None);
        assert_eq!(find("completed"), None);
    }
}
