//! Task queues and provisioners, as far as workers and operators have made them known.
//!
//! A queue is known once a worker asked it for work, and for some days after the last one did. A
//! provisioner is known as long as one of its queues is, or because somebody declared it.

use std::time::Duration;

use taskyard_store::{Error, Row, Tx, params};

use crate::task::Expired;
use crate::timestamp::Timestamp;

/// Sightings closer together than this are not written down.
pub const SEEN_EVERY: Duration = Duration::from_mins(30);
/// A queue is kept this long after a worker that said its name was last seen.
pub const KEPT_FOR_WORKER: Duration = Duration::from_hours(24);
/// A queue is kept this long after it was declared, or used by somebody without a name.
pub const KEPT: Duration = Duration::from_hours(5 * 24);

/// How sure users may be of a queue or provisioner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stability {
    /// It may change or vanish.
    Experimental,
    /// It stays.
    Stable,
    /// It goes.
    Deprecated,
}

impl Stability {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Stability::Experimental => "experimental",
            Stability::Stable => "stable",
            Stability::Deprecated => "deprecated",
        }
    }

    /// The stability of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Stability::Experimental,
            Stability::Stable,
            Stability::Deprecated,
        ]
        .into_iter()
        .find(|stability| stability.as_str() == text)
    }
}

/// What is known of a task queue, or of a provisioner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// `<provisionerId>/<workerType>`, or the provisioner's id.
    pub id: String,
    /// For readers; empty unless somebody declared one.
    pub description: String,
    /// How sure users may be of it.
    pub stability: Stability,
    /// After this it may be forgotten.
    pub expires: Timestamp,
    /// When it was last used, within half an hour.
    pub last_active: Timestamp,
}

/// What somebody says about a queue or provisioner; what is absent stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Declaration {
    /// For readers.
    pub description: Option<String>,
    /// How sure users may be of it.
    pub stability: Option<Stability>,
    /// It is kept at least until then.
    pub expires: Option<Timestamp>,
}

fn read(row: &Row<'_>) -> Result<Description, Error> {
    let stability: String = row.get(2)?;
    Ok(Description {
        id: row.get(0)?,
        description: row.get(1)?,
        stability: Stability::parse(&stability).unwrap_or(Stability::Experimental),
        expires: row.get(3)?,
        last_active: row.get(4)?,
    })
}

fn provisioner_of(task_queue_id: &str) -> &str {
    task_queue_id
        .split_once('/')
        .map_or(task_queue_id, |(provisioner_id, _)| provisioner_id)
}

// === task queues ===

const LAST_SEEN: &str = "SELECT last_active, expires FROM task_queues WHERE task_queue_id = $1";
const SEE: &str = "INSERT INTO task_queues (task_queue_id, provisioner_id, description, stability, \
     expires, last_active) VALUES ($1, $2, '', 'experimental', $3, $4) \
     ON CONFLICT (task_queue_id) DO UPDATE SET last_active = excluded.last_active, \
     expires = CASE WHEN task_queues.expires < excluded.expires THEN excluded.expires \
     ELSE task_queues.expires END WHERE task_queues.last_active <= excluded.last_active";

/// Whether a sighting now, after which something is to be kept for `keep`, tells nothing new:
/// neither that it was seen lately, nor that it is kept long enough.
pub(crate) fn is_noted(
    (last_active, expires): (Timestamp, Timestamp),
    now: Timestamp,
    keep: Duration,
) -> bool {
    now < last_active.plus(SEEN_EVERY) && expires.plus(SEEN_EVERY) > now.plus(keep)
}

/// Somebody used a queue, which is to be kept for at least `keep` from now. Writes at most once in
/// [`SEEN_EVERY`].
pub fn seen(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_queue_id: &str,
    keep: Duration,
) -> Result<(), Error> {
    let last = tx.query_opt(LAST_SEEN, params![task_queue_id], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    if last.is_some_and(|last| is_noted(last, now, keep)) {
        return Ok(());
    }
    tx.execute(
        SEE,
        params![
            task_queue_id,
            provisioner_of(task_queue_id),
            now.plus(keep),
            now
        ],
    )?;
    Ok(())
}

const EXTEND: &str =
    "UPDATE task_queues SET expires = $2 WHERE task_queue_id = $1 AND expires < $2";

/// Keeps a queue that is known at least until `expires`.
pub(crate) fn extend(
    tx: &mut Tx<'_>,
    task_queue_id: &str,
    expires: Timestamp,
) -> Result<(), Error> {
    tx.execute(EXTEND, params![task_queue_id, expires])?;
    Ok(())
}

const GET: &str = "SELECT task_queue_id, description, stability, expires, last_active \
     FROM task_queues WHERE task_queue_id = $1 AND expires > $2";

/// The queue, if it is known.
pub fn task_queue(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_queue_id: &str,
) -> Result<Option<Description>, Error> {
    tx.query_opt(GET, params![task_queue_id, now], read)
}

const LIST: &str = "SELECT task_queue_id, description, stability, expires, last_active \
     FROM task_queues WHERE task_queue_id > $1 AND expires > $2 ORDER BY task_queue_id LIMIT $3";

/// The queues behind `after` (empty for the first page), by id.
pub fn task_queues(
    tx: &mut Tx<'_>,
    now: Timestamp,
    after: &str,
    limit: usize,
) -> Result<Vec<Description>, Error> {
    tx.query(LIST, params![after, now, limit as i64], read)
}

const OF_PROVISIONER: &str = "SELECT task_queue_id, description, stability, expires, last_active \
     FROM task_queues WHERE provisioner_id = $1 AND task_queue_id > $2 AND expires > $3 \
     ORDER BY task_queue_id LIMIT $4";

/// The queues of a provisioner behind `after` (empty for the first page), by id.
pub fn of_provisioner(
    tx: &mut Tx<'_>,
    now: Timestamp,
    provisioner_id: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<Description>, Error> {
    tx.query(
        OF_PROVISIONER,
        params![provisioner_id, after, now, limit as i64],
        read,
    )
}

const LOCK: &str = "SELECT task_queue_id, description, stability, expires, last_active \
     FROM task_queues WHERE task_queue_id = $1 FOR UPDATE";
const INSERT: &str = "INSERT INTO task_queues (task_queue_id, provisioner_id, description, \
     stability, expires, last_active) VALUES ($1, $2, $3, $4, $5, $6) \
     ON CONFLICT (task_queue_id) DO NOTHING";
const CHANGE: &str = "UPDATE task_queues SET description = $2, stability = $3, expires = $4 \
     WHERE task_queue_id = $1";

/// Somebody describes a queue, which is made known if it is not. It is never kept shorter than it
/// was to be kept before.
pub fn declare(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_queue_id: &str,
    declaration: &Declaration,
) -> Result<Description, Error> {
    let known = tx.query_opt(LOCK, params![task_queue_id], read)?;
    let is_new = known.is_none();
    let declared = declared(known, now, task_queue_id, declaration);
    let (stability, expires) = (declared.stability.as_str(), declared.expires);
    let changed = if is_new {
        let provisioner_id = provisioner_of(task_queue_id);
        let text = &declared.description;
        let active = declared.last_active;
        tx.execute(
            INSERT,
            params![
                task_queue_id,
                provisioner_id,
                text,
                stability,
                expires,
                active
            ],
        )?
    } else {
        tx.execute(
            CHANGE,
            params![task_queue_id, &declared.description, stability, expires],
        )?
    };
    if changed == 0 {
        return Err(tx.overtaken("the same task queue became known at the same time"));
    }
    Ok(declared)
}

fn declared(
    known: Option<Description>,
    now: Timestamp,
    id: &str,
    declaration: &Declaration,
) -> Description {
    let is_gone = known.as_ref().is_some_and(|known| known.expires <= now);
    let default = (known.is_none() || is_gone).then(|| now.plus(KEPT));
    let mut made = known.unwrap_or_else(|| Description {
        id: id.to_owned(),
        description: String::new(),
        stability: Stability::Experimental,
        expires: Timestamp(i64::MIN),
        last_active: now,
    });
    if let Some(text) = &declaration.description {
        made.description.clone_from(text);
    }
    made.stability = declaration.stability.unwrap_or(made.stability);
    if let Some(expires) = declaration.expires.or(default) {
        made.expires = made.expires.max(expires);
    }
    made
}

// === provisioners ===

const PROVISIONER: &str = "SELECT provisioner_id, description, stability, expires, last_active \
     FROM provisioners WHERE provisioner_id = $1";
const LOCK_PROVISIONER: &str = "SELECT provisioner_id, description, stability, expires, \
     last_active FROM provisioners WHERE provisioner_id = $1 FOR UPDATE";
const DERIVED: &str = "SELECT provisioner_id, max(expires), max(last_active) FROM task_queues \
     WHERE provisioner_id = $1 AND expires > $2 GROUP BY provisioner_id";

fn read_derived(row: &Row<'_>) -> Result<Description, Error> {
    Ok(Description {
        id: row.get(0)?,
        description: String::new(),
        stability: Stability::Experimental,
        expires: row.get(1)?,
        last_active: row.get(2)?,
    })
}

/// What was declared, together with what follows from the queues.
fn joined(declared: Option<Description>, derived: Option<Description>) -> Option<Description> {
    match (declared, derived) {
        (Some(mut declared), Some(derived)) => {
            declared.expires = declared.expires.max(derived.expires);
            declared.last_active = declared.last_active.max(derived.last_active);
            Some(declared)
        }
        (declared, derived) => declared.or(derived),
    }
}

/// The provisioner, if it is known.
pub fn provisioner(
    tx: &mut Tx<'_>,
    now: Timestamp,
    provisioner_id: &str,
) -> Result<Option<Description>, Error> {
    let declared = tx.query_opt(PROVISIONER, params![provisioner_id], read)?;
    let derived = tx.query_opt(DERIVED, params![provisioner_id, now], read_derived)?;
    Ok(joined(declared, derived).filter(|known| known.expires > now))
}

const PROVISIONERS: &str = "SELECT provisioner_id, description, stability, expires, last_active \
     FROM provisioners WHERE provisioner_id > $1 ORDER BY provisioner_id LIMIT $2";
const ALL_DERIVED: &str = "SELECT provisioner_id, max(expires), max(last_active) FROM task_queues \
     WHERE provisioner_id > $1 AND expires > $2 GROUP BY provisioner_id \
     ORDER BY provisioner_id LIMIT $3";

/// The provisioners behind `after` (empty for the first page), by id. Up to `limit` are looked at,
/// and those that have expired are left out; the second value is the last one looked at, if there
/// may be more.
pub fn provisioners(
    tx: &mut Tx<'_>,
    now: Timestamp,
    after: &str,
    limit: usize,
) -> Result<(Vec<Description>, Option<String>), Error> {
    let count = limit as i64 + 1;
    let declared = tx.query(PROVISIONERS, params![after, count], read)?;
    let derived = tx.query(ALL_DERIVED, params![after, now, count], read_derived)?;
    let (mut declared, mut derived) = (
        declared.into_iter().peekable(),
        derived.into_iter().peekable(),
    );
    let mut found: Vec<Description> = Vec::new();
    while found.len() <= limit {
        let next = match (declared.peek(), derived.peek()) {
            (None, None) => break,
            (Some(one), Some(other)) if one.id == other.id => {
                joined(declared.next(), derived.next())
            }
            (Some(one), Some(other)) if one.id > other.id => derived.next(),
            (None, Some(_)) => derived.next(),
            (Some(_), _) => declared.next(),
        };
        found.extend(next);
    }
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().map(|last| last.id.clone()).filter(|_| more);
    found.retain(|provisioner| provisioner.expires > now);
    Ok((found, last))
}

const INSERT_PROVISIONER: &str = "INSERT INTO provisioners (provisioner_id, description, \
     stability, expires, last_active) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT (provisioner_id) DO NOTHING";
const CHANGE_PROVISIONER: &str = "UPDATE provisioners SET description = $2, stability = $3, \
     expires = $4 WHERE provisioner_id = $1";

/// Somebody describes a provisioner, which is made known if it is not.
pub fn declare_provisioner(
    tx: &mut Tx<'_>,
    now: Timestamp,
    provisioner_id: &str,
    declaration: &Declaration,
) -> Result<Description, Error> {
    let known = tx.query_opt(LOCK_PROVISIONER, params![provisioner_id], read)?;
    let derived = tx.query_opt(DERIVED, params![provisioner_id, now], read_derived)?;
    let is_new = known.is_none();
    let made = declared(known, now, provisioner_id, declaration);
    let (stability, expires) = (made.stability.as_str(), made.expires);
    let changed = if is_new {
        tx.execute(
            INSERT_PROVISIONER,
            params![
                provisioner_id,
                &made.description,
                stability,
                expires,
                made.last_active
            ],
        )?
    } else {
        tx.execute(
            CHANGE_PROVISIONER,
            params![provisioner_id, &made.description, stability, expires],
        )?
    };
    if changed == 0 {
        return Err(tx.overtaken("the same provisioner was declared at the same time"));
    }
    Ok(joined(Some(made.clone()), derived).unwrap_or(made))
}

// === expiry ===

const EXPIRE_QUEUES: &str = "DELETE FROM task_queues WHERE expires < $1 AND task_queue_id IN \
     (SELECT task_queue_id FROM task_queues WHERE expires < $1 ORDER BY expires LIMIT $2)";
const EXPIRE_PROVISIONERS: &str = "DELETE FROM provisioners WHERE expires < $1 \
     AND provisioner_id IN (SELECT provisioner_id FROM provisioners WHERE expires < $1 \
     ORDER BY expires LIMIT $2)";

/// Forgets up to `limit` queues, and as many provisioners, that expired before `by`.
pub fn expire(tx: &mut Tx<'_>, by: Timestamp, limit: usize) -> Result<Expired, Error> {
    let mut all = Expired::default();
    for sql in [EXPIRE_QUEUES, EXPIRE_PROVISIONERS] {
        let removed = tx.execute(sql, params![by, limit as i64])? as usize;
        all.removed += removed;
        all.more |= removed == limit;
    }
    Ok(all)
}
