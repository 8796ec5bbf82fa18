//! Dependents follow the tasks they require.

use taskyard_store::{Error, Tx, params};

use super::create::{NewTask, is_satisfied};
use super::run::State;
use super::{Requires, Task, record, transition};
use crate::timestamp::Timestamp;

/// Dependents that are looked at in the transaction that resolves a task; the timer continues with
/// the rest, so that no transaction grows with the number of dependents.
const AT_ONCE: usize = 200;

const LOCK_AGAINST_RESOLUTION: &str = concat!(
    "SELECT ",
    record::columns!(""),
    " FROM tasks WHERE task_id = $1 FOR KEY SHARE"
);

/// The task, locked so that it cannot be resolved before what depends on its state is recorded: a
/// dependent, an artifact. Those who merely claim it are not held up.
pub(crate) fn lock_against_resolution(
    tx: &mut Tx<'_>,
    task_id: &str,
) -> Result<Option<Task>, Error> {
    tx.query_opt(LOCK_AGAINST_RESOLUTION, params![task_id], record::read)
}

const INSERT: &str = "INSERT INTO task_dependencies (required, dependent, requires, satisfied, \
     expires) VALUES ($1, $2, $3, $4, $5)";

pub(super) fn insert(
    tx: &mut Tx<'_>,
    required: &str,
    dependent: &NewTask,
    satisfied: bool,
) -> Result<(), Error> {
    tx.execute(
        INSERT,
        params![
            required,
            &dependent.id,
            dependent.requires.as_str(),
            satisfied,
            dependent.expires,
        ],
    )?;
    Ok(())
}

const UNSATISFIED_DEPENDENTS: &str = "SELECT dependent, requires FROM task_dependencies \
     WHERE required = $1 AND dependent > $2 AND satisfied = 0 ORDER BY dependent LIMIT $3";
const SATISFY: &str = "UPDATE task_dependencies SET satisfied = 1 \
     WHERE required = $1 AND dependent = $2 AND satisfied = 0";
const STILL_WAITING: &str =
    "SELECT 1 FROM task_dependencies WHERE dependent = $1 AND satisfied = 0 LIMIT 1";
const POSTPONE: &str = "INSERT INTO resolutions (task_id, resolution, after_dependent) \
     VALUES ($1, $2, $3) ON CONFLICT (task_id, resolution) DO UPDATE \
     SET after_dependent = excluded.after_dependent";
const FINISH: &str = "DELETE FROM resolutions WHERE task_id = $1 AND resolution = $2";

/// A task was finally resolved: lets its dependents follow.
pub(super) fn follow(
    tx: &mut Tx<'_>,
    now: Timestamp,
    required: &str,
    resolution: State,
) -> Result<(), Error> {
    if let Some(last) = follow_some(tx, now, required, resolution, "")? {
        tx.execute(POSTPONE, params![required, resolution.as_str(), &last])?;
        tx.alarm(now.0);
    }
    Ok(())
}

/// Looks at the next dependents behind `after`; returns the last one if there may be more.
fn follow_some(
    tx: &mut Tx<'_>,
    now: Timestamp,
    required: &str,
    resolution: State,
    after: &str,
) -> Result<Option<String>, Error> {
    let found = tx.query(
        UNSATISFIED_DEPENDENTS,
        params![required, after, AT_ONCE as i64],
        |row| {
            Ok((
                row.get::<String>(0)?,
                Requires::parse(&row.get::<String>(1)?),
            ))
        },
    )?;
    let more = found.len() == AT_ONCE;
    let last = found.last().map(|(dependent, _)| dependent.clone());
    for (dependent, requires) in found {
        // A task that depends on itself waits for somebody to schedule it.
        if dependent != required && is_satisfied(requires, resolution) {
            satisfy(tx, now, required, &dependent)?;
        }
    }
    Ok(last.filter(|_| more))
}

fn satisfy(tx: &mut Tx<'_>, now: Timestamp, required: &str, dependent: &str) -> Result<(), Error> {
    // The lock comes first: of two required tasks resolved at the same time, the later one must
    // see what the earlier one satisfied.
    let Some(task) = record::lock(tx, dependent)? else {
        return Ok(());
    };
    tx.execute(SATISFY, params![required, dependent])?;
    let waiting = tx.query_opt(STILL_WAITING, params![dependent], |row| row.get::<i64>(0))?;
    if waiting.is_none()
        && let Ok(transition) = transition::schedule(task, now)
    {
        record::apply(tx, now, transition)?;
    }
    Ok(())
}

const UNFINISHED: &str = "SELECT r.task_id, t.task_group_id FROM resolutions r \
     JOIN tasks t ON t.task_id = r.task_id ORDER BY r.task_id LIMIT $1";
const CONTINUE: &str = "SELECT resolution, after_dependent FROM resolutions WHERE task_id = $1 \
     ORDER BY resolution LIMIT 1 FOR UPDATE";

/// Resolved tasks that still have dependents to look at, as (task id, group id); a task resolved
/// more than once may appear once for each way.
pub fn unfinished_resolutions(
    tx: &mut Tx<'_>,
    limit: usize,
) -> Result<Vec<(String, String)>, Error> {
    tx.query(UNFINISHED, params![limit as i64], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })
}

/// Looks at the next dependents of a resolved task; `true` if there may be more.
pub fn continue_resolution(tx: &mut Tx<'_>, now: Timestamp, task_id: &str) -> Result<bool, Error> {
    let known = tx.query_opt(CONTINUE, params![task_id], |row| {
        Ok((row.get::<String>(0)?, row.get::<String>(1)?))
    })?;
    let Some((resolution, after)) = known else {
        return Ok(false);
    };
    let resolution = [State::Completed, State::Failed, State::Exception]
        .into_iter()
        .find(|state| state.as_str() == resolution)
        .unwrap_or(State::Exception);
    if let Some(last) = follow_some(tx, now, task_id, resolution, &after)? {
        tx.execute(POSTPONE, params![task_id, resolution.as_str(), &last])?;
        return Ok(true);
    }
    tx.execute(FINISH, params![task_id, resolution.as_str()])?;
    Ok(false)
}
