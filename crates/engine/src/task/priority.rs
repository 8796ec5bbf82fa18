//! Tasks that have not been resolved yet are claimed sooner, or later, than they were to be.

use taskyard_store::{Error, Tx, params};

use super::group::{Portion, open_members};
use super::refusal::Refusal;
use super::{Priority, Task, event, record};
use crate::lease;
use crate::timestamp::Timestamp;

/// Writes a priority into a definition, whose form only the caller knows.
pub type Redefine = fn(&str, Priority) -> Result<String, Error>;

const CHANGE: &str = "UPDATE tasks SET priority = $2 WHERE number = $1";
const CHANGE_DEFINITION: &str = "UPDATE task_definitions SET definition = $2 WHERE number = $1";

/// Gives a task another priority: a pending run keeps its age and moves at once, a running one is
/// not touched. Also returns the priority it had.
pub fn change_priority(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_id: &str,
    priority: Priority,
    redefine: Redefine,
) -> Result<Result<(Task, Priority), Refusal>, Error> {
    let Some(task) = record::lock(tx, task_id)? else {
        return Ok(Err(Refusal::NoSuchTask(task_id.to_owned())));
    };
    if task.deadline <= now {
        return Ok(Err(Refusal::DeadlinePassed(task.id)));
    }
    if task.ever_resolved {
        return Ok(Err(Refusal::Resolved(task.id)));
    }
    let before = task.priority;
    let task = prioritize(tx, task, priority, redefine)?;
    if before != priority {
        event::priority_changed(tx, now, &task, before)?;
    }
    Ok(Ok((task, before)))
}

fn prioritize(
    tx: &mut Tx<'_>,
    mut task: Task,
    priority: Priority,
    redefine: Redefine,
) -> Result<Task, Error> {
    if task.priority == priority {
        return Ok(task);
    }
    let definition = record::definition_of(tx, &task)?;
    let definition = redefine(&definition, priority)?;
    task.priority = priority;
    let number = task.number;
    tx.execute(CHANGE, params![number, priority as i64])?;
    tx.execute(CHANGE_DEFINITION, params![number, &definition])?;
    if let Some(lease_id) = task.lease_id
        && !lease::set_priority(tx, lease_id, priority as i64)?
    {
        return Err(tx.overtaken("the lease of a locked task was changed"));
    }
    Ok(task)
}

/// As [`change_priority`], for the next up to `limit` tasks of a group that were never resolved and
/// whose deadline has not passed. The changed ones are returned.
pub fn change_group_priority(
    tx: &mut Tx<'_>,
    now: Timestamp,
    group_id: &str,
    (priority, redefine): (Priority, Redefine),
    after: i64,
    limit: usize,
) -> Result<Portion, Error> {
    let (members, next) = open_members(tx, group_id, (false, after), limit)?;
    let mut changed = Vec::new();
    for id in members {
        let Some(task) = record::lock(tx, &id)? else {
            continue;
        };
        if task.deadline > now && !task.ever_resolved && task.priority != priority {
            changed.push(prioritize(tx, task, priority, redefine)?);
        }
    }
    // Behind those that were never resolved come those that were.
    let next = next.filter(|(ever_resolved, _)| !ever_resolved);
    Ok(Portion { changed, next })
}
