//! Which stored bytes belong to what. The bytes are somebody else's; a record here says under
//! which key they are kept, how many they are, and what they hash to.
//!
//! Bytes are stored under a new key before anything names them, and one transaction then gives
//! them to their owner. So an owner has all of its bytes or none. What an owner lost, because new
//! bytes took their place or it expired, is remembered as discarded until it has been removed.

use std::time::Duration;

use taskyard_store::{Error, Migration, Row, Tx, params};

use crate::timestamp::Timestamp;

/// The tables of contents.
pub(crate) const TABLES: Migration = Migration {
    component: "contents",
    id: 1,
    name: "the bytes of artifacts and objects",
    sql: "
CREATE TABLE contents (
  -- an artifact or an object
  owner {text} NOT NULL,
  -- what is uploaded at once is part 0
  part {int} NOT NULL,
  -- where the bytes are kept; whether anybody owns a key
  key {text} NOT NULL UNIQUE,
  size {int} NOT NULL,
  -- bytes of each stored piece but the last; 0: in one piece
  piece {int} NOT NULL,
  sha256 {text} NOT NULL,
  encoding {text} NOT NULL,
  PRIMARY KEY (owner, part)
) {strict};

CREATE TABLE discarded_contents (
  key {text} PRIMARY KEY,
  size {int} NOT NULL,
  piece {int} NOT NULL,
  due {int} NOT NULL
) {strict};
-- the timer: what is to be removed
CREATE INDEX discarded_contents_by_due ON discarded_contents (due);
",
};

/// Bytes that were replaced are kept this much longer, for readers that are under way.
pub const REPLACED_FOR: Duration = Duration::from_mins(30);
/// Bytes that could not be removed are tried again so much later.
const AGAIN: Duration = Duration::from_mins(10);

/// What bytes belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner(String);

impl Owner {
    /// An artifact of a run.
    pub fn artifact(task_id: &str, run_id: usize, name: &str) -> Self {
        Owner(format!("artifact/{task_id}/{run_id}/{name}"))
    }

    /// An object.
    pub fn object(name: &str) -> Self {
        Owner(format!("object/{name}"))
    }
}

/// Bytes that are kept somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Where: a name that was never used before and never will be again.
    pub key: String,
    /// How many bytes there are.
    pub size: u64,
    /// How many bytes each piece has but the last; 0 when there is only one.
    pub piece: u64,
    /// SHA-256 of the bytes in lower-case hex.
    pub sha256: String,
    /// How they are encoded, as `Content-Encoding` says it; empty if they are not.
    pub encoding: String,
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn read(row: &Row<'_>) -> Result<(i64, Stored), Error> {
    let stored = Stored {
        key: row.get(1)?,
        size: unsigned(row.get(2)?),
        piece: unsigned(row.get(3)?),
        sha256: row.get(4)?,
        encoding: row.get(5)?,
    };
    Ok((row.get(0)?, stored))
}

const PARTS: &str = "SELECT part, key, size, piece, sha256, encoding FROM contents \
     WHERE owner = $1 ORDER BY part";

/// The bytes of `owner`, part by part, each with its number.
pub fn parts(tx: &mut Tx<'_>, owner: &Owner) -> Result<Vec<(i64, Stored)>, Error> {
    tx.query(PARTS, params![&owner.0], read)
}

const DISCARD_PART: &str = "INSERT INTO discarded_contents (key, size, piece, due) \
     SELECT key, size, piece, CAST($3 AS BIGINT) FROM contents WHERE owner = $1 AND part = $2";
const DELETE_PART: &str = "DELETE FROM contents WHERE owner = $1 AND part = $2";
const INSERT: &str = "INSERT INTO contents (owner, part, key, size, piece, sha256, encoding) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";

/// Gives bytes to `owner`, in place of what the part was before. The row that decides whether it
/// may have them is locked by the caller.
pub(crate) fn give(
    tx: &mut Tx<'_>,
    now: Timestamp,
    owner: &Owner,
    part: i64,
    stored: &Stored,
) -> Result<(), Error> {
    let due = now.plus(REPLACED_FOR);
    if tx.execute(DISCARD_PART, params![&owner.0, part, due])? > 0 {
        tx.execute(DELETE_PART, params![&owner.0, part])?;
    }
    tx.execute(
        INSERT,
        params![
            &owner.0,
            part,
            &stored.key,
            stored.size as i64,
            stored.piece as i64,
            &stored.sha256,
            &stored.encoding,
        ],
    )?;
    Ok(())
}

const DISCARD: &str = "INSERT INTO discarded_contents (key, size, piece, due) \
     SELECT key, size, piece, CAST($2 AS BIGINT) FROM contents WHERE owner = $1";
const DELETE: &str = "DELETE FROM contents WHERE owner = $1";

/// Takes all bytes from `owner`; from `due` on they may be removed.
pub(crate) fn discard(tx: &mut Tx<'_>, owner: &Owner, due: Timestamp) -> Result<(), Error> {
    if tx.execute(DISCARD, params![&owner.0, due])? > 0 {
        tx.execute(DELETE, params![&owner.0])?;
    }
    Ok(())
}

const DUE: &str = "SELECT 0, key, size, piece, '', '' FROM discarded_contents WHERE due <= $1 \
     ORDER BY due LIMIT $2";

/// What is to be removed by now, up to `limit`.
pub fn due(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<Vec<Stored>, Error> {
    tx.query(DUE, params![now, limit as i64], |row| {
        read(row).map(|(_, stored)| stored)
    })
}

const FORGET: &str = "DELETE FROM discarded_contents WHERE key = $1";

/// Forgets bytes that have been removed.
pub fn forget(tx: &mut Tx<'_>, key: &str) -> Result<(), Error> {
    tx.execute(FORGET, params![key]).map(drop)
}

const POSTPONE: &str = "UPDATE discarded_contents SET due = $2 WHERE key = $1";

/// Has bytes that could not be removed tried again later.
pub fn postpone(tx: &mut Tx<'_>, now: Timestamp, key: &str) -> Result<(), Error> {
    tx.execute(POSTPONE, params![key, now.plus(AGAIN)])
        .map(drop)
}

const OWNER: &str = "SELECT owner FROM contents WHERE key = $1";
const IS_DISCARDED: &str = "SELECT 1 FROM discarded_contents WHERE key = $1";
const IS_ARTIFACT: &str = "SELECT 1 FROM artifacts WHERE task_id = $1 AND run_id = $2 \
     AND name = $3";

/// Those of `keys` that belong to nothing: nothing here knows of them, or what they belong to was
/// never recorded.
pub fn unowned(tx: &mut Tx<'_>, keys: &[String]) -> Result<Vec<String>, Error> {
    let mut unowned = Vec::new();
    for key in keys {
        let owner = tx.query_opt(OWNER, params![key], |row| row.get::<String>(0))?;
        let is_owned = match owner {
            Some(owner) => exists(tx, &owner)?,
            None => tx
                .query_opt(IS_DISCARDED, params![key], |row| row.get::<i64>(0))?
                .is_some(),
        };
        if !is_owned {
            unowned.push(key.clone());
        }
    }
    Ok(unowned)
}

/// Objects are recorded before their bytes; those of artifacts may come first.
fn exists(tx: &mut Tx<'_>, owner: &str) -> Result<bool, Error> {
    let Some(place) = owner.strip_prefix("artifact/") else {
        return Ok(true);
    };
    let mut parts = place.splitn(3, '/');
    let (Some(task_id), Some(run_id), Some(name)) = (parts.next(), parts.next(), parts.next())
    else {
        return Ok(true);
    };
    let run_id = run_id.parse::<i64>().unwrap_or(-1);
    let found = tx.query_opt(IS_ARTIFACT, params![task_id, run_id, name], |row| {
        row.get::<i64>(0)
    })?;
    Ok(found.is_some())
}

const DROP: &str = "DELETE FROM contents WHERE key = $1";

/// Forgets those of `keys` that still belong to nothing; returns them.
pub fn drop_unowned(tx: &mut Tx<'_>, keys: &[String]) -> Result<Vec<String>, Error> {
    let unowned = unowned(tx, keys)?;
    for key in &unowned {
        tx.execute(DROP, params![key])?;
    }
    Ok(unowned)
}
