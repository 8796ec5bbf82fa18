//! What a task is and how it moves.
//!
//! The engine knows leases, tasks, runs, dependencies, task groups and artifact records. It knows
//! no wire format, no user and no scope: an API translates, authorizes, and makes one engine call
//! inside one transaction of the store. Time and ids are arguments, so that any history can be
//! replayed.
//!
//! - [`lease`]: entries that wait in a queue or are held by an owner; [`update`] changes many of
//!   them atomically, [`group`] lists and claims those that carry their own bytes.
//! - [`task`]: definitions, runs and their pure transitions, and the transactions that apply them.
//! - [`artifact`]: records of what runs left behind.
//! - [`timer`]: what happens by itself when its time comes.

pub mod artifact;
mod batch;
pub mod clock;
pub mod group;
pub mod lease;
mod schema;
pub mod task;
pub mod timer;
mod timestamp;
pub mod update;

pub use schema::MIGRATIONS;
pub use timestamp::{Nanos, Timestamp};
