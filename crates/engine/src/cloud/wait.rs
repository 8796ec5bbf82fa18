//! Where tasks wait: in the lease table, one entry a task.
//!
//! The entry of a task that waits stands in its queue's own lease queue and is ready from the
//! schedule time on; that of a task under way stands in another, held until the attempt must have
//! ended. So what is under way is counted without counting what waits.

use std::sync::LazyLock;

use taskyard_store::{Error, Topic, Tx, Value, params};

use super::portions::{Portions, column};
use crate::lease::Queue;
use crate::timestamp::{Nanos, Timestamp};

/// Where tasks of this generation wait.
pub(super) fn waiting(generation: i64) -> Queue {
    Queue::cloud(generation)
}

/// Where they are while they are under way.
pub(super) fn flying(generation: i64) -> Queue {
    Queue::cloud_flights(generation)
}

/// A task's entry, as of one version.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The task.
    pub(super) task: i64,
    /// The version.
    pub(super) lease_id: i64,
}

const PUT: &str = "INSERT INTO leases (id, queue, priority, enqueued_at, ready, available_at, \
     owner, subject, attempt, data) VALUES ($1, $2, 0, $3, $4, $5, '', $6, $7, $8)";

/// Lets a task wait until `at`.
pub(super) fn put(
    tx: &mut Tx<'_>,
    now: Timestamp,
    generation: i64,
    place: Place,
    at: Timestamp,
) -> Result<(), Error> {
    let queue = waiting(generation);
    let ready = at <= now;
    tx.execute(
        PUT,
        params![
            place.lease_id,
            queue.as_str(),
            at,
            ready,
            Nanos::from(at),
            &place.task.to_string(),
            place.task,
            &[] as &[u8]
        ],
    )?;
    announce(tx, &queue, ready, at);
    Ok(())
}

fn announce(tx: &mut Tx<'_>, queue: &Queue, ready: bool, at: Timestamp) {
    if ready {
        tx.wake(queue.topic());
    } else {
        tx.alarm(at.0);
    }
}

const PICK_READY: &str = "SELECT id, attempt FROM leases WHERE queue = $1 AND ready = 1 \
     ORDER BY priority DESC, enqueued_at, id LIMIT $2 FOR UPDATE SKIP LOCKED";
const PICK_DUE: &str = "SELECT id, attempt FROM leases WHERE queue = $1 AND ready = 0 \
     AND available_at <= $3 ORDER BY available_at LIMIT $2 FOR UPDATE SKIP LOCKED";

/// Up to `count` due tasks, roughly in the order of their schedule times. They are locked but not
/// changed; what others have locked is passed over.
pub(super) fn pick(
    tx: &mut Tx<'_>,
    generation: i64,
    now: Timestamp,
    count: usize,
) -> Result<Vec<Place>, Error> {
    let queue = waiting(generation);
    let read = |row: &taskyard_store::Row<'_>| {
        Ok(Place {
            lease_id: row.get(0)?,
            task: row.get(1)?,
        })
    };
    let mut picked = tx.query(PICK_READY, params![queue.as_str(), count as i64], read)?;
    if picked.len() < count {
        let left = (count - picked.len()) as i64;
        let now = Nanos::from(now);
        picked.extend(tx.query(PICK_DUE, params![queue.as_str(), left, now], read)?);
    }
    Ok(picked)
}

/// A task that goes from one place to another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move {
    /// The version it leaves.
    pub(super) from: i64,
    /// The version it becomes.
    pub(super) to: i64,
    /// Until when it waits, or is held.
    pub(super) until: Timestamp,
}

static MOVE: LazyLock<Portions<4>> = LazyLock::new(|| {
    Portions::table(3, |rows| {
        format!(
            "WITH moved(old_id, new_id, until, is_ready) AS (VALUES {rows}) \
             UPDATE leases SET id = moved.new_id, queue = $1, owner = $2, \
             ready = moved.is_ready, available_at = moved.until * 1000, \
             enqueued_at = CASE WHEN $3 = 1 THEN moved.until ELSE enqueued_at END \
             FROM moved WHERE leases.id = moved.old_id"
        )
    })
});

/// Lets `owner` hold these tasks, which are under way from now on.
pub(super) fn hold(
    tx: &mut Tx<'_>,
    generation: i64,
    owner: &str,
    moves: &[Move],
) -> Result<(), Error> {
    for step in moves {
        tx.alarm(step.until.0);
    }
    let rows: Vec<_> = moves.iter().map(|step| row(step, false)).collect();
    change(tx, &flying(generation), owner, 0, &rows)
}

/// Lets these tasks wait, each until its time.
pub(super) fn put_back(
    tx: &mut Tx<'_>,
    now: Timestamp,
    generation: i64,
    moves: &[Move],
) -> Result<(), Error> {
    let queue = waiting(generation);
    for step in moves {
        announce(tx, &queue, step.until <= now, step.until);
    }
    let rows: Vec<_> = moves
        .iter()
        .map(|step| row(step, step.until <= now))
        .collect();
    change(tx, &queue, "", 1, &rows)
}

fn row(step: &Move, ready: bool) -> [Value<'static>; 4] {
    [
        step.from.into(),
        step.to.into(),
        step.until.into(),
        ready.into(),
    ]
}

fn change(
    tx: &mut Tx<'_>,
    queue: &Queue,
    owner: &str,
    waits: i64,
    rows: &[[Value<'_>; 4]],
) -> Result<(), Error> {
    let changed = MOVE.execute(tx, params![queue.as_str(), owner, waits], rows)?;
    if changed != rows.len() as u64 {
        return Err(tx.overtaken("a task's entry was changed by somebody else"));
    }
    Ok(())
}

static DELETE: LazyLock<Portions<1>> =
    LazyLock::new(|| Portions::list(|ids| format!("DELETE FROM leases WHERE id IN ({ids})")));

/// Removes these entries; those that are gone already do not matter.
pub(super) fn delete(tx: &mut Tx<'_>, ids: &[i64]) -> Result<(), Error> {
    DELETE.execute(tx, &[], &column(ids)).map(drop)
}

const COUNT_FLYING: &str = "SELECT count(*) FROM (SELECT id FROM leases WHERE queue = $1 \
     AND ready = 0 LIMIT $2) AS flying";

/// How many tasks are under way, counted up to `limit`.
pub(super) fn count_flying(tx: &mut Tx<'_>, generation: i64, limit: i64) -> Result<i64, Error> {
    let queue = flying(generation);
    let count = tx.query_opt(COUNT_FLYING, params![queue.as_str(), limit], |row| {
        row.get(0)
    })?;
    Ok(count.unwrap_or(0))
}

const IS_FLYING: &str = "SELECT id FROM leases WHERE id = $1 AND queue = $2";

/// Whether this version is one under way.
pub(super) fn is_flying(tx: &mut Tx<'_>, generation: i64, lease_id: i64) -> Result<bool, Error> {
    let queue = flying(generation);
    let found = tx.query_opt(IS_FLYING, params![lease_id, queue.as_str()], |_| Ok(()))?;
    Ok(found.is_some())
}

const OLDEST_READY: &str = "SELECT min(available_at) FROM leases WHERE queue = $1 AND ready = 1";
const OLDEST_HELD: &str = "SELECT min(available_at) FROM leases WHERE queue = $1 AND ready = 0";

/// The earliest time at which a waiting task is, or was, to be tried.
pub(super) fn earliest(tx: &mut Tx<'_>, generation: i64) -> Result<Option<Timestamp>, Error> {
    let queue = waiting(generation);
    let mut earliest: Option<i64> = None;
    for sql in [OLDEST_READY, OLDEST_HELD] {
        let found = tx
            .query_opt(sql, params![queue.as_str()], |row| {
                row.get::<Option<i64>>(0)
            })?
            .flatten();
        earliest = [earliest, found].into_iter().flatten().min();
    }
    Ok(earliest.map(|at| Nanos(at).ceil_micros()))
}

/// An entry under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub(super) place: Place,
    pub(super) generation: i64,
}

const LOST: &str = "SELECT id, attempt, queue FROM leases WHERE ready = 0 \
     AND queue >= $1 AND queue < $2 \
     AND owner NOT IN (SELECT node FROM cloud_nodes WHERE alive_until > $4) \
     ORDER BY queue, available_at LIMIT $3 FOR UPDATE SKIP LOCKED";

/// Entries under way whose owners no longer live, of all queues, up to `limit`, locked.
pub(super) fn lost(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<Vec<Flight>, Error> {
    let (from, to) = Queue::all_cloud_flights();
    tx.query(LOST, params![from, to, limit as i64, now], |row| {
        Ok(Flight {
            place: Place {
                lease_id: row.get(0)?,
                task: row.get(1)?,
            },
            generation: generation_of(&row.get::<String>(2)?),
        })
    })
}

const OVERDUE: &str = "SELECT id, attempt FROM leases WHERE queue = $1 AND ready = 0 \
     AND available_at <= $2 ORDER BY available_at LIMIT $3 FOR UPDATE SKIP LOCKED";

/// Entries under way of this generation that should have ended by now, locked.
pub(super) fn overdue(
    tx: &mut Tx<'_>,
    generation: i64,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Place>, Error> {
    let queue = flying(generation);
    let params = params![queue.as_str(), Nanos::from(now), limit as i64];
    tx.query(OVERDUE, params, |row| {
        Ok(Place {
            lease_id: row.get(0)?,
            task: row.get(1)?,
        })
    })
}

fn generation_of(queue: &str) -> i64 {
    queue
        .rsplit(':')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

const OF_GENERATION: &str = "DELETE FROM leases WHERE id IN (SELECT id FROM leases \
     WHERE queue = $1 AND ready = $2 LIMIT $3)";

/// Removes up to `limit` entries of a generation that is gone; returns how many there were.
pub(super) fn clear(tx: &mut Tx<'_>, generation: i64, limit: usize) -> Result<u64, Error> {
    let mut cleared = 0;
    for queue in [waiting(generation), flying(generation)] {
        for ready in [true, false] {
            let limit = limit as i64;
            cleared += tx.execute(OF_GENERATION, params![queue.as_str(), ready, limit])?;
        }
    }
    Ok(cleared)
}

/// What is woken when a task may be claimed that could not be before.
pub(super) fn topic(generation: i64) -> Topic {
    waiting(generation).topic()
}
