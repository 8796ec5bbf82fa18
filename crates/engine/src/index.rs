//! The index: tasks by names that somebody gave them, such as `gecko.v2.latest.linux`.
//!
//! A path is dot-separated; what stands before its last dot is the namespace of the task found
//! there. A path has the task of the highest rank that was put there. Tasks may carry a
//! [`Promise`]: what they are to be found by once they complete, kept by the transaction that
//! completes them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use taskyard_store::{Error, Migration, Row, Tx, params};

use crate::timestamp::Timestamp;

/// The tables of the index.
pub(crate) const TABLES: Migration = Migration {
    component: "index",
    id: 1,
    name: "tasks by path",
    sql: "
CREATE TABLE indexed_tasks (
  -- what stands before the last dot of the path; empty for a path without one
  namespace {text} NOT NULL,
  name {text} NOT NULL,
  task_id {text} NOT NULL,
  -- in the order of the numbers it stands for
  rank {int} NOT NULL,
  -- JSON
  data {text} NOT NULL,
  expires {int} NOT NULL,
  PRIMARY KEY (namespace, name)
) {by_key};
CREATE INDEX indexed_tasks_by_expiry ON indexed_tasks (expires);

CREATE TABLE index_namespaces (
  parent {text} NOT NULL,
  name {text} NOT NULL,
  -- later than everything in it
  expires {int} NOT NULL,
  PRIMARY KEY (parent, name)
) {by_key};
CREATE INDEX index_namespaces_by_expiry ON index_namespaces (expires);

CREATE TABLE index_promises (
  -- the task that makes it
  number {int} PRIMARY KEY,
  promise {text} NOT NULL
) {strict};
-- 1 if there is a promise, so that nobody looks for one in vain
ALTER TABLE tasks ADD COLUMN promises {int} NOT NULL DEFAULT 0;
",
};

/// Which of two tasks a path leads to: the one of the higher rank, of equal ones the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rank(i64);

/// A task at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is found.
    pub path: String,
    /// The task.
    pub task_id: String,
    /// See [`Rank`].
    pub rank: Rank,
    /// Whatever its maker wants to be told with it, as JSON text.
    pub data: String,
    /// From then on it is not found any more.
    pub expires: Timestamp,
}

/// A namespace with something in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// The whole path.
    pub path: String,
    /// The last piece of it.
    pub name: String,
    /// Later than everything in it.
    pub expires: Timestamp,
}

/// What a task is to be found by once it completes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    /// Paths that lead to it.
    pub paths: Vec<String>,
    /// See [`Entry::rank`].
    pub rank: Rank,
    /// See [`Entry::data`].
    pub data: String,
    /// See [`Entry::expires`].
    pub expires: Timestamp,
}

// === impl Rank ===

impl Rank {
    /// The rank that `number` stands for; `None` if it is none.
    pub fn new(number: f64) -> Option<Self> {
        // Zero has two signs and one rank.
        let bits = (number + 0.0).to_bits() as i64;
        (!number.is_nan()).then_some(Rank(in_order(bits)))
    }

    /// The number it stands for.
    pub fn number(self) -> f64 {
        f64::from_bits(in_order(self.0) as u64)
    }
}

/// The bits of a double as an integer that is ordered like it, and back: negative numbers, of which
/// larger bits are smaller, are turned over.
fn in_order(bits: i64) -> i64 {
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

impl taskyard_store::Column for Rank {
    fn read(row: &Row<'_>, at: usize) -> Result<Self, Error> {
        row.get(at).map(Rank)
    }
}

/// A path as its namespace and what comes after the last dot.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

fn join(namespace: &str, name: &str) -> String {
    if namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

fn read(row: &Row<'_>) -> Result<Entry, Error> {
    Ok(Entry {
        path: join(row.text(0)?, row.text(1)?),
        task_id: row.get(2)?,
        rank: row.get(3)?,
        data: row.get(4)?,
        expires: row.get(5)?,
    })
}

const FIND: &str = "SELECT namespace, name, task_id, rank, data, expires FROM indexed_tasks \
     WHERE namespace = $1 AND name = $2 AND expires > $3";

/// The task at a path.
pub fn find(tx: &mut Tx<'_>, now: Timestamp, path: &str) -> Result<Option<Entry>, Error> {
    let (namespace, name) = split(path);
    tx.query_opt(FIND, params![namespace, name, now], read)
}

/// The tasks at these paths, in their order; paths that lead nowhere are left out.
pub fn find_all(tx: &mut Tx<'_>, now: Timestamp, paths: &[String]) -> Result<Vec<Entry>, Error> {
    // Paths that follow each other stand on the same pages.
    let mut by_path: Vec<(usize, &String)> = paths.iter().enumerate().collect();
    by_path.sort_unstable_by_key(|(_, path)| split(path));
    let mut found = Vec::with_capacity(paths.len());
    for (place, path) in by_path {
        found.extend(find(tx, now, path)?.map(|entry| (place, entry)));
    }
    found.sort_unstable_by_key(|(place, _)| *place);
    Ok(found.into_iter().map(|(_, entry)| entry).collect())
}

const LIST: &str = "SELECT namespace, name, task_id, rank, data, expires FROM indexed_tasks \
     WHERE namespace = $1 AND name > $2 AND expires > $3 ORDER BY name LIMIT $4";

/// Up to `limit` tasks of a namespace, by name, beginning behind the name `after`.
pub fn list(
    tx: &mut Tx<'_>,
    now: Timestamp,
    namespace: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<Entry>, Error> {
    tx.query(LIST, params![namespace, after, now, limit as i64], read)
}

const NAMESPACES: &str = "SELECT parent, name, expires FROM index_namespaces \
     WHERE parent = $1 AND name > $2 AND expires > $3 ORDER BY name LIMIT $4";

/// Up to `limit` namespaces that stand directly in `parent`, by name, beginning behind the name
/// `after`.
pub fn namespaces(
    tx: &mut Tx<'_>,
    now: Timestamp,
    parent: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<Namespace>, Error> {
    let wanted = params![parent, after, now, limit as i64];
    tx.query(NAMESPACES, wanted, |row| {
        Ok(Namespace {
            path: join(row.text(0)?, row.text(1)?),
            name: row.get(1)?,
            expires: row.get(2)?,
        })
    })
}

const PUT: &str = "INSERT INTO indexed_tasks (namespace, name, task_id, rank, data, expires) \
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (namespace, name) DO UPDATE \
     SET task_id = excluded.task_id, rank = excluded.rank, data = excluded.data, \
     expires = excluded.expires \
     WHERE indexed_tasks.rank <= excluded.rank OR indexed_tasks.expires <= $7";

/// Puts a task at its path unless one of a higher rank is there; returns what is there now.
pub fn insert(tx: &mut Tx<'_>, now: Timestamp, new: &Entry) -> Result<Entry, Error> {
    let (namespace, name) = split(&new.path);
    let put = params![
        namespace,
        name,
        &new.task_id,
        new.rank.0,
        &new.data,
        new.expires,
        now,
    ];
    if tx.execute(PUT, put)? == 0 {
        return find(tx, now, &new.path)?
            .ok_or_else(|| tx.overtaken("a task of a higher rank vanished"));
    }
    hold(tx, namespace, new.expires)?;
    Ok(new.clone())
}

const EXPIRES: &str = "SELECT expires FROM index_namespaces WHERE parent = $1 AND name = $2";
const HOLD: &str = "INSERT INTO index_namespaces (parent, name, expires) VALUES ($1, $2, $3) \
     ON CONFLICT (parent, name) DO UPDATE SET expires = excluded.expires \
     WHERE index_namespaces.expires < excluded.expires";

/// Makes a namespace and those around it outlive what is in them. Each is kept until the midnight
/// after the one in it is over, so that most insertions find it kept for long enough.
fn hold(tx: &mut Tx<'_>, mut namespace: &str, mut expires: Timestamp) -> Result<(), Error> {
    while !namespace.is_empty() {
        let (parent, name) = split(namespace);
        expires = midnight_after(expires);
        // Looked at first: others would wait for a row that is merely not changed, too.
        let known = tx.query_opt(EXPIRES, params![parent, name], |row| {
            row.get::<Timestamp>(0)
        })?;
        if known.is_some_and(|known| known >= expires) {
            return Ok(());
        }
        tx.execute(HOLD, params![parent, name, expires])?;
        namespace = parent;
    }
    Ok(())
}

const DAY: Duration = Duration::from_hours(24);

fn midnight_after(time: Timestamp) -> Timestamp {
    let day = DAY.as_micros() as i64;
    Timestamp(time.0.div_euclid(day).saturating_add(1).saturating_mul(day))
}

const REMOVE: &str = "DELETE FROM indexed_tasks WHERE namespace = $1 AND name = $2";

/// Takes the task at a path away; none being there is fine. Namespaces stay.
pub fn remove(tx: &mut Tx<'_>, path: &str) -> Result<(), Error> {
    let (namespace, name) = split(path);
    tx.execute(REMOVE, params![namespace, name]).map(drop)
}

const PROMISE: &str = "INSERT INTO index_promises (number, promise) VALUES ($1, $2)";
const PROMISED: &str = "SELECT promise FROM index_promises WHERE number = $1";
const FORGET: &str = "DELETE FROM index_promises WHERE number = $1";

/// Stores what the task of this number is to be found by.
pub(crate) fn promise(tx: &mut Tx<'_>, number: i64, promise: &Promise) -> Result<(), Error> {
    let text = serde_json::to_string(promise).map_err(|error| unreadable(&error))?;
    tx.execute(PROMISE, params![number, &text]).map(drop)
}

/// Lets the task of this number, which has completed, be found.
pub(crate) fn keep_promise(
    tx: &mut Tx<'_>,
    now: Timestamp,
    number: i64,
    task_id: &str,
) -> Result<(), Error> {
    let Some(text) = tx.query_opt(PROMISED, params![number], |row| row.get::<String>(0))? else {
        return Ok(());
    };
    let promise: Promise = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
    for path in promise.paths {
        let entry = Entry {
            path,
            task_id: task_id.to_owned(),
            rank: promise.rank,
            data: promise.data.clone(),
            expires: promise.expires,
        };
        insert(tx, now, &entry)?;
    }
    Ok(())
}

/// The task of this number is gone.
pub(crate) fn forget_promise(tx: &mut Tx<'_>, number: i64) -> Result<(), Error> {
    tx.execute(FORGET, params![number]).map(drop)
}

fn unreadable(error: &serde_json::Error) -> Error {
    Error::Statement(format!("what a task is to be found by: {error}"))
}

const EXPIRED_TASKS: &str = "DELETE FROM indexed_tasks WHERE expires <= $1 AND (namespace, name) IN \
     (SELECT namespace, name FROM indexed_tasks WHERE expires <= $1 ORDER BY expires LIMIT $2)";
const EXPIRED_NAMESPACES: &str = "DELETE FROM index_namespaces WHERE expires <= $1 AND \
     (parent, name) IN \
     (SELECT parent, name FROM index_namespaces WHERE expires <= $1 ORDER BY expires LIMIT $2)";

/// Forgets up to `limit` tasks and as many namespaces that have expired by `now`; whether there may
/// be more.
pub fn expire(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<bool, Error> {
    let mut more = false;
    for sql in [EXPIRED_TASKS, EXPIRED_NAMESPACES] {
        more |= tx.execute(sql, params![now, limit as i64])? as usize == limit;
    }
    Ok(more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_ordered_like_the_numbers_they_stand_for() {
        let numbers = [
            f64::NEG_INFINITY,
            -1.5e300,
            -2.0,
            -0.5,
            0.0,
            f64::MIN_POSITIVE,
            0.5,
            1.0,
            1_570_463_161.0,
            f64::INFINITY,
        ];
        let ranks: Vec<Rank> = numbers.into_iter().filter_map(Rank::new).collect();
        assert!(ranks.is_sorted() && ranks.len() == numbers.len());
        let again: Vec<f64> = ranks.into_iter().map(Rank::number).collect();
        assert_eq!(again, numbers);
        assert_eq!(Rank::new(-0.0), Rank::new(0.0));
        assert_eq!(Rank::new(f64::NAN), None);
    }
}
