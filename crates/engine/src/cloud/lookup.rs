//! Finding tasks.

use taskyard_store::{Error, Tx, params};

use super::queue::{self, Page, Queue};
use super::refusal::Refusal;
use super::task::{self, Task, select};
use super::{attempt, task_id, tombstone};
use crate::timestamp::Timestamp;

const NUMBER_OF_NAME: &str = "SELECT number FROM cloud_tasks \
     WHERE generation = $1 AND task_id = $2 AND named = 1";
const IS_UNNAMED: &str = "SELECT number FROM cloud_tasks \
     WHERE number = $1 AND generation = $2 AND named = 0";

/// The number of the task with this id, if it is there.
pub(super) fn number(tx: &mut Tx<'_>, queue: &Queue, id: &str) -> Result<Option<i64>, Error> {
    let read = |row: &taskyard_store::Row<'_>| row.get(0);
    let named = tx.query_opt(NUMBER_OF_NAME, params![queue.generation, id], read)?;
    if named.is_some() {
        return Ok(named);
    }
    match task_id::number(id) {
        Some(number) => tx.query_opt(IS_UNNAMED, params![number, queue.generation], read),
        None => Ok(None),
    }
}

const LOCKED: &str = select!("", "WHERE t.number = $1 FOR UPDATE");

/// The task with this number, without its bytes, kept from others until the transaction ends.
pub(super) fn lock(tx: &mut Tx<'_>, number: i64) -> Result<Option<Task>, Error> {
    tx.query_opt(LOCKED, params![number], |row| task::read(row, false))
}

/// The task with this id, with its bytes.
pub fn get(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: &str,
    id: &str,
) -> Result<Result<Task, Refusal>, Error> {
    let queue = match queue::get(tx, queue)? {
        Ok(queue) => queue,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Some(number) = number(tx, &queue, id)?
        && let Some(task) = task::by_number(tx, number)?
    {
        return Ok(Ok(task));
    }
    let existed = tombstone::holds(tx, now, queue.number, id)?
        || match task_id::number(id) {
            Some(number) => attempt::is_known(tx, &queue, number)?,
            None => false,
        };
    Ok(Err(if existed {
        Refusal::TaskGone
    } else {
        Refusal::TaskMissing
    }))
}

const NUMBERS_AFTER: &str = "SELECT number FROM cloud_tasks \
     WHERE generation = $1 AND number > $2 ORDER BY number LIMIT $3";

/// Up to `limit` tasks of a queue in the order of their creation, after the one with number
/// `after`, with or without their bytes.
pub fn list(
    tx: &mut Tx<'_>,
    queue: &str,
    after: Option<i64>,
    limit: usize,
    with_body: bool,
) -> Result<Result<Page<Task, i64>, Refusal>, Error> {
    let queue = match queue::get(tx, queue)? {
        Ok(queue) => queue,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let after = after.unwrap_or(i64::MIN);
    let mut numbers: Vec<i64> = tx.query(
        NUMBERS_AFTER,
        params![queue.generation, after, limit as i64 + 1],
        |row| row.get(0),
    )?;
    let more = numbers.len() > limit;
    numbers.truncate(limit);
    let next = numbers.last().copied().filter(|_| more);
    let mut items = task::all(tx, &numbers, with_body)?;
    items.sort_unstable_by_key(|task| task.number);
    Ok(Ok(Page { items, next }))
}
