//! Workers take runs, and keep them.

use taskyard_store::{Error, Tx};

use super::refusal::Refusal;
use super::run::Worker;
use super::{Task, record, transition};
use crate::lease::{self, Entry, Queue};
use crate::timestamp::Timestamp;

/// A run that a worker has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The task, whose last run it is.
    pub task: Task,
    /// Which run.
    pub run_id: usize,
    /// What to do, as JSON text.
    pub definition: String,
}

/// Gives `worker` up to `count` pending runs of a task queue until `until`: highest priority
/// first, then those that have waited longest.
pub fn claim_work(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_queue_id: &str,
    worker: &Worker,
    count: usize,
    until: Timestamp,
) -> Result<Vec<Claimed>, Error> {
    let queue = Queue::runs(task_queue_id);
    let mut claimed = Vec::new();
    let mut passed: Vec<i64> = Vec::new();
    loop {
        // What was passed over is still the best of the queue, so it is found again.
        let wanted = count - claimed.len() + passed.len();
        let entries = lease::pick(tx, &queue, now, wanted)?;
        let exhausted = entries.len() < wanted;
        let passed_before = passed.len();
        for entry in entries {
            if claimed.len() == count || passed.contains(&entry.id) {
                continue;
            }
            match claim_entry(tx, now, &entry, worker, until)? {
                Some(claim) => claimed.push(claim),
                None => passed.push(entry.id),
            }
        }
        if claimed.len() == count
            || exhausted
            || passed.len() == passed_before
            || passed.len() > PASS_AT_MOST
        {
            return Ok(claimed);
        }
    }
}

/// Entries whose tasks somebody else has locked that one claim walks past.
const PASS_AT_MOST: usize = 64;

fn claim_entry(
    tx: &mut Tx<'_>,
    now: Timestamp,
    entry: &Entry,
    worker: &Worker,
    until: Timestamp,
) -> Result<Option<Claimed>, Error> {
    // The entry is locked now and the task is not; everybody else takes them the other way round.
    // So this does not wait for the task: who has it is about to change the entry.
    let task = record::try_lock(tx, &entry.subject)?;
    let Some(task) = task.filter(|task| task.lease_id == Some(entry.id)) else {
        return Ok(None);
    };
    let run_id = task.runs.len().saturating_sub(1);
    let Ok(transition) = transition::claim(task, run_id, worker.clone(), now, until) else {
        return Ok(None);
    };
    let task = record::apply(tx, now, transition)?;
    let definition = record::definition_of(tx, &task)?;
    Ok(Some(Claimed {
        task,
        run_id,
        definition,
    }))
}

/// Gives one particular pending run to `worker`. The same worker asking again is told what it has.
pub fn claim_run(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_id: &str,
    run_id: usize,
    worker: &Worker,
    until: Timestamp,
) -> Result<Result<Claimed, Refusal>, Error> {
    let Some(task) = record::lock(tx, task_id)? else {
        return Ok(Err(Refusal::NoSuchTask(task_id.to_owned())));
    };
    if task.deadline <= now {
        return Ok(Err(Refusal::DeadlinePassed(task.id)));
    }
    let is_theirs = run_id + 1 == task.runs.len()
        && task.runs.last().is_some_and(|run| {
            run.state == super::State::Running && run.worker.as_ref() == Some(worker)
        });
    let task = if is_theirs {
        task
    } else {
        match transition::claim(task, run_id, worker.clone(), now, until) {
            Ok(transition) => record::apply(tx, now, transition)?,
            Err(refusal) => return Ok(Err(refusal)),
        }
    };
    let definition = record::definition_of(tx, &task)?;
    Ok(Ok(Claimed {
        task,
        run_id,
        definition,
    }))
}

/// Renews a claim until `until`.
pub fn reclaim(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_id: &str,
    run_id: usize,
    until: Timestamp,
) -> Result<Result<Task, Refusal>, Error> {
    let Some(task) = record::lock(tx, task_id)? else {
        return Ok(Err(Refusal::NoSuchTask(task_id.to_owned())));
    };
    match transition::reclaim(task, run_id, now, until) {
        Ok(transition) => record::apply(tx, now, transition).map(Ok),
        Err(refusal) => Ok(Err(refusal)),
    }
}
