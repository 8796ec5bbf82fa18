//! One attempt at a task.

use serde::Deserialize;
use taskyard_events::json::{Object, write_array};

use crate::timestamp::Timestamp;

/// The state of a run; a task has its last run's, or is unscheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct Worker {
    /// The group the worker belongs to, such as a region.
    #[serde(rename = "g")]
    pub group: String,
    /// The worker within its group.
    #[serde(rename = "w")]
    pub id: String,
}

/// One attempt at a task. Its number is its place in [`Task::runs`](super::Task::runs).
// `write_all` makes the JSON that it is read from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Run {
    /// Where it stands.
    pub state: State,
    /// Why it exists.
    pub created: Created,
    /// Why it is an exception, if it is one.
    #[serde(default)]
    pub exception: Option<Exception>,
    /// Who claimed it.
    #[serde(default)]
    pub worker: Option<Worker>,
    /// Until when it is or was claimed.
    #[serde(default)]
    pub taken_until: Option<Timestamp>,
    /// When it became pending.
    pub scheduled: Timestamp,
    /// When it was claimed.
    #[serde(default)]
    pub started: Option<Timestamp>,
    /// When it was resolved.
    #[serde(default)]
    pub resolved: Option<Timestamp>,
    /// Whether its worker asked for this very run, rather than for any of its queue.
    #[serde(default)]
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

/// Appends `runs` as they are stored, an array.
pub(super) fn write_all(into: &mut Vec<u8>, runs: &[Run]) {
    write_array(into, runs, write);
}

fn write(into: &mut Vec<u8>, run: &Run) {
    let mut object = Object::begin(into);
    object.text("state", run.state.as_str());
    object.text("created", run.created.as_str());
    object.maybe("exception", run.exception.map(Exception::as_str));
    if let Some(worker) = &run.worker {
        let mut had = Object::begin(object.member("worker"));
        had.text("g", &worker.group);
        had.text("w", &worker.id);
        had.end();
    }
    for (name, time) in [
        ("taken_until", run.taken_until),
        ("scheduled", Some(run.scheduled)),
        ("started", run.started),
        ("resolved", run.resolved),
    ] {
        if let Some(time) = time {
            object.number(name, time.0);
        }
    }
    if run.by_name {
        object.member("by_name").extend_from_slice(b"true");
    }
    object.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(run: &Run) -> Vec<u8> {
        let mut text = Vec::new();
        write_all(&mut text, std::slice::from_ref(run));
        text
    }

    #[test]
    fn runs_are_read_as_they_were_written() {
        let waits = Run::pending(Created::TaskRetry, Timestamp(-1));
        let at = |micros| Some(Timestamp(micros));
        let ended = Run {
            state: State::Exception,
            created: Created::Scheduled,
            exception: Some(Exception::WorkerShutdown),
            worker: Some(Worker {
                group: "a \"group\"".to_owned(),
                id: "ü".to_owned(),
            }),
            taken_until: at(i64::MAX),
            scheduled: Timestamp(0),
            started: at(1),
            resolved: at(2),
            by_name: true,
        };
        for run in [&waits, &ended] {
            let read: Vec<Run> = serde_json::from_slice(&stored(run)).expect("runs");
            assert_eq!(read, std::slice::from_ref(run));
        }
        assert_eq!(
            String::from_utf8(stored(&waits)).expect("UTF-8"),
            r#"[{"state":"pending","created":"task-retry","scheduled":-1}]"#
        );
    }

    #[test]
    fn states_and_reasons_are_read_by_their_names() {
        fn reads<T: PartialEq + for<'a> Deserialize<'a>>(value: &T, name: &str) -> bool {
            serde_json::from_value::<T>(name.into()).is_ok_and(|read| read == *value)
        }
        for state in [
            State::Unscheduled,
            State::Pending,
            State::Running,
            State::Completed,
            State::Failed,
            State::Exception,
        ] {
            assert!(reads(&state, state.as_str()), "{state:?}");
        }
        for created in [
            Created::Scheduled,
            Created::Retry,
            Created::TaskRetry,
            Created::Rerun,
            Created::Exception,
        ] {
            assert!(reads(&created, created.as_str()), "{created:?}");
        }
        for exception in [
            Exception::DeadlineExceeded,
            Exception::Canceled,
            Exception::ClaimExpired,
            Exception::WorkerShutdown,
            Exception::MalformedPayload,
            Exception::ResourceUnavailable,
            Exception::InternalError,
            Exception::IntermittentTask,
            Exception::Superseded,
        ] {
            assert!(reads(&exception, exception.as_str()), "{exception:?}");
        }
    }
}
