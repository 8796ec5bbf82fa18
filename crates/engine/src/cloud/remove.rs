//! Tasks that end: it is told, their rows go, their names stay a while.

use std::sync::LazyLock;

use taskyard_store::{Error, Tx};

use super::portions::{Portions, column};
use super::queue::{self, Queue};
use super::refusal::Refusal;
use super::task::Task;
use super::{event, lookup, tombstone, wait};
use crate::timestamp::Timestamp;

static DELETE_TASKS: LazyLock<Portions<1>> = LazyLock::new(|| {
    Portions::list(|numbers| format!("DELETE FROM cloud_tasks WHERE number IN ({numbers})"))
});
static DELETE_REQUESTS: LazyLock<Portions<1>> = LazyLock::new(|| {
    Portions::list(|numbers| format!("DELETE FROM cloud_requests WHERE number IN ({numbers})"))
});

/// What becomes of the request of a task that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// It goes with the task.
    Removed,
    /// It is kept for inspection.
    Kept,
}

/// Removes these tasks of a queue, their entries, and maybe their requests; keeps their names, and
/// writes down the event of this kind for each.
pub(super) fn remove(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: &Queue,
    kind: &'static str,
    tasks: &[&Task],
    request: Request,
) -> Result<(), Error> {
    if tasks.is_empty() {
        return Ok(());
    }
    for task in tasks {
        event::append(tx, now, kind, &queue.name, task)?;
    }
    let leases: Vec<i64> = tasks.iter().filter_map(|task| task.lease_id).collect();
    wait::delete(tx, &leases)?;
    let numbers: Vec<i64> = tasks.iter().map(|task| task.number).collect();
    forget(tx, &numbers, request)?;
    let named = tasks.iter().filter(|task| task.is_named);
    let names = named.map(|task| task.id.as_str());
    let until = now.plus(queue.settings.tombstone_ttl);
    tombstone::put(tx, queue.number, names, until)
}

/// Removes the rows of these tasks and nothing else.
pub(super) fn forget(tx: &mut Tx<'_>, numbers: &[i64], request: Request) -> Result<(), Error> {
    let rows = column(numbers);
    DELETE_TASKS.execute(tx, &[], &rows)?;
    if request == Request::Removed {
        DELETE_REQUESTS.execute(tx, &[], &rows)?;
    }
    Ok(())
}

/// Deletes a task. An attempt under way goes on; its result is ignored, and until it has ended it
/// counts against the queue's concurrency.
pub fn delete(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: &str,
    id: &str,
) -> Result<Result<(), Refusal>, Error> {
    let queue = match queue::get(tx, queue)? {
        Ok(queue) => queue,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Some(number) = lookup::number(tx, &queue, id)? else {
        return Ok(Err(Refusal::TaskMissing));
    };
    let Some(mut task) = lookup::lock(tx, number)? else {
        return Ok(Err(Refusal::TaskMissing));
    };
    if let Some(lease_id) = task.lease_id
        && wait::is_flying(tx, queue.generation, lease_id)?
    {
        task.lease_id = None;
    }
    let deleted = [&task];
    remove(tx, now, &queue, event::DELETED, &deleted, Request::Removed)?;
    Ok(Ok(()))
}
