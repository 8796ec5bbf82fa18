//! Objects: named bytes that are uploaded in a few steps, and never change once that is finished.

use std::collections::BTreeMap;
use std::time::Duration;

use taskyard_store::{Error, Migration, Row, Tx, params};

use crate::content::{self, Owner, Stored};
use crate::timestamp::Timestamp;

/// The table of objects.
pub(crate) const TABLES: Migration = Migration {
    component: "objects",
    id: 1,
    name: "objects",
    sql: "
CREATE TABLE objects (
  name {text} PRIMARY KEY,
  project_id {text} NOT NULL,
  -- chosen by whoever uploads; no two objects share one
  upload_id {text} NOT NULL UNIQUE,
  content_type {text} NOT NULL,
  -- JSON: algorithm and value
  hashes {text} NOT NULL,
  finished {int} NOT NULL,
  expires {int} NOT NULL,
  -- forgotten then; earlier than it expires if the upload was not finished
  ends {int} NOT NULL
) {strict};
-- the timer: what is to be forgotten
CREATE INDEX objects_by_end ON objects (ends);
",
};

/// How long an upload may take until it is finished.
pub const UPLOAD: Duration = Duration::from_hours(24);

/// Hashes of an object's bytes by algorithm, as its maker told them.
pub type Hashes = BTreeMap<String, String>;

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its name.
    pub name: String,
    /// The project it belongs to.
    pub project_id: String,
    /// The upload that makes it.
    pub upload_id: String,
    /// The media type of its bytes; empty until bytes were announced.
    pub content_type: String,
    /// What its bytes hash to.
    pub hashes: Hashes,
    /// Whether the upload is finished: only then can it be had.
    pub finished: bool,
    /// After this it may be forgotten.
    pub expires: Timestamp,
}

/// Why an object was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is none.
    #[error("there is no object {0}")]
    Missing(String),
    /// The request does not fit the object.
    #[error("{0}")]
    Input(String),
    /// It is another object, or another upload of it.
    #[error("{0}")]
    Conflict(String),
}

fn read(row: &Row<'_>) -> Result<Object, Error> {
    let hashes: String = row.get(4)?;
    Ok(Object {
        name: row.get(0)?,
        project_id: row.get(1)?,
        upload_id: row.get(2)?,
        content_type: row.get(3)?,
        hashes: serde_json::from_str(&hashes)
            .map_err(|error| Error::Statement(format!("the hashes of an object: {error}")))?,
        finished: row.get(5)?,
        expires: row.get(6)?,
    })
}

const LOAD: &str = "SELECT name, project_id, upload_id, content_type, hashes, finished, expires \
     FROM objects WHERE name = $1";
const LOCK: &str = "SELECT name, project_id, upload_id, content_type, hashes, finished, expires \
     FROM objects WHERE name = $1 FOR UPDATE";

/// The object of this name, if there is one.
pub fn load(tx: &mut Tx<'_>, name: &str) -> Result<Option<Object>, Error> {
    tx.query_opt(LOAD, params![name], read)
}

fn lock(tx: &mut Tx<'_>, name: &str) -> Result<Option<Object>, Error> {
    tx.query_opt(LOCK, params![name], read)
}

/// A finished object with its bytes.
pub fn contents(tx: &mut Tx<'_>, name: &str) -> Result<Option<(Object, Vec<Stored>)>, Error> {
    let Some(object) = load(tx, name)?.filter(|object| object.finished) else {
        return Ok(None);
    };
    let parts = content::parts(tx, &Owner::object(name))?;
    Ok(Some((
        object,
        parts.into_iter().map(|(_, part)| part).collect(),
    )))
}

/// Adds `more` hashes.
///
/// # Errors
/// An algorithm is known with another value.
fn add(known: &Hashes, more: &Hashes) -> Result<Hashes, Refusal> {
    let mut all = known.clone();
    for (algorithm, hash) in more {
        let known = all.entry(algorithm.clone()).or_insert_with(|| hash.clone());
        if known != hash {
            return Err(Refusal::Conflict(format!(
                "the {algorithm} hash of the content exists already with a different value"
            )));
        }
    }
    Ok(all)
}

fn text(hashes: &Hashes) -> Result<String, Error> {
    serde_json::to_string(hashes)
        .map_err(|error| Error::Statement(format!("the hashes of an object: {error}")))
}

const WITH_UPLOAD: &str = "SELECT name FROM objects WHERE upload_id = $1";
const INSERT: &str = "INSERT INTO objects (name, project_id, upload_id, content_type, hashes, \
     finished, expires, ends) VALUES ($1, $2, $3, $4, $5, 0, $6, $7) ON CONFLICT DO NOTHING";
const UPDATE: &str = "UPDATE objects SET content_type = $2, hashes = $3 WHERE name = $1";

/// Begins an upload, or begins the same one again. `inline` are bytes that came along.
pub fn begin(
    tx: &mut Tx<'_>,
    now: Timestamp,
    new: &Object,
    inline: Option<&Stored>,
) -> Result<Result<Object, Refusal>, Error> {
    let known = lock(tx, &new.name)?;
    let conflict = |text: String| Ok(Err(Refusal::Conflict(text)));
    let object = if let Some(known) = known {
        let same = known.project_id == new.project_id
            && known.upload_id == new.upload_id
            && known.expires == new.expires;
        if known.finished || !same {
            return conflict(format!("object {} exists already", new.name));
        }
        let hashes = match add(&known.hashes, &new.hashes) {
            Ok(hashes) => hashes,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let content_type = if new.content_type.is_empty() {
            known.content_type
        } else {
            new.content_type.clone()
        };
        tx.execute(
            UPDATE,
            params![&new.name, &content_type, text(&hashes)?.as_str()],
        )?;
        Object {
            content_type,
            hashes,
            ..new.clone()
        }
    } else {
        let taken = tx.query_opt(WITH_UPLOAD, params![&new.upload_id], |row| {
            row.get::<String>(0)
        })?;
        if taken.is_some() {
            return conflict(format!("upload {} is of another object", new.upload_id));
        }
        let ends = now.plus(UPLOAD).min(new.expires);
        let inserted = tx.execute(
            INSERT,
            params![
                &new.name,
                &new.project_id,
                &new.upload_id,
                &new.content_type,
                text(&new.hashes)?.as_str(),
                new.expires,
                ends,
            ],
        )?;
        if inserted == 0 {
            return Err(tx.overtaken("the same upload was begun at the same time"));
        }
        tx.alarm(ends.0);
        new.clone()
    };
    if let Some(stored) = inline {
        content::give(tx, now, &Owner::object(&new.name), 0, stored)?;
    }
    Ok(Ok(object))
}

/// Gives uploaded bytes to an object, in place of earlier ones, while its upload is not finished.
pub fn receive(
    tx: &mut Tx<'_>,
    now: Timestamp,
    name: &str,
    upload_id: &str,
    stored: &Stored,
) -> Result<Result<Stored, Refusal>, Error> {
    let Some(object) = lock(tx, name)? else {
        return Ok(Err(Refusal::Missing(name.to_owned())));
    };
    if object.finished || object.upload_id != upload_id {
        return Ok(Err(Refusal::Conflict(format!(
            "object {name} is finished and cannot change"
        ))));
    }
    content::give(tx, now, &Owner::object(name), 0, stored)?;
    Ok(Ok(stored.clone()))
}

const FINISH: &str = "UPDATE objects SET finished = 1, hashes = $2, ends = expires \
     WHERE name = $1 AND finished = 0";

/// Finishes an upload; again is fine, if it says nothing else.
pub fn finish(
    tx: &mut Tx<'_>,
    name: &str,
    project_id: &str,
    upload_id: &str,
    hashes: &Hashes,
) -> Result<Result<(), Refusal>, Error> {
    let Some(object) = lock(tx, name)? else {
        return Ok(Err(Refusal::Missing(name.to_owned())));
    };
    if object.project_id != project_id {
        return Ok(Err(Refusal::Input(format!(
            "object {name} belongs to another project"
        ))));
    }
    let conflict = |text: String| Ok(Err(Refusal::Conflict(text)));
    if object.finished {
        let said = hashes
            .iter()
            .all(|(algorithm, hash)| object.hashes.get(algorithm) == Some(hash));
        if said {
            return Ok(Ok(()));
        }
        return conflict(format!("object {name} is finished with other hashes"));
    }
    if object.upload_id != upload_id {
        return conflict(format!("object {name} is made by another upload"));
    }
    let hashes = match add(&object.hashes, hashes) {
        Ok(hashes) => hashes,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let parts = content::parts(tx, &Owner::object(name))?;
    let Some((_, stored)) = parts.first() else {
        return Ok(Err(Refusal::Input(format!(
            "no content of object {name} has been uploaded"
        ))));
    };
    if hashes
        .get("sha256")
        .is_some_and(|told| *told != stored.sha256)
    {
        return Ok(Err(Refusal::Input(format!(
            "the uploaded content of object {name} has the sha256 hash {}, not the one that was \
             given",
            stored.sha256
        ))));
    }
    tx.execute(FINISH, params![name, text(&hashes)?.as_str()])?;
    Ok(Ok(()))
}

const ENDED: &str = "SELECT name FROM objects WHERE ends < $1 ORDER BY ends LIMIT $2";
const DELETE: &str = "DELETE FROM objects WHERE name = $1 AND ends < $2";

/// Forgets up to `limit` objects that have expired, or whose upload was never finished, and
/// discards their bytes; returns how many there were.
pub fn expire(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<usize, Error> {
    let ended: Vec<String> = tx.query(ENDED, params![now, limit as i64], |row| row.get(0))?;
    for name in &ended {
        // An upload that was finished meanwhile keeps it.
        if tx.execute(DELETE, params![name, now])? > 0 {
            content::discard(tx, &Owner::object(name), now)?;
        }
    }
    Ok(ended.len())
}
