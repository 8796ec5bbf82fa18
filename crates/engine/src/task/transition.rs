//! The state machine of a task, without any I/O: each function says what an event makes of it.

use super::event::Happened;
use super::refusal::Refusal;
use super::run::{Created, Exception, Resolved, Run, State, Worker};
use super::{MAX_RUNS, Task};
use crate::timestamp::Timestamp;

/// What becomes of the lease of the task's last run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseChange {
    /// It stays as it is.
    Keep,
    /// A new one waits in the task's queue; an old one goes.
    Enqueue,
    /// It is held until then.
    Hold(Timestamp),
    /// It goes.
    Remove,
}

/// A task after an event, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The task as it is now.
    pub task: Task,
    /// What becomes of its lease.
    pub lease: LeaseChange,
    /// Set if the task is finally resolved: dependents may follow.
    pub resolved: Option<Resolved>,
    /// What the world hears about, if anything.
    pub happened: Option<Happened>,
}

impl Transition {
    fn nothing(task: Task) -> Self {
        Transition {
            task,
            lease: LeaseChange::Keep,
            resolved: None,
            happened: None,
        }
    }

    /// Nothing changes, but the world hears once more what it may not have heard the first time.
    fn again(task: Task, happened: Happened) -> Self {
        Transition {
            happened: Some(happened),
            ..Transition::nothing(task)
        }
    }

    /// The worker asked for this very run, so it may ask for it again.
    pub fn by_name(mut self) -> Self {
        if let Some(run) = self.task.runs.last_mut() {
            run.by_name = true;
        }
        self
    }
}

/// The result of an event.
pub type Outcome = Result<Transition, Refusal>;

fn wrong_state(task: &Task, run_id: usize, wanted: &'static str) -> Refusal {
    let state = task
        .runs
        .get(run_id)
        .map_or(State::Unscheduled, |run| run.state);
    Refusal::WrongState {
        task_id: task.id.clone(),
        run_id,
        state: state.as_str(),
        wanted,
    }
}

/// The run, if it is the task's last one and in `state`.
fn last_run<'a>(
    task: &'a mut Task,
    run_id: usize,
    state: State,
    wanted: &'static str,
) -> Result<&'a mut Run, Refusal> {
    if run_id >= task.runs.len() {
        return Err(Refusal::NoSuchRun {
            task_id: task.id.clone(),
            run_id,
        });
    }
    let refusal = wrong_state(task, run_id, wanted);
    let is_last = run_id + 1 == task.runs.len();
    match task.runs.last_mut() {
        Some(run) if is_last && run.state == state => Ok(run),
        _ => Err(refusal),
    }
}

/// Callers of one moment are served in any order, and nodes' clocks differ a little; still nothing
/// happens to a run before what happened earlier.
fn no_earlier_than(earlier: Option<Timestamp>, now: Timestamp) -> Timestamp {
    earlier.map_or(now, |earlier| earlier.max(now))
}

fn append_pending(mut task: Task, created: Created, now: Timestamp) -> Transition {
    let scheduled = no_earlier_than(task.runs.last().and_then(|run| run.resolved), now);
    task.runs.push(Run::pending(created, scheduled));
    Transition {
        task,
        lease: LeaseChange::Enqueue,
        resolved: None,
        happened: Some(Happened::Pending),
    }
}

/// Makes the first run of an unscheduled task; others stay as they are.
///
/// # Errors
/// The deadline has passed.
pub fn schedule(task: Task, now: Timestamp) -> Outcome {
    if task.deadline < now {
        return Err(Refusal::DeadlinePassed(task.id));
    }
    if !task.runs.is_empty() {
        return Ok(Transition::nothing(task));
    }
    Ok(append_pending(task, Created::Scheduled, now))
}

/// Appends a run to a task that is resolved or was never scheduled; a pending or running one stays
/// as it is.
///
/// # Errors
/// The deadline has passed, or there were too many runs.
pub fn rerun(mut task: Task, now: Timestamp) -> Outcome {
    if task.deadline < now {
        return Err(Refusal::DeadlinePassed(task.id));
    }
    match task.state() {
        State::Pending => return Ok(Transition::again(task, Happened::Pending)),
        State::Running => return Ok(Transition::nothing(task)),
        State::Unscheduled | State::Completed | State::Failed | State::Exception => {}
    }
    if task.runs.len() >= MAX_RUNS {
        return Err(Refusal::TooManyRuns(task.id));
    }
    let left = MAX_RUNS - (task.runs.len() + 1);
    task.retries_left = task.retries.min(u32::try_from(left).unwrap_or(0));
    Ok(append_pending(task, Created::Rerun, now))
}

/// Gives a pending run to a worker until `until`.
///
/// # Errors
/// The run is not pending, or not the last.
pub fn claim(
    mut task: Task,
    run_id: usize,
    worker: Worker,
    now: Timestamp,
    until: Timestamp,
) -> Outcome {
    let run = last_run(
        &mut task,
        run_id,
        State::Pending,
        "only a pending run can be claimed",
    )?;
    run.state = State::Running;
    run.worker = Some(worker);
    run.taken_until = Some(until);
    run.started = Some(no_earlier_than(Some(run.scheduled), now));
    Ok(Transition {
        task,
        lease: LeaseChange::Hold(until),
        resolved: None,
        happened: Some(Happened::Claimed),
    })
}

/// Renews a claim; it never becomes shorter.
///
/// # Errors
/// The run is not running, or not the last, or the deadline has passed.
pub fn reclaim(mut task: Task, run_id: usize, now: Timestamp, until: Timestamp) -> Outcome {
    if run_id >= task.runs.len() {
        return Err(Refusal::NoSuchRun {
            task_id: task.id,
            run_id,
        });
    }
    if task.deadline <= now {
        return Err(Refusal::DeadlinePassed(task.id));
    }
    let run = last_run(
        &mut task,
        run_id,
        State::Running,
        "only a running run can be reclaimed",
    )?;
    let until = run.taken_until.map_or(until, |known| known.max(until));
    run.taken_until = Some(until);
    Ok(Transition {
        task,
        lease: LeaseChange::Hold(until),
        resolved: None,
        happened: None,
    })
}

/// A worker reports how its run ended. The same report again changes nothing.
///
/// # Errors
/// The run is resolved in another way, or not running, or no longer the last.
pub fn report(mut task: Task, run_id: usize, resolved: Resolved, now: Timestamp) -> Outcome {
    let wanted = "only a running run can be resolved";
    let Some(run) = task.runs.get(run_id) else {
        return Err(Refusal::NoSuchRun {
            task_id: task.id,
            run_id,
        });
    };
    if is_same_report(&task, run_id, run, resolved) {
        return Ok(Transition::again(task, ended(run_id, resolved)));
    }
    last_run(&mut task, run_id, State::Running, wanted)?;
    Ok(resolve_last(task, resolved, now))
}

fn ended(run_id: usize, resolved: Resolved) -> Happened {
    match resolved {
        Resolved::Completed => Happened::Completed,
        Resolved::Failed => Happened::Failed,
        Resolved::Exception(_) => Happened::Exception(run_id),
    }
}

fn is_same_report(task: &Task, run_id: usize, run: &Run, resolved: Resolved) -> bool {
    let newer = task.runs.len() - run_id - 1;
    match resolved {
        Resolved::Completed | Resolved::Failed => newer == 0 && run.state == resolved.state(),
        // The retry that the first report brought about may stand behind it.
        Resolved::Exception(exception) => newer <= 1 && run.exception == Some(exception),
    }
}

/// Resolves the last run, and appends a retry where one is due.
fn resolve_last(mut task: Task, resolved: Resolved, now: Timestamp) -> Transition {
    let happened = Some(ended(task.runs.len().saturating_sub(1), resolved));
    if let Some(run) = task.runs.last_mut() {
        run.state = resolved.state();
        run.resolved = Some(no_earlier_than(run.started.or(Some(run.scheduled)), now));
        run.exception = match resolved {
            Resolved::Exception(exception) => Some(exception),
            Resolved::Completed | Resolved::Failed => None,
        };
    }
    if let Resolved::Exception(exception) = resolved
        && let Some(created) = exception.retried_as()
        && task.retries_left > 0
        && task.runs.len() < MAX_RUNS
    {
        task.retries_left -= 1;
        // One event tells of both: the exception, and the retry behind it.
        return Transition {
            happened,
            ..append_pending(task, created, now)
        };
    }
    task.ever_resolved = true;
    Transition {
        task,
        lease: LeaseChange::Remove,
        resolved: Some(resolved),
        happened,
    }
}

/// A claim was not renewed in time. `None` if that no longer concerns the task: the run was
/// resolved, or the claim renewed. After the deadline the claim just ends and the run waits for
/// [`exceed_deadline`].
pub fn expire_claim(mut task: Task, run_id: usize, now: Timestamp) -> Option<Transition> {
    let deadline_passed = task.deadline < now;
    let run = last_run(&mut task, run_id, State::Running, "").ok()?;
    if run.taken_until.is_none_or(|until| until > now) {
        return None;
    }
    if deadline_passed {
        return Some(Transition {
            task,
            lease: LeaseChange::Remove,
            resolved: None,
            happened: None,
        });
    }
    Some(resolve_last(
        task,
        Resolved::Exception(Exception::ClaimExpired),
        now,
    ))
}

/// Cancels a task that is not resolved; a resolved one stays as it is.
///
/// # Errors
/// The deadline has passed.
pub fn cancel(task: Task, now: Timestamp) -> Outcome {
    if task.deadline < now {
        return Err(Refusal::DeadlinePassed(task.id));
    }
    let last = task.runs.last();
    if last.is_some_and(|run| run.exception == Some(Exception::Canceled)) {
        let run_id = task.runs.len() - 1;
        return Ok(Transition::again(task, Happened::Exception(run_id)));
    }
    Ok(end(task, Exception::Canceled, now))
}

/// The deadline of a task has passed: resolves it unless it is resolved.
pub fn exceed_deadline(task: Task, now: Timestamp) -> Transition {
    end(task, Exception::DeadlineExceeded, now)
}

fn end(mut task: Task, exception: Exception, now: Timestamp) -> Transition {
    match task.state() {
        State::Completed | State::Failed | State::Exception => return Transition::nothing(task),
        State::Pending | State::Running => {}
        // A run that only carries the exception.
        State::Unscheduled => task.runs.push(Run::pending(Created::Exception, now)),
    }
    resolve_last(task, Resolved::Exception(exception), now)
}
