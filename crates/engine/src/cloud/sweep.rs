//! What goes by itself: purged tasks, those that outlived their time, names, logs.
//!
//! Every step takes a portion, so that no transaction grows with what there is to do. A step that
//! was done twice, or on two nodes, changes nothing.

use std::time::Duration;

use taskyard_store::{Error, Tx, params};

use super::queue::{self, Queue};
use super::remove::{self, Request};
use super::{attempt, event, failure, lookup, tombstone, wait};
use crate::timestamp::Timestamp;

pub use super::tombstone::graves;

/// How much is kept of what only serves inspection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How long attempts stay in the log.
    pub attempts_for: Duration,
    /// How many attempts stay in the log at most.
    pub attempts: i64,
    /// How many given-up tasks are kept at most, of all queues, even if their time has not come.
    pub failures: i64,
}

impl Default for Retention {
    fn default() -> Self {
        Retention {
            attempts_for: Duration::from_hours(24 * 7),
            attempts: 1_000_000,
            failures: 100_000,
        }
    }
}

const GRAVE: &str = "SELECT generation, queue, names_until FROM cloud_graves \
     ORDER BY generation LIMIT 1 FOR UPDATE SKIP LOCKED";
const IN_GRAVE: &str = "SELECT number, task_id, named FROM cloud_tasks WHERE generation = $1 \
     ORDER BY number LIMIT $2";
const CLOSE_GRAVE: &str = "DELETE FROM cloud_graves WHERE generation = $1";

/// Removes up to `portion` tasks that were purged, or whose queue was deleted; whether there may be
/// more.
pub fn bury(tx: &mut Tx<'_>, now: Timestamp, portion: usize) -> Result<bool, Error> {
    let grave = tx.query_opt(GRAVE, &[], |row| {
        Ok((
            row.get::<i64>(0)?,
            row.get::<i64>(1)?,
            row.get::<Timestamp>(2)?,
        ))
    })?;
    let Some((generation, queue, names_until)) = grave else {
        return Ok(false);
    };
    let dead = tx.query(IN_GRAVE, params![generation, portion as i64], |row| {
        Ok((
            row.get::<i64>(0)?,
            row.get::<String>(1)?,
            row.get::<bool>(2)?,
        ))
    })?;
    let numbers: Vec<i64> = dead.iter().map(|(number, _, _)| *number).collect();
    remove::forget(tx, &numbers, Request::Removed)?;
    if names_until > now {
        let named = dead.iter().filter(|(_, _, is_named)| *is_named);
        let names = named.map(|(_, name, _)| name.as_str());
        tombstone::put(tx, queue, names, names_until)?;
    }
    let mut more = wait::clear(tx, generation, portion)? >= portion as u64;
    if queue::by_number(tx, queue)?.is_none() {
        more |= failure::forget_of(tx, queue, portion)?;
    }
    if dead.len() < portion && !more {
        tx.execute(CLOSE_GRAVE, params![generation])?;
    }
    // There may be other graves.
    Ok(true)
}

const OLDEST: &str = "SELECT number, created_at FROM cloud_tasks WHERE generation = $1 \
     ORDER BY number LIMIT $2";

/// Removes up to `portion` tasks of a queue that have outlived their time; whether there may be
/// more.
pub fn expire(tx: &mut Tx<'_>, now: Timestamp, queue: &str, portion: usize) -> Result<bool, Error> {
    let Ok(queue) = queue::get_kept(tx, queue)? else {
        return Ok(false);
    };
    let by = now.minus(queue.settings.task_ttl);
    let oldest = tx.query(OLDEST, params![queue.generation, portion as i64], |row| {
        Ok((row.get::<i64>(0)?, row.get::<Timestamp>(1)?))
    })?;
    // Numbers grow with time, so nothing behind the first young one is old.
    let expired = oldest.iter().take_while(|(_, created)| *created <= by);
    let numbers: Vec<i64> = expired.map(|(number, _)| *number).collect();
    for number in &numbers {
        expire_one(tx, now, &queue, *number)?;
    }
    Ok(numbers.len() == portion)
}

fn expire_one(tx: &mut Tx<'_>, now: Timestamp, queue: &Queue, number: i64) -> Result<(), Error> {
    let Some(mut task) = lookup::lock(tx, number)? else {
        return Ok(());
    };
    if let Some(lease_id) = task.lease_id
        && wait::is_flying(tx, queue.generation, lease_id)?
    {
        // The attempt goes on, and counts until it has ended.
        task.lease_id = None;
    }
    let expired = [&task];
    remove::remove(tx, now, queue, event::EXPIRED, &expired, Request::Removed)
}

const OLD_NAMES: &str = "DELETE FROM cloud_tombstones WHERE (queue, task_id) IN \
     (SELECT queue, task_id FROM cloud_tombstones WHERE expires <= $1 ORDER BY expires LIMIT $2)";
const OLD_QUEUE_NAMES: &str = "DELETE FROM cloud_queue_tombstones WHERE expires <= $1";

/// Forgets up to `portion` each of names that may be used again, given-up tasks that were kept long
/// enough or are too many, and attempts; whether there may be more.
pub fn forget(
    tx: &mut Tx<'_>,
    now: Timestamp,
    retention: &Retention,
    portion: usize,
) -> Result<bool, Error> {
    let names = tx.execute(OLD_NAMES, params![now, portion as i64])?;
    tx.execute(OLD_QUEUE_NAMES, params![now])?;
    let failures = failure::forget(tx, now, retention.failures, portion)?;
    let before = now.minus(retention.attempts_for);
    let attempts = attempt::forget(tx, before, retention.attempts, portion)?;
    Ok(names as usize >= portion || failures || attempts)
}
