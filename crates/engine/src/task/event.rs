//! What happens to tasks and groups, as the event log keeps it.
//!
//! An event's body holds what may have changed again by the time it is read, and what tells whom
//! the event concerns. What it does not tell of the definition is looked up by
//! [`super::definition_by_number`].

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use taskyard_events::json::{List, write_number};
use taskyard_events::{Event, outbox};
use taskyard_store::{Error, Tx};

use super::{Group, Priority, Requires, Run, Task, run};
use crate::artifact::{Artifact, StorageType};
use crate::timestamp::Timestamp;

/// Something that happens to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// Its last run waits to be claimed.
    Pending,
    /// Its last run was claimed.
    Claimed,
    /// Its last run completed.
    Completed,
    /// Its last run failed.
    Failed,
    /// This run ended as an exception; a retry may stand behind it.
    Exception(usize),
}

impl Happened {
    /// The kind in the event log.
    pub fn kind(self) -> &'static str {
        match self {
            Happened::Pending => PENDING,
            Happened::Claimed => CLAIMED,
            Happened::Completed => COMPLETED,
            Happened::Failed => FAILED,
            Happened::Exception(_) => EXCEPTION,
        }
    }
}

/// Kinds of events whose subject is a task; [`TaskEvent::read`] reads them. This one is of a task
/// that was created, or created again by the same request.
pub const CREATED: &str = "task-created";
/// See [`Happened::Pending`].
pub const PENDING: &str = "task-pending";
/// See [`Happened::Claimed`].
pub const CLAIMED: &str = "task-claimed";
/// See [`Happened::Completed`].
pub const COMPLETED: &str = "task-completed";
/// See [`Happened::Failed`].
pub const FAILED: &str = "task-failed";
/// See [`Happened::Exception`].
pub const EXCEPTION: &str = "task-exception";
/// A run left something behind: see [`artifact_created`].
pub const ARTIFACT_CREATED: &str = "artifact-created";
/// See [`priority_changed`].
pub const PRIORITY_CHANGED: &str = "task-priority-changed";
/// Kinds of events whose subject is a group; [`GroupEvent::read`] reads them.
pub const GROUP_RESOLVED: &str = "task-group-resolved";
/// See [`group_sealed`].
pub const GROUP_SEALED: &str = "task-group-sealed";
/// See [`group_priority_changed`].
pub const GROUP_PRIORITY_CHANGED: &str = "task-group-priority-changed";

/// An event about a task: the task as it was right after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEvent {
    /// The task. What an event does not tell (`requires`, `retries`, `ever_resolved`, `lease_id`,
    /// `promises`) is left at its default.
    pub task: Task,
    /// Which run it is about, if it is about one.
    pub run_id: Option<usize>,
    /// The task's [notice](super::NewTask::notice), if it is about its creation.
    pub notice: Option<Box<str>>,
    /// The artifact it is about, if it is about one.
    pub artifact: Option<ArtifactFacts>,
    /// The priority before, if that was changed.
    pub old_priority: Option<Priority>,
}

/// What an event tells about an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactFacts {
    /// Its name within the run.
    #[serde(rename = "n")]
    pub name: String,
    /// What it is, as named on the wire.
    #[serde(rename = "s")]
    pub storage_type: Cow<'static, str>,
    /// The media type of its bytes.
    #[serde(rename = "c")]
    pub content_type: String,
    /// After this it may be forgotten.
    #[serde(rename = "e")]
    pub expires: Timestamp,
}

/// An event about a task group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupEvent {
    /// The group as it was right after.
    pub group: Group,
    /// The priority its open tasks have now, and how many were changed.
    pub new_priority: Option<(Priority, u64)>,
}

/// Stored as a list in the order of these fields, which [`append_task`] makes; earlier releases
/// stored an object. New fields go to the end.
#[derive(Deserialize)]
struct TaskBody {
    #[serde(rename = "n")]
    number: i64,
    #[serde(rename = "q")]
    task_queue_id: String,
    #[serde(rename = "s")]
    scheduler_id: String,
    #[serde(rename = "j")]
    project_id: String,
    #[serde(rename = "g")]
    group_id: String,
    #[serde(rename = "p")]
    priority: i64,
    #[serde(rename = "l")]
    retries_left: u32,
    #[serde(rename = "d")]
    deadline: Timestamp,
    #[serde(rename = "e")]
    expires: Timestamp,
    #[serde(rename = "r")]
    runs: Vec<Run>,
    #[serde(rename = "i", default)]
    run_id: Option<usize>,
    #[serde(default)]
    notice: Option<Box<RawValue>>,
    #[serde(rename = "a", default)]
    artifact: Option<ArtifactFacts>,
    #[serde(rename = "o", default)]
    old_priority: Option<i64>,
}

/// What only some events about a task tell.
#[derive(Default)]
struct More<'a> {
    run_id: Option<usize>,
    notice: Option<&'a str>,
    artifact: Option<&'a ArtifactFacts>,
    old_priority: Option<Priority>,
}

#[derive(Serialize, Deserialize)]
struct GroupBody<'a> {
    #[serde(rename = "s")]
    scheduler_id: Cow<'a, str>,
    #[serde(rename = "e")]
    expires: Timestamp,
    #[serde(rename = "z", default, skip_serializing_if = "Option::is_none")]
    sealed: Option<Timestamp>,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    new_priority: Option<(i64, u64)>,
}

fn unwritable(error: impl std::fmt::Display) -> Error {
    Error::Statement(format!("the body of an event: {error}"))
}

fn append_task(
    tx: &mut Tx<'_>,
    now: Timestamp,
    kind: &'static str,
    task: &Task,
    more: &More<'_>,
) -> Result<(), Error> {
    let mut text = Vec::with_capacity(512);
    let mut body = List::begin(&mut text);
    body.number(task.number);
    body.text(&task.task_queue_id);
    body.text(&task.scheduler_id);
    body.text(&task.project_id);
    body.text(&task.group_id);
    body.number(task.priority as i64);
    body.number(i64::from(task.retries_left));
    body.number(task.deadline.0);
    body.number(task.expires.0);
    run::write_all(body.item(), &task.runs);
    body.maybe(more.run_id.map(|run_id| run_id as i64), write_number);
    body.maybe(more.notice, |into, notice| {
        into.extend_from_slice(notice.as_bytes());
    });
    match more.artifact {
        Some(artifact) => serde_json::to_writer(body.item(), artifact).map_err(unwritable)?,
        None => body.skip(),
    }
    body.maybe(more.old_priority.map(|old| old as i64), write_number);
    body.end();
    let text = String::from_utf8(text).map_err(unwritable)?;
    outbox::append(tx, now.0, kind, &task.id, &text)
}

/// Notes that a task was just inserted, or that it is asked for once more and locked.
pub(super) fn created(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task: &Task,
    notice: &str,
) -> Result<(), Error> {
    let more = More {
        notice: (!notice.is_empty()).then_some(notice),
        ..More::default()
    };
    append_task(tx, now, CREATED, task, &more)
}

/// Notes what has happened to a task that is locked.
pub(super) fn note(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task: &Task,
    happened: Happened,
) -> Result<(), Error> {
    let run_id = match happened {
        Happened::Exception(run_id) => Some(run_id),
        Happened::Pending | Happened::Claimed | Happened::Completed | Happened::Failed => {
            task.runs.len().checked_sub(1)
        }
    };
    let more = More {
        run_id,
        ..More::default()
    };
    append_task(tx, now, happened.kind(), task, &more)
}

/// Notes that a run of `task` left `artifact` behind and that it can be read; also for one that
/// was made again. The task must be locked at least against being resolved.
///
/// # Errors
/// As [`Tx::execute`].
pub fn artifact_created(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task: &Task,
    artifact: &Artifact,
) -> Result<(), Error> {
    let facts = ArtifactFacts {
        name: artifact.name.clone(),
        storage_type: Cow::Borrowed(artifact.storage_type.as_str()),
        content_type: artifact.content_type.clone(),
        expires: artifact.expires,
    };
    let more = More {
        run_id: Some(artifact.run_id),
        artifact: Some(&facts),
        ..More::default()
    };
    append_task(tx, now, ARTIFACT_CREATED, task, &more)
}

/// Whether the world hears of artifacts of this type. Those whose bytes are uploaded straight to a
/// bucket are never known to be complete.
pub fn is_announced(storage_type: StorageType) -> bool {
    match storage_type {
        StorageType::S3 | StorageType::Azure => false,
        StorageType::Blob
        | StorageType::Object
        | StorageType::Reference
        | StorageType::Link
        | StorageType::Error => true,
    }
}

/// Notes that the priority of `task`, which is locked, was `old` and is now what it says.
///
/// # Errors
/// As [`Tx::execute`].
pub fn priority_changed(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task: &Task,
    old: Priority,
) -> Result<(), Error> {
    let more = More {
        old_priority: Some(old),
        ..More::default()
    };
    append_task(tx, now, PRIORITY_CHANGED, task, &more)
}

fn note_group(
    tx: &mut Tx<'_>,
    now: Timestamp,
    kind: &'static str,
    group: &Group,
    new_priority: Option<(Priority, u64)>,
) -> Result<(), Error> {
    let body = GroupBody {
        scheduler_id: Cow::Borrowed(&group.scheduler_id),
        expires: group.expires,
        sealed: group.sealed,
        new_priority: new_priority.map(|(priority, count)| (priority as i64, count)),
    };
    let text = serde_json::to_string(&body).map_err(unwritable)?;
    outbox::append(tx, now.0, kind, &group.id, &text)
}

/// Notes that no task of `group` is open any more.
///
/// # Errors
/// As [`Tx::execute`].
pub fn group_resolved(tx: &mut Tx<'_>, now: Timestamp, group: &Group) -> Result<(), Error> {
    note_group(tx, now, GROUP_RESOLVED, group, None)
}

/// Notes that `group` was sealed, or asked to be once more.
///
/// # Errors
/// As [`Tx::execute`].
pub fn group_sealed(tx: &mut Tx<'_>, now: Timestamp, group: &Group) -> Result<(), Error> {
    note_group(tx, now, GROUP_SEALED, group, None)
}

/// Notes that the open tasks of `group` have a new priority, which was another one for `changed`
/// of them.
///
/// # Errors
/// As [`Tx::execute`].
pub fn group_priority_changed(
    tx: &mut Tx<'_>,
    now: Timestamp,
    group: &Group,
    priority: Priority,
    changed: u64,
) -> Result<(), Error> {
    let new_priority = Some((priority, changed));
    note_group(tx, now, GROUP_PRIORITY_CHANGED, group, new_priority)
}

fn broken(event: &Event, error: &serde_json::Error) -> Error {
    Error::Statement(format!(
        "the event {} ({}) cannot be read: {error}",
        event.position, event.kind
    ))
}

impl TaskEvent {
    /// Reads an event whose subject is a task.
    ///
    /// # Errors
    /// Its body is of another kind.
    pub fn read(event: &Event) -> Result<Self, Error> {
        let body: TaskBody =
            serde_json::from_str(&event.body).map_err(|error| broken(event, &error))?;
        let task = Task {
            number: body.number,
            id: event.subject.clone(),
            task_queue_id: body.task_queue_id,
            scheduler_id: body.scheduler_id,
            project_id: body.project_id,
            group_id: body.group_id,
            priority: Priority::from_number(body.priority),
            requires: Requires::AllCompleted,
            retries: body.retries_left,
            retries_left: body.retries_left,
            deadline: body.deadline,
            expires: body.expires,
            ever_resolved: false,
            runs: body.runs,
            lease_id: None,
            promises: false,
        };
        Ok(TaskEvent {
            task,
            run_id: body.run_id,
            notice: body.notice.map(Box::<str>::from),
            artifact: body.artifact,
            old_priority: body.old_priority.map(Priority::from_number),
        })
    }

    /// The run it is about.
    pub fn run(&self) -> Option<&Run> {
        self.task.runs.get(self.run_id?)
    }
}

impl GroupEvent {
    /// Reads an event whose subject is a group.
    ///
    /// # Errors
    /// Its body is of another kind.
    pub fn read(event: &Event) -> Result<Self, Error> {
        let body: GroupBody<'_> =
            serde_json::from_str(&event.body).map_err(|error| broken(event, &error))?;
        Ok(GroupEvent {
            group: Group {
                id: event.subject.clone(),
                scheduler_id: body.scheduler_id.into_owned(),
                expires: body.expires,
                sealed: body.sealed,
            },
            new_priority: body
                .new_priority
                .map(|(priority, count)| (Priority::from_number(priority), count)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::run::Created;

    #[test]
    fn events_of_earlier_releases_are_read() {
        let event = Event {
            position: 1,
            created: 2,
            kind: PRIORITY_CHANGED.to_owned(),
            subject: "task".to_owned(),
            body: r#"{"n":7,"q":"prov/type","s":"sched","j":"none","g":"group","p":3,"l":5,
                "d":8,"e":9,"r":[{"state":"pending","created":"scheduled","scheduled":4}],"i":0,
                "a":{"n":"public/a","s":"link","c":"text/plain","e":10},"o":1}"#
                .to_owned(),
        };
        let told = TaskEvent::read(&event).expect("an event");
        let Task {
            number, group_id, ..
        } = &told.task;
        assert_eq!((*number, group_id.as_str()), (7, "group"));
        assert_eq!(told.task.expires, Timestamp(9));
        let run = Run::pending(Created::Scheduled, Timestamp(4));
        assert_eq!(told.run(), Some(&run));
        assert_eq!(told.old_priority, Some(Priority::from_number(1)));
        assert_eq!(
            told.artifact.map(|artifact| artifact.expires),
            Some(Timestamp(10))
        );
        assert_eq!(told.notice, None);
    }
}
