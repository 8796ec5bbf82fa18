//! Messages of what happens to tasks, made of the event log.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use taskyard_engine::task::event::{self, GroupEvent, TaskEvent};
use taskyard_engine::task::{self, Exception, Run, State, Task};
use taskyard_events::json::Object;
use taskyard_events::{Event, Exchange, Message, Translate};
use taskyard_store::{Error, Tx};

use super::exchanges::{
    ARTIFACT_CREATED, EXCHANGES, TASK_COMPLETED, TASK_DEFINED, TASK_EXCEPTION, TASK_FAILED,
    TASK_GROUP_PRIORITY_CHANGED, TASK_GROUP_RESOLVED, TASK_GROUP_SEALED, TASK_PENDING,
    TASK_PRIORITY_CHANGED, TASK_RUNNING,
};
use super::facts::{Facts, Remembered};
use super::status::{STATUS, put_time, split_queue_id, write_status};

/// Room for a message: a status with a run or two, and tags.
const ROOM: usize = STATUS + 256;

/// Makes messages of what happens to tasks and groups.
#[derive(Debug)]
pub(crate) struct QueueMessages {
    exchanges: Vec<(Arc<str>, &'static Exchange)>,
    known: Mutex<Remembered>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupMessage<'a> {
    version: u32,
    task_group_id: &'a str,
    scheduler_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_priority: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks_affected: Option<u64>,
}

impl Default for QueueMessages {
    fn default() -> Self {
        QueueMessages {
            exchanges: EXCHANGES.named(),
            known: Mutex::default(),
        }
    }
}

impl Translate for QueueMessages {
    fn kinds(&self) -> &'static [&'static str] {
        &[
            event::CREATED,
            event::PENDING,
            event::CLAIMED,
            event::COMPLETED,
            event::FAILED,
            event::EXCEPTION,
            event::ARTIFACT_CREATED,
            event::PRIORITY_CHANGED,
            event::GROUP_RESOLVED,
            event::GROUP_SEALED,
            event::GROUP_PRIORITY_CHANGED,
        ]
    }

    fn translate(&self, tx: &mut Tx<'_>, event: &Event) -> Result<Vec<Message>, Error> {
        match event.kind.as_str() {
            event::GROUP_RESOLVED => self.of_group(event, &TASK_GROUP_RESOLVED),
            event::GROUP_SEALED => self.of_group(event, &TASK_GROUP_SEALED),
            event::GROUP_PRIORITY_CHANGED => self.of_group(event, &TASK_GROUP_PRIORITY_CHANGED),
            kind => {
                let told = TaskEvent::read(event)?;
                let facts = self.facts(tx, &told)?;
                self.of_task(kind, told, &facts)
            }
        }
    }
}

impl QueueMessages {
    fn of_task(
        &self,
        kind: &str,
        mut told: TaskEvent,
        facts: &Facts,
    ) -> Result<Vec<Message>, Error> {
        if kind == event::CREATED {
            // The status before anything else happened.
            let runs = std::mem::take(&mut told.task.runs);
            let about = self.about(&told.task, facts);
            let mut messages = vec![about.message(&TASK_DEFINED, None, About::tags)?];
            told.task.runs = runs;
            messages.extend(self.about(&told.task, facts).pending_run(0)?);
            return Ok(messages);
        }
        let about = self.about(&told.task, facts);
        let run = told.run_id.zip(told.run());
        Ok(match (kind, run) {
            (event::PENDING, Some((run_id, _))) => {
                vec![about.message(&TASK_PENDING, Some((run_id, None)), About::tags)?]
            }
            (event::CLAIMED, Some((run_id, run))) => {
                let had = Some((run_id, Some(run)));
                vec![about.message(&TASK_RUNNING, had, |about, body| {
                    put_time(body, "takenUntil", run.taken_until);
                    about.tags(body);
                })?]
            }
            (event::COMPLETED, Some((run_id, run))) => {
                vec![about.message(&TASK_COMPLETED, Some((run_id, Some(run))), About::tags)?]
            }
            (event::FAILED, Some((run_id, run))) => {
                vec![about.message(&TASK_FAILED, Some((run_id, Some(run))), About::tags)?]
            }
            (event::EXCEPTION, Some((run_id, run))) => {
                // Who had the run when the deadline passed is not to blame.
                let is_late = run.exception == Some(Exception::DeadlineExceeded);
                let had = (run_id, (!is_late).then_some(run));
                let mut messages = vec![about.message(&TASK_EXCEPTION, Some(had), About::tags)?];
                messages.extend(about.pending_run(run_id + 1)?);
                messages
            }
            (event::ARTIFACT_CREATED, Some((run_id, run))) => {
                let Some(artifact) = &told.artifact else {
                    return Ok(Vec::new());
                };
                let had = Some((run_id, Some(run)));
                vec![about.message(&ARTIFACT_CREATED, had, |_, body| {
                    let mut facts = Object::begin(body.member("artifact"));
                    facts.text("storageType", &artifact.storage_type);
                    facts.text("name", &artifact.name);
                    put_time(&mut facts, "expires", artifact.expires);
                    facts.text("contentType", &artifact.content_type);
                    facts.end();
                })?]
            }
            (event::PRIORITY_CHANGED, _) => {
                vec![about.message(&TASK_PRIORITY_CHANGED, None, |_, body| {
                    body.maybe("oldPriority", told.old_priority.map(task::Priority::as_str));
                    body.text("newPriority", told.task.priority.as_str());
                })?]
            }
            _ => Vec::new(),
        })
    }

    fn about<'a>(&'a self, task: &'a Task, facts: &'a Facts) -> About<'a> {
        About {
            messages: self,
            task,
            facts,
        }
    }

    fn of_group(&self, event: &Event, exchange: &Exchange) -> Result<Vec<Message>, Error> {
        let GroupEvent {
            group,
            new_priority,
        } = GroupEvent::read(event)?;
        let (expires, sealed) = match new_priority {
            None => (
                Some(group.expires.to_iso()),
                group.sealed.map(taskyard_engine::Timestamp::to_iso),
            ),
            Some(_) => (None, None),
        };
        let body = GroupMessage {
            version: 1,
            task_group_id: &group.id,
            scheduler_id: &group.scheduler_id,
            expires,
            sealed,
            new_priority: new_priority.map(|(priority, _)| priority.as_str()),
            tasks_affected: new_priority.map(|(_, tasks)| tasks),
        };
        let words = [
            ("taskGroupId", group.id.as_str()),
            ("schedulerId", group.scheduler_id.as_str()),
        ];
        let payload = serde_json::to_vec(&body).map_err(|error| unusable(exchange, &error))?;
        Ok(vec![self.message(exchange, &words, Vec::new(), payload)?])
    }

    fn message(
        &self,
        exchange: &Exchange,
        words: &[(&str, &str)],
        cc: Vec<String>,
        payload: Vec<u8>,
    ) -> Result<Message, Error> {
        let routing_key = exchange
            .routing_key(words)
            .map_err(|error| unusable(exchange, &error))?;
        let name = self
            .exchanges
            .iter()
            .find(|(_, known)| known.exchange == exchange.exchange)
            .map(|(name, _)| Arc::clone(name))
            .ok_or_else(|| unusable(exchange, &"it is not declared"))?;
        Ok(Message {
            exchange: name,
            routing_key,
            cc,
            payload: Bytes::from(payload),
        })
    }

    /// What messages about the task need of its definition.
    fn facts(&self, tx: &mut Tx<'_>, told: &TaskEvent) -> Result<Arc<Facts>, Error> {
        let number = told.task.number;
        if let Some(known) = self.known.lock().get(number) {
            return Ok(known);
        }
        let facts = match &told.notice {
            Some(notice) => Facts::read(notice)?,
            None => match task::definition_by_number(tx, number)? {
                Some(definition) => Facts::read(&definition)?,
                None => Facts::none(),
            },
        };
        let facts = Arc::new(facts);
        self.known.lock().put(number, Arc::clone(&facts));
        Ok(facts)
    }
}

fn unusable(exchange: &Exchange, error: &dyn std::fmt::Display) -> Error {
    Error::Statement(format!("no message for {}: {error}", exchange.exchange))
}

/// A task that messages are about.
#[derive(Clone, Copy)]
struct About<'a> {
    messages: &'a QueueMessages,
    task: &'a Task,
    facts: &'a Facts,
}

impl About<'_> {
    /// The message that run `run_id` waits, if it does.
    fn pending_run(&self, run_id: usize) -> Result<Option<Message>, Error> {
        let run = self.task.runs.get(run_id);
        if run.is_none_or(|run| run.state != State::Pending) {
            return Ok(None);
        }
        let message = self.message(&TASK_PENDING, Some((run_id, None)), About::tags);
        message.map(Some)
    }

    /// A message about the task and perhaps one of its runs, which is named with its worker or
    /// without; `more` adds what not all messages have.
    fn message(
        &self,
        exchange: &Exchange,
        run: Option<(usize, Option<&Run>)>,
        more: impl FnOnce(&Self, &mut Object<'_>),
    ) -> Result<Message, Error> {
        let task = self.task;
        let run_id = run.map(|(run_id, _)| run_id);
        let worker = run.and_then(|(_, run)| run?.worker.as_ref());
        let mut payload = Vec::with_capacity(ROOM);
        let mut body = Object::begin(&mut payload);
        body.number("version", 1);
        write_status(body.member("status"), task);
        if let Some(run_id) = run_id {
            body.number("runId", run_id as i64);
        }
        if let Some(worker) = worker {
            body.text("workerGroup", &worker.group);
            body.text("workerId", &worker.id);
        }
        more(self, &mut body);
        body.end();

        let (provisioner_id, worker_type) = split_queue_id(&task.task_queue_id);
        let number = run_id.map(|run_id| run_id.to_string());
        let mut words = Vec::with_capacity(8);
        words.extend([
            ("taskId", task.id.as_str()),
            ("provisionerId", provisioner_id),
            ("workerType", worker_type),
            ("schedulerId", task.scheduler_id.as_str()),
            ("taskGroupId", task.group_id.as_str()),
        ]);
        words.extend(number.as_deref().map(|number| ("runId", number)));
        if let Some(worker) = worker {
            words.push(("workerGroup", &worker.group));
            words.push(("workerId", &worker.id));
        }
        let cc = self.facts.cc.clone();
        self.messages.message(exchange, &words, cc, payload)
    }

    /// Adds the task's tags.
    fn tags(&self, body: &mut Object<'_>) {
        let mut task = Object::begin(body.member("task"));
        task.json("tags", self.facts.tags());
        task.end();
    }
}
