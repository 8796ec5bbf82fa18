//! One call of the engine, as a value, and what it answered, in words that a model shares.

use std::sync::Arc;

use taskyard_engine::Timestamp;
use taskyard_engine::task::{self, Claimed, Exception, Priority, Refusal, Resolved, Run, Task};
use taskyard_store::{Error, Key, Store, Tx};

use crate::spec::{Spec, group_id, place, queue_id, task_id};
use crate::yard::named;

/// Times are microseconds since the epoch; tasks, queues and groups are places in the history's
/// lists.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Create {
        task: usize,
        altered: bool,
    },
    Schedule {
        task: usize,
    },
    Rerun {
        task: usize,
    },
    Cancel {
        task: usize,
    },
    ClaimWork {
        queue: usize,
        worker: String,
        count: usize,
        until: i64,
    },
    ClaimRun {
        task: usize,
        run: usize,
        worker: String,
        until: i64,
    },
    Reclaim {
        task: usize,
        run: usize,
        until: i64,
    },
    Report {
        task: usize,
        run: usize,
        report: Report,
    },
    /// What the timer does about a claim it found due: `lease` until `taken_until`.
    ExpireClaim {
        task: usize,
        run: usize,
        lease: Option<i64>,
        taken_until: Option<i64>,
    },
    /// What the timer does about a deadline it found passed.
    ExceedDeadline {
        task: usize,
    },
    Seal {
        group: usize,
    },
    /// Cancels what is open of a group, a few tasks at a time.
    CancelGroup {
        group: usize,
    },
    ChangePriority {
        task: usize,
        priority: Priority,
    },
    ChangeGroupPriority {
        group: usize,
        priority: Priority,
    },
}

/// How a worker may say its run ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Report {
    Completed,
    Failed,
    WorkerShutdown,
    IntermittentTask,
    MalformedPayload,
    ResourceUnavailable,
    InternalError,
    Superseded,
}

impl Report {
    pub(crate) const ALL: [Report; 8] = [
        Report::Completed,
        Report::Failed,
        Report::WorkerShutdown,
        Report::IntermittentTask,
        Report::MalformedPayload,
        Report::ResourceUnavailable,
        Report::InternalError,
        Report::Superseded,
    ];

    pub(crate) fn state(self) -> &'static str {
        match self {
            Report::Completed => "completed",
            Report::Failed => "failed",
            _ => "exception",
        }
    }

    pub(crate) fn reason(self) -> &'static str {
        match self {
            Report::Completed => "completed",
            Report::Failed => "failed",
            Report::WorkerShutdown => "worker-shutdown",
            Report::IntermittentTask => "intermittent-task",
            Report::MalformedPayload => "malformed-payload",
            Report::ResourceUnavailable => "resource-unavailable",
            Report::InternalError => "internal-error",
            Report::Superseded => "superseded",
        }
    }

    pub(crate) fn resolved(self) -> Resolved {
        match self {
            Report::Completed => Resolved::Completed,
            Report::Failed => Resolved::Failed,
            Report::WorkerShutdown => Resolved::Exception(Exception::WorkerShutdown),
            Report::IntermittentTask => Resolved::Exception(Exception::IntermittentTask),
            Report::MalformedPayload => Resolved::Exception(Exception::MalformedPayload),
            Report::ResourceUnavailable => Resolved::Exception(Exception::ResourceUnavailable),
            Report::InternalError => Resolved::Exception(Exception::InternalError),
            Report::Superseded => Resolved::Exception(Exception::Superseded),
        }
    }
}

/// What a call answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Task(View),
    Claims(Vec<ClaimedView>),
    /// The tasks that were changed, by place.
    Changed(Vec<usize>),
    Refused(Why),
    Nothing,
}

/// Why a call was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    NoSuchTask,
    NoSuchRun,
    NoSuchGroup,
    Different,
    OtherScheduler,
    Sealed,
    Dependencies { missing: Vec<usize> },
    Deadline,
    WrongState,
    TooManyRuns,
    Resolved,
    NotSealed,
    Quarantined,
}

/// A task's status as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) retries_left: u32,
    pub(crate) ever_resolved: bool,
    pub(crate) runs: Vec<RunView>,
}

/// A run as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunView {
    pub(crate) state: &'static str,
    pub(crate) created: &'static str,
    pub(crate) reason: Option<&'static str>,
    pub(crate) worker: Option<String>,
    pub(crate) taken_until: Option<i64>,
    pub(crate) scheduled: i64,
    pub(crate) started: Option<i64>,
    pub(crate) resolved: Option<i64>,
}

/// One run that was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClaimedView {
    pub(crate) task: usize,
    pub(crate) run: usize,
    pub(crate) view: View,
}

impl From<&Run> for RunView {
    fn from(run: &Run) -> Self {
        let micros = |time: Option<Timestamp>| time.map(|time| time.0);
        RunView {
            state: run.state.as_str(),
            created: run.created.as_str(),
            reason: run.reason_resolved(),
            worker: run.worker.as_ref().map(|worker| worker.id.clone()),
            taken_until: micros(run.taken_until),
            scheduled: run.scheduled.0,
            started: micros(run.started),
            resolved: micros(run.resolved),
        }
    }
}

impl From<&Task> for View {
    fn from(task: &Task) -> Self {
        View {
            retries_left: task.retries_left,
            ever_resolved: task.ever_resolved,
            runs: task.runs.iter().map(RunView::from).collect(),
        }
    }
}

fn why(refusal: &Refusal) -> Why {
    match refusal {
        Refusal::NoSuchTask(_) => Why::NoSuchTask,
        Refusal::NoSuchRun { .. } => Why::NoSuchRun,
        Refusal::NoSuchGroup(_) => Why::NoSuchGroup,
        Refusal::Different(_) => Why::Different,
        Refusal::OtherScheduler { .. } => Why::OtherScheduler,
        Refusal::Sealed(_) => Why::Sealed,
        Refusal::Dependencies { missing, .. } => Why::Dependencies {
            missing: missing.iter().map(|id| place(id)).collect(),
        },
        Refusal::DeadlinePassed(_) => Why::Deadline,
        Refusal::WrongState { .. } => Why::WrongState,
        Refusal::TooManyRuns(_) => Why::TooManyRuns,
        Refusal::Resolved(_) => Why::Resolved,
        Refusal::NotSealed(_) => Why::NotSealed,
        Refusal::Quarantined { .. } => Why::Quarantined,
    }
}

fn task_outcome(result: Result<Task, Refusal>) -> Outcome {
    match result {
        Ok(task) => Outcome::Task(View::from(&task)),
        Err(refusal) => Outcome::Refused(why(&refusal)),
    }
}

fn claimed_view(claimed: &Claimed) -> ClaimedView {
    ClaimedView {
        task: place(&claimed.task.id),
        run: claimed.run_id,
        view: View::from(&claimed.task),
    }
}

/// These definitions say nothing of priorities.
#[expect(
    clippy::unnecessary_wraps,
    reason = "other definitions cannot always be read"
)]
fn redefine(definition: &str, _: Priority) -> Result<String, Error> {
    Ok(definition.to_owned())
}

fn changed(mut tasks: Vec<usize>) -> Outcome {
    tasks.sort_unstable();
    Outcome::Changed(tasks)
}

/// Two at a time, so that a group takes several portions.
const PORTION: usize = 2;

fn cancel_group(tx: &mut Tx<'_>, now: Timestamp, group: usize) -> Result<Outcome, Error> {
    let (mut after, mut cancelled) = (Some((false, 0)), Vec::new());
    while let Some(place) = after {
        match task::cancel_members(tx, now, &group_id(group), place, PORTION)? {
            Err(refusal) => return Ok(Outcome::Refused(why(&refusal))),
            Ok(portion) => {
                cancelled.extend(portion.changed.iter().map(|task| self::place(&task.id)));
                after = portion.next;
            }
        }
    }
    Ok(changed(cancelled))
}

fn change_group_priority(
    tx: &mut Tx<'_>,
    now: Timestamp,
    group: usize,
    priority: Priority,
) -> Result<Outcome, Error> {
    let (mut after, mut moved) = (Some(0), Vec::new());
    while let Some(place) = after {
        let to = (priority, redefine as task::Redefine);
        let id = group_id(group);
        let portion = task::change_group_priority(tx, now, &id, to, place, PORTION)?;
        moved.extend(portion.changed.iter().map(|task| self::place(&task.id)));
        after = portion.next.map(|(_, number)| number);
    }
    Ok(changed(moved))
}

/// Calls the engine.
pub(crate) async fn perform(
    store: Store,
    key: Key,
    now: Timestamp,
    specs: Arc<Vec<Spec>>,
    operation: Operation,
) -> Result<Outcome, Error> {
    store
        .write(key, move |tx| call(tx, now, &specs, &operation))
        .await
}

fn call(
    tx: &mut Tx<'_>,
    now: Timestamp,
    specs: &[Spec],
    operation: &Operation,
) -> Result<Outcome, Error> {
    let found = |task: Option<Task>| task.map_or(Outcome::Nothing, |task| task_outcome(Ok(task)));
    match operation {
        Operation::Create { task, altered } => {
            task::create(tx, now, &specs[*task].new_task(*task, *altered)).map(task_outcome)
        }
        Operation::Schedule { task } => task::schedule(tx, now, &task_id(*task)).map(task_outcome),
        Operation::Rerun { task } => task::rerun(tx, now, &task_id(*task)).map(task_outcome),
        Operation::Cancel { task } => task::cancel(tx, now, &task_id(*task)).map(task_outcome),
        Operation::ClaimWork {
            queue,
            worker,
            count,
            until,
        } => {
            let (queue, worker) = (queue_id(*queue), named(worker));
            let claims = task::claim_work(tx, now, &queue, &worker, *count, Timestamp(*until))?;
            Ok(match claims {
                Ok(claims) => Outcome::Claims(claims.iter().map(claimed_view).collect()),
                Err(refusal) => Outcome::Refused(why(&refusal)),
            })
        }
        Operation::ClaimRun {
            task,
            run,
            worker,
            until,
        } => {
            let (id, worker) = (task_id(*task), named(worker));
            let claimed = task::claim_run(tx, now, &id, *run, &worker, Timestamp(*until))?;
            Ok(match claimed {
                Ok(claimed) => Outcome::Claims(vec![claimed_view(&claimed)]),
                Err(refusal) => Outcome::Refused(why(&refusal)),
            })
        }
        Operation::Reclaim { task, run, until } => {
            task::reclaim(tx, now, &task_id(*task), *run, Timestamp(*until)).map(task_outcome)
        }
        Operation::Report { task, run, report } => {
            task::report(tx, now, &task_id(*task), *run, report.resolved()).map(task_outcome)
        }
        Operation::ExpireClaim {
            task,
            run,
            lease: Some(lease),
            taken_until: _,
        } => task::expire_claim(tx, now, &task_id(*task), *run, *lease).map(found),
        Operation::ExpireClaim { lease: None, .. } => Ok(Outcome::Nothing),
        Operation::ExceedDeadline { task } => {
            task::exceed_deadline(tx, now, &task_id(*task)).map(found)
        }
        Operation::Seal { group } => Ok(match task::seal(tx, now, &group_id(*group))? {
            Ok(_) => Outcome::Nothing,
            Err(refusal) => Outcome::Refused(why(&refusal)),
        }),
        Operation::CancelGroup { group } => cancel_group(tx, now, *group),
        Operation::ChangePriority { task, priority } => {
            let moved = task::change_priority(tx, now, &task_id(*task), *priority, redefine)?;
            Ok(task_outcome(moved.map(|(task, _)| task)))
        }
        Operation::ChangeGroupPriority { group, priority } => {
            change_group_priority(tx, now, *group, *priority)
        }
    }
}
