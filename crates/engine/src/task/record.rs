//! Tasks as rows.

use taskyard_store::{Error, Row, Tx, params};

use super::run::Resolved;
use super::transition::{LeaseChange, Transition};
use super::{Priority, Requires, Task, dependency, event, group, run};
use crate::index;
use crate::lease::{self, NewEntry, Queue};
use crate::timestamp::{Nanos, Timestamp};

/// The columns that [`read`] expects, in its order; `$prefix` qualifies them in joins.
macro_rules! columns {
    ($prefix:literal) => {
        concat!(
            $prefix,
            "task_id, ",
            $prefix,
            "task_queue_id, ",
            $prefix,
            "scheduler_id, ",
            $prefix,
            "project_id, ",
            $prefix,
            "task_group_id, ",
            $prefix,
            "priority, ",
            $prefix,
            "requires, ",
            $prefix,
            "retries, ",
            $prefix,
            "retries_left, ",
            $prefix,
            "deadline, ",
            $prefix,
            "expires, ",
            $prefix,
            "ever_resolved, ",
            $prefix,
            "runs, ",
            $prefix,
            "lease_id, ",
            $prefix,
            "number, ",
            $prefix,
            "promises"
        )
    };
}
pub(super) use columns;

/// How many columns [`columns!`] names.
pub(super) const COLUMNS: usize = 16;

fn narrow(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// Reads a task from the first columns of a row.
pub(super) fn read(row: &Row<'_>) -> Result<Task, Error> {
    Ok(Task {
        id: row.get(0)?,
        task_queue_id: row.get(1)?,
        scheduler_id: row.get(2)?,
        project_id: row.get(3)?,
        group_id: row.get(4)?,
        priority: Priority::from_number(row.get(5)?),
        requires: Requires::parse(row.text(6)?),
        retries: narrow(row.get(7)?),
        retries_left: narrow(row.get(8)?),
        deadline: row.get(9)?,
        expires: row.get(10)?,
        ever_resolved: row.get(11)?,
        runs: serde_json::from_str(row.text(12)?)
            .map_err(|error| Error::Statement(format!("the runs of a task: {error}")))?,
        lease_id: row.get(13)?,
        number: row.get(14)?,
        promises: row.get(15)?,
    })
}

const LOAD: &str = concat!("SELECT ", columns!(""), " FROM tasks WHERE task_id = $1");
const LOCK: &str = concat!(
    "SELECT ",
    columns!(""),
    " FROM tasks WHERE task_id = $1 FOR UPDATE"
);
/// Not kept waiting by those who create dependents of the task, and not waiting for those who
/// resolve it: they already hold what the claim would want.
const TRY_LOCK: &str = concat!(
    "SELECT ",
    columns!(""),
    " FROM tasks WHERE task_id = $1 FOR NO KEY UPDATE SKIP LOCKED"
);

/// The task, if there is one.
pub fn load(tx: &mut Tx<'_>, task_id: &str) -> Result<Option<Task>, Error> {
    tx.query_opt(LOAD, params![task_id], read)
}

/// The task, locked until the transaction ends.
pub(crate) fn lock(tx: &mut Tx<'_>, task_id: &str) -> Result<Option<Task>, Error> {
    tx.query_opt(LOCK, params![task_id], read)
}

/// The task, locked for a claim; `None` if there is none or somebody else is about to change it.
pub(super) fn try_lock(tx: &mut Tx<'_>, task_id: &str) -> Result<Option<Task>, Error> {
    tx.query_opt(TRY_LOCK, params![task_id], read)
}

const LOAD_DEFINITION: &str = "SELECT d.definition FROM tasks t \
     JOIN task_definitions d ON d.number = t.number WHERE t.task_id = $1";
const DEFINITION_OF: &str = "SELECT definition FROM task_definitions WHERE number = $1";

/// The definition the task was created with, as JSON text.
pub fn load_definition(tx: &mut Tx<'_>, task_id: &str) -> Result<Option<String>, Error> {
    tx.query_opt(LOAD_DEFINITION, params![task_id], |row| row.get(0))
}

/// The definition of the task with this number, as JSON text. It outlives the task until the last
/// event about the task is forgotten.
pub fn definition_by_number(tx: &mut Tx<'_>, number: i64) -> Result<Option<String>, Error> {
    tx.query_opt(DEFINITION_OF, params![number], |row| row.get(0))
}

/// The definition of a task that is known to exist.
pub(super) fn definition_of(tx: &mut Tx<'_>, task: &Task) -> Result<String, Error> {
    tx.query_opt(DEFINITION_OF, params![task.number], |row| row.get(0))?
        .ok_or_else(|| Error::Statement(format!("task {} has no definition", task.id)))
}

const INSERT: &str = "INSERT INTO tasks (task_id, task_queue_id, scheduler_id, project_id, \
     task_group_id, priority, requires, retries, retries_left, deadline, expires, is_open, \
     ever_resolved, runs, lease_id, number, group_number, outline, promises) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) \
     ON CONFLICT (task_id) DO NOTHING";

fn runs_text(task: &Task) -> Result<String, Error> {
    let mut text = Vec::with_capacity(256);
    run::write_all(&mut text, &task.runs);
    String::from_utf8(text)
        .map_err(|error| Error::Statement(format!("the runs of a task: {error}")))
}

/// Stores a new task of the group with this number, and its outline; `false` if the id is taken.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    task: &Task,
    group_number: i64,
    outline: &str,
) -> Result<bool, Error> {
    let inserted = tx.execute(
        INSERT,
        params![
            &task.id,
            &task.task_queue_id,
            &task.scheduler_id,
            &task.project_id,
            &task.group_id,
            task.priority as i64,
            task.requires.as_str(),
            task.retries,
            task.retries_left,
            task.deadline,
            task.expires,
            task.is_open(),
            task.ever_resolved,
            &runs_text(task)?,
            task.lease_id,
            task.number,
            group_number,
            outline,
            task.promises,
        ],
    )?;
    Ok(inserted > 0)
}

const UPDATE: &str = "UPDATE tasks SET retries_left = $2, is_open = $3, ever_resolved = $4, \
     runs = $5, lease_id = $6 WHERE number = $1";

/// Puts the last run of `task` into its queue and notes the lease.
fn enqueue(tx: &mut Tx<'_>, now: Timestamp, task: &mut Task) -> Result<(), Error> {
    let lease_id = lease::new_id(tx)?;
    put_lease(tx, now, task, lease_id)?;
    task.lease_id = Some(lease_id);
    Ok(())
}

/// Puts the last run of `task` into its queue as the lease of this id.
pub(super) fn put_lease(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task: &Task,
    lease_id: i64,
) -> Result<(), Error> {
    let queue = Queue::runs(&task.task_queue_id);
    let entry = NewEntry {
        priority: task.priority as i64,
        expires_at: Some(task.deadline),
        subject: &task.id,
        attempt: task.runs.len() as i64 - 1,
        ..NewEntry::ready(&queue, now)
    };
    lease::put_task(tx, now, &entry, lease_id, task.number)
}

/// Stores what an event made of a locked task, moves its lease, and lets dependents follow.
pub(super) fn apply(
    tx: &mut Tx<'_>,
    now: Timestamp,
    transition: Transition,
) -> Result<Task, Error> {
    let Transition {
        mut task,
        lease: change,
        resolved,
        happened,
    } = transition;
    match change {
        LeaseChange::Keep => {
            if let Some(happened) = happened {
                event::note(tx, now, &task, happened)?;
            }
            return Ok(task);
        }
        LeaseChange::Enqueue => {
            remove_lease(tx, &mut task)?;
            enqueue(tx, now, &mut task)?;
        }
        LeaseChange::Hold(until) => hold_lease(tx, now, &mut task, until)?,
        LeaseChange::Remove => remove_lease(tx, &mut task)?,
    }
    let changed = tx.execute(
        UPDATE,
        params![
            task.number,
            task.retries_left,
            task.is_open(),
            task.ever_resolved,
            &runs_text(&task)?,
            task.lease_id,
        ],
    )?;
    if changed != 1 {
        return Err(tx.overtaken("a locked task vanished"));
    }
    if let Some(happened) = happened {
        event::note(tx, now, &task, happened)?;
    }
    if let Some(resolved) = resolved {
        if resolved == Resolved::Completed && task.promises {
            index::keep_promise(tx, now, task.number, &task.id)?;
        }
        dependency::follow(tx, now, &task.id, resolved.state())?;
        group::settle(tx, now, &task.group_id)?;
    }
    Ok(task)
}

fn hold_lease(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task: &mut Task,
    until: Timestamp,
) -> Result<(), Error> {
    let queue = Queue::runs(&task.task_queue_id);
    let owner = task.runs.last().and_then(|run| run.worker.as_ref());
    let owner = owner
        .map(|worker| format!("{}/{}", worker.group, worker.id))
        .unwrap_or_default();
    let Some(id) = task.lease_id else {
        return Ok(());
    };
    task.lease_id = lease::hold(tx, id, &queue, now, &owner, Nanos::from(until))?;
    if task.lease_id.is_none() {
        return Err(tx.overtaken("the lease of a locked task was changed"));
    }
    Ok(())
}

fn remove_lease(tx: &mut Tx<'_>, task: &mut Task) -> Result<(), Error> {
    if let Some(id) = task.lease_id.take()
        && !lease::delete(tx, id)?
    {
        return Err(tx.overtaken("the lease of a locked task was changed"));
    }
    Ok(())
}

const NEXT_DEADLINE: &str = "SELECT min(deadline) FROM tasks WHERE is_open = 1";
const PAST_DEADLINE: &str = "SELECT task_id, task_group_id FROM tasks WHERE is_open = 1 \
     AND deadline <= $1 ORDER BY deadline LIMIT $2";

/// The earliest deadline of a task that is not resolved.
pub fn next_deadline(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, Error> {
    Ok(tx
        .query_opt(NEXT_DEADLINE, &[], |row| row.get::<Option<Timestamp>>(0))?
        .flatten())
}

/// Unresolved tasks whose deadline was `by` or earlier, oldest first, as (task id, group id).
pub fn open_past_deadline(
    tx: &mut Tx<'_>,
    by: Timestamp,
    limit: usize,
) -> Result<Vec<(String, String)>, Error> {
    tx.query(PAST_DEADLINE, params![by, limit as i64], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })
}
