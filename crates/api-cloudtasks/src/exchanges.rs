//! What the world hears about tasks of cloud queues.
//!
//! Routing keys are `PROJECT.LOCATION.QUEUE`, so that listeners choose queues. Ids of tasks may be
//! longer than a routing key; messages tell them.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};
use taskyard_engine::Timestamp;
use taskyard_engine::cloud::Outcome;
use taskyard_engine::cloud::event::{self, Standing};
use taskyard_events::{Event, Exchange, Message, Translate, Word};
use taskyard_store::{Error, Tx};

use crate::iam::Permission;
use crate::name::{LOCATION_ID, PROJECT_ID, QUEUE_ID, TaskName};

const PREFIX: &str = "exchange/taskyard-cloudtasks/v1/";

const KEY: &[Word] = &[
    Word::required(
        "project",
        PROJECT_ID,
        "The project of the queue, with `_` in place of each dot.",
    ),
    Word::required("location", LOCATION_ID, "The location of the queue."),
    Word::required("queue", QUEUE_ID, "The id of the queue."),
    Word::reserved(10),
];

/// Each exchange, with the kind of event that is published there.
static EXCHANGES: [(&str, Exchange); 7] = [
    (
        event::CREATED,
        exchange(
            "taskCreated",
            "task-created",
            "A task was created",
            "A task waits for its `scheduleTime`, or to be leased.",
        ),
    ),
    (
        event::DISPATCHED,
        exchange(
            "taskDispatched",
            "task-dispatched",
            "An attempt at a task began",
            "A task is being sent to its handler.",
        ),
    ),
    (
        event::RETRIED,
        exchange(
            "taskRetried",
            "task-retried",
            "An attempt at a task failed",
            "A task was not answered with success and is tried again at its `scheduleTime`.",
        ),
    ),
    (
        event::COMPLETED,
        exchange(
            "taskCompleted",
            "task-completed",
            "A task is done",
            "A task was answered with success, or acknowledged, and is gone.",
        ),
    ),
    (
        event::FAILED,
        exchange(
            "taskFailed",
            "task-failed",
            "A task was given up",
            "A task has used up its attempts, or their time, and is gone.",
        ),
    ),
    (
        event::DELETED,
        exchange(
            "taskDeleted",
            "task-deleted",
            "A task was deleted",
            "Somebody has deleted a task. Of those that go with a purge, or with their queue, \
             nothing is told.",
        ),
    ),
    (
        event::EXPIRED,
        exchange(
            "taskExpired",
            "task-expired",
            "A task has outlived its time",
            "A task was not done within the time that its queue keeps tasks, and is gone.",
        ),
    ),
];

const fn exchange(
    name: &'static str,
    exchange: &'static str,
    title: &'static str,
    description: &'static str,
) -> Exchange {
    let exchange = Exchange {
        name,
        exchange,
        title,
        description,
        key: KEY,
        schema: "",
    };
    assert!(exchange.is_sound(), "its keys are too long");
    exchange
}

fn full_name(exchange: &Exchange) -> Arc<str> {
    format!("{PREFIX}{}", exchange.exchange).into()
}

/// Every exchange with its full name.
pub fn exchanges() -> Vec<(Arc<str>, &'static Exchange)> {
    let each = EXCHANGES.iter();
    each.map(|(_, exchange)| (full_name(exchange), exchange))
        .collect()
}

/// What makes messages of what happens to tasks.
pub fn translator() -> Arc<dyn Translate> {
    Arc::new(TaskMessages {
        names: EXCHANGES
            .each_ref()
            .map(|(_, exchange)| full_name(exchange)),
    })
}

/// The scope that is needed to hear what `pattern` matches: to list the tasks of all these queues.
pub fn listening_scope(pattern: &str) -> String {
    let literal = pattern
        .split('.')
        .take_while(|word| !matches!(*word, "*" | "#" | ""));
    let words: Vec<&str> = literal.collect();
    let resource = match words.as_slice() {
        [] => "*".to_owned(),
        [project] => format!("projects/{}/*", project_of(project)),
        [project, location] => format!("projects/{}/locations/{location}/*", project_of(project)),
        [project, location, queue, ..] => {
            let project = project_of(project);
            format!("projects/{project}/locations/{location}/queues/{queue}")
        }
    };
    Permission::TasksList.scope(&resource)
}

/// Undoes what [`word_of`] does: no id of a project has a `_`.
fn project_of(word: &str) -> String {
    word.replace('_', ".")
}

fn word_of(project: &str) -> String {
    project.replace('.', "_")
}

struct TaskMessages {
    /// In the order of [`EXCHANGES`].
    names: [Arc<str>; 7],
}

impl Translate for TaskMessages {
    fn kinds(&self) -> &'static [&'static str] {
        &[
            event::CREATED,
            event::DISPATCHED,
            event::RETRIED,
            event::COMPLETED,
            event::FAILED,
            event::DELETED,
            event::EXPIRED,
        ]
    }

    fn translate(&self, _: &mut Tx<'_>, event: &Event) -> Result<Vec<Message>, Error> {
        let found = EXCHANGES.iter().zip(&self.names);
        let mut found = found.filter(|((kind, _), _)| *kind == event.kind);
        let Some(((_, exchange), name)) = found.next() else {
            return Ok(Vec::new());
        };
        let broken =
            |why: String| Error::Statement(format!("an event of {}: {why}", event.subject));
        let task = TaskName::parse(&event.subject).map_err(|refused| broken(refused.message))?;
        let standing: Standing =
            serde_json::from_str(&event.body).map_err(|error| broken(error.to_string()))?;
        let queue = &task.queue;
        let key = exchange.routing_key(&[
            ("project", &word_of(queue.project_id())),
            ("location", queue.location_id()),
            ("queue", queue.id()),
        ]);
        Ok(vec![Message {
            exchange: Arc::clone(name),
            routing_key: key.map_err(|error| broken(error.to_string()))?,
            cc: Vec::new(),
            payload: payload(event, &standing),
        }])
    }
}

fn payload(event: &Event, standing: &Standing) -> Bytes {
    let mut payload = Map::new();
    let mut put = |name: &str, value: Value| payload.insert(name.to_owned(), value);
    put("version", 1.into());
    put("name", event.subject.as_str().into());
    put("eventTime", Timestamp(event.created).to_iso().into());
    put("scheduleTime", standing.schedule_time.to_iso().into());
    put("dispatchCount", standing.dispatches.into());
    put("responseCount", standing.responses.into());
    // Where no attempt has just ended, this is how an earlier one came out.
    let has_ended =
        [event::RETRIED, event::COMPLETED, event::FAILED].contains(&event.kind.as_str());
    if let Some(outcome) = standing.outcome.filter(|_| has_ended) {
        match outcome {
            Outcome::Status(status) => put("httpStatus", status.into()),
            Outcome::TimedOut => put("noAnswer", "timed-out".into()),
            Outcome::Unreachable => put("noAnswer", "unreachable".into()),
            Outcome::Refused => put("noAnswer", "refused".into()),
        };
    }
    Bytes::from(Value::Object(payload).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_takes_the_right_to_list_whatever_may_be_heard() {
        for (pattern, resource) in [
            ("p.l.q.#", "projects/p/locations/l/queues/q"),
            ("p.l.q._", "projects/p/locations/l/queues/q"),
            (
                "example_com:p.l.q.#",
                "projects/example.com:p/locations/l/queues/q",
            ),
            ("p.l.*.#", "projects/p/locations/l/*"),
            ("p.#", "projects/p/*"),
            ("p.*.q.#", "projects/p/*"),
            ("*.l.q.#", "*"),
            ("#.l.q", "*"),
            ("#", "*"),
            ("", "*"),
        ] {
            let scope = format!("cloudtasks:tasks.list:{resource}");
            assert_eq!(listening_scope(pattern), scope, "{pattern}");
        }
    }

    #[test]
    fn only_where_an_attempt_has_ended_its_answer_is_told() {
        let standing = Standing {
            number: 1,
            schedule_time: Timestamp(2),
            dispatches: 1,
            responses: 1,
            outcome: Some(Outcome::Status(503)),
        };
        for kind in translator().kinds() {
            let event = Event {
                position: 1,
                created: 2,
                kind: (*kind).to_owned(),
                subject: "projects/p/locations/l/queues/q/tasks/t".to_owned(),
                body: String::new(),
            };
            let told: Value = serde_json::from_slice(&payload(&event, &standing)).expect("JSON");
            let has_ended = ["retried", "completed", "failed"]
                .iter()
                .any(|end| kind.ends_with(end));
            assert_eq!(told["httpStatus"] == 503, has_ended, "{kind}");
        }
    }

    #[test]
    fn every_kind_has_its_exchange() {
        let kinds = EXCHANGES.each_ref().map(|(kind, _)| *kind);
        let translator = translator();
        assert_eq!(translator.kinds(), kinds);
    }
}
