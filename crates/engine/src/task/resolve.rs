//! Runs end: by report, by cancel, or because time ran out.

use taskyard_store::{Error, Tx};

use super::refusal::Refusal;
use super::run::{Resolved, Worker};
use super::transition::{self, Outcome};
use super::{Task, record};
use crate::lease;
use crate::timestamp::Timestamp;

/// Locks a task, lets `event` decide, and stores the outcome.
pub(super) fn step(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_id: &str,
    event: impl FnOnce(Task) -> Outcome,
) -> Result<Result<Task, Refusal>, Error> {
    let Some(task) = record::lock(tx, task_id)? else {
        return Ok(Err(Refusal::NoSuchTask(task_id.to_owned())));
    };
    match event(task) {
        Ok(transition) => record::apply(tx, now, transition).map(Ok),
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// A worker reports how its run ended.
pub fn report(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_id: &str,
    run_id: usize,
    resolved: Resolved,
) -> Result<Result<Task, Refusal>, Error> {
    step(tx, now, task_id, |task| {
        transition::report(task, run_id, resolved, now)
    })
}

/// Resolves the pending run of a locked task that nobody has worked on: `worker` takes it and
/// reports in one go.
pub(crate) fn report_unclaimed(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task: Task,
    worker: Worker,
    resolved: Resolved,
) -> Result<Result<Task, Refusal>, Error> {
    // The claim ends within this transaction, whatever is said here.
    let until = now.plus(std::time::Duration::from_mins(1));
    let task = match super::claim_locked(tx, now, task, worker, until)? {
        Ok(task) => task,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let run_id = task.runs.len().saturating_sub(1);
    match transition::report(task, run_id, resolved, now) {
        Ok(transition) => record::apply(tx, now, transition).map(Ok),
        Err(refusal) => Err(tx.overtaken(&refusal.to_string())),
    }
}

/// Somebody cancels a task.
pub fn cancel(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_id: &str,
) -> Result<Result<Task, Refusal>, Error> {
    step(tx, now, task_id, |task| transition::cancel(task, now))
}

/// The claim `lease_id` of a run may have expired; returns the task if it had.
pub fn expire_claim(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_id: &str,
    run_id: usize,
    lease_id: i64,
) -> Result<Option<Task>, Error> {
    let task = record::lock(tx, task_id)?;
    let Some(task) = task.filter(|task| task.lease_id == Some(lease_id)) else {
        // Renewed meanwhile, or left behind by a task that is gone; then it must not stay due.
        lease::delete(tx, lease_id)?;
        return Ok(None);
    };
    match transition::expire_claim(task, run_id, now) {
        Some(transition) => record::apply(tx, now, transition).map(Some),
        None => Ok(None),
    }
}

/// The deadline of a task has passed; returns the task if it was resolved by that.
pub fn exceed_deadline(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_id: &str,
) -> Result<Option<Task>, Error> {
    let Some(task) = record::lock(tx, task_id)? else {
        return Ok(None);
    };
    if !task.is_open() || task.deadline.plus(super::DEADLINE_DELAY) > now {
        return Ok(None);
    }
    record::apply(tx, now, transition::exceed_deadline(task, now)).map(Some)
}
