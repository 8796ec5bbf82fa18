//! How far back transactions may still be under way.
//!
//! Numbers of a sequence become visible in the order of commits, not of the numbers. A reader that
//! goes by the numbers finds gaps: some will be filled by transactions that are still under way,
//! others never will. The horizon tells one from the other.

/// Where transactions stood when a snapshot was taken. On SQLite nobody else writes while a
/// snapshot is taken, so there every transaction has always ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// Every transaction that took a number from a sequence before this horizon was asked for is
    /// older than this.
    pub begun: i64,
    /// Every transaction older than this had ended when the snapshot was taken.
    pub ended: i64,
}

impl Horizon {
    /// Whether everything that had begun at `earlier` has ended now, so that a number that was
    /// missing then and is missing now stays missing.
    pub fn is_past(self, earlier: Horizon) -> bool {
        self.ended >= earlier.begun
    }
}
