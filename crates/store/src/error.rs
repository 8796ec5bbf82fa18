//! What can go wrong between a caller and its committed closure.

/// Why a closure's work is not in the database.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The database cannot take work now: connection lost, disk full, too many connections.
    /// Nothing was changed; the same call may succeed later.
    #[error("the database is unavailable, try again later: {0}")]
    Unavailable(String),
    /// Another transaction was in the way (deadlock, serialization failure, a guard that no longer
    /// held). The store runs the closure again by itself; a caller sees this only after many tries.
    #[error("the change kept colliding with others, try again: {0}")]
    Contended(String),
    /// The connection broke during COMMIT and the store closed, or the database stayed away, before
    /// it could be asked whether it took effect.
    #[error("the connection to the database was lost: {0}")]
    Lost(String),
    /// The database refused the statement: a bug in the SQL or in what was bound to it.
    #[error("the database refused a statement: {0}")]
    Statement(String),
    /// The closure panicked; its work was undone.
    #[error("the operation panicked and was undone")]
    Panicked,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
    /// The database could not be opened or migrated; the text says what to do.
    #[error("{0}")]
    Open(String),
}

impl Error {
    /// Whether the same call may succeed later without anything being mended in the program.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Error::Unavailable(_) | Error::Contended(_) | Error::Lost(_) | Error::Closed
        )
    }
}
