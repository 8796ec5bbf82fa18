//! A task comes into being.

use std::time::Duration;

use taskyard_store::{Error, Tx, params};

use super::queue::{self, Home};
use super::refusal::Refusal;
use super::request::Payload;
use super::settings::{Kind, RetryConfig};
use super::task::{Head, Task};
use super::wait::{self, Place};
use super::{event, task_id, tombstone};
use crate::lease;
use crate::timestamp::Timestamp;

/// A task to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// Its id; `None` lets it have one of its own. Only chosen ids are kept from being used twice.
    pub id: Option<String>,
    /// What it asks for.
    pub payload: Payload,
    /// When it is first to be tried; `None` or a time that has passed means now.
    pub schedule_time: Option<Timestamp>,
    /// How long its handler may take; `None` means the default.
    pub dispatch_deadline: Option<Duration>,
    /// Replaces the queue's law of retries.
    pub retry: Option<RetryConfig>,
}

impl NewTask {
    /// A task without a name that is due at once.
    pub fn of(payload: Payload) -> Self {
        NewTask {
            id: None,
            payload,
            schedule_time: None,
            dispatch_deadline: None,
            retry: None,
        }
    }
}

const INSERT: &str = "INSERT INTO cloud_tasks (number, generation, task_id, named, created_at, \
     schedule_time, lease_id, is_pull, tag, dispatches, responses, executions) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, 0) \
     ON CONFLICT (generation, task_id) WHERE named = 1 DO NOTHING";
const INSERT_REQUEST: &str = "INSERT INTO cloud_requests (number, head, body) VALUES ($1, $2, $3)";
const IS_NAMED: &str = "SELECT number FROM cloud_tasks \
     WHERE generation = $1 AND task_id = $2 AND named = 1";

/// Creates a task in the queue named `queue`. In a queue that does not run it waits.
pub fn create(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: &str,
    new: &NewTask,
) -> Result<Result<Task, Refusal>, Error> {
    let home = match queue::home_kept(tx, queue)? {
        Ok(home) => home,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Some(refusal) = examine(tx, now, home, new)? {
        return Ok(Err(refusal));
    }
    let is_pull = new.payload.is_pull();
    let (number, lease_id) = match lease::new_ids(tx, if is_pull { 1 } else { 2 })?[..] {
        [number] => (number, None),
        [number, lease_id] => (number, Some(lease_id)),
        _ => {
            let text = "the sequence gave too few numbers".to_owned();
            return Err(Error::Statement(text));
        }
    };
    let task = Task {
        number,
        id: new.id.clone().unwrap_or_else(|| task_id::of_number(number)),
        is_named: new.id.is_some(),
        payload: new.payload.clone(),
        schedule_time: new.schedule_time.map_or(now, |at| at.max(now)),
        // Whole seconds, as far as callers are concerned; expiry may as well begin there.
        create_time: Timestamp(now.0 - now.0.rem_euclid(1_000_000)),
        dispatch_deadline: new.dispatch_deadline,
        retry: new.retry,
        dispatch_count: 0,
        response_count: 0,
        execution_count: 0,
        first_dispatch_time: None,
        last_attempt: None,
        previous_outcome: None,
        lease_id,
    };
    if !insert(tx, home, &task)? {
        return Ok(Err(Refusal::TaskExists));
    }
    if task.is_named && tombstone::holds(tx, now, home.number, &task.id)? {
        // A task of this name ended between the look and the insert.
        return Err(tx.overtaken("a task of the same name ended"));
    }
    event::append(tx, now, event::CREATED, queue, &task)?;
    if let Some(lease_id) = lease_id {
        let place = Place {
            task: number,
            lease_id,
        };
        wait::put(tx, now, home.generation, place, task.schedule_time)?;
    } else {
        tx.wake(home.topic());
    }
    Ok(Ok(task))
}

fn examine(
    tx: &mut Tx<'_>,
    now: Timestamp,
    home: Home,
    new: &NewTask,
) -> Result<Option<Refusal>, Error> {
    match (home.kind, new.payload.is_pull()) {
        (Kind::Push, true) => return Ok(Some(Refusal::NotPull)),
        (Kind::Pull, false) => return Ok(Some(Refusal::NotPush)),
        (Kind::Push, false) | (Kind::Pull, true) => {}
    }
    let Some(id) = &new.id else {
        return Ok(None);
    };
    let live = tx.query_opt(IS_NAMED, params![home.generation, id], |_| Ok(()))?;
    if live.is_some() {
        return Ok(Some(Refusal::TaskExists));
    }
    let taken = tombstone::holds(tx, now, home.number, id)?;
    Ok(taken.then_some(Refusal::TaskTombstoned))
}

/// `false` if the name is taken.
fn insert(tx: &mut Tx<'_>, home: Home, task: &Task) -> Result<bool, Error> {
    let tag = match &task.payload {
        Payload::Pull(message) => Some(message.tag.as_str()),
        Payload::Http(_) | Payload::AppEngine(_) => None,
    };
    let inserted = tx.execute(
        INSERT,
        params![
            task.number,
            home.generation,
            &task.id,
            task.is_named,
            task.create_time,
            task.schedule_time,
            task.lease_id,
            task.payload.is_pull(),
            tag
        ],
    )?;
    if inserted == 0 {
        return Ok(false);
    }
    let head = Head {
        payload: &task.payload,
        dispatch_deadline: task.dispatch_deadline,
        retry: task.retry,
    };
    let head = serde_json::to_string(&head)
        .map_err(|error| Error::Statement(format!("writing a request: {error}")))?;
    tx.execute(
        INSERT_REQUEST,
        params![task.number, &head, task.payload.body()],
    )?;
    Ok(true)
}
