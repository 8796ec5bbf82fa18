//! Workers take runs, and keep them.

use taskyard_store::{Error, Tx};

use super::event::{self, Happened};
use super::refusal::Refusal;
use super::run::Worker;
use super::{Task, record, transition};
use crate::lease::{self, Entry, Queue};
use crate::timestamp::Timestamp;
use crate::worker;

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
/// first, then those that have waited longest. Refused if there are any and the worker is
/// quarantined.
pub fn claim_work(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_queue_id: &str,
    worker: &Worker,
    count: usize,
    until: Timestamp,
) -> Result<Result<Vec<Claimed>, Refusal>, Error> {
    let best = lease::pick(tx, &Queue::runs(task_queue_id), now, count)?;
    // Most polls find nothing; then it does not matter who asks.
    if best.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let known = match free_worker(tx, now, task_queue_id, worker)? {
        Ok(known) => known,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let claimed = claim_best(tx, now, task_queue_id, worker, (best, count), until)?;
    if !claimed.is_empty() {
        worker::remember(tx, now, task_queue_id, worker, known, &claimed)?;
    }
    Ok(Ok(claimed))
}

/// The worker if it is known, locked so that nobody quarantines it meanwhile; refused if somebody
/// has.
fn free_worker(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_queue_id: &str,
    worker: &Worker,
) -> Result<Result<Option<worker::Known>, Refusal>, Error> {
    let known = worker::lock(tx, task_queue_id, worker)?;
    let is_quarantined = known
        .as_ref()
        .is_some_and(|known| known.is_quarantined(now));
    Ok(if is_quarantined {
        Err(Refusal::Quarantined {
            task_queue_id: task_queue_id.to_owned(),
            group: worker.group.clone(),
            id: worker.id.clone(),
        })
    } else {
        Ok(known)
    })
}

/// Claims `count` runs, `best` being the first of the queue.
fn claim_best(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_queue_id: &str,
    worker: &Worker,
    (best, count): (Vec<Entry>, usize),
    until: Timestamp,
) -> Result<Vec<Claimed>, Error> {
    let queue = Queue::runs(task_queue_id);
    let mut claimed = Vec::new();
    let mut passed: Vec<i64> = Vec::new();
    let mut entries = best;
    loop {
        // What was passed over is still the best of the queue, so it is found again.
        let wanted = count - claimed.len() + passed.len();
        let exhausted = entries.len() < wanted;
        let passed_before = passed.len();
        for entry in std::mem::take(&mut entries) {
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
        let wanted = count - claimed.len() + passed.len();
        entries = lease::pick(tx, &queue, now, wanted)?;
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

/// Gives one particular pending run to `worker`. The same worker asking for it again is told what it
/// has; a run that it got by asking for any is not claimed a second time.
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
            run.state == super::State::Running && run.by_name && run.worker.as_ref() == Some(worker)
        });
    let queue_id = task.task_queue_id.clone();
    let outcome = if is_theirs {
        None
    } else {
        match transition::claim(task.clone(), run_id, worker.clone(), now, until) {
            Ok(transition) => Some(transition.by_name()),
            Err(refusal) => return Ok(Err(refusal)),
        }
    };
    let known = match free_worker(tx, now, &queue_id, worker)? {
        Ok(known) => known,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let is_new = outcome.is_some();
    let task = if let Some(transition) = outcome {
        record::apply(tx, now, transition)?
    } else {
        event::note(tx, now, &task, Happened::Claimed)?;
        task
    };
    let definition = record::definition_of(tx, &task)?;
    let claimed = Claimed {
        task,
        run_id,
        definition,
    };
    // Asking for a run by its name does not make a worker known.
    if is_new && known.is_some() {
        let claims = std::slice::from_ref(&claimed);
        worker::remember(tx, now, &queue_id, worker, known, claims)?;
    }
    Ok(Ok(claimed))
}

/// Gives the last run of a locked task to `worker`.
pub(crate) fn claim_locked(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task: Task,
    worker: Worker,
    until: Timestamp,
) -> Result<Result<Task, Refusal>, Error> {
    if task.deadline <= now {
        return Ok(Err(Refusal::DeadlinePassed(task.id)));
    }
    let run_id = task.runs.len().saturating_sub(1);
    match transition::claim(task, run_id, worker, now, until) {
        Ok(transition) => record::apply(tx, now, transition).map(Ok),
        Err(refusal) => Ok(Err(refusal)),
    }
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
