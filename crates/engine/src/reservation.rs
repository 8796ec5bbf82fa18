//! Reservations: ready entries that are set aside for somebody until a time.
//!
//! A reserved entry is neither ready nor held: no claim finds it, no claim of it can expire, and
//! when its time comes it is simply ready again. Its id stays the same all the while, because it
//! remains what it was, something that waits; whoever takes its subject by name takes it as if it
//! were ready.

use std::collections::HashSet;

use taskyard_store::{Error, Tx, Value, params};

use crate::by_ids::ByIds;
use crate::lease::Queue;
use crate::timestamp::{Nanos, Timestamp};

/// What the column `ready` says of a reserved entry, beside 1 for ready and 0 for held.
pub(crate) const RESERVED: i64 = 2;

/// Who has reserved an entry, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Who has it.
    pub owner: String,
    /// When it is ready again.
    pub until: Timestamp,
}

impl Reservation {
    /// Reads the reservation of an entry from its columns `ready`, `owner` and `available_at`.
    pub(crate) fn of(ready: i64, owner: String, available_at: Nanos) -> Option<Self> {
        (ready == RESERVED).then(|| Reservation {
            owner,
            until: available_at.ceil_micros(),
        })
    }

    /// Whether it keeps `owner` from the entry at `now`.
    pub fn excludes(&self, owner: &str, now: Timestamp) -> bool {
        self.owner != owner && self.until > now
    }
}

/// Entries that wait, found by their tasks. What others have locked is about to be theirs.
static WAITING: ByIds = ByIds::new(
    "SELECT id, subject, queue, ready, owner, available_at, expires_at FROM leases \
     WHERE ready <> 0 AND id IN (SELECT lease_id FROM tasks WHERE task_id IN ({ids})) \
     FOR UPDATE SKIP LOCKED",
    0,
);
static RESERVE: ByIds = ByIds::new(
    "UPDATE leases SET ready = 2, available_at = $1, owner = $2 \
     WHERE ready <> 0 AND id IN ({ids})",
    2,
);

/// Reserves the pending runs of these tasks for `owner` until `until`, those in queues for which
/// `may` (it is given the task queue) says so. Who has a reservation already keeps it for as long
/// as this one says. Returns the ids of the tasks that are `owner`'s now; the others are unknown,
/// not pending, past their deadline, or somebody else's.
pub fn reserve(
    tx: &mut Tx<'_>,
    now: Timestamp,
    owner: &str,
    task_ids: &[String],
    until: Timestamp,
    may: &dyn Fn(&str) -> bool,
) -> Result<HashSet<String>, Error> {
    let ids: Vec<Value<'_>> = task_ids.iter().map(Value::from).collect();
    let mut reserved = HashSet::new();
    let mut entries = Vec::new();
    WAITING.query(tx, &[], &ids, |row| {
        let reservation = Reservation::of(row.get(3)?, row.get(4)?, row.get(5)?);
        let expires_at: Option<Timestamp> = row.get(6)?;
        let queue = Queue::named(row.get(2)?);
        let is_free = reservation.is_none_or(|known| !known.excludes(owner, now));
        if is_free && expires_at.is_none_or(|at| at > now) && queue.task_queue_id().is_some_and(may)
        {
            entries.push(Value::Int(row.get(0)?));
            reserved.insert(row.get(1)?);
        }
        Ok(())
    })?;
    let changed = RESERVE.execute(tx, params![Nanos::from(until), owner], &entries)?;
    if changed != entries.len() as u64 {
        return Err(tx.overtaken("a locked entry was changed"));
    }
    if !entries.is_empty() {
        tx.alarm(until.0);
    }
    Ok(reserved)
}

const NEXT_DUE: &str = "SELECT min(available_at) FROM leases WHERE ready = 2";

/// When the next reservation ends.
pub(crate) fn next_due(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, Error> {
    let at = tx
        .query_opt(NEXT_DUE, &[], |row| row.get::<Option<i64>>(0))?
        .flatten();
    Ok(at.map(|at| Nanos(at).ceil_micros()))
}

const DUE: &str = "SELECT queue FROM leases WHERE ready = 2 AND available_at <= $1 \
     GROUP BY queue LIMIT $2";

/// The queues in which reservations have ended, up to `limit`.
pub(crate) fn due(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<Vec<Queue>, Error> {
    tx.query(DUE, params![Nanos::from(now), limit as i64], |row| {
        Ok(Queue::named(row.get(0)?))
    })
}

/// Many end at once when whoever made them has died.
const RETURN_AT_MOST: i64 = 1000;

const RETURN_DUE: &str = "UPDATE leases SET ready = 1, owner = '' WHERE id IN (SELECT id \
     FROM leases WHERE ready = 2 AND available_at <= $2 AND queue = $1 ORDER BY available_at \
     LIMIT $3 FOR UPDATE SKIP LOCKED)";

/// Makes what was reserved in `queue` until now or earlier ready, and wakes those who wait for it;
/// `true` if there may be more.
pub(crate) fn return_due(tx: &mut Tx<'_>, queue: &Queue, now: Timestamp) -> Result<bool, Error> {
    let returned = tx.execute(
        RETURN_DUE,
        params![queue.as_str(), Nanos::from(now), RETURN_AT_MOST],
    )?;
    for _ in 0..returned {
        tx.wake(queue.topic());
    }
    Ok(returned == RETURN_AT_MOST as u64)
}

/// Those of these tasks whose pending runs `owner` has reserved, in queues for which `may` says so.
pub fn held(
    tx: &mut Tx<'_>,
    now: Timestamp,
    owner: &str,
    task_ids: &[String],
    may: &dyn Fn(&str) -> bool,
) -> Result<HashSet<String>, Error> {
    let ids: Vec<Value<'_>> = task_ids.iter().map(Value::from).collect();
    let found = WAITING.query(tx, &[], &ids, |row| {
        let reservation = Reservation::of(row.get(3)?, row.get(4)?, row.get(5)?);
        let is_held = reservation.is_some_and(|known| known.owner == owner && known.until > now);
        let queue = Queue::named(row.get(2)?);
        let is_theirs = is_held && queue.task_queue_id().is_some_and(may);
        Ok(if is_theirs { Some(row.get(1)?) } else { None })
    })?;
    Ok(found.into_iter().flatten().collect())
}
