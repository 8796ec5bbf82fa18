//! Names of tasks that ended, kept so that they are not used again too soon.

use std::sync::LazyLock;

use taskyard_store::{Error, Topic, Tx, Value, params};

use super::portions::Portions;
use crate::timestamp::Timestamp;

static INSERT: LazyLock<Portions<3>> = LazyLock::new(|| {
    Portions::rows(0, |rows| {
        format!(
            "INSERT INTO cloud_tombstones (queue, task_id, expires) VALUES {rows} \
             ON CONFLICT (queue, task_id) DO UPDATE SET expires = excluded.expires"
        )
    })
});

/// Keeps the names of these tasks of a queue until `expires`; ids that nobody chose need not be
/// kept.
pub(super) fn put<'a>(
    tx: &mut Tx<'_>,
    queue: i64,
    names: impl Iterator<Item = &'a str>,
    expires: Timestamp,
) -> Result<(), Error> {
    let rows: Vec<[Value<'_>; 3]> = names
        .map(|name| [queue.into(), name.into(), expires.into()])
        .collect();
    INSERT.execute(tx, &[], &rows).map(drop)
}

const FIND: &str = "SELECT expires FROM cloud_tombstones WHERE queue = $1 AND task_id = $2";
const FIND_IN_GRAVE: &str = "SELECT g.names_until FROM cloud_graves g JOIN cloud_tasks t \
     ON t.generation = g.generation WHERE g.queue = $1 AND t.task_id = $2 AND t.named = 1";

/// Whether this name of a queue was taken by a task that ended too recently.
pub(super) fn holds(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: i64,
    name: &str,
) -> Result<bool, Error> {
    for sql in [FIND, FIND_IN_GRAVE] {
        let found = tx.query(sql, params![queue, name], |row| row.get::<Timestamp>(0))?;
        if found.into_iter().any(|until| until > now) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is woken when there is a generation to be swept.
pub fn graves() -> Topic {
    Topic::new("cloud graves", "")
}
