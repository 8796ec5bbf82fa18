//! Leases: entries that wait in a queue, or are held by an owner until a time.
//!
//! An entry is *ready* (anyone may claim it) or *held* until `available_at`, or, while it waits,
//! [reserved](crate::reservation). Every change of hands gives it a new, larger id, so holding an
//! id is holding that exact version: whoever comes late with an old id finds nothing.
//!
//! Cost: a claim reads the head of one index, whatever the number of waiting or held entries.
//! Entries of [groups](crate::group) are put and changed here, and claimed there.

use std::collections::BTreeMap;

use taskyard_store::{Error, Row, Sequence, Topic, Tx, Value, params};

use crate::batch;
use crate::reservation::Reservation;
use crate::timestamp::{Nanos, Timestamp};

const IDS: Sequence = Sequence("lease_ids");

/// Where entries wait. The name begins with the realm it belongs to, so that claims made through
/// one API never meet the entries of another by accident.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Queue(String);

const RUNS: &str = "run:";
const GROUP: &str = "group:";
const CLOUD: &str = "cloud:";
const CLOUD_FLIGHTS: &str = "cloud-flight:";
/// The first text after everything that begins as flights do.
const AFTER_CLOUD_FLIGHTS: &str = "cloud-flight;";

impl Queue {
    /// The queue of pending runs of a task queue.
    pub fn runs(task_queue_id: &str) -> Self {
        Queue(format!("{RUNS}{task_queue_id}"))
    }

    /// The queue behind a taskstore group.
    pub fn group(name: &str) -> Self {
        Queue(format!("{GROUP}{name}"))
    }

    /// A queue of a realm of its own.
    pub fn of(realm: &str, name: &str) -> Self {
        Queue(format!("{realm}:{name}"))
    }

    /// The queue of a cloud queue's tasks that wait.
    pub(crate) fn cloud(generation: i64) -> Self {
        Queue(format!("{CLOUD}{generation}"))
    }

    /// The queue of a cloud queue's tasks that are under way.
    pub(crate) fn cloud_flights(generation: i64) -> Self {
        Queue(format!("{CLOUD_FLIGHTS}{generation}"))
    }

    /// Between which names all queues of tasks under way stand.
    pub(crate) fn all_cloud_flights() -> (&'static str, &'static str) {
        (CLOUD_FLIGHTS, AFTER_CLOUD_FLIGHTS)
    }

    /// Which cloud tasks are under way here, if it is such a queue.
    pub(crate) fn cloud_flights_of(&self) -> Option<i64> {
        self.0.strip_prefix(CLOUD_FLIGHTS)?.parse().ok()
    }

    /// The queue of this stored name.
    pub(crate) fn named(name: String) -> Self {
        Queue(name)
    }

    /// The name as stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The task queue whose pending runs wait here, if it is such a queue.
    pub fn task_queue_id(&self) -> Option<&str> {
        self.0.strip_prefix(RUNS)
    }

    /// What those who wait for work in this queue wait for.
    pub fn topic(&self) -> Topic {
        Topic::new("queue", &self.0)
    }

    /// Whether a held entry that falls due simply becomes ready again. A run does not: its claim
    /// has expired, and what follows is for the task's state machine to say. So is an attempt at a
    /// cloud task whose end nobody told.
    fn returns_by_itself(&self) -> bool {
        self.task_queue_id().is_none() && self.cloud_flights_of().is_none()
    }

    /// The mark of an entry here that may be claimed, or may not yet.
    fn mark(&self, ready: bool) -> i64 {
        match (self.0.starts_with(GROUP), ready) {
            (false, true) => READY,
            (false, false) => HELD,
            (true, true) => IN_GROUP,
            (true, false) => HELD_IN_GROUP,
        }
    }
}

/// Marks: which of the partial indexes an entry stands in. In groups the time alone decides who
/// may be claimed, along an index of their own, so that their entries stay out of the others.
const HELD: i64 = 0;
pub(crate) const READY: i64 = 1;
pub(crate) const IN_GROUP: i64 = 3;
pub(crate) const HELD_IN_GROUP: i64 = 4;

/// One entry, as of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// This version; grows for ever, never given twice.
    pub id: i64,
    /// Where it waits.
    pub queue: Queue,
    /// Larger is claimed earlier.
    pub priority: i64,
    /// When it began to wait; older is claimed earlier within a priority.
    pub enqueued_at: Timestamp,
    /// Until when it is held; in the past if it may be claimed.
    pub available_at: Nanos,
    /// Who held it last; empty if nobody ever did.
    pub owner: String,
    /// What waits here: the id of a task, or empty.
    pub subject: String,
    /// Which of the subject's attempts: the run id of a task.
    pub attempt: i64,
    /// The entry's own bytes.
    pub data: Vec<u8>,
}

impl Entry {
    /// Whether only its owner may change it at `now`.
    pub fn is_held(&self, now: Timestamp) -> bool {
        self.available_at > Nanos::from(now)
    }

    fn read(row: &Row<'_>) -> Result<Self, Error> {
        Ok(Entry {
            id: row.get(0)?,
            queue: Queue(row.get(1)?),
            priority: row.get(2)?,
            enqueued_at: row.get(3)?,
            available_at: row.get(4)?,
            owner: row.get(5)?,
            subject: row.get(6)?,
            attempt: row.get(7)?,
            data: row.get(8)?,
        })
    }
}

/// An entry to be put.
#[derive(Debug, Clone)]
pub struct NewEntry<'a> {
    /// Where it waits.
    pub queue: &'a Queue,
    /// Larger is claimed earlier.
    pub priority: i64,
    /// From when it may be claimed; now or earlier means at once.
    pub available_at: Nanos,
    /// From when it is never handed out any more.
    pub expires_at: Option<Timestamp>,
    /// Who may change it while it is held.
    pub owner: &'a str,
    /// What waits here.
    pub subject: &'a str,
    /// Which attempt of the subject.
    pub attempt: i64,
    /// The entry's own bytes.
    pub data: &'a [u8],
}

impl<'a> NewEntry<'a> {
    /// An entry that waits in `queue` from `now` on.
    pub fn ready(queue: &'a Queue, now: Timestamp) -> Self {
        NewEntry {
            queue,
            priority: 0,
            available_at: now.into(),
            expires_at: None,
            owner: "",
            subject: "",
            attempt: 0,
            data: &[],
        }
    }
}

const PUT: &str = "INSERT INTO leases (id, queue, priority, enqueued_at, ready, available_at, \
     expires_at, owner, subject, attempt, data, task_number) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
/// The number of what is no task.
const NO_TASK: i64 = 0;

/// Puts entries and returns their ids, in order.
pub fn put(tx: &mut Tx<'_>, now: Timestamp, entries: &[NewEntry<'_>]) -> Result<Vec<i64>, Error> {
    let ids = tx.next_ids(IDS, entries.len())?;
    batch::insert(tx, now, &ids, entries)?;
    for entry in entries {
        let ready = entry.available_at <= Nanos::from(now);
        announce(tx, entry.queue, ready, entry.available_at);
    }
    Ok(ids)
}

pub(crate) fn put_as(
    tx: &mut Tx<'_>,
    now: Timestamp,
    entry: &NewEntry<'_>,
    id: i64,
) -> Result<(), Error> {
    put_task(tx, now, entry, id, NO_TASK)
}

/// Puts an entry in which the task of this number waits: listings find it by that.
pub(crate) fn put_task(
    tx: &mut Tx<'_>,
    now: Timestamp,
    entry: &NewEntry<'_>,
    id: i64,
    task_number: i64,
) -> Result<(), Error> {
    let ready = entry.available_at <= Nanos::from(now);
    tx.execute(
        PUT,
        params![
            id,
            entry.queue.as_str(),
            entry.priority,
            now,
            entry.queue.mark(ready),
            entry.available_at,
            entry.expires_at,
            entry.owner,
            entry.subject,
            entry.attempt,
            entry.data,
            task_number,
        ],
    )?;
    announce(tx, entry.queue, ready, entry.available_at);
    Ok(())
}

/// The mark of a new entry.
pub(crate) fn mark_of(entry: &NewEntry<'_>, now: Timestamp) -> i64 {
    entry.queue.mark(entry.available_at <= Nanos::from(now))
}

/// Tells after the commit who should look: those who wait for work, or the timer.
fn announce(tx: &mut Tx<'_>, queue: &Queue, ready: bool, available_at: Nanos) {
    if ready {
        tx.wake(queue.topic());
    } else {
        tx.alarm(available_at.ceil_micros().0);
    }
}

const GET: &str = "SELECT id, queue, priority, enqueued_at, available_at, owner, subject, attempt, \
     data FROM leases WHERE id = $1 FOR UPDATE";

/// The entry with this exact version, locked against others until the transaction ends.
pub fn get(tx: &mut Tx<'_>, id: i64) -> Result<Option<Entry>, Error> {
    tx.query_opt(GET, params![id], Entry::read)
}

const RESERVATION: &str = "SELECT ready, owner, available_at FROM leases WHERE id = $1 FOR UPDATE";

/// Who has reserved the entry of this exact version, if anybody has. It is locked until the
/// transaction ends.
pub(crate) fn reservation(tx: &mut Tx<'_>, id: i64) -> Result<Option<Reservation>, Error> {
    let found = tx.query_opt(RESERVATION, params![id], |row| {
        Ok(Reservation::of(row.get(0)?, row.get(1)?, row.get(2)?))
    })?;
    Ok(found.flatten())
}

/// Entries that fell due at once are returned in portions, so that no claim pays for all.
const RETURN_AT_MOST: i64 = 1000;

const IS_ANY_DUE: &str =
    "SELECT id FROM leases WHERE queue = $1 AND ready = 0 AND available_at <= $2 LIMIT 1";

const RETURN_DUE: &str = "UPDATE leases SET ready = 1 WHERE id IN (SELECT id FROM leases \
     WHERE queue = $1 AND ready = 0 AND available_at <= $2 ORDER BY available_at LIMIT $3 \
     FOR UPDATE SKIP LOCKED)";

const PICK: &str = "SELECT id, queue, priority, enqueued_at, available_at, owner, subject, attempt, \
     data, expires_at FROM leases WHERE queue = $1 AND ready = 1 \
     ORDER BY priority DESC, enqueued_at, id LIMIT $2 FOR UPDATE SKIP LOCKED";

/// As [`PICK`], walking past what has expired.
const PICK_LIVE: &str = "SELECT id, queue, priority, enqueued_at, available_at, owner, subject, \
     attempt, data, expires_at FROM leases WHERE queue = $1 AND ready = 1 \
     AND (expires_at IS NULL OR expires_at > $3) \
     ORDER BY priority DESC, enqueued_at, id LIMIT $2 FOR UPDATE SKIP LOCKED";

/// Expired entries are put out of the way in portions, so that no claim pays for all.
const SHELVE_AT_MOST: i64 = 1000;

/// Only the head of the queue is looked through, whatever its length. Nothing is locked but what
/// is shelved.
const SHELVE: &str = "UPDATE leases SET ready = 0, available_at = $4 WHERE id IN (SELECT id \
     FROM leases WHERE ready = 1 AND expires_at <= $2 AND id IN (SELECT id FROM leases \
     WHERE queue = $1 AND ready = 1 ORDER BY priority DESC, enqueued_at, id LIMIT $3) \
     FOR UPDATE SKIP LOCKED)";

/// The up to `count` best ready entries: highest priority first, then oldest. They are locked until
/// the transaction ends but not changed; entries locked by others are passed over.
pub fn pick(
    tx: &mut Tx<'_>,
    queue: &Queue,
    now: Timestamp,
    count: usize,
) -> Result<Vec<Entry>, Error> {
    // A poll that finds nothing must not write.
    if queue.returns_by_itself()
        && tx
            .query_opt(
                IS_ANY_DUE,
                params![queue.as_str(), Nanos::from(now)],
                |_| Ok(()),
            )?
            .is_some()
    {
        // More may have fallen due than this caller takes.
        return_due(tx, queue, now)?;
    }
    let read = |row: &Row<'_>| Ok((Entry::read(row)?, row.get::<Option<Timestamp>>(9)?));
    let found = tx.query(PICK, params![queue.as_str(), count as i64], read)?;
    let is_live = |expires_at: &Option<Timestamp>| expires_at.is_none_or(|at| at > now);
    let found = if found.iter().all(|(_, expires_at)| is_live(expires_at)) {
        found
    } else {
        // Out of the way for good, so that no later claim walks over them again. Whoever put them
        // there removes them.
        tx.execute(
            SHELVE,
            params![queue.as_str(), now, SHELVE_AT_MOST, i64::MAX],
        )?;
        tx.query(PICK_LIVE, params![queue.as_str(), count as i64, now], read)?
    };
    Ok(found.into_iter().map(|(entry, _)| entry).collect())
}

const CHANGE: &str = "UPDATE leases SET id = $2, ready = $3, available_at = $4, owner = $5 \
     WHERE id = $1";

/// Lets `owner` hold an entry until `until`; a time that is not in the future releases it. (A run
/// is not released, its claim has expired then.) Returns the new id, or `None` if this version is
/// gone.
pub fn hold(
    tx: &mut Tx<'_>,
    id: i64,
    queue: &Queue,
    now: Timestamp,
    owner: &str,
    until: Nanos,
) -> Result<Option<i64>, Error> {
    let new_id = new_id(tx)?;
    let ready = until <= Nanos::from(now) && queue.returns_by_itself();
    let changed = tx.execute(CHANGE, params![id, new_id, queue.mark(ready), until, owner])?;
    if changed == 0 {
        return Ok(None);
    }
    announce(tx, queue, ready, until);
    Ok(Some(new_id))
}

/// Claims the up to `count` best entries of a queue for `owner` until `until`.
pub fn claim(
    tx: &mut Tx<'_>,
    queue: &Queue,
    now: Timestamp,
    owner: &str,
    until: Nanos,
    count: usize,
) -> Result<Vec<Entry>, Error> {
    let mut claimed = pick(tx, queue, now, count)?;
    for entry in &mut claimed {
        let Some(id) = hold(tx, entry.id, queue, now, owner, until)? else {
            return Err(tx.overtaken("a locked entry was changed"));
        };
        entry.id = id;
        owner.clone_into(&mut entry.owner);
        entry.available_at = until;
    }
    Ok(claimed)
}

const DELETE: &str = "DELETE FROM leases WHERE id = $1";

/// Removes this exact version; `false` if it is gone.
pub fn delete(tx: &mut Tx<'_>, id: i64) -> Result<bool, Error> {
    Ok(tx.execute(DELETE, params![id])? > 0)
}

pub(crate) fn new_id(tx: &mut Tx<'_>) -> Result<i64, Error> {
    let ids = tx.next_ids(IDS, 1)?;
    ids.first()
        .copied()
        .ok_or_else(|| Error::Statement("the sequence gave no number".to_owned()))
}

const REPLACE: &str = "UPDATE leases SET id = $2, ready = $3, available_at = $4, owner = $5, \
     data = $6 WHERE id = $1";

/// Gives an entry new data, owner and time. The version must be locked by [`get`].
pub(crate) fn replace(
    tx: &mut Tx<'_>,
    entry: &Entry,
    new_id: i64,
    now: Timestamp,
    available_at: Nanos,
    owner: &str,
    data: &[u8],
) -> Result<(), Error> {
    let ready = available_at <= Nanos::from(now);
    let changed = tx.execute(
        REPLACE,
        params![
            entry.id,
            new_id,
            entry.queue.mark(ready),
            available_at,
            owner,
            data
        ],
    )?;
    if changed == 0 {
        return Err(tx.overtaken("a locked entry was changed"));
    }
    announce(tx, &entry.queue, ready, available_at);
    Ok(())
}

pub(crate) fn new_ids(tx: &mut Tx<'_>, count: usize) -> Result<Vec<i64>, Error> {
    tx.next_ids(IDS, count)
}

const SET_PRIORITY: &str = "UPDATE leases SET priority = $2 WHERE id = $1";

/// Moves an entry to another priority; its age within the queue stays.
pub fn set_priority(tx: &mut Tx<'_>, id: i64, priority: i64) -> Result<bool, Error> {
    Ok(tx.execute(SET_PRIORITY, params![id, priority])? > 0)
}

const COUNT_READY: &str = "SELECT count(*) FROM leases WHERE queue = $1 AND ready = 1 \
     AND (expires_at IS NULL OR expires_at > $2)";
const COUNT_RESERVED: &str = "SELECT count(*) FROM leases WHERE queue = $1 AND ready = 2";
const COUNT_DUE: &str = "SELECT count(*) FROM leases WHERE queue = $1 AND ready = 0 \
     AND available_at <= $2";
const COUNT_HELD: &str = "SELECT count(*) FROM leases WHERE queue = $1 AND ready = 0 \
     AND available_at > $2 AND available_at < $3";

/// How full a queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Entries that may be claimed now, or are reserved.
    pub ready: i64,
    /// Entries that somebody holds, or that wait for a later time.
    pub held: i64,
}

/// Counts a queue's entries; the cost grows with their number.
pub fn depth(tx: &mut Tx<'_>, queue: &Queue, now: Timestamp) -> Result<Depth, Error> {
    let mut count = |sql, params: &[Value<'_>]| -> Result<i64, Error> {
        Ok(tx.query_opt(sql, params, |row| row.get(0))?.unwrap_or(0))
    };
    let at = Nanos::from(now);
    let mut ready = count(COUNT_READY, params![queue.as_str(), now])?;
    ready += count(COUNT_RESERVED, params![queue.as_str()])?;
    if queue.returns_by_itself() {
        ready += count(COUNT_DUE, params![queue.as_str(), at])?;
    }
    // A run whose claim is due is held until the timer ends the claim. Shelved entries have the
    // largest time there is.
    let after = if queue.returns_by_itself() {
        at
    } else {
        Nanos(i64::MIN)
    };
    let held = count(COUNT_HELD, params![queue.as_str(), after, i64::MAX])?;
    Ok(Depth { ready, held })
}

/// One queue's line in an overview.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// Which queue.
    pub queue: Queue,
    /// What it holds.
    pub depth: Depth,
    /// When the oldest of its ready entries began to wait, if there is one.
    pub oldest: Option<Timestamp>,
}

const READY_BY_QUEUE: &str = "SELECT queue, count(*), min(enqueued_at) FROM leases \
     WHERE ready = 1 GROUP BY queue ORDER BY queue LIMIT $1";
const RESERVED_BY_QUEUE: &str = "SELECT queue, count(*) FROM leases WHERE ready = 2 \
     GROUP BY queue ORDER BY queue LIMIT $1";
const HELD_BY_QUEUE: &str = "SELECT queue, count(*) FROM leases WHERE ready = 0 \
     AND available_at < $1 GROUP BY queue ORDER BY queue LIMIT $2";

/// The queues that hold anything, up to `limit` of those with ready and of those with held entries,
/// by name. Reads two indexes whole: for metrics that are asked for now and then.
pub fn overview(tx: &mut Tx<'_>, limit: usize) -> Result<Vec<Overview>, Error> {
    let mut lines: BTreeMap<Queue, Overview> = BTreeMap::new();
    let line = |lines: &mut BTreeMap<Queue, Overview>, queue: Queue, depth: Depth, oldest| {
        let line = lines.entry(queue.clone()).or_insert_with(|| Overview {
            queue,
            depth: Depth::default(),
            oldest,
        });
        line.depth.ready += depth.ready;
        line.depth.held += depth.held;
    };
    tx.query(READY_BY_QUEUE, params![limit as i64], |row| {
        let depth = Depth {
            ready: row.get(1)?,
            held: 0,
        };
        line(&mut lines, Queue(row.get(0)?), depth, Some(row.get(2)?));
        Ok(())
    })?;
    tx.query(RESERVED_BY_QUEUE, params![limit as i64], |row| {
        let depth = Depth {
            ready: row.get(1)?,
            held: 0,
        };
        line(&mut lines, Queue(row.get(0)?), depth, None);
        Ok(())
    })?;
    // Shelved entries have the largest time there is.
    tx.query(HELD_BY_QUEUE, params![i64::MAX, limit as i64], |row| {
        let depth = Depth {
            ready: 0,
            held: row.get(1)?,
        };
        line(&mut lines, Queue(row.get(0)?), depth, None);
        Ok(())
    })?;
    Ok(lines.into_values().collect())
}

/// An entry whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The version that fell due.
    pub id: i64,
    /// Where it belongs.
    pub queue: Queue,
    /// What was held.
    pub subject: String,
    /// Which attempt of the subject.
    pub attempt: i64,
}

const DUE: &str = "SELECT id, queue, subject, attempt FROM leases \
     WHERE ready = 0 AND available_at <= $1 ORDER BY available_at LIMIT $2";

/// The entries that have been due longest, up to `limit`.
pub fn due(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<Vec<Due>, Error> {
    tx.query(DUE, params![Nanos::from(now), limit as i64], |row| {
        Ok(Due {
            id: row.get(0)?,
            queue: Queue(row.get(1)?),
            subject: row.get(2)?,
            attempt: row.get(3)?,
        })
    })
}

const NEXT_DUE: &str = "SELECT min(available_at) FROM leases WHERE ready = 0";

/// When the next held entry falls due.
pub fn next_due(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, Error> {
    let at = tx
        .query_opt(NEXT_DUE, &[], |row| row.get::<Option<i64>>(0))?
        .flatten();
    Ok(at.map(|at| Nanos(at).ceil_micros()))
}

/// Makes the due entries of a queue ready and wakes those who wait for them.
pub(crate) fn return_due(tx: &mut Tx<'_>, queue: &Queue, now: Timestamp) -> Result<u64, Error> {
    let returned = tx.execute(
        RETURN_DUE,
        params![queue.as_str(), Nanos::from(now), RETURN_AT_MOST],
    )?;
    for _ in 0..returned {
        tx.wake(queue.topic());
    }
    Ok(returned)
}
