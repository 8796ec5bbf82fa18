//! What the writer and the readers need of a database connection.

use crate::error::Error;
use crate::horizon::Horizon;
use crate::value::{Row, Value};

/// A connection on its way to the thread that will use it.
pub(crate) trait Connected: Send + 'static {
    /// Does `work` with the connection, and closes it.
    fn drive(self, work: impl FnOnce(&mut dyn Driver));
}

/// One connection, used by one thread. Statements are keyed by their static text and prepared once.
pub(crate) trait Driver {
    /// Starts a write transaction. `marker` names it, so that its fate can be found out later.
    fn begin(&mut self, marker: &str) -> Result<(), Error>;
    /// Makes the transaction durable. [`Error::Lost`] means its fate is not known.
    fn commit(&mut self) -> Result<(), Error>;
    /// Undoes the transaction; also leaves a transaction that is already gone.
    fn rollback(&mut self);
    /// After a lost COMMIT: connects again and tells whether the transaction named `marker` took
    /// effect. Waits for one that is still being decided; may be asked again after an error.
    fn was_committed(&mut self, marker: &str) -> Result<bool, Error>;
    /// Starts and ends a read-only snapshot.
    fn begin_read(&mut self) -> Result<(), Error>;
    /// Ends the snapshot of [`Driver::begin_read`].
    fn end_read(&mut self);
    /// Runs a statement and returns how many rows it changed.
    fn execute(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, Error>;
    /// Runs a query and hands each row to `each`.
    fn query(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error>;
    /// Takes `count` fresh numbers from a sequence, ascending.
    fn next_ids(&mut self, sequence: &'static str, count: usize) -> Result<Vec<i64>, Error>;
    /// Which transactions have ended, as this snapshot sees it.
    fn horizon(&mut self) -> Result<Horizon, Error>;
}
