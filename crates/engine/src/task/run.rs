//! One attempt at a task.

use serde::Deserialize;
use taskyard_events::json::{List, write_array, write_number, write_text};

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
// Stored as a list in the order of these fields, which `write_all` makes; earlier releases stored
// an object. New fields go to the end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Run {
    /// Where it stands.
    pub state: State,
    /// Why it exists.
    pub created: Created,
    /// When it became pending.
    pub scheduled: Timestamp,
    /// Who claimed it.
    #[serde(default)]
    pub worker: Option<Worker>,
    /// Until when it is or was claimed.
    #[serde(default)]
    pub taken_until: Option<Timestamp>,
    /// When it was claimed.
    #[serde(default)]
    pub started: Option<Timestamp>,
    /// When it was resolved.
    #[serde(default)]
    pub resolved: Option<Timestamp>,
    /// Why it is an exception, if it is one.
    #[serde(default)]
    pub exception: Option<Exception>,
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
    let mut list = List::begin(into);
    list.text(run.state.as_str());
    list.text(run.created.as_str());
    list.number(run.scheduled.0);
    list.maybe(run.worker.as_ref(), |into, worker| {
        let mut had = List::begin(into);
        had.text(&worker.group);
        had.text(&worker.id);
        had.end();
    });
    for time in [run.taken_until, run.started, run.resolved] {
        list.maybe(time, |into, time| write_number(into, time.0));
    }
    list.maybe(run.exception.map(Exception::as_str), write_text);
    if run.by_name {
        list.item().extend_from_slice(b"true");
    }
    list.end();
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
        let cancelled = Run {
            worker: None,
            by_name: false,
            ..ended.clone()
        };
        for run in [&waits, &ended, &cancelled] {
            let read: Vec<Run> = serde_json::from_slice(&stored(run)).expect("runs");
            assert_eq!(read, std::slice::from_ref(run));
        }
        assert_eq!(
            String::from_utf8(stored(&waits)).expect("UTF-8"),
            r#"[["pending","task-retry",-1]]"#
        );
    }

    #[test]
    fn runs_of_earlier_releases_are_read() {
        let stored = r#"[{"state":"running","created":"scheduled","worker":{"g":"a","w":"b"},
            "taken_until":3,"scheduled":1,"started":2,"by_name":true},
            {"state":"exception","created":"retry","exception":"canceled","scheduled":4,
            "resolved":5}]"#;
        let read: Vec<Run> = serde_json::from_str(stored).expect("runs");
        let running = Run {
            state: State::Running,
            worker: Some(Worker {
                group: "a".to_owned(),
                id: "b".to_owned(),
            }),
            taken_until: Some(Timestamp(3)),
            started: Some(Timestamp(2)),
            by_name: true,
            ..Run::pending(Created::Scheduled, Timestamp(1))
        };
        let cancelled = Run {
            state: State::Exception,
            exception: Some(Exception::Canceled),
            resolved: Some(Timestamp(5)),
            ..Run::pending(Created::Retry, Timestamp(4))
        };
        assert_eq!(read, [running, cancelled]);
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
