//! What happens to cloud tasks, as the event log keeps it.
//!
//! The subject is the task's full name. A body tells where the task stands right after.

use serde::{Deserialize, Serialize};
use taskyard_events::outbox;
use taskyard_store::{Error, Tx};

use super::outcome::Outcome;
use super::task::Task;
use crate::timestamp::Timestamp;

/// A task was created.
pub const CREATED: &str = "cloud-task-created";
/// An attempt at a task began.
pub const DISPATCHED: &str = "cloud-task-dispatched";
/// An attempt at a task failed, or was lost; the task is to be tried again.
pub const RETRIED: &str = "cloud-task-retried";
/// A task is done.
pub const COMPLETED: &str = "cloud-task-completed";
/// A task was given up.
pub const FAILED: &str = "cloud-task-failed";
/// Somebody deleted a task.
pub const DELETED: &str = "cloud-task-deleted";
/// A task has outlived its time.
pub const EXPIRED: &str = "cloud-task-expired";

/// Where a task stood right after something happened to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Its number, which no other task ever has.
    pub number: i64,
    /// When it is next to be tried, or was to be.
    pub schedule_time: Timestamp,
    /// Attempts so far.
    pub dispatches: i64,
    /// Attempts that were answered.
    pub responses: i64,
    /// How the last attempt that ended came out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outcome: Option<Outcome>,
}

/// Writes down what happened to a task of the queue of this name, which the caller has just
/// inserted or holds locked.
pub(super) fn append(
    tx: &mut Tx<'_>,
    now: Timestamp,
    kind: &'static str,
    queue: &str,
    task: &Task,
) -> Result<(), Error> {
    let standing = Standing {
        number: task.number,
        schedule_time: task.schedule_time,
        dispatches: task.dispatch_count,
        responses: task.response_count,
        outcome: task.previous_outcome,
    };
    let body = serde_json::to_string(&standing)
        .map_err(|error| Error::Statement(format!("writing an event: {error}")))?;
    let subject = format!("{queue}/tasks/{}", task.id);
    outbox::append(tx, now.0, kind, &subject, &body)
}
