//! Task groups: tasks that one scheduler made together.

use taskyard_store::{Error, Row, Tx, params};

use crate::timestamp::Timestamp;

/// A task group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// The scheduler all its tasks have.
    pub scheduler_id: String,
    /// After this it may be forgotten.
    pub expires: Timestamp,
    /// Since when it takes no more tasks.
    pub sealed: Option<Timestamp>,
}

fn read(row: &Row<'_>) -> Result<Group, Error> {
    Ok(Group {
        id: row.get(0)?,
        scheduler_id: row.get(1)?,
        expires: row.get(2)?,
        sealed: row.get(3)?,
    })
}

const LOAD: &str = "SELECT task_group_id, scheduler_id, expires, sealed FROM task_groups \
     WHERE task_group_id = $1";
/// Many may add tasks at once; who seals the group waits for them, and they for it.
const LOCK: &str = "SELECT task_group_id, scheduler_id, expires, sealed FROM task_groups \
     WHERE task_group_id = $1 FOR KEY SHARE";
const INSERT: &str = "INSERT INTO task_groups (task_group_id, scheduler_id, expires, sealed) \
     VALUES ($1, $2, $3, NULL) ON CONFLICT (task_group_id) DO NOTHING";
const EXTEND: &str =
    "UPDATE task_groups SET expires = $2 WHERE task_group_id = $1 AND expires < $2";

/// The group, if there is one.
pub fn group(tx: &mut Tx<'_>, group_id: &str) -> Result<Option<Group>, Error> {
    tx.query_opt(LOAD, params![group_id], read)
}

pub(super) fn lock(tx: &mut Tx<'_>, group_id: &str) -> Result<Option<Group>, Error> {
    tx.query_opt(LOCK, params![group_id], read)
}

pub(super) fn insert(
    tx: &mut Tx<'_>,
    group_id: &str,
    scheduler_id: &str,
    expires: Timestamp,
) -> Result<(), Error> {
    if tx.execute(INSERT, params![group_id, scheduler_id, expires])? == 0 {
        return Err(tx.overtaken("the same task group was created at the same time"));
    }
    Ok(())
}

pub(super) fn extend(tx: &mut Tx<'_>, group_id: &str, expires: Timestamp) -> Result<(), Error> {
    tx.execute(EXTEND, params![group_id, expires])?;
    Ok(())
}
