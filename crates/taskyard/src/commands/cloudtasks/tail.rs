//! `taskyard cloudtasks tasks tail`: what happens to tasks of a queue, as it happens.

use std::io::Write as _;

use anyhow::Context as _;
use serde_json::{Value, json};
use taskyard_client::taskcluster::exchange::{CloudTasksEvents, Exchange};
use taskyard_client::taskcluster::{Binding, EventMessage, Events, Heard};

use super::Session;
use super::place::Place;
use crate::commands::lines::print;

/// What to follow.
#[derive(Debug, clap::Args)]
#[command(after_help = CREDENTIALS)]
pub(super) struct Follow {
    /// Id of the queue, or its full name; all queues of the location without
    queue: Option<String>,
    /// Begin behind the message with this id, as --json prints it
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// Stop after so many messages
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,
}

const CREDENTIALS: &str = "\
It is signed with TASKCLUSTER_CLIENT_ID, TASKCLUSTER_ACCESS_TOKEN and TASKCLUSTER_CERTIFICATE, and takes
the right to list the queue's tasks, as a scope: cloudtasks:tasks.list:projects/P/….
`taskyard events tail --exchange cloudtasks/task-failed` follows one kind of event of all queues.";

/// Follows until there were enough messages.
pub(super) async fn follow(session: &Session, follow: &Follow) -> anyhow::Result<()> {
    let Session {
        events,
        place,
        json,
        ..
    } = session;
    let options = events.clone().context(
        "events are told by a Taskyard server: give its address with --root-url instead of \
         --endpoint",
    )?;
    let bindings = bindings(place, follow.queue.as_deref())?;
    let mut subscription = Events::new(options)?.subscribe(&bindings)?;
    if let Some(after) = &follow.after {
        subscription = subscription.after(after);
    }
    let mut left = follow.count.unwrap_or(u64::MAX);
    while left > 0 {
        let heard = subscription.next().await;
        match heard.context("cannot follow the events")? {
            Heard::Ready => complain("listening")?,
            Heard::Missed => {
                complain("some messages are missing: the server no longer has them")?;
            }
            Heard::Message(message) => {
                print([line(place, &message, *json)])?;
                left -= 1;
            }
        }
    }
    Ok(())
}

/// Every exchange, for one queue or all of the place.
fn bindings(place: &Place, queue: Option<&str>) -> anyhow::Result<Vec<Binding>> {
    let queue = queue.map(|queue| place.queue(queue)).transpose()?;
    let name = queue.unwrap_or_else(|| format!("{}/queues/*", place.name()));
    let segments: Vec<&str> = name.split('/').collect();
    let [_, project, _, location, _, queue] = segments[..] else {
        anyhow::bail!("{name:?} is no name of a queue");
    };
    // A dot would divide the word.
    let project = project.replace('.', "_");
    let words = [
        ("project", project.as_str()),
        ("location", location),
        ("queue", queue),
    ];
    let each = CloudTasksEvents::ALL.iter();
    let bound: Result<_, _> = each
        .map(|exchange: &Exchange| exchange.with(&words))
        .collect();
    Ok(bound?)
}

fn line(place: &Place, message: &EventMessage, json: bool) -> String {
    let payload = &message.payload;
    let happened = message.exchange.rsplit("/task-").next().unwrap_or_default();
    if json {
        let mut object = json!({ "id": message.id, "event": happened });
        if let (Some(into), Some(payload)) = (object.as_object_mut(), payload.as_object()) {
            into.extend(payload.clone());
        }
        return object.to_string();
    }
    let text = |name: &str| payload[name].as_str().unwrap_or_default();
    let name = place.short(text("name"));
    let mut columns = vec![text("eventTime").to_owned(), happened.to_owned(), name];
    match (&payload["httpStatus"], text("noAnswer")) {
        (Value::Number(status), _) => columns.push(status.to_string()),
        (_, "") => {}
        (_, why) => columns.push(why.to_owned()),
    }
    if matches!(happened, "created" | "retried") {
        columns.push(format!("due {}", text("scheduleTime")));
    }
    columns.join("\t")
}

fn complain(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stderr(), "{text}").context("cannot write to the error output")
}
