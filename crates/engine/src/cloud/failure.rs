//! Tasks that were given up, kept for inspection.

use std::sync::LazyLock;

use taskyard_store::{Error, Row, Tx, Value, params};

use super::portions::{Portions, column};
use super::queue::{self, Page, Queue};
use super::refusal::Refusal;
use super::task::{Head, Task};
use crate::timestamp::Timestamp;

/// A task that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// As it stood in the end.
    pub task: Task,
    /// When it was given up.
    pub failed_at: Timestamp,
    /// Until when it is kept.
    pub expires: Timestamp,
}

static INSERT: LazyLock<Portions<6>> = LazyLock::new(|| {
    Portions::rows(0, |rows| {
        format!(
            "INSERT INTO cloud_failures (number, queue, task_id, failed_at, expires, task) \
             VALUES {rows}"
        )
    })
});

/// Keeps these tasks until `expires`; their requests must stay.
pub(super) fn keep(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: &Queue,
    tasks: &[Task],
    expires: Timestamp,
) -> Result<(), Error> {
    let texts: Vec<String> = tasks
        .iter()
        .map(|task| {
            serde_json::to_string(task)
                .map_err(|error| Error::Statement(format!("writing a failed task: {error}")))
        })
        .collect::<Result<_, _>>()?;
    let rows: Vec<[Value<'_>; 6]> = tasks
        .iter()
        .zip(&texts)
        .map(|(task, text)| {
            [
                task.number.into(),
                queue.number.into(),
                (&task.id).into(),
                now.into(),
                expires.into(),
                text.into(),
            ]
        })
        .collect();
    INSERT.execute(tx, &[], &rows).map(drop)
}

macro_rules! select {
    ($body:literal) => {
        concat!(
            "SELECT f.task, f.failed_at, f.expires, r.head",
            $body,
            " FROM cloud_failures f JOIN cloud_requests r ON r.number = f.number \
             WHERE f.queue = $1 AND f.number > $2 ORDER BY f.number LIMIT $3"
        )
    };
}

const LIST: &str = select!("");
const LIST_WITH_BODIES: &str = select!(", r.body");

fn read(row: &Row<'_>, with_body: bool) -> Result<Failed, Error> {
    let broken = |error| Error::Statement(format!("reading a failed task: {error}"));
    let mut task: Task = serde_json::from_str(&row.get::<String>(0)?).map_err(broken)?;
    let head: Head = serde_json::from_str(&row.get::<String>(3)?).map_err(broken)?;
    task.payload = if with_body {
        head.payload.with_body(row.get(4)?)
    } else {
        head.payload
    };
    Ok(Failed {
        task,
        failed_at: row.get(1)?,
        expires: row.get(2)?,
    })
}

/// Up to `limit` given-up tasks of a queue in the order of their creation, after the one with
/// number `after`, with or without their bytes.
pub fn list(
    tx: &mut Tx<'_>,
    queue: &str,
    after: Option<i64>,
    limit: usize,
    with_body: bool,
) -> Result<Result<Page<Failed, i64>, Refusal>, Error> {
    let queue = match queue::get(tx, queue)? {
        Ok(queue) => queue,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let after = after.unwrap_or(i64::MIN);
    let list = if with_body { LIST_WITH_BODIES } else { LIST };
    let more = limit as i64 + 1;
    let mut items = tx.query(list, params![queue.number, after, more], |row| {
        read(row, with_body)
    })?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().map(|failed| failed.task.number);
    Ok(Ok(Page {
        items,
        next: next.filter(|_| more),
    }))
}

const EXPIRED: &str =
    "SELECT number FROM cloud_failures WHERE expires <= $1 ORDER BY expires LIMIT $2";
const SURPLUS: &str =
    "SELECT number FROM cloud_failures ORDER BY expires DESC, number DESC LIMIT $1 OFFSET $2";
static DELETE: LazyLock<Portions<1>> = LazyLock::new(|| {
    Portions::list(|numbers| format!("DELETE FROM cloud_failures WHERE number IN ({numbers})"))
});
static DELETE_REQUESTS: LazyLock<Portions<1>> = LazyLock::new(|| {
    Portions::list(|numbers| format!("DELETE FROM cloud_requests WHERE number IN ({numbers})"))
});

/// Forgets up to `portion` given-up tasks: those that were kept long enough, then those beyond the
/// newest `most`. Returns whether there may be more.
pub(super) fn forget(
    tx: &mut Tx<'_>,
    now: Timestamp,
    most: i64,
    portion: usize,
) -> Result<bool, Error> {
    let portion = portion as i64;
    let mut numbers: Vec<i64> = tx.query(EXPIRED, params![now, portion], |row| row.get(0))?;
    if numbers.is_empty() {
        numbers = tx.query(SURPLUS, params![portion, most], |row| row.get(0))?;
    }
    delete(tx, &numbers)?;
    Ok(!numbers.is_empty())
}

fn delete(tx: &mut Tx<'_>, numbers: &[i64]) -> Result<(), Error> {
    let rows = column(numbers);
    DELETE.execute(tx, &[], &rows)?;
    DELETE_REQUESTS.execute(tx, &[], &rows).map(drop)
}

const OF_QUEUE: &str = "SELECT number FROM cloud_failures WHERE queue = $1 LIMIT $2";

/// Forgets up to `portion` given-up tasks of a queue that is gone; whether there may be more.
pub(super) fn forget_of(tx: &mut Tx<'_>, queue: i64, portion: usize) -> Result<bool, Error> {
    let numbers: Vec<i64> = tx.query(OF_QUEUE, params![queue, portion as i64], |row| row.get(0))?;
    delete(tx, &numbers)?;
    Ok(numbers.len() == portion)
}
