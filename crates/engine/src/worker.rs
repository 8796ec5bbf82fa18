//! Workers, as far as they have shown themselves: when they were seen, what they claimed last, and
//! whether they are quarantined.

use std::fmt::Write as _;

use taskyard_store::{Error, Row, Tx, params};

use crate::task::{Claimed, Expired, Worker};
use crate::task_queue::{self, KEPT_FOR_WORKER, is_noted};
use crate::timestamp::Timestamp;

/// How many of a worker's claims are remembered.
pub const RECENT: usize = 20;
/// How many of a worker's quarantines are remembered.
pub const QUARANTINES: usize = 100;

/// A run that a worker claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentRun {
    /// Whose run.
    pub task_id: String,
    /// Which run.
    pub run_id: usize,
}

/// What is known of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it asks for work.
    pub task_queue_id: String,
    /// Which worker.
    pub worker: Worker,
    /// When it was first seen.
    pub first_claim: Timestamp,
    /// When it was last seen, within half an hour.
    pub last_active: Timestamp,
    /// After this it may be forgotten, unless it is quarantined.
    pub expires: Timestamp,
    /// Until then it gets no work; in the past if it may have some.
    pub quarantine_until: Timestamp,
    /// Its last claims, the oldest first.
    pub recent: Vec<RecentRun>,
}

impl Record {
    /// Whether it gets no work at `now`.
    pub fn is_quarantined(&self, now: Timestamp) -> bool {
        self.quarantine_until > now
    }
}

/// What decides whether a worker gets work, while its row is locked.
#[derive(Debug)]
pub(crate) struct Known {
    expires: Timestamp,
    quarantine_until: Timestamp,
    /// See [`with_claims`].
    recent: String,
}

impl Known {
    /// Whether it gets no work at `now`.
    pub(crate) fn is_quarantined(&self, now: Timestamp) -> bool {
        self.quarantine_until > now
    }
}

/// One time that somebody quarantined a worker, or let it go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    /// Who did.
    pub client_id: String,
    /// When.
    pub updated_at: Timestamp,
    /// Until when the worker was to get no work.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
}

fn read(row: &Row<'_>) -> Result<Record, Error> {
    Ok(Record {
        task_queue_id: row.get(0)?,
        worker: Worker {
            group: row.get(1)?,
            id: row.get(2)?,
        },
        first_claim: row.get(3)?,
        last_active: row.get(4)?,
        expires: row.get(5)?,
        quarantine_until: row.get(6)?,
        recent: runs_of(row.text(7)?)?,
    })
}

fn runs_of(recent: &str) -> Result<Vec<RecentRun>, Error> {
    let runs = recent.split(' ').filter(|run| !run.is_empty());
    let read = |run: &str| {
        let (task_id, run_id) = run.rsplit_once('/')?;
        Some(RecentRun {
            task_id: task_id.to_owned(),
            run_id: run_id.parse().ok()?,
        })
    };
    runs.map(|run| read(run).ok_or_else(|| Error::Statement(format!("a worker's claim: {run}"))))
        .collect()
}

/// What a row has of a worker's claims, and more of them: `taskId/runId` of the last [`RECENT`],
/// the oldest first, with a space between two. Every claim writes it anew, so it is not taken to
/// pieces.
fn with_claims(mut recent: String, claimed: &[Claimed]) -> String {
    for claim in claimed {
        let space = if recent.is_empty() { "" } else { " " };
        // Writing to a String cannot fail.
        let _infallible = write!(recent, "{space}{}/{}", claim.task.id, claim.run_id);
    }
    let before_the_last = recent.rmatch_indices(' ').nth(RECENT - 1);
    if let Some((at, _)) = before_the_last {
        recent.drain(..=at);
    }
    recent
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT task_queue_id, worker_group, worker_id, first_claim, last_active, expires, \
             quarantine_until, recent FROM workers WHERE task_queue_id = $1",
            $rest
        )
    };
}

// === seen ===

const LAST_SEEN: &str = "SELECT last_active, expires FROM workers \
     WHERE task_queue_id = $1 AND worker_group = $2 AND worker_id = $3";
const SEE: &str = "UPDATE workers SET last_active = $4, \
     expires = CASE WHEN expires < $5 THEN $5 ELSE expires END \
     WHERE task_queue_id = $1 AND worker_group = $2 AND worker_id = $3 AND last_active <= $4";
const INSERT: &str = "INSERT INTO workers (task_queue_id, worker_group, worker_id, first_claim, \
     last_active, expires, quarantine_until, recent) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
     ON CONFLICT (task_queue_id, worker_group, worker_id) DO NOTHING";

/// A worker that is first seen at `now`, and is known until `expires`.
fn insert(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_queue_id: &str,
    worker: &Worker,
    expires: Timestamp,
    recent: &str,
) -> Result<(), Error> {
    let never = Timestamp(0);
    let row = params![
        task_queue_id,
        &worker.group,
        &worker.id,
        now,
        now,
        expires,
        never,
        recent
    ];
    if tx.execute(INSERT, row)? == 0 {
        return Err(tx.overtaken("the same worker was first seen at the same time"));
    }
    Ok(())
}

/// A worker asked for work, or renewed a claim. It and its queue become known, and stay so for at
/// least a day. Writes at most once in
/// [`SEEN_EVERY`](task_queue::SEEN_EVERY).
pub fn seen(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_queue_id: &str,
    worker: &Worker,
) -> Result<(), Error> {
    task_queue::seen(tx, now, task_queue_id, KEPT_FOR_WORKER)?;
    let key = params![task_queue_id, &worker.group, &worker.id];
    let last = tx.query_opt(LAST_SEEN, key, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let expires = now.plus(KEPT_FOR_WORKER);
    match last {
        None => insert(tx, now, task_queue_id, worker, expires, ""),
        Some(last) if is_noted(last, now, KEPT_FOR_WORKER) => Ok(()),
        Some(_) => {
            tx.execute(
                SEE,
                params![task_queue_id, &worker.group, &worker.id, now, expires],
            )?;
            Ok(())
        }
    }
}

// === claims ===

const LOCK: &str = "SELECT expires, quarantine_until, recent FROM workers \
     WHERE task_queue_id = $1 AND worker_group = $2 AND worker_id = $3 FOR UPDATE";
const REMEMBER: &str = "UPDATE workers SET recent = $4 \
     WHERE task_queue_id = $1 AND worker_group = $2 AND worker_id = $3";

/// The worker, locked, so that it is not quarantined between this look and the end of the
/// transaction.
pub(crate) fn lock(
    tx: &mut Tx<'_>,
    task_queue_id: &str,
    worker: &Worker,
) -> Result<Option<Known>, Error> {
    let key = params![task_queue_id, &worker.group, &worker.id];
    tx.query_opt(LOCK, key, |row| {
        Ok(Known {
            expires: row.get(0)?,
            quarantine_until: row.get(1)?,
            recent: row.get(2)?,
        })
    })
}

/// Remembers what a worker, which [`lock`] found or not, has claimed.
pub(crate) fn remember(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_queue_id: &str,
    worker: &Worker,
    known: Option<Known>,
    claimed: &[Claimed],
) -> Result<(), Error> {
    let Some(known) = known else {
        let recent = with_claims(String::new(), claimed);
        let expires = now.plus(KEPT_FOR_WORKER);
        return insert(tx, now, task_queue_id, worker, expires, &recent);
    };
    let recent = with_claims(known.recent, claimed);
    tx.execute(
        REMEMBER,
        params![task_queue_id, &worker.group, &worker.id, &recent],
    )?;
    Ok(())
}

// === looking ===

const GET: &str = select!(
    " AND worker_group = $2 AND worker_id = $3 AND (expires > $4 OR quarantine_until > $4)"
);
const DETAILS: &str = "SELECT client_id, updated_at, quarantine_until, reason FROM quarantines \
     WHERE task_queue_id = $1 AND worker_group = $2 AND worker_id = $3 ORDER BY number";

/// The worker with its quarantines, the oldest first, if it is known.
pub fn worker(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_queue_id: &str,
    worker: &Worker,
) -> Result<Option<(Record, Vec<Quarantine>)>, Error> {
    let key = params![task_queue_id, &worker.group, &worker.id, now];
    let Some(record) = tx.query_opt(GET, key, read)? else {
        return Ok(None);
    };
    let key = params![task_queue_id, &worker.group, &worker.id];
    let quarantines = tx.query(DETAILS, key, |row| {
        Ok(Quarantine {
            client_id: row.get(0)?,
            updated_at: row.get(1)?,
            until: row.get(2)?,
            reason: row.get(3)?,
        })
    })?;
    Ok(Some((record, quarantines)))
}

/// Which workers a listing is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// All that are known.
    All,
    /// Those that get no work.
    Quarantined,
    /// The others.
    Free,
}

const LIST: &str = select!(
    " AND (worker_group, worker_id) > ($2, $3) AND (expires > $4 OR quarantine_until > $4) \
     ORDER BY worker_group, worker_id LIMIT $5"
);
const LIST_QUARANTINED: &str = select!(
    " AND (worker_group, worker_id) > ($2, $3) AND quarantine_until > $4 \
     ORDER BY worker_group, worker_id LIMIT $5"
);
const LIST_FREE: &str = select!(
    " AND (worker_group, worker_id) > ($2, $3) AND expires > $4 AND quarantine_until <= $4 \
     ORDER BY worker_group, worker_id LIMIT $5"
);

/// The workers of a queue behind `after` (of empty names for the first page), by group and id.
pub fn workers(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_queue_id: &str,
    listing: Listing,
    after: &Worker,
    limit: usize,
) -> Result<Vec<Record>, Error> {
    let sql = match listing {
        Listing::All => LIST,
        Listing::Quarantined => LIST_QUARANTINED,
        Listing::Free => LIST_FREE,
    };
    tx.query(
        sql,
        params![task_queue_id, &after.group, &after.id, now, limit as i64],
        read,
    )
}

// === declaring ===

const EXTEND: &str = "UPDATE workers SET expires = $4 WHERE task_queue_id = $1 \
     AND worker_group = $2 AND worker_id = $3 AND expires < $4";

/// Makes a worker and its queue known until `expires`, and at least as long as they are already.
pub fn declare(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_queue_id: &str,
    worker: &Worker,
    expires: Timestamp,
) -> Result<(), Error> {
    task_queue::seen(tx, now, task_queue_id, KEPT_FOR_WORKER)?;
    task_queue::extend(tx, task_queue_id, expires)?;
    match lock(tx, task_queue_id, worker)? {
        Some(_) => {
            seen(tx, now, task_queue_id, worker)?;
            let key = params![task_queue_id, &worker.group, &worker.id, expires];
            tx.execute(EXTEND, key)?;
        }
        None => insert(tx, now, task_queue_id, worker, expires, "")?,
    }
    Ok(())
}

const SET_QUARANTINE: &str = "UPDATE workers SET quarantine_until = $4, \
     expires = CASE WHEN expires < $5 THEN $5 ELSE expires END \
     WHERE task_queue_id = $1 AND worker_group = $2 AND worker_id = $3";
const LAST_NUMBER: &str = "SELECT number FROM quarantines WHERE task_queue_id = $1 \
     AND worker_group = $2 AND worker_id = $3 ORDER BY number DESC LIMIT 1";
const NOTE: &str = "INSERT INTO quarantines (task_queue_id, worker_group, worker_id, number, \
     client_id, updated_at, quarantine_until, reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const DROP_OLD: &str = "DELETE FROM quarantines WHERE task_queue_id = $1 \
     AND worker_group = $2 AND worker_id = $3 AND number <= $4";

/// Keeps a worker from getting work until a time, or lets it go if that is not in the future. Once
/// this is committed no claim hands it anything. `false` if the worker is not known.
pub fn quarantine(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_queue_id: &str,
    worker: &Worker,
    quarantine: &Quarantine,
) -> Result<bool, Error> {
    let known = lock(tx, task_queue_id, worker)?;
    if known.is_none_or(|known| known.expires <= now && !known.is_quarantined(now)) {
        return Ok(false);
    }
    let key = params![task_queue_id, &worker.group, &worker.id];
    let number = tx.query_opt(LAST_NUMBER, key, |row| row.get::<i64>(0))?;
    let number = number.unwrap_or(0) + 1;
    let expires = now.plus(KEPT_FOR_WORKER);
    tx.execute(
        SET_QUARANTINE,
        params![
            task_queue_id,
            &worker.group,
            &worker.id,
            quarantine.until,
            expires
        ],
    )?;
    tx.execute(
        NOTE,
        params![
            task_queue_id,
            &worker.group,
            &worker.id,
            number,
            &quarantine.client_id,
            quarantine.updated_at,
            quarantine.until,
            &quarantine.reason,
        ],
    )?;
    let too_old = number - QUARANTINES as i64;
    if too_old > 0 {
        tx.execute(
            DROP_OLD,
            params![task_queue_id, &worker.group, &worker.id, too_old],
        )?;
    }
    Ok(true)
}

// === expiry ===

const EXPIRED: &str = "SELECT task_queue_id, worker_group, worker_id FROM workers \
     WHERE expires < $1 AND quarantine_until < $1 ORDER BY expires LIMIT $2 \
     FOR UPDATE SKIP LOCKED";
const DELETE: &str = "DELETE FROM workers \
     WHERE task_queue_id = $1 AND worker_group = $2 AND worker_id = $3";
const DELETE_QUARANTINES: &str = "DELETE FROM quarantines \
     WHERE task_queue_id = $1 AND worker_group = $2 AND worker_id = $3";

/// Forgets up to `limit` workers that expired before `by` and are not quarantined.
pub fn expire(tx: &mut Tx<'_>, by: Timestamp, limit: usize) -> Result<Expired, Error> {
    let expired = tx.query(EXPIRED, params![by, limit as i64], |row| {
        Ok([row.get::<String>(0)?, row.get(1)?, row.get(2)?])
    })?;
    for [task_queue_id, group, id] in &expired {
        for sql in [DELETE_QUARANTINES, DELETE] {
            tx.execute(sql, params![task_queue_id, group, id])?;
        }
    }
    Ok(Expired {
        removed: expired.len(),
        more: expired.len() == limit,
    })
}
