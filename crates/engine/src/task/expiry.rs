//! What has expired is forgotten.

use taskyard_store::{Error, Tx, params};

use super::record;
use crate::lease;
use crate::timestamp::Timestamp;

/// What a sweep removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expired {
    /// Rows removed.
    pub removed: usize,
    /// Whether there may be more.
    pub more: bool,
}

/// An open task is past its deadline too: it is resolved first, so that its dependents follow.
const EXPIRED_TASKS: &str = "SELECT task_id FROM tasks WHERE expires < $1 AND is_open = 0 \
     ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED";
const DELETE_TASK: &str = "DELETE FROM tasks WHERE task_id = $1";
const DELETE_DEFINITION: &str = "DELETE FROM task_definitions WHERE task_id = $1";
const DELETE_DEPENDENCIES: &str = "DELETE FROM task_dependencies WHERE dependent = $1";
const DELETE_RESOLUTION: &str = "DELETE FROM resolutions WHERE task_id = $1";

/// Removes up to `limit` resolved tasks that expired before `by`.
pub fn expire_tasks(tx: &mut Tx<'_>, by: Timestamp, limit: usize) -> Result<Expired, Error> {
    let ids: Vec<String> = tx.query(EXPIRED_TASKS, params![by, limit as i64], |row| row.get(0))?;
    for id in &ids {
        if let Some(lease_id) = record::load(tx, id)?.and_then(|task| task.lease_id) {
            lease::delete(tx, lease_id)?;
        }
        for sql in [
            DELETE_TASK,
            DELETE_DEFINITION,
            DELETE_DEPENDENCIES,
            DELETE_RESOLUTION,
        ] {
            tx.execute(sql, params![id])?;
        }
    }
    Ok(Expired {
        removed: ids.len(),
        more: ids.len() == limit,
    })
}

/// The condition stands twice: whoever extends a group meanwhile is waited for, and counts.
const DELETE_GROUPS: &str = "DELETE FROM task_groups WHERE expires < $1 AND task_group_id IN \
     (SELECT task_group_id FROM task_groups WHERE expires < $1 ORDER BY expires LIMIT $2)";

/// Removes up to `limit` task groups that expired before `by`.
pub fn expire_groups(tx: &mut Tx<'_>, by: Timestamp, limit: usize) -> Result<Expired, Error> {
    let removed = tx.execute(DELETE_GROUPS, params![by, limit as i64])? as usize;
    Ok(Expired {
        removed,
        more: removed == limit,
    })
}
