//! How a queue is doing.

use std::time::Duration;

use taskyard_store::{Error, Tx, params};

use super::bucket::WHOLE;
use super::queue::Queue;
use super::settings::Kind;
use super::{attempt, budget, wait};
use crate::timestamp::Timestamp;

/// How a queue is doing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stats {
    /// Tasks, whether they wait or are under way.
    pub tasks: i64,
    /// When the next of them is, or was, to be tried.
    pub earliest: Option<Timestamp>,
    /// Answers within the last minute, whatever they said.
    pub executed_last_minute: i64,
    /// Attempts under way.
    pub under_way: i64,
    /// Dispatches a second that are allowed now.
    pub rate: f64,
}

const COUNT: &str = "SELECT count(*) FROM cloud_tasks WHERE generation = $1";
const EARLIEST_PULL: &str =
    "SELECT min(schedule_time) FROM cloud_tasks WHERE generation = $1 AND is_pull = 1";

/// How a queue is doing; the cost grows with the number of its tasks.
pub fn of(tx: &mut Tx<'_>, now: Timestamp, queue: &Queue) -> Result<Stats, Error> {
    let tasks = tx.query_opt(COUNT, params![queue.generation], |row| row.get(0))?;
    let earliest = match queue.settings.kind {
        Kind::Push => wait::earliest(tx, queue.generation)?,
        Kind::Pull => tx
            .query_opt(EARLIEST_PULL, params![queue.generation], |row| {
                row.get::<Option<i64>>(0)
            })?
            .flatten()
            .map(Timestamp),
    };
    let share = budget::get(tx, queue.number)?.map_or(WHOLE, |budget| budget.share.at(now));
    let rate = queue.settings.rate_limits.max_dispatches_per_second;
    Ok(Stats {
        tasks: tasks.unwrap_or(0),
        earliest,
        executed_last_minute: attempt::answered_since(
            tx,
            queue,
            now.minus(Duration::from_mins(1)),
        )?,
        under_way: wait::count_flying(tx, queue.generation, i64::MAX)?,
        rate: rate * share as f64 / WHOLE as f64,
    })
}
