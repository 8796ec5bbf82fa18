//! Task groups: tasks that one scheduler made together.

use taskyard_store::{Error, Row, Tx, params};

use super::refusal::Refusal;
use super::{Priority, Task, event, record, transition};
use crate::lease;
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

/// A group as a row.
pub(super) struct Stored {
    /// What its tasks name it by: the number of the first of them.
    pub(super) number: i64,
    pub(super) group: Group,
}

fn read(row: &Row<'_>) -> Result<Stored, Error> {
    Ok(Stored {
        number: row.get(0)?,
        group: Group {
            id: row.get(1)?,
            scheduler_id: row.get(2)?,
            expires: row.get(3)?,
            sealed: row.get(4)?,
        },
    })
}

/// Selects what [`read`] expects of the group `$1`, which it locks as `$lock` says.
macro_rules! select {
    ($lock:literal) => {
        concat!(
            "SELECT number, task_group_id, scheduler_id, expires, sealed FROM task_groups \
             WHERE task_group_id = $1",
            $lock
        )
    };
}

const LOAD: &str = select!("");
/// Many may add tasks at once; who seals the group waits for them, and they for it.
const LOCK: &str = select!(" FOR KEY SHARE");
const INSERT: &str = "INSERT INTO task_groups (task_group_id, scheduler_id, expires, number) \
     VALUES ($1, $2, $3, $4) ON CONFLICT (task_group_id) DO NOTHING";
const EXTEND: &str =
    "UPDATE task_groups SET expires = $2 WHERE task_group_id = $1 AND expires < $2";

/// The group, if there is one.
pub fn group(tx: &mut Tx<'_>, group_id: &str) -> Result<Option<Group>, Error> {
    let stored = tx.query_opt(LOAD, params![group_id], read)?;
    Ok(stored.map(|stored| stored.group))
}

pub(super) fn lock(tx: &mut Tx<'_>, group_id: &str) -> Result<Option<Stored>, Error> {
    tx.query_opt(LOCK, params![group_id], read)
}

/// Stores the group that `founder` is the first task of.
pub(super) fn insert(tx: &mut Tx<'_>, founder: &Task, expires: Timestamp) -> Result<(), Error> {
    let values = params![
        &founder.group_id,
        &founder.scheduler_id,
        expires,
        founder.number
    ];
    if tx.execute(INSERT, values)? == 0 {
        return Err(tx.overtaken("the same task group was created at the same time"));
    }
    Ok(())
}

pub(super) fn extend(tx: &mut Tx<'_>, group_id: &str, expires: Timestamp) -> Result<(), Error> {
    tx.execute(EXTEND, params![group_id, expires])?;
    Ok(())
}

const LOCK_WHOLE: &str = select!(" FOR UPDATE");
const SEAL: &str = "UPDATE task_groups SET sealed = $2 WHERE task_group_id = $1";

/// From now on the group takes no more tasks. A group that is sealed stays so since it first was.
pub fn seal(
    tx: &mut Tx<'_>,
    now: Timestamp,
    group_id: &str,
) -> Result<Result<Group, Refusal>, Error> {
    // Whoever is adding a task now holds the row a little; nobody can begin to until this is over.
    let Some(stored) = tx.query_opt(LOCK_WHOLE, params![group_id], read)? else {
        return Ok(Err(Refusal::NoSuchGroup(group_id.to_owned())));
    };
    let mut group = stored.group;
    if group.sealed.is_none() {
        tx.execute(SEAL, params![group_id, now])?;
        group.sealed = Some(now);
    }
    event::group_sealed(tx, now, &group)?;
    Ok(Ok(group))
}

/// Not waited for, as who waits here holds the task that was resolved; those who add tasks are not
/// kept waiting.
const TRY_LOCK: &str = select!(" FOR NO KEY UPDATE SKIP LOCKED");
const IS_ANY_UNRESOLVED: &str = "SELECT 1 FROM tasks WHERE group_number = $1 AND is_open = 1 \
     AND ever_resolved = 0 LIMIT 1";
const LOOK_LATER: &str = "INSERT INTO group_looks (number, task_group_id) VALUES ($1, $2)";

/// A task of the group was finally resolved: if no other one is left that never was, the world
/// hears of it.
///
/// Of two tasks resolved at once, each still sees the other one open. So only who holds the group
/// looks; whoever finds it held leaves a note, and the timer looks when both are done.
pub(super) fn settle(tx: &mut Tx<'_>, now: Timestamp, group_id: &str) -> Result<(), Error> {
    if let Some(stored) = tx.query_opt(TRY_LOCK, params![group_id], read)? {
        return look(tx, now, &stored);
    }
    let number = lease::new_id(tx)?;
    tx.execute(LOOK_LATER, params![number, group_id])?;
    tx.alarm(now.0);
    Ok(())
}

fn look(tx: &mut Tx<'_>, now: Timestamp, stored: &Stored) -> Result<(), Error> {
    let left = tx.query_opt(IS_ANY_UNRESOLVED, params![stored.number], |row| {
        row.get::<i64>(0)
    })?;
    if left.is_none() {
        event::group_resolved(tx, now, &stored.group)?;
    }
    Ok(())
}

const UNSETTLED: &str = "SELECT DISTINCT task_group_id FROM group_looks LIMIT $1";
const LOCK_ALONE: &str = select!(" FOR NO KEY UPDATE");
const SETTLED: &str = "DELETE FROM group_looks WHERE task_group_id = $1";

/// Groups that somebody has to look at again.
pub fn unsettled_groups(tx: &mut Tx<'_>, limit: usize) -> Result<Vec<String>, Error> {
    tx.query(UNSETTLED, params![limit as i64], |row| row.get(0))
}

/// Looks at a group of which several tasks were resolved at once.
pub fn settle_again(tx: &mut Tx<'_>, now: Timestamp, group_id: &str) -> Result<(), Error> {
    // In this order: whoever left a note that is taken away here is done, and seen by the look.
    let stored = tx.query_opt(LOCK_ALONE, params![group_id], read)?;
    let taken = tx.execute(SETTLED, params![group_id])?;
    match stored {
        Some(stored) if taken > 0 => look(tx, now, &stored),
        _ => Ok(()),
    }
}

/// The world hears that a group's open tasks were given another priority, `changed` of them a
/// different one.
pub fn announce_priority(
    tx: &mut Tx<'_>,
    now: Timestamp,
    group_id: &str,
    priority: Priority,
    changed: usize,
) -> Result<(), Error> {
    match tx.query_opt(LOCK_ALONE, params![group_id], read)? {
        Some(Stored { group, .. }) => {
            event::group_priority_changed(tx, now, &group, priority, changed as u64)
        }
        None => Ok(()),
    }
}

const SIZE: &str = "SELECT count(*) FROM tasks WHERE group_number = \
     (SELECT number FROM task_groups WHERE task_group_id = $1)";

/// How many tasks the group has; the cost grows with their number.
pub fn group_size(tx: &mut Tx<'_>, group_id: &str) -> Result<usize, Error> {
    let count = tx.query_opt(SIZE, params![group_id], |row| row.get::<i64>(0))?;
    Ok(usize::try_from(count.unwrap_or(0)).unwrap_or(0))
}

/// A place among a group's open tasks: those that were never resolved come first, then the oldest.
pub type Place = (bool, i64);

/// What was done to some tasks of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portion {
    /// Those that were changed, as they are now.
    pub changed: Vec<Task>,
    /// Where to go on, if there may be more.
    pub next: Option<Place>,
}

const OPEN: &str = "SELECT ever_resolved, number, task_id FROM tasks WHERE group_number = \
     (SELECT number FROM task_groups WHERE task_group_id = $1) \
     AND is_open = 1 AND (ever_resolved, number) > ($2, $3) \
     ORDER BY ever_resolved, number LIMIT $4";

/// The ids of the next up to `limit` open tasks behind a place, and where to go on.
pub(super) fn open_members(
    tx: &mut Tx<'_>,
    group_id: &str,
    (ever_resolved, after): Place,
    limit: usize,
) -> Result<(Vec<String>, Option<Place>), Error> {
    let mut last = None;
    let found = tx.query(
        OPEN,
        params![group_id, ever_resolved, after, limit as i64],
        |row| {
            last = Some((row.get(0)?, row.get(1)?));
            row.get(2)
        },
    )?;
    let next = last.filter(|_| found.len() == limit);
    Ok((found, next))
}

/// Cancels the next up to `limit` tasks of a sealed group that are not resolved and whose deadline
/// has not passed. As a sealed group gets no new tasks, walking from the first place to the last
/// meets all of them.
pub fn cancel_members(
    tx: &mut Tx<'_>,
    now: Timestamp,
    group_id: &str,
    after: Place,
    limit: usize,
) -> Result<Result<Portion, Refusal>, Error> {
    match group(tx, group_id)? {
        None => return Ok(Err(Refusal::NoSuchGroup(group_id.to_owned()))),
        Some(group) if group.sealed.is_none() => {
            return Ok(Err(Refusal::NotSealed(group.id)));
        }
        Some(_) => {}
    }
    let (members, next) = open_members(tx, group_id, after, limit)?;
    let mut changed = Vec::new();
    for id in members {
        let Some(task) = record::lock(tx, &id)? else {
            continue;
        };
        if !task.is_open() || task.deadline <= now {
            continue;
        }
        if let Ok(transition) = transition::cancel(task, now) {
            changed.push(record::apply(tx, now, transition)?);
        }
    }
    Ok(Ok(Portion { changed, next }))
}
