//! How a change says that it happened.

use taskyard_store::{Error, Topic, Tx, params};

const APPEND: &str = "INSERT INTO events (created, kind, subject, body) VALUES ($1, $2, $3, $4)";

/// What readers of the log wait for.
pub fn topic() -> Topic {
    Topic::new("events", "log")
}

/// Writes down that something happened, in the transaction that makes it happen.
///
/// - `now`: microseconds since 1970.
/// - `kind`: what happened, as the domain calls it, such as `task-claimed`. Whoever translates this
///   kind for the world knows its `body`.
/// - `subject`: what it happened to. Events of one subject are read in the order in which they were
///   appended, as long as the caller holds the lock on the subject's row (or has just inserted it).
/// - `body`: compact JSON of what may have changed again by the time somebody reads it. What never
///   changes is looked up then.
///
/// This is on the path of every change, so it is one insert without an index.
///
/// # Errors
/// As [`Tx::execute`].
pub fn append(
    tx: &mut Tx<'_>,
    now: i64,
    kind: &'static str,
    subject: &str,
    body: &str,
) -> Result<(), Error> {
    tx.execute(APPEND, params![now, kind, subject, body])?;
    tx.wake_all(topic());
    Ok(())
}
