//! The log of attempts: when, how it came out, how long it took, how the answer began. It outlives
//! the tasks.

use std::sync::LazyLock;

use taskyard_store::{Error, Row, Sequence, Tx, Value, params};

use super::outcome::Outcome;
use super::portions::Portions;
use super::queue::{self, Page, Queue};
use super::refusal::Refusal;
use super::task_id;
use crate::timestamp::Timestamp;

const NUMBERS: Sequence = Sequence("cloud_attempt_numbers");

/// An attempt that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Grows with every attempt of any queue.
    pub number: i64,
    /// The task's id.
    pub task_id: String,
    /// Which attempt of the task it was, counted from 1.
    pub dispatch: i64,
    /// When it was to begin.
    pub schedule_time: Timestamp,
    /// When it began.
    pub dispatched_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How it came out.
    pub outcome: Outcome,
    /// How the answer began, or what went wrong.
    pub excerpt: String,
}

/// An attempt to be logged.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) queue: i64,
    pub(super) task: i64,
    pub(super) task_id: &'a str,
    pub(super) is_named: bool,
    pub(super) dispatch: i64,
    pub(super) schedule_time: Timestamp,
    pub(super) dispatched_at: Timestamp,
    pub(super) ended_at: Timestamp,
    pub(super) outcome: Outcome,
    pub(super) excerpt: &'a str,
}

static INSERT: LazyLock<Portions<11>> = LazyLock::new(|| {
    Portions::rows(0, |rows| {
        format!(
            "INSERT INTO cloud_attempts (number, queue, task, task_id, named, dispatch, \
             schedule_time, dispatched_at, ended_at, outcome, excerpt) VALUES {rows}"
        )
    })
});

pub(super) fn log(tx: &mut Tx<'_>, entries: &[Entry<'_>]) -> Result<(), Error> {
    let numbers = tx.next_ids(NUMBERS, entries.len())?;
    let rows: Vec<[Value<'_>; 11]> = numbers
        .into_iter()
        .zip(entries)
        .map(|(number, entry)| {
            [
                number.into(),
                entry.queue.into(),
                entry.task.into(),
                entry.task_id.into(),
                entry.is_named.into(),
                entry.dispatch.into(),
                entry.schedule_time.into(),
                entry.dispatched_at.into(),
                entry.ended_at.into(),
                entry.outcome.stored().into(),
                entry.excerpt.into(),
            ]
        })
        .collect();
    INSERT.execute(tx, &[], &rows).map(drop)
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT number, task_id, dispatch, schedule_time, dispatched_at, ended_at, outcome, \
             excerpt FROM cloud_attempts ",
            $rest
        )
    };
}

fn read(row: &Row<'_>) -> Result<Logged, Error> {
    Ok(Logged {
        number: row.get(0)?,
        task_id: row.get(1)?,
        dispatch: row.get(2)?,
        schedule_time: row.get(3)?,
        dispatched_at: row.get(4)?,
        ended_at: row.get(5)?,
        outcome: Outcome::from_stored(row.get(6)?),
        excerpt: row.get(7)?,
    })
}

/// Where a listing goes on: behind the attempt that ended then and has this number.
pub type Place = (Timestamp, i64);

const OF_NAME: &str = select!(
    "WHERE queue = $1 AND task_id = $2 AND named = 1 AND number < $3 ORDER BY number DESC LIMIT $4"
);
const OF_TASK: &str =
    select!("WHERE task = $2 AND queue = $1 AND number < $3 ORDER BY number DESC LIMIT $4");
const OF_QUEUE: &str = select!(
    "WHERE queue = $1 AND (ended_at, number) < ($2, $3) \
     ORDER BY ended_at DESC, number DESC LIMIT $4"
);

/// Up to `limit` attempts at the task with this id, newest first, behind `after`. The task itself
/// may be gone; of one that never was there are none.
pub fn of_task(
    tx: &mut Tx<'_>,
    queue: &str,
    id: &str,
    after: Option<Place>,
    limit: usize,
) -> Result<Result<Page<Logged, Place>, Refusal>, Error> {
    let queue = match queue::get(tx, queue)? {
        Ok(queue) => queue.number,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let before = after.map_or(i64::MAX, |(_, number)| number);
    let more = limit as i64 + 1;
    let mut found = tx.query(OF_NAME, params![queue, id, before, more], read)?;
    if found.is_empty()
        && let Some(task) = task_id::number(id)
    {
        found = tx.query(OF_TASK, params![queue, task, before, more], read)?;
    }
    Ok(Ok(page(found, limit)))
}

/// Up to `limit` attempts at tasks of this queue, newest first, behind `after`.
pub fn of_queue(
    tx: &mut Tx<'_>,
    queue: &str,
    after: Option<Place>,
    limit: usize,
) -> Result<Result<Page<Logged, Place>, Refusal>, Error> {
    let queue = match queue::get(tx, queue)? {
        Ok(queue) => queue.number,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let (ended_at, number) = after.unwrap_or((Timestamp(i64::MAX), i64::MAX));
    let more = limit as i64 + 1;
    let found = tx.query(OF_QUEUE, params![queue, ended_at, number, more], read)?;
    Ok(Ok(page(found, limit)))
}

/// A page of what was found, which is one more than fits if there are more.
fn page(mut found: Vec<Logged>, limit: usize) -> Page<Logged, Place> {
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().map(|last| (last.ended_at, last.number));
    Page {
        items: found,
        next: next.filter(|_| more),
    }
}

const IS_KNOWN: &str = "SELECT number FROM cloud_attempts WHERE task = $1 AND queue = $2 LIMIT 1";

/// Whether there was a task with this number in the queue.
pub(super) fn is_known(tx: &mut Tx<'_>, queue: &Queue, task: i64) -> Result<bool, Error> {
    let found = tx.query_opt(IS_KNOWN, params![task, queue.number], |_| Ok(()))?;
    Ok(found.is_some())
}

const SINCE: &str =
    "SELECT count(*) FROM cloud_attempts WHERE queue = $1 AND ended_at > $2 AND outcome > 0";

/// How many attempts were answered after `since`.
pub(super) fn answered_since(
    tx: &mut Tx<'_>,
    queue: &Queue,
    since: Timestamp,
) -> Result<i64, Error> {
    let count = tx.query_opt(SINCE, params![queue.number, since], |row| row.get(0))?;
    Ok(count.unwrap_or(0))
}

const OLDEST: &str = "SELECT number, ended_at FROM cloud_attempts ORDER BY number LIMIT $1";
const NEWEST_NUMBER: &str = "SELECT max(number) FROM cloud_attempts";
const DELETE_UP_TO: &str = "DELETE FROM cloud_attempts WHERE number <= $1";

/// Forgets up to `portion` of the oldest attempts: those that ended before `before`, and those
/// beyond the newest `most`. Returns whether there may be more.
pub(super) fn forget(
    tx: &mut Tx<'_>,
    before: Timestamp,
    most: i64,
    portion: usize,
) -> Result<bool, Error> {
    let newest = tx
        .query_opt(NEWEST_NUMBER, &[], |row| row.get::<Option<i64>>(0))?
        .flatten();
    let Some(newest) = newest else {
        return Ok(false);
    };
    let oldest = tx.query(OLDEST, params![portion as i64], |row| {
        Ok((row.get::<i64>(0)?, row.get::<Timestamp>(1)?))
    })?;
    let is_over = |(number, ended_at): &&(i64, Timestamp)| {
        *ended_at < before || *number <= newest.saturating_sub(most)
    };
    let Some((last, _)) = oldest.iter().take_while(is_over).last() else {
        return Ok(false);
    };
    let gone = tx.execute(DELETE_UP_TO, params![*last])?;
    Ok(gone as usize == portion)
}
