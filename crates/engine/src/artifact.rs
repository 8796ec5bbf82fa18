//! Records of what runs left behind. The bytes are somebody else's; a record says where they are.

use std::time::Duration;

use taskyard_store::{Error, Row, Tx, params};

use crate::task::{self, State};
use crate::timestamp::Timestamp;

/// Artifacts may still be added to a run this long after it ended as an exception: the worker
/// saves what it has.
pub const GRACE_AFTER_EXCEPTION: Duration = Duration::from_mins(25);

/// What an artifact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageType {
    /// Bytes that were uploaded.
    S3,
    /// Bytes at a URL elsewhere.
    Reference,
    /// Another artifact of the same run.
    Link,
    /// A reason why there are no bytes.
    Error,
}

impl StorageType {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            StorageType::S3 => "s3",
            StorageType::Reference => "reference",
            StorageType::Link => "link",
            StorageType::Error => "error",
        }
    }

    /// The type of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [
            StorageType::S3,
            StorageType::Reference,
            StorageType::Link,
            StorageType::Error,
        ]
        .into_iter()
        .find(|storage_type| storage_type.as_str() == text)
    }
}

/// An artifact of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The task it belongs to.
    pub task_id: String,
    /// The run that made it.
    pub run_id: usize,
    /// Its name within the run.
    pub name: String,
    /// What it is.
    pub storage_type: StorageType,
    /// The media type of its bytes.
    pub content_type: String,
    /// What else there is to know, as JSON text: a URL, a target's name, a reason.
    pub details: String,
    /// After this it may be forgotten.
    pub expires: Timestamp,
    /// How many bytes its maker said it has.
    pub content_length: Option<i64>,
}

/// Why an artifact was not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request does not fit the task.
    #[error("{0}")]
    Input(String),
    /// The run takes no more artifacts, or has another one of this name.
    #[error("{0}")]
    Conflict(String),
}

const COLUMNS: &str = "SELECT task_id, run_id, name, storage_type, content_type, details, expires, \
     content_length FROM artifacts WHERE task_id = $1 AND run_id = $2 AND name = $3";

fn read(row: &Row<'_>) -> Result<Artifact, Error> {
    let storage_type: String = row.get(3)?;
    Ok(Artifact {
        task_id: row.get(0)?,
        run_id: usize::try_from(row.get::<i64>(1)?).unwrap_or_default(),
        name: row.get(2)?,
        storage_type: StorageType::parse(&storage_type).ok_or_else(|| {
            Error::Statement(format!(
                "an artifact has the unknown storage type {storage_type}"
            ))
        })?,
        content_type: row.get(4)?,
        details: row.get(5)?,
        expires: row.get(6)?,
        content_length: row.get(7)?,
    })
}

/// The artifact of this name, if the run has one.
pub fn load(
    tx: &mut Tx<'_>,
    task_id: &str,
    run_id: usize,
    name: &str,
) -> Result<Option<Artifact>, Error> {
    tx.query_opt(COLUMNS, params![task_id, run_id as i64, name], read)
}

const LIST: &str = "SELECT task_id, run_id, name, storage_type, content_type, details, expires, \
     content_length FROM artifacts WHERE task_id = $1 AND run_id = $2 AND name > $3 \
     AND present = 1 ORDER BY name LIMIT $4";

/// The artifacts of a run behind `after` (empty for the first page), by name.
pub fn list(
    tx: &mut Tx<'_>,
    task_id: &str,
    run_id: usize,
    after: &str,
    limit: usize,
) -> Result<Vec<Artifact>, Error> {
    tx.query(
        LIST,
        params![task_id, run_id as i64, after, limit as i64],
        read,
    )
}

const LOCK: &str = "SELECT task_id, run_id, name, storage_type, content_type, details, expires, \
     content_length FROM artifacts WHERE task_id = $1 AND run_id = $2 AND name = $3 FOR UPDATE";
const INSERT: &str = "INSERT INTO artifacts (task_id, run_id, name, storage_type, content_type, \
     details, present, expires, content_length) VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8) \
     ON CONFLICT (task_id, run_id, name) DO NOTHING";
const UPDATE: &str = "UPDATE artifacts SET storage_type = $4, details = $5, expires = $6 \
     WHERE task_id = $1 AND run_id = $2 AND name = $3";

/// Records an artifact, or records it again; returns it as it is now. Only its expiry may grow,
/// and a reference may change its URL or become a link.
pub fn create(
    tx: &mut Tx<'_>,
    now: Timestamp,
    new: &Artifact,
) -> Result<Result<Artifact, Refusal>, Error> {
    if let Err(refusal) = examine_run(tx, now, new)? {
        return Ok(Err(refusal));
    }
    let key = params![&new.task_id, new.run_id as i64, &new.name];
    let Some(known) = tx.query_opt(LOCK, key, read)? else {
        insert(tx, new)?;
        return Ok(Ok(new.clone()));
    };
    if let Some(conflict) = conflict(&known, new) {
        return Ok(Err(Refusal::Conflict(format!(
            "artifact {} of run {} of task {} exists with {conflict}",
            new.name, new.run_id, new.task_id
        ))));
    }
    tx.execute(
        UPDATE,
        params![
            &new.task_id,
            new.run_id as i64,
            &new.name,
            new.storage_type.as_str(),
            &new.details,
            new.expires,
        ],
    )?;
    // What was first said about the content stays.
    Ok(Ok(Artifact {
        content_type: known.content_type,
        content_length: known.content_length,
        ..new.clone()
    }))
}

fn insert(tx: &mut Tx<'_>, new: &Artifact) -> Result<(), Error> {
    let inserted = tx.execute(
        INSERT,
        params![
            &new.task_id,
            new.run_id as i64,
            &new.name,
            new.storage_type.as_str(),
            &new.content_type,
            &new.details,
            new.expires,
            new.content_length,
        ],
    )?;
    if inserted == 0 {
        return Err(tx.overtaken("the same artifact was created at the same time"));
    }
    tx.alarm(new.expires.0);
    Ok(())
}

fn examine_run(
    tx: &mut Tx<'_>,
    now: Timestamp,
    new: &Artifact,
) -> Result<Result<(), Refusal>, Error> {
    let input = |text: String| Ok(Err(Refusal::Input(text)));
    let Some(task) = task::lock_against_resolution(tx, &new.task_id)? else {
        return input(format!("task {} does not exist", new.task_id));
    };
    let Some(run) = task.runs.get(new.run_id) else {
        return input(format!("task {} has no run {}", new.task_id, new.run_id));
    };
    if run.worker.is_none() {
        return input(format!(
            "run {} of task {} was never claimed",
            new.run_id, new.task_id
        ));
    }
    if new.expires > task.expires {
        return input(format!(
            "the artifact expires {}, later than its task, which expires {}",
            new.expires.to_iso(),
            task.expires.to_iso()
        ));
    }
    let open = match run.state {
        State::Running => true,
        State::Exception => run
            .resolved
            .is_some_and(|resolved| resolved.plus(GRACE_AFTER_EXCEPTION) > now),
        _ => false,
    };
    if !open {
        return Ok(Err(Refusal::Conflict(format!(
            "run {} of task {} is {}; artifacts are added to a running run, or within 25 minutes \
             after an exception",
            new.run_id,
            new.task_id,
            run.state.as_str()
        ))));
    }
    Ok(Ok(()))
}

/// What keeps `new` from replacing `known`.
fn conflict(known: &Artifact, new: &Artifact) -> Option<String> {
    if new.storage_type != StorageType::Link && known.content_type != new.content_type {
        return Some(format!("content type {}", known.content_type));
    }
    if new.expires < known.expires {
        return Some(format!("the later expiry {}", known.expires.to_iso()));
    }
    let compatible = match (known.storage_type, new.storage_type) {
        (StorageType::Reference, StorageType::Reference | StorageType::Link) => true,
        (known_type, new_type) => known_type == new_type && known.details == new.details,
    };
    (!compatible).then(|| {
        format!(
            "storage type {} and other details",
            known.storage_type.as_str()
        )
    })
}

const EXPIRED: &str = "SELECT task_id, run_id, name, storage_type, content_type, details, expires, \
     content_length FROM artifacts WHERE expires < $1 ORDER BY expires LIMIT $2";

/// Artifacts that expired before `by`, up to `limit`.
pub fn expired(tx: &mut Tx<'_>, by: Timestamp, limit: usize) -> Result<Vec<Artifact>, Error> {
    tx.query(EXPIRED, params![by, limit as i64], read)
}

const DELETE: &str = "DELETE FROM artifacts WHERE task_id = $1 AND run_id = $2 AND name = $3 \
     AND expires = $4";

/// Forgets an artifact, unless its expiry was moved meanwhile.
pub fn delete(tx: &mut Tx<'_>, artifact: &Artifact) -> Result<bool, Error> {
    let changed = tx.execute(
        DELETE,
        params![
            &artifact.task_id,
            artifact.run_id as i64,
            &artifact.name,
            artifact.expires,
        ],
    )?;
    Ok(changed > 0)
}
