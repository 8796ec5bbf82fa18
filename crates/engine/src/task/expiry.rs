//! What has expired is forgotten. A definition stays for as long as the event log may still be read
//! for its task.

use taskyard_events::log;
use taskyard_store::{Error, Tx, params};

use crate::index;
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
const EXPIRED_TASKS: &str = "SELECT task_id, number, lease_id, promises FROM tasks WHERE expires < $1 AND is_open = 0 \
     ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED";
const DELETE_TASK: &str = "DELETE FROM tasks WHERE number = $1";
const LEAVE_DEFINITION: &str = "INSERT INTO leaving_definitions (number, last_event) \
     VALUES ($1, $2)";
const DELETE_DEPENDENCIES: &str = "DELETE FROM task_dependencies WHERE dependent = $1";
const DELETE_RESOLUTION: &str = "DELETE FROM resolutions WHERE task_id = $1";

/// Removes up to `limit` resolved tasks that expired before `by`.
pub fn expire_tasks(tx: &mut Tx<'_>, by: Timestamp, limit: usize) -> Result<Expired, Error> {
    let expired = tx.query(EXPIRED_TASKS, params![by, limit as i64], |row| {
        Ok((
            row.get::<String>(0)?,
            row.get::<i64>(1)?,
            row.get::<Option<i64>>(2)?,
            row.get::<bool>(3)?,
        ))
    })?;
    // Nothing happens to them from here on, so their last events stand before this one.
    let last_event = log::newest(tx)?;
    for (task_id, number, lease_id, promises) in &expired {
        if let Some(lease_id) = lease_id {
            lease::delete(tx, *lease_id)?;
        }
        tx.execute(DELETE_TASK, params![*number])?;
        tx.execute(LEAVE_DEFINITION, params![*number, last_event])?;
        if *promises {
            index::forget_promise(tx, *number)?;
        }
        for sql in [DELETE_DEPENDENCIES, DELETE_RESOLUTION] {
            tx.execute(sql, params![task_id])?;
        }
    }
    Ok(Expired {
        removed: expired.len(),
        more: expired.len() == limit,
    })
}

const UNREAD: &str = "SELECT number FROM leaving_definitions WHERE last_event <= $1 \
     ORDER BY last_event LIMIT $2 FOR UPDATE SKIP LOCKED";
const DELETE_DEFINITION: &str = "DELETE FROM task_definitions WHERE number = $1";
const DELETE_LEAVING: &str = "DELETE FROM leaving_definitions WHERE number = $1";

/// Removes up to `limit` definitions of tasks that are gone and whose events are forgotten.
pub fn forget_definitions(tx: &mut Tx<'_>, limit: usize) -> Result<Expired, Error> {
    let floor = log::floor(tx)?;
    let numbers: Vec<i64> = tx.query(UNREAD, params![floor, limit as i64], |row| row.get(0))?;
    for number in &numbers {
        for sql in [DELETE_DEFINITION, DELETE_LEAVING] {
            tx.execute(sql, params![*number])?;
        }
    }
    Ok(Expired {
        removed: numbers.len(),
        more: numbers.len() == limit,
    })
}

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
