//! One attempt at a task.

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// The state of a run; a task has its last run's, or is unscheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Only of tasks: there is no run yet.
    Unscheduled,
    /// Waits to be claimed.
    Pending,
    /// A worker has it.
    Running,
    /// Resolved: it did what it should.
    Completed,
    /// Resolved: it did not.
    Failed,
    /// Resolved: something else came between.
    Exception,
}

impl State {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Unscheduled => "unscheduled",
            State::Pending => "pending",
            State::Running => "running",
            State::Completed => "completed",
            State::Failed => "failed",
            State::Exception => "exception",
        }
    }

    /// Whether a run in this state can change no more.
    pub fn is_resolved(self) -> bool {
        matches!(self, State::Completed | State::Failed | State::Exception)
    }
}

/// Why a run exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Created {
    /// The task was scheduled.
    Scheduled,
    /// The run before was lost with its worker.
    Retry,
    /// The run before asked for it.
    TaskRetry,
    /// Somebody asked for it.
    Rerun,
    /// Only made to carry an exception: the task was never scheduled.
    Exception,
}

impl Created {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Created::Scheduled => "scheduled",
            Created::Retry => "retry",
            Created::TaskRetry => "task-retry",
            Created::Rerun => "rerun",
            Created::Exception => "exception",
        }
    }
}

/// Why a run is an exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exception {
    /// It was not resolved in time.
    DeadlineExceeded,
    /// Somebody cancelled it.
    Canceled,
    /// Its worker did not renew the claim.
    ClaimExpired,
    /// Its worker shut down.
    WorkerShutdown,
    /// The worker could not make sense of the payload.
    MalformedPayload,
    /// Something the task needs was not there.
    ResourceUnavailable,
    /// The worker has a bug.
    InternalError,
    /// The task asked to be tried again.
    IntermittentTask,
    /// Old workers: another task did its work.
    Superseded,
}

impl Exception {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Exception::DeadlineExceeded => "deadline-exceeded",
            Exception::Canceled => "canceled",
            Exception::ClaimExpired => "claim-expired",
            Exception::WorkerShutdown => "worker-shutdown",
            Exception::MalformedPayload => "malformed-payload",
            Exception::ResourceUnavailable => "resource-unavailable",
            Exception::InternalError => "internal-error",
            Exception::IntermittentTask => "intermittent-task",
            Exception::Superseded => "superseded",
        }
    }

    /// The run that follows by itself while retries are left, if one does.
    pub fn retried_as(self) -> Option<Created> {
        match self {
            Exception::ClaimExpired | Exception::WorkerShutdown => Some(Created::Retry),
            Exception::IntermittentTask => Some(Created::TaskRetry),
            Exception::DeadlineExceeded
            | Exception::Canceled
            | Exception::MalformedPayload
            | Exception::ResourceUnavailable
            | Exception::InternalError
            | Exception::Superseded => None,
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolved {
    /// It did what it should.
    Completed,
    /// It did not.
    Failed,
    /// Something else came between.
    Exception(Exception),
}

impl Resolved {
    /// The state that says so.
    pub fn state(self) -> State {
        match self {
            Resolved::Completed => State::Completed,
            Resolved::Failed => State::Failed,
            Resolved::Exception(_) => State::Exception,
        }
    }
}

/// Who claimed a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Worker {
    /// The group the worker belongs to, such as a region.
    #[serde(rename = "g")]
    pub group: String,
    /// The worker within its group.
    #[serde(rename = "w")]
    pub id: String,
}

/// One attempt at a task. Its number is its place in [`Task::runs`](super::Task::runs).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Where it stands.
    pub state: State,
    /// Why it exists.
    pub created: Created,
    /// Why it is an exception, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<Exception>,
    /// Who claimed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<Worker>,
    /// Until when it is or was claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_until: Option<Timestamp>,
    /// When it became pending.
    pub scheduled: Timestamp,
    /// When it was claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it was resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Timestamp>,
    /// Whether its worker asked for this very run, rather than for any of its queue.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_name: bool,
}

impl Run {
    /// A run that waits to be claimed.
    pub fn pending(created: Created, now: Timestamp) -> Self {
        Run {
            state: State::Pending,
            created,
            exception: None,
            worker: None,
            taken_until: None,
            scheduled: now,
            started: None,
            resolved: None,
            by_name: false,
        }
    }

    /// Why the run ended, as named on the wire.
    pub fn reason_resolved(&self) -> Option<&'static str> {
        match self.state {
            State::Completed => Some("completed"),
            State::Failed => Some("failed"),
            State::Exception => self.exception.map(Exception::as_str),
            State::Unscheduled | State::Pending | State::Running => None,
        }
    }
}
