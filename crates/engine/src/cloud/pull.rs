//! Pull queues: tasks are lent until a time, and come back by themselves.
//!
//! A lent task is one whose `schedule_time` lies ahead; that exact time is what proves the loan.

use std::sync::LazyLock;
use std::time::Duration;

use taskyard_store::{Error, Tx, Value, params};

use super::portions::{Portions, column};
use super::queue::{self, Queue, State};
use super::refusal::Refusal;
use super::remove::{self, Request};
use super::settings::Kind;
use super::task::{self, Task};
use super::{event, lookup};
use crate::timestamp::Timestamp;

/// Which tasks are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TagFilter {
    /// Any.
    #[default]
    None,
    /// Those with this tag; the empty one means those without.
    Tag(String),
    /// Those with the tag of the one that has waited longest.
    Oldest,
}

const OLDEST: &str = "SELECT tag FROM cloud_tasks WHERE generation = $1 AND is_pull = 1 \
     AND schedule_time <= $2 ORDER BY schedule_time, number LIMIT 1";
const LEASABLE: &str = "SELECT number FROM cloud_tasks WHERE generation = $1 AND is_pull = 1 \
     AND schedule_time <= $2 ORDER BY schedule_time, number LIMIT $3 FOR UPDATE SKIP LOCKED";
const LEASABLE_BY_TAG: &str = "SELECT number FROM cloud_tasks WHERE generation = $1 \
     AND is_pull = 1 AND tag = $4 AND schedule_time <= $2 ORDER BY schedule_time, number \
     LIMIT $3 FOR UPDATE SKIP LOCKED";

static LEND: LazyLock<Portions<1>> = LazyLock::new(|| {
    Portions::listed(1, |numbers| {
        format!(
            "UPDATE cloud_tasks SET schedule_time = $1, dispatches = dispatches + 1 \
             WHERE number IN ({numbers})"
        )
    })
});

/// Lends up to `count` tasks for `duration`, longest waiting first. Of those that have been lent as
/// often as they may, none is: they are removed.
pub fn lease(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: &str,
    count: usize,
    duration: Duration,
    filter: &TagFilter,
) -> Result<Result<Vec<Task>, Refusal>, Error> {
    let queue = match queue::get_kept(tx, queue)? {
        Ok(queue) => queue,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if queue.settings.kind != Kind::Pull {
        return Ok(Err(Refusal::NotPull));
    }
    if queue.state != State::Running {
        return Ok(Err(Refusal::QueueNotRunning));
    }
    let tag = match filter {
        TagFilter::None => None,
        TagFilter::Tag(tag) => Some(tag.clone()),
        TagFilter::Oldest => {
            let oldest = tx.query_opt(OLDEST, params![queue.generation, now], |row| row.get(0))?;
            match oldest {
                Some(tag) => Some(tag),
                None => return Ok(Ok(Vec::new())),
            }
        }
    };
    let mut lent = Vec::new();
    loop {
        let wanted = (count - lent.len()) as i64;
        let found: Vec<i64> = match &tag {
            None => tx.query(LEASABLE, params![queue.generation, now, wanted], |row| {
                row.get(0)
            })?,
            Some(tag) => tx.query(
                LEASABLE_BY_TAG,
                params![queue.generation, now, wanted, tag],
                |row| row.get(0),
            )?,
        };
        let used_up = lend(tx, now, &queue, duration, &found, &mut lent)?;
        if used_up == 0 || lent.len() == count {
            break;
        }
    }
    lent.sort_by_key(|(waited_since, task): &(Timestamp, Task)| (*waited_since, task.number));
    Ok(Ok(lent.into_iter().map(|(_, task)| task).collect()))
}

/// Lends these tasks, adding them with the time since when they waited, and returns how many were
/// removed instead.
fn lend(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: &Queue,
    duration: Duration,
    numbers: &[i64],
    lent: &mut Vec<(Timestamp, Task)>,
) -> Result<usize, Error> {
    let until = now.plus(duration);
    let how_it_ends = |task: &Task| {
        let most = i64::from(task.retry_of(queue).max_attempts);
        if task.expires(queue) <= now {
            Some(event::EXPIRED)
        } else {
            (most >= 0 && task.dispatch_count >= most).then_some(event::FAILED)
        }
    };
    let (over, mut live): (Vec<Task>, Vec<Task>) = task::all(tx, numbers, true)?
        .into_iter()
        .partition(|task| how_it_ends(task).is_some());
    for kind in [event::EXPIRED, event::FAILED] {
        let of_kind = over.iter().filter(|task| how_it_ends(task) == Some(kind));
        let of_kind: Vec<&Task> = of_kind.collect();
        remove::remove(tx, now, queue, kind, &of_kind, Request::Removed)?;
    }
    let numbers: Vec<i64> = live.iter().map(|task| task.number).collect();
    LEND.execute(tx, &[Value::from(until)], &column(&numbers))?;
    for task in &mut live {
        lent.push((task.schedule_time, {
            task.schedule_time = until;
            task.dispatch_count += 1;
            task.clone()
        }));
    }
    Ok(over.len())
}

/// A task that is lent until exactly `schedule_time`, locked, with its queue.
fn lent(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: &str,
    id: &str,
    schedule_time: Timestamp,
) -> Result<Result<(Queue, i64), Refusal>, Error> {
    let queue = match queue::get(tx, queue)? {
        Ok(queue) => queue,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if queue.settings.kind != Kind::Pull {
        return Ok(Err(Refusal::NotPull));
    }
    let Some(number) = lookup::number(tx, &queue, id)? else {
        return Ok(Err(Refusal::TaskMissing));
    };
    let Some(task) = lookup::lock(tx, number)? else {
        return Ok(Err(Refusal::TaskMissing));
    };
    if task.dispatch_count == 0 || task.schedule_time != schedule_time || schedule_time <= now {
        return Ok(Err(Refusal::LeaseMismatch));
    }
    Ok(Ok((queue, number)))
}

/// The task is done: removes it.
pub fn acknowledge(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: &str,
    id: &str,
    schedule_time: Timestamp,
) -> Result<Result<(), Refusal>, Error> {
    let (queue, number) = match lent(tx, now, queue, id, schedule_time)? {
        Ok(found) => found,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Some(task) = lookup::lock(tx, number)? else {
        return Ok(Err(Refusal::TaskMissing));
    };
    let done = [&task];
    remove::remove(tx, now, &queue, event::COMPLETED, &done, Request::Removed)?;
    Ok(Ok(()))
}

/// Lends the task for `duration` from now on.
pub fn renew(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: &str,
    id: &str,
    schedule_time: Timestamp,
    duration: Duration,
) -> Result<Result<Task, Refusal>, Error> {
    move_to(tx, now, queue, id, schedule_time, now.plus(duration))
}

/// Gives the task back at once.
pub fn cancel(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: &str,
    id: &str,
    schedule_time: Timestamp,
) -> Result<Result<Task, Refusal>, Error> {
    move_to(tx, now, queue, id, schedule_time, now)
}

const MOVE: &str = "UPDATE cloud_tasks SET schedule_time = $2 WHERE number = $1";

fn move_to(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: &str,
    id: &str,
    schedule_time: Timestamp,
    until: Timestamp,
) -> Result<Result<Task, Refusal>, Error> {
    let number = match lent(tx, now, queue, id, schedule_time)? {
        Ok((_, number)) => number,
        Err(refusal) => return Ok(Err(refusal)),
    };
    tx.execute(MOVE, params![number, until])?;
    let task = task::by_number(tx, number)?;
    Ok(task.ok_or(Refusal::TaskMissing))
}
