//! Moves the write-ahead log into the database file while the writer goes on.
//!
//! A checkpoint writes each changed page once however often it stands in the log, so a longer log
//! saves work. A thread of its own does the bulk of it; what the writer has added meanwhile is
//! little, and the writer moves that itself, so that the log is empty at one moment and begins
//! anew instead of growing as long as there is load.

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

/// Pages in the log from which a checkpoint is worth its while: 16 MiB.
const ENOUGH: i32 = 4000;

/// Whose turn it is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nobody's: the log is short.
    #[default]
    Idle,
    /// The thread's.
    Bulk,
    /// The writer's: to move what was added meanwhile.
    Tail,
    /// The store closes.
    Closed,
}

/// What the writer and the thread agree on.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    stage: Mutex<Stage>,
    changed: Condvar,
}

impl Checkpoints {
    /// To be called by the writer after a commit: the log has so many pages now.
    pub(crate) fn log_has(&self, pages: i32) {
        if pages >= ENOUGH && self.advance(Stage::Idle, Stage::Bulk) {
            self.changed.notify_one();
        }
    }

    /// To be called by the writer between two transactions.
    pub(crate) fn move_tail(&self, connection: &Connection) {
        if *self.stage.lock() == Stage::Tail {
            run(connection);
            self.advance(Stage::Tail, Stage::Idle);
        }
    }

    /// Ends [`Checkpoints::serve`].
    pub(crate) fn close(&self) {
        *self.stage.lock() = Stage::Closed;
        self.changed.notify_one();
    }

    /// Moves the bulk whenever it is its turn, until closed.
    pub(crate) fn serve(&self, connection: &Connection) {
        loop {
            let mut stage = self.stage.lock();
            while *stage != Stage::Bulk {
                if *stage == Stage::Closed {
                    return;
                }
                self.changed.wait(&mut stage);
            }
            drop(stage);
            run(connection);
            self.advance(Stage::Bulk, Stage::Tail);
        }
    }

    fn advance(&self, from: Stage, to: Stage) -> bool {
        let mut stage = self.stage.lock();
        let is_there = *stage == from;
        if is_there {
            *stage = to;
        }
        is_there
    }
}

/// Moves as much as no reader stands in the way of. What fails, as on a full disk, is done by a
/// later one: until then everything is in the log.
fn run(connection: &Connection) {
    let outcome = connection
        .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")
        .and_then(|mut statement| statement.query_row([], |_| Ok(())));
    if let Err(error) = outcome {
        tracing::warn!(%error, "the write-ahead log could not be moved into the database");
    }
}
