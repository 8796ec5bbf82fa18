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
//! - [`task_queue`] and [`worker`]: what is known of those who ask for runs, and whom not to give any.
//! - [`reservation`]: what waits may be set aside for somebody. [`stacks`]: who reserves and runs
//!   tasks as jobs of stacks and agents.
//! - [`artifact`]: records of what runs left behind; [`object`]: named bytes that are uploaded on
//!   their own; [`content`]: which stored bytes belong to which of them.
//! - [`index`]: tasks by names that somebody gave them. [`cache_purge`]: what workers are asked to
//!   forget.
//! - [`hook`]: templates of tasks, and when they fire. [`notification`]: mails and the like, until they
//!   are sent.
//! - [`cloud`]: queues that send their tasks to a handler, or lend them to whoever asks.
//! - [`timer`]: what happens by itself when its time comes.

pub mod artifact;
mod batch;
mod by_ids;
pub mod cache_purge;
pub mod clock;
pub mod cloud;
pub mod content;
pub mod group;
pub mod hook;
pub mod index;
pub mod lease;
pub mod notification;
pub mod object;
pub mod reservation;
mod schema;
pub mod stacks;
pub mod task;
pub mod task_queue;
pub mod timer;
mod timestamp;
pub mod update;
pub mod worker;

pub use schema::MIGRATIONS;
pub use timestamp::{Nanos, Timestamp};
