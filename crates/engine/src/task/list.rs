//! Tasks by what they have in common, a page at a time.

use taskyard_store::{Error, Row, Tx, params};

use super::Task;
use super::record::{self, COLUMNS};
use crate::lease::Queue;
use crate::timestamp::{Nanos, Timestamp};

/// A task with its definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The task.
    pub task: Task,
    /// Its definition, as JSON text.
    pub definition: String,
}

fn read(row: &Row<'_>) -> Result<Listed, Error> {
    Ok(Listed {
        task: record::read(row)?,
        definition: row.get(COLUMNS)?,
    })
}

const MEMBERS: &str = concat!(
    "SELECT ",
    record::columns!("t."),
    ", d.definition FROM tasks t JOIN task_definitions d ON d.number = t.number \
     WHERE t.task_group_id = $1 AND t.task_id > $2 ORDER BY t.task_id LIMIT $3"
);

/// The tasks of a group behind `after` (empty for the first page), by id.
pub fn group_members(
    tx: &mut Tx<'_>,
    group_id: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<Listed>, Error> {
    tx.query(MEMBERS, params![group_id, after, limit as i64], read)
}

const DEPENDENTS: &str = concat!(
    "SELECT ",
    record::columns!("t."),
    ", d.definition FROM task_dependencies p JOIN tasks t ON t.task_id = p.dependent \
     JOIN task_definitions d ON d.number = t.number \
     WHERE p.required = $1 AND p.dependent > $2 AND p.expires > $3 \
     ORDER BY p.dependent LIMIT $4"
);

/// The tasks that name `required` among their dependencies, satisfied or not, by id.
pub fn dependents(
    tx: &mut Tx<'_>,
    now: Timestamp,
    required: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<Listed>, Error> {
    tx.query(
        DEPENDENTS,
        params![required, after, now, limit as i64],
        read,
    )
}

const PENDING: &str = concat!(
    "SELECT ",
    record::columns!("t."),
    ", d.definition FROM leases l JOIN tasks t ON t.task_id = l.subject \
     JOIN task_definitions d ON d.number = t.number \
     WHERE l.queue = $1 AND l.ready = 1 AND (l.expires_at IS NULL OR l.expires_at > $2) \
     AND (l.enqueued_at, l.id) > ($3, $4) ORDER BY l.enqueued_at, l.id LIMIT $5"
);

/// The pending runs of a task queue behind the given place, longest waiting first. Each is the last
/// run of its task.
pub fn pending_runs(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_queue_id: &str,
    after: (Timestamp, i64),
    limit: usize,
) -> Result<Vec<Listed>, Error> {
    let queue = Queue::runs(task_queue_id);
    tx.query(
        PENDING,
        params![queue.as_str(), now, after.0, after.1, limit as i64],
        read,
    )
}

const CLAIMED: &str = concat!(
    "SELECT ",
    record::columns!("t."),
    ", d.definition FROM leases l JOIN tasks t ON t.task_id = l.subject \
     JOIN task_definitions d ON d.number = t.number \
     WHERE l.queue = $1 AND l.ready = 0 AND (l.available_at, l.id) > ($2, $3) \
     AND l.available_at < $4 ORDER BY l.available_at, l.id LIMIT $5"
);

/// The running runs of a task queue behind the given place, by the end of their claims.
pub fn claimed_runs(
    tx: &mut Tx<'_>,
    task_queue_id: &str,
    after: (Nanos, i64),
    limit: usize,
) -> Result<Vec<Listed>, Error> {
    let queue = Queue::runs(task_queue_id);
    tx.query(
        CLAIMED,
        params![queue.as_str(), after.0, after.1, i64::MAX, limit as i64],
        read,
    )
}
