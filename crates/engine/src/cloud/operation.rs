//! What calls about many tasks came to, kept for a while, so that asking again does nothing twice.

use std::time::Duration;

use taskyard_store::{Error, Key, Migration, Row, Tx, params};

use crate::timestamp::Timestamp;

/// The table of operations.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "cloud-operations",
    id: 1,
    name: "results of batches",
    sql: "
CREATE TABLE cloud_operations (
  -- projects/P/locations/L
  parent {text} NOT NULL,
  id {text} NOT NULL,
  queue {text} NOT NULL,
  kind {text} NOT NULL,
  started_at {int} NOT NULL,
  expires {int} NOT NULL,
  document {text} NOT NULL,
  PRIMARY KEY (parent, id)
) {strict};
-- sweeping
CREATE INDEX cloud_operations_by_expiry ON cloud_operations (expires);
",
}];

/// How long an operation can be asked for.
const KEPT: Duration = Duration::from_hours(24);

/// What the tasks of a batch were to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// They were to be created.
    Create,
    /// They were to be deleted.
    Delete,
}

/// What a batch came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// `projects/P/locations/L`.
    pub parent: String,
    /// Chosen by whoever asked for it.
    pub id: String,
    /// The full name of the queue.
    pub queue: String,
    /// What was to be done.
    pub kind: Kind,
    /// When it was done.
    pub started_at: Timestamp,
    /// What became of each task, in the API's own words.
    pub document: String,
}

/// The key of what changes operations of `parent`.
pub fn key(parent: &str) -> Key {
    Key::of(("cloud operations", parent))
}

const GET: &str = "SELECT parent, id, queue, kind, started_at, document FROM cloud_operations \
     WHERE parent = $1 AND id = $2 AND expires > $3";

fn read(row: &Row<'_>) -> Result<Operation, Error> {
    let kind = match row.get::<String>(3)?.as_str() {
        "create" => Kind::Create,
        "delete" => Kind::Delete,
        other => return Err(Error::Statement(format!("no kind of operation: {other}"))),
    };
    Ok(Operation {
        parent: row.get(0)?,
        id: row.get(1)?,
        queue: row.get(2)?,
        kind,
        started_at: row.get(4)?,
        document: row.get(5)?,
    })
}

/// The operation of this id, if it was done within the last day.
pub fn get(
    tx: &mut Tx<'_>,
    now: Timestamp,
    parent: &str,
    id: &str,
) -> Result<Option<Operation>, Error> {
    tx.query_opt(GET, params![parent, id, now], read)
}

const FORGET: &str = "DELETE FROM cloud_operations WHERE expires <= $1";
const INSERT: &str = "INSERT INTO cloud_operations \
     (parent, id, queue, kind, started_at, expires, document) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (parent, id) DO NOTHING";

/// Keeps an operation for a day, and forgets older ones. Call it in the transaction that did what
/// the operation says, after [`get`] found none.
///
/// # Errors
/// When the same operation was done by somebody else meanwhile, so that all of it is undone and
/// looked at again.
pub fn keep(tx: &mut Tx<'_>, now: Timestamp, operation: &Operation) -> Result<(), Error> {
    tx.execute(FORGET, params![now])?;
    let kind = match operation.kind {
        Kind::Create => "create",
        Kind::Delete => "delete",
    };
    let kept = tx.execute(
        INSERT,
        params![
            &operation.parent,
            &operation.id,
            &operation.queue,
            kind,
            operation.started_at,
            now.plus(KEPT),
            &operation.document
        ],
    )?;
    if kept == 0 {
        return Err(tx.overtaken("the same operation was done meanwhile"));
    }
    Ok(())
}
