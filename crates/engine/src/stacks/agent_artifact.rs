//! Files that an agent announces, then uploads, then says whether that went well.

use taskyard_store::{Error, Row, Tx, params};

use crate::timestamp::Timestamp;

/// A file that an agent announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewArtifact {
    /// A UUID for it, in case it is new.
    pub id: String,
    /// Its path within the job's folder.
    pub path: String,
    /// Its size in bytes, as the agent says.
    pub file_size: i64,
    /// Its media type.
    pub content_type: String,
    /// Checksums and the like, as a JSON object.
    pub details: String,
}

/// A file that an agent has announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentArtifact {
    /// A UUID.
    pub id: String,
    /// The task.
    pub task_id: String,
    /// Which run.
    pub run_id: usize,
    /// Its path within the job's folder.
    pub path: String,
    /// Its size in bytes, as the agent says.
    pub file_size: i64,
    /// Its media type.
    pub content_type: String,
    /// Checksums and the like, as a JSON object.
    pub details: String,
    /// `new`, `finished` or `error`.
    pub state: String,
    /// When it was announced.
    pub created_at: Timestamp,
    /// When its task may be forgotten.
    pub expires_at: Timestamp,
}

/// The job that announces files.
#[derive(Debug, Clone, Copy)]
pub struct Announcer<'a> {
    /// The task.
    pub task_id: &'a str,
    /// Which run.
    pub run_id: usize,
    /// The task's group.
    pub group_id: &'a str,
    /// When the task may be forgotten.
    pub expires_at: Timestamp,
}

macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "SELECT artifact_id, task_id, run_id, path, file_size, content_type, details, state, \
             created_at, expires_at FROM agent_artifacts WHERE ",
            $rest
        )
    };
}

const INSERT: &str = "INSERT INTO agent_artifacts (artifact_id, batch_id, place, task_id, run_id, \
     task_group_id, path, file_size, content_type, details, state, created_at, expires_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'new', $11, $12) \
     ON CONFLICT (task_id, run_id, batch_id, place) DO NOTHING";
const OF_BATCH: &str = "SELECT artifact_id FROM agent_artifacts WHERE task_id = $1 \
     AND run_id = $2 AND batch_id = $3 ORDER BY place";
const BY_ID: &str = columns!("artifact_id = $1");
const BY_PATH: &str =
    columns!("task_id = $1 AND run_id = $2 AND batch_id = $3 AND path = $4 LIMIT 1");
const SEARCH: &str =
    columns!("task_group_id = $1 AND artifact_id > $2 ORDER BY artifact_id LIMIT $3");
const SET_STATE: &str =
    "UPDATE agent_artifacts SET state = $2 WHERE artifact_id = $1 AND state <> $2";

fn read(row: &Row<'_>) -> Result<AgentArtifact, Error> {
    Ok(AgentArtifact {
        id: row.get(0)?,
        task_id: row.get(1)?,
        run_id: usize::try_from(row.get::<i64>(2)?).unwrap_or_default(),
        path: row.get(3)?,
        file_size: row.get(4)?,
        content_type: row.get(5)?,
        details: row.get(6)?,
        state: row.get(7)?,
        created_at: row.get(8)?,
        expires_at: row.get(9)?,
    })
}

/// Announces a batch of files and returns their ids, in the same order. A batch that is announced
/// again keeps its ids.
pub fn announce(
    tx: &mut Tx<'_>,
    now: Timestamp,
    by: Announcer<'_>,
    batch_id: &str,
    new: &[NewArtifact],
) -> Result<Vec<String>, Error> {
    for (place, artifact) in new.iter().enumerate() {
        tx.execute(
            INSERT,
            params![
                &artifact.id,
                batch_id,
                place as i64,
                by.task_id,
                by.run_id as i64,
                by.group_id,
                &artifact.path,
                artifact.file_size,
                &artifact.content_type,
                &artifact.details,
                now,
                by.expires_at,
            ],
        )?;
    }
    tx.query(
        OF_BATCH,
        params![by.task_id, by.run_id as i64, batch_id],
        |row| row.get(0),
    )
}

/// The announced file of this id.
pub fn artifact_of(tx: &mut Tx<'_>, id: &str) -> Result<Option<AgentArtifact>, Error> {
    tx.query_opt(BY_ID, params![id], read)
}

/// The announced file of this path in a batch.
pub fn artifact_of_batch(
    tx: &mut Tx<'_>,
    (task_id, run_id): (&str, usize),
    batch_id: &str,
    path: &str,
) -> Result<Option<AgentArtifact>, Error> {
    tx.query_opt(
        BY_PATH,
        params![task_id, run_id as i64, batch_id, path],
        read,
    )
}

/// The files that the jobs of a task group have announced, behind `after` (empty for the first
/// page), by id.
pub fn search(
    tx: &mut Tx<'_>,
    group_id: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<AgentArtifact>, Error> {
    tx.query(SEARCH, params![group_id, after, limit as i64], read)
}

/// Notes how the upload of a file ended.
pub fn set_state(tx: &mut Tx<'_>, id: &str, state: &str) -> Result<(), Error> {
    tx.execute(SET_STATE, params![id, state])?;
    Ok(())
}
