//! Jobs for agents that ask for any: a job is assigned to an agent until it accepts.
//!
//! An assigned run is one that its agent has reserved: no claim and no stack finds it until the
//! time is over, and then it is scheduled again.

use std::collections::HashMap;

use taskyard_store::{Error, Tx, params};

use super::agent::Agent;
use super::agent_job::{self, open_jobs};
use super::job::{Definition, Refusal, definitions};
use crate::lease::{self, Queue};
use crate::reservation::{self, Reservation};
use crate::task::{self, State, Task};
use crate::timestamp::Timestamp;

/// What the names begin with under which agents reserve; stacks have another beginning.
const OWNER: &str = "agent:";

fn owner(agent_id: &str) -> String {
    format!("{OWNER}{agent_id}")
}

/// Whether it is an agent that has reserved a run.
pub fn is_assignment(reservation: &Reservation) -> bool {
    reservation.owner.starts_with(OWNER)
}

/// What there is for an agent that asks for work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// It has this task, which it has still to accept.
    Assigned(String),
    /// It may have one of these: highest priority first, then those that have waited longest.
    Open(Vec<Definition>),
}

/// The claim index in its order.
const BEST: &str = "SELECT subject FROM leases WHERE queue = $1 AND ready = 1 \
     AND (expires_at IS NULL OR expires_at > $2) ORDER BY priority DESC, enqueued_at, id LIMIT $3";

/// What there is for `agent` among the `limit` best of a task queue. There is nothing for one that
/// is at a job already.
pub fn work(
    tx: &mut Tx<'_>,
    now: Timestamp,
    agent: &Agent,
    task_queue_id: &str,
    limit: usize,
) -> Result<Work, Error> {
    if !open_jobs(tx, &agent.id)?.is_empty() {
        return Ok(Work::Open(Vec::new()));
    }
    if let Some(task_id) = &agent.assigned
        && is_assigned(tx, now, agent, task_id)?
    {
        return Ok(Work::Assigned(task_id.clone()));
    }
    let queue = Queue::runs(task_queue_id);
    let ids: Vec<String> = tx.query(BEST, params![queue.as_str(), now, limit as i64], |row| {
        row.get(0)
    })?;
    let mut known: HashMap<String, Definition> = definitions(tx, &ids)?
        .into_iter()
        .map(|definition| (definition.task_id.clone(), definition))
        .collect();
    Ok(Work::Open(
        ids.iter().filter_map(|id| known.remove(id)).collect(),
    ))
}

const RESERVED: &str = "SELECT l.ready, l.owner, l.available_at FROM leases l \
     JOIN tasks t ON t.lease_id = l.id WHERE t.task_id = $1";

fn is_assigned(
    tx: &mut Tx<'_>,
    now: Timestamp,
    agent: &Agent,
    task_id: &str,
) -> Result<bool, Error> {
    let found = tx.query_opt(RESERVED, params![task_id], |row| {
        Ok(Reservation::of(row.get(0)?, row.get(1)?, row.get(2)?))
    })?;
    let owner = owner(&agent.id);
    Ok(found
        .flatten()
        .is_some_and(|known| known.owner == owner && known.until > now))
}

const NOTE: &str = "UPDATE agents SET assigned = $2 WHERE agent_id = $1";

/// Assigns the first of these tasks that still waits in `task_queue_id` to an agent until `until`;
/// `None` if others were faster with all of them.
pub fn assign(
    tx: &mut Tx<'_>,
    now: Timestamp,
    agent_id: &str,
    task_queue_id: &str,
    task_ids: &[String],
    until: Timestamp,
) -> Result<Option<String>, Error> {
    let owner = owner(agent_id);
    let may = |queue: &str| queue == task_queue_id;
    for task_id in task_ids {
        let ids = std::slice::from_ref(task_id);
        if !reservation::reserve(tx, now, &owner, ids, until, &may)?.is_empty() {
            tx.execute(NOTE, params![agent_id, task_id])?;
            return Ok(Some(task_id.clone()));
        }
    }
    Ok(None)
}

/// Gives an assigned run to its agent until `until`, as [`acquire`](crate::stacks::acquire) does.
pub fn accept(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_id: &str,
    agent: &Agent,
    token_hash: &str,
    until: Timestamp,
) -> Result<Result<Task, Refusal>, Error> {
    let Some(task) = task::lock(tx, task_id)? else {
        return Ok(Err(Refusal::Unknown));
    };
    if task.state() == State::Pending {
        let reservation = match task.lease_id {
            Some(lease_id) => lease::reservation(tx, lease_id)?,
            None => None,
        };
        let owner = owner(&agent.id);
        if !reservation.is_some_and(|known| known.owner == owner && known.until > now) {
            return Ok(Err(Refusal::NotAssigned));
        }
    }
    agent_job::acquire(tx, now, task_id, agent, token_hash, until)
}

const IGNORE: &str = "UPDATE agents SET takes_any = 0 WHERE agent_id = $1";

/// An agent takes no more jobs but such as it acquires by name.
pub fn ignore_in_dispatches(tx: &mut Tx<'_>, agent_id: &str) -> Result<(), Error> {
    tx.execute(IGNORE, params![agent_id])?;
    Ok(())
}
