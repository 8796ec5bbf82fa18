//! Tasks by what they have in common, a page at a time.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use taskyard_store::{Error, Row, Tx, Value, params};

use super::record::{self, COLUMNS};
use super::{Priority, Task};
use crate::by_ids::ByIds;
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

const MEMBER_NUMBERS: &str = "SELECT number FROM tasks WHERE group_number = \
     (SELECT number FROM task_groups WHERE task_group_id = $1) \
     AND number > $2 ORDER BY number LIMIT $3";

/// The numbers of a group's tasks behind `after` (0 for the first page), which is the order in
/// which they were created.
pub fn member_numbers(
    tx: &mut Tx<'_>,
    group_id: &str,
    after: i64,
    limit: usize,
) -> Result<Vec<i64>, Error> {
    let params = params![group_id, after, limit as i64];
    tx.query(MEMBER_NUMBERS, params, |row| row.get(0))
}

const MEMBERS: &str = concat!(
    "SELECT ",
    record::columns!("t."),
    ", d.definition FROM tasks t JOIN task_definitions d ON d.number = t.number \
     WHERE t.group_number = (SELECT number FROM task_groups WHERE task_group_id = $1) \
     AND t.number BETWEEN $2 AND $3 ORDER BY t.number"
);

/// Calls `each` with those of a group's tasks whose numbers are among `numbers`, in their order,
/// and with their definitions.
pub fn group_members(
    tx: &mut Tx<'_>,
    group_id: &str,
    numbers: RangeInclusive<i64>,
    mut each: impl FnMut(Task, &str) -> Result<(), Error>,
) -> Result<(), Error> {
    let params = params![group_id, *numbers.start(), *numbers.end()];
    tx.query(MEMBERS, params, |row| {
        each(record::read(row)?, row.text(COLUMNS)?)
    })?;
    Ok(())
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

/// A run that waits in its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRun {
    /// Its task, whose last run it is.
    pub listed: Listed,
    /// Since when it waits.
    pub since: Timestamp,
    /// Tells apart runs of one moment, in the order in which they came.
    pub number: i64,
}

const PENDING_PLACES: &str = "SELECT enqueued_at, id FROM leases \
     WHERE queue = $1 AND ready = 1 AND priority = $2 \
     AND (expires_at IS NULL OR expires_at > $3) AND (enqueued_at, id) > ($4, $5) \
     ORDER BY enqueued_at, id LIMIT $6";
const PENDING: &str = concat!(
    "SELECT ",
    record::columns!("t."),
    ", d.definition, l.enqueued_at, l.id FROM leases l JOIN tasks t ON t.number = l.task_number \
     JOIN task_definitions d ON d.number = t.number \
     WHERE l.queue = $1 AND l.ready = 1 AND l.priority = $2 \
     AND (l.expires_at IS NULL OR l.expires_at > $3) AND (l.enqueued_at, l.id) > ($4, $5) \
     ORDER BY l.enqueued_at, l.id LIMIT $6"
);

/// The pending runs of a task queue behind the given place (time and number), longest waiting
/// first. Each is the last run of its task.
pub fn pending_runs(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_queue_id: &str,
    after: (Timestamp, i64),
    limit: usize,
) -> Result<Vec<PendingRun>, Error> {
    let queue = Queue::runs(task_queue_id);
    // The index has them by priority, so the oldest are those that come first when the oldest of
    // each priority are merged. Only what is told is read whole.
    let mut places = Vec::new();
    for priority in Priority::ALL {
        let priority = priority as i64;
        places.extend(tx.query(
            PENDING_PLACES,
            params![
                queue.as_str(),
                priority,
                now,
                after.0,
                after.1,
                limit as i64
            ],
            |row| Ok((row.get::<Timestamp>(0)?, row.get::<i64>(1)?, priority)),
        )?);
    }
    places.sort_unstable();
    places.truncate(limit);
    let mut found = Vec::new();
    for priority in Priority::ALL {
        let priority = priority as i64;
        let count = places.iter().filter(|place| place.2 == priority).count();
        if count > 0 {
            found.extend(tx.query(
                PENDING,
                params![
                    queue.as_str(),
                    priority,
                    now,
                    after.0,
                    after.1,
                    count as i64
                ],
                |row| {
                    Ok(PendingRun {
                        listed: read(row)?,
                        since: row.get(COLUMNS + 1)?,
                        number: row.get(COLUMNS + 2)?,
                    })
                },
            )?);
        }
    }
    found.sort_unstable_by_key(|run| (run.since, run.number));
    Ok(found)
}

const CLAIMED: &str = concat!(
    "SELECT ",
    record::columns!("t."),
    ", l.available_at, l.id FROM leases l JOIN tasks t ON t.number = l.task_number \
     WHERE l.queue = $1 AND l.ready = 0 AND (l.available_at, l.id) > ($2, $3) \
     AND l.available_at < $4 ORDER BY l.available_at, l.id LIMIT $5"
);
/// Rows that are looked at in one go.
const CLAIMED_AT_ONCE: i64 = 1000;

/// When a run was claimed, and the id of its task.
pub type ClaimedPlace = (Timestamp, String);

/// The running runs of a task queue behind the given place, in the order in which they were
/// claimed. Looks at every running run of the queue, as only their ends are indexed.
pub fn claimed_runs(
    tx: &mut Tx<'_>,
    task_queue_id: &str,
    after: &ClaimedPlace,
    limit: usize,
) -> Result<Vec<Listed>, Error> {
    let queue = Queue::runs(task_queue_id);
    let mut first: BTreeMap<ClaimedPlace, Task> = BTreeMap::new();
    let mut end = (Nanos(i64::MIN), 0);
    loop {
        let found = tx.query(
            CLAIMED,
            params![queue.as_str(), end.0, end.1, i64::MAX, CLAIMED_AT_ONCE],
            |row| {
                let end = (row.get::<Nanos>(COLUMNS)?, row.get::<i64>(COLUMNS + 1)?);
                Ok((record::read(row)?, end))
            },
        )?;
        let more = found.len() as i64 == CLAIMED_AT_ONCE;
        for (task, its_end) in found {
            end = its_end;
            let started = task.runs.last().and_then(|run| run.started);
            let Some(started) = started else { continue };
            let place = (started, task.id.clone());
            if place > *after {
                first.insert(place, task);
                if first.len() > limit {
                    first.pop_last();
                }
            }
        }
        if !more {
            break;
        }
    }
    first
        .into_values()
        .map(|task| {
            let definition = record::definition_of(tx, &task)?;
            Ok(Listed { task, definition })
        })
        .collect()
}

static STATUSES: ByIds = ByIds::new(
    concat!(
        "SELECT ",
        record::columns!(""),
        " FROM tasks WHERE task_id IN ({ids})"
    ),
    0,
);
static LISTED: ByIds = ByIds::new(
    concat!(
        "SELECT ",
        record::columns!("t."),
        ", d.definition FROM tasks t JOIN task_definitions d ON d.number = t.number \
         WHERE t.task_id IN ({ids})"
    ),
    0,
);

fn values(ids: &[String]) -> Vec<Value<'_>> {
    ids.iter().map(Value::from).collect()
}

/// The tasks of these ids, by id; those that do not exist are left out.
pub fn statuses(tx: &mut Tx<'_>, ids: &[String]) -> Result<Vec<Task>, Error> {
    let mut found = STATUSES.query(tx, &[], &values(ids), record::read)?;
    found.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

/// As [`statuses`], with their definitions.
pub fn listed_tasks(tx: &mut Tx<'_>, ids: &[String]) -> Result<Vec<Listed>, Error> {
    let mut found = LISTED.query(tx, &[], &values(ids), read)?;
    found.sort_unstable_by(|a, b| a.task.id.cmp(&b.task.id));
    Ok(found)
}
