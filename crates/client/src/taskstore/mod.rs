//! Taskstore: groups of small tasks, claims, and atomic updates that depend on other tasks.
//!
//! Every change of a task gives it a new id, so whoever knows an id knows that exact version. An
//! [`Update`] adds, changes and deletes any number of tasks, all or nothing; a [`Claim`] takes
//! tasks for a while. Together they give effects that happen exactly once: [`Worker`] deletes what
//! it has worked off in the same update that adds what comes of it.
//!
//! ```no_run
//! use std::time::Duration;
//! use taskyard_client::Options;
//! use taskyard_client::taskstore::{Claim, NewTask, Taskstore, Update};
//!
//! # async fn example() -> Result<(), taskyard_client::taskstore::Error> {
//! let store = Taskstore::new(Options::new("http://127.0.0.1:8080"))?;
//! store.update(Update::new().add_task(NewTask::new("map", "some words"))).await?;
//! let claimed = store.claim(&Claim::new("map", Duration::from_secs(60))).await?;
//! for task in claimed {
//!     let done = Update::new().add_task(NewTask::new("reduce", "2")).delete(task.id);
//!     store.update(done).await?;
//! }
//! # Ok(())
//! # }
//! ```

pub mod blocking;
mod claim;
mod client;
mod error;
mod task;
mod update;
mod wire;
mod worker;

pub use claim::Claim;
pub use client::{Listing, Taskstore};
pub use error::{Error, Refusal};
pub use task::{Available, NewTask, Stats, Task};
pub use update::{Change, Update};
pub use worker::{HandlerError, Worker};
