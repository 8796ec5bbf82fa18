//! Records of what runs left behind: what each artifact is, whether it can be had, and how its
//! bytes come to it. The bytes themselves are the business of [`crate::content`].

use std::time::Duration;

use taskyard_store::{Error, Row, Tx, params};

use crate::content::{self, Owner, Stored};
use crate::object;
use crate::task::event;
use crate::task::{self, State, Task};
use crate::timestamp::Timestamp;

/// Artifacts may still be added to a run this long after it ended as an exception: the worker
/// saves what it has.
pub const GRACE_AFTER_EXCEPTION: Duration = Duration::from_mins(25);

/// What an artifact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageType {
    /// Bytes that are uploaded at once.
    S3,
    /// The same, as clients of another cloud upload them.
    Azure,
    /// Bytes that are uploaded in one or more parts whose hashes are known beforehand.
    Blob,
    /// An object of the object service.
    Object,
    /// Bytes at a URL elsewhere.
    Reference,
    /// Another artifact of the same run.
    Link,
    /// A reason why there are no bytes.
    Error,
}

impl StorageType {
    /// All types.
    pub const ALL: [StorageType; 7] = [
        StorageType::S3,
        StorageType::Azure,
        StorageType::Blob,
        StorageType::Object,
        StorageType::Reference,
        StorageType::Link,
        StorageType::Error,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            StorageType::S3 => "s3",
            StorageType::Azure => "azure",
            StorageType::Blob => "blob",
            StorageType::Object => "object",
            StorageType::Reference => "reference",
            StorageType::Link => "link",
            StorageType::Error => "error",
        }
    }

    /// The type of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|storage_type| storage_type.as_str() == text)
    }

    /// Whether an artifact of this type is only there once somebody says it is whole.
    fn is_finished_later(self) -> bool {
        matches!(self, StorageType::Blob | StorageType::Object)
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
    /// Whether it can be had, or still waits for its bytes. A new one says so by its type.
    pub present: bool,
}

impl Artifact {
    /// What its bytes belong to.
    pub fn owner(&self) -> Owner {
        match self.storage_type {
            StorageType::Object => Owner::object(&self.object_name()),
            _ => Owner::artifact(&self.task_id, self.run_id, &self.name),
        }
    }

    /// The name of the object that an artifact of that type stands for.
    pub fn object_name(&self) -> String {
        format!("t/{}/{}/{}", self.task_id, self.run_id, self.name)
    }

    /// A text of its details.
    pub fn detail(&self, name: &str) -> Option<String> {
        let details: serde_json::Value = serde_json::from_str(&self.details).ok()?;
        Some(details.get(name)?.as_str()?.to_owned())
    }
}

/// An artifact as it stands after a change, and the task it belongs to.
#[derive(Debug, Clone)]
pub struct Changed {
    /// The artifact.
    pub artifact: Artifact,
    /// Its task.
    pub task: Task,
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
    /// There is no such artifact.
    #[error("task {task_id} has no artifact {name} in run {run_id}")]
    Missing {
        /// The task.
        task_id: String,
        /// The run.
        run_id: usize,
        /// The name.
        name: String,
    },
}

const COLUMNS: &str = "SELECT task_id, run_id, name, storage_type, content_type, details, expires, \
     content_length, present FROM artifacts WHERE task_id = $1 AND run_id = $2 AND name = $3";

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
        present: row.get(8)?,
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
     content_length, present FROM artifacts WHERE task_id = $1 AND run_id = $2 AND name > $3 \
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
     content_length, present FROM artifacts WHERE task_id = $1 AND run_id = $2 AND name = $3 FOR UPDATE";
const INSERT: &str = "INSERT INTO artifacts (task_id, run_id, name, storage_type, content_type, \
     details, present, expires, content_length) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
     ON CONFLICT (task_id, run_id, name) DO NOTHING";
const UPDATE: &str = "UPDATE artifacts SET storage_type = $4, details = $5, expires = $6 \
     WHERE task_id = $1 AND run_id = $2 AND name = $3";

/// Records an artifact, or records it again; returns it as it is now. Only its expiry may grow,
/// and a reference may change its URL or become a link. What is uploaded and finished keeps what
/// its first record says about the upload.
pub fn create(
    tx: &mut Tx<'_>,
    now: Timestamp,
    new: &Artifact,
) -> Result<Result<Changed, Refusal>, Error> {
    let task = match open_run(tx, now, new)? {
        Ok(task) => task,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Some(known) = lock(tx, &new.task_id, new.run_id, &new.name)? else {
        let artifact = Artifact {
            present: !new.storage_type.is_finished_later(),
            ..new.clone()
        };
        insert(tx, &artifact)?;
        announce(tx, now, &task, &artifact)?;
        return Ok(Ok(Changed { artifact, task }));
    };
    if let Some(conflict) = conflict(&known, new) {
        return Ok(Err(Refusal::Conflict(format!(
            "artifact {} of run {} of task {} exists with {conflict}",
            new.name, new.run_id, new.task_id
        ))));
    }
    // What was first said about the content stays.
    let artifact = Artifact {
        content_type: known.content_type,
        content_length: known.content_length,
        present: known.present,
        details: match new.storage_type {
            StorageType::Object => known.details,
            _ => new.details.clone(),
        },
        ..new.clone()
    };
    tx.execute(
        UPDATE,
        params![
            &new.task_id,
            new.run_id as i64,
            &new.name,
            new.storage_type.as_str(),
            &artifact.details,
            new.expires,
        ],
    )?;
    announce(tx, now, &task, &artifact)?;
    Ok(Ok(Changed { artifact, task }))
}

/// Tells the world of an artifact that can be had.
fn announce(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task: &Task,
    artifact: &Artifact,
) -> Result<(), Error> {
    if artifact.present && event::is_announced(artifact.storage_type) {
        event::artifact_created(tx, now, task, artifact)?;
    }
    Ok(())
}

/// The artifact of this name, locked until the transaction ends.
fn lock(
    tx: &mut Tx<'_>,
    task_id: &str,
    run_id: usize,
    name: &str,
) -> Result<Option<Artifact>, Error> {
    tx.query_opt(LOCK, params![task_id, run_id as i64, name], read)
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
            new.present,
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

/// The task of a run that a new artifact may be added to.
fn open_run(
    tx: &mut Tx<'_>,
    now: Timestamp,
    new: &Artifact,
) -> Result<Result<Task, Refusal>, Error> {
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
    Ok(takes_artifacts(&task, new.run_id, now).map(|()| task))
}

/// Whether a run takes artifacts at `now`.
fn takes_artifacts(task: &Task, run_id: usize, now: Timestamp) -> Result<(), Refusal> {
    let run = task.runs.get(run_id);
    let state = run.map_or(State::Pending, |run| run.state);
    let open = match state {
        State::Running => true,
        State::Exception => run
            .and_then(|run| run.resolved)
            .is_some_and(|resolved| resolved.plus(GRACE_AFTER_EXCEPTION) > now),
        State::Unscheduled | State::Pending | State::Completed | State::Failed => false,
    };
    if open {
        return Ok(());
    }
    Err(Refusal::Conflict(format!(
        "run {run_id} of task {} is {}; artifacts are added to a running run, or within 25 minutes \
         after an exception",
        task.id,
        state.as_str()
    )))
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
        (StorageType::Reference, StorageType::Reference | StorageType::Link)
        | (StorageType::Object, StorageType::Object) => true,
        (known_type, new_type) => known_type == new_type && known.details == new.details,
    };
    (!compatible).then(|| {
        format!(
            "storage type {} and other details",
            known.storage_type.as_str()
        )
    })
}

const PRESENT: &str = "UPDATE artifacts SET present = 1 WHERE task_id = $1 AND run_id = $2 \
     AND name = $3";

fn make_present(tx: &mut Tx<'_>, artifact: Artifact) -> Result<Artifact, Error> {
    tx.execute(
        PRESENT,
        params![&artifact.task_id, artifact.run_id as i64, &artifact.name],
    )?;
    Ok(Artifact {
        present: true,
        ..artifact
    })
}

/// The artifact that an upload is for and its task, both locked.
fn lock_both(
    tx: &mut Tx<'_>,
    (task_id, run_id, name): (&str, usize, &str),
) -> Result<Result<Changed, Refusal>, Error> {
    // A task is locked before what belongs to it.
    let task = task::lock_against_resolution(tx, task_id)?;
    let artifact = lock(tx, task_id, run_id, name)?;
    Ok(match (artifact, task) {
        (Some(artifact), Some(task)) => Ok(Changed { artifact, task }),
        _ => Err(Refusal::Missing {
            task_id: task_id.to_owned(),
            run_id,
            name: name.to_owned(),
        }),
    })
}

fn wrong_type(artifact: &Artifact, wanted: StorageType) -> Refusal {
    Refusal::Input(format!(
        "artifact {} is of storage type {}, not {}",
        artifact.name,
        artifact.storage_type.as_str(),
        wanted.as_str()
    ))
}

/// Gives uploaded bytes to an artifact. What comes later takes the place of what was there, except
/// that a finished blob stays as it is: the same bytes again are no change. Returns the bytes that
/// the part has now.
pub fn receive(
    tx: &mut Tx<'_>,
    now: Timestamp,
    (task_id, run_id, name): (&str, usize, &str),
    part: i64,
    stored: &Stored,
) -> Result<Result<Stored, Refusal>, Error> {
    let Some(artifact) = lock(tx, task_id, run_id, name)? else {
        return Ok(Err(Refusal::Missing {
            task_id: task_id.to_owned(),
            run_id,
            name: name.to_owned(),
        }));
    };
    let owner = artifact.owner();
    match artifact.storage_type {
        StorageType::S3 | StorageType::Azure => {}
        StorageType::Blob if !artifact.present => {}
        StorageType::Blob => {
            let had = content::parts(tx, &owner)?;
            let same = had.into_iter().find(|(number, had)| {
                *number == part && had.sha256 == stored.sha256 && had.size == stored.size
            });
            return Ok(same.map(|(_, had)| had).ok_or_else(|| {
                Refusal::Conflict(format!("artifact {name} is complete and cannot change"))
            }));
        }
        StorageType::Object | StorageType::Reference | StorageType::Link | StorageType::Error => {
            return Ok(Err(Refusal::Conflict(format!(
                "artifact {name} takes no upload"
            ))));
        }
    }
    content::give(tx, now, &owner, part, stored)?;
    Ok(Ok(stored.clone()))
}

/// Gives bytes to an artifact that may be recorded later, by somebody who knows the bytes first. If
/// it never is, they are removed some day.
pub fn deposit(
    tx: &mut Tx<'_>,
    now: Timestamp,
    (task_id, run_id, name): (&str, usize, &str),
    stored: &Stored,
) -> Result<Result<Stored, Refusal>, Error> {
    match receive(tx, now, (task_id, run_id, name), 0, stored)? {
        Err(Refusal::Missing { .. }) => {
            let owner = Owner::artifact(task_id, run_id, name);
            content::give(tx, now, &owner, 0, stored)?;
            Ok(Ok(stored.clone()))
        }
        received => Ok(received),
    }
}

/// Makes a blob present. `keys` are those of the parts that the caller has examined, in order: if
/// one was replaced meanwhile, what was examined is not what there is.
pub fn complete(
    tx: &mut Tx<'_>,
    now: Timestamp,
    at: (&str, usize, &str),
    keys: &[String],
) -> Result<Result<Changed, Refusal>, Error> {
    let Changed { artifact, task } = match lock_both(tx, at)? {
        Ok(found) => found,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Err(refusal) = may_complete(&artifact, &task, now) {
        return Ok(Err(refusal));
    }
    if !artifact.present {
        let parts = content::parts(tx, &artifact.owner())?;
        if !parts.iter().map(|(_, part)| &part.key).eq(keys) {
            return Ok(Err(Refusal::Input(format!(
                "parts of artifact {} were uploaded again while it was being completed",
                artifact.name
            ))));
        }
    }
    let artifact = make_present(tx, artifact)?;
    announce(tx, now, &task, &artifact)?;
    Ok(Ok(Changed { artifact, task }))
}

/// Whether the artifact is a blob that may be completed now, or be completed again.
///
/// # Errors
/// The run takes no artifacts any more, or it is no blob.
pub fn may_complete(artifact: &Artifact, task: &Task, now: Timestamp) -> Result<(), Refusal> {
    takes_artifacts(task, artifact.run_id, now)?;
    if artifact.storage_type == StorageType::Blob {
        Ok(())
    } else {
        Err(wrong_type(artifact, StorageType::Blob))
    }
}

/// Makes an object artifact present once the upload of its object has been finished.
pub fn finish(
    tx: &mut Tx<'_>,
    now: Timestamp,
    at: (&str, usize, &str),
    upload_id: &str,
) -> Result<Result<Changed, Refusal>, Error> {
    let Changed { artifact, task } = match lock_both(tx, at)? {
        Ok(found) => found,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if artifact.storage_type != StorageType::Object {
        return Ok(Err(wrong_type(&artifact, StorageType::Object)));
    }
    if artifact.present {
        announce(tx, now, &task, &artifact)?;
        return Ok(Ok(Changed { artifact, task }));
    }
    if artifact.detail("uploadId").as_deref() != Some(upload_id) {
        return Ok(Err(Refusal::Input(format!(
            "artifact {} was created for another upload",
            artifact.name
        ))));
    }
    let object = object::load(tx, &artifact.object_name())?;
    if !object.is_some_and(|object| object.finished) {
        return Ok(Err(Refusal::Input(format!(
            "the upload of object {} has not been finished",
            artifact.object_name()
        ))));
    }
    let artifact = make_present(tx, artifact)?;
    announce(tx, now, &task, &artifact)?;
    Ok(Ok(Changed { artifact, task }))
}

/// An artifact that can be had, with its bytes part by part; it may have none yet.
pub fn contents(
    tx: &mut Tx<'_>,
    (task_id, run_id, name): (&str, usize, &str),
) -> Result<Option<(Artifact, Vec<Stored>)>, Error> {
    let Some(artifact) = load(tx, task_id, run_id, name)?.filter(|found| found.present) else {
        return Ok(None);
    };
    let parts = content::parts(tx, &artifact.owner())?;
    let parts = parts.into_iter().map(|(_, stored)| stored).collect();
    Ok(Some((artifact, parts)))
}

const EXPIRED: &str = "SELECT task_id, run_id, name, storage_type, content_type, details, expires, \
     content_length, present FROM artifacts WHERE expires < $1 ORDER BY expires LIMIT $2";
const DELETE: &str = "DELETE FROM artifacts WHERE task_id = $1 AND run_id = $2 AND name = $3 \
     AND expires = $4";

/// Forgets up to `limit` artifacts that expired before `by`, and discards their bytes; returns how
/// many there were.
pub fn expire(
    tx: &mut Tx<'_>,
    now: Timestamp,
    by: Timestamp,
    limit: usize,
) -> Result<usize, Error> {
    let expired: Vec<Artifact> = tx.query(EXPIRED, params![by, limit as i64], read)?;
    for artifact in &expired {
        let key = params![
            &artifact.task_id,
            artifact.run_id as i64,
            &artifact.name,
            artifact.expires
        ];
        // An expiry that was moved meanwhile keeps it. Objects expire by themselves.
        if tx.execute(DELETE, key)? > 0 && artifact.storage_type != StorageType::Object {
            content::discard(tx, &artifact.owner(), now)?;
        }
    }
    Ok(expired.len())
}
