//! A worker that runs Taskcluster tasks as processes of this machine.
//!
//! [`run`] claims tasks of one queue, runs as many at once as it is allowed to, and returns when
//! it is told to stop. Every task gets a fresh directory, a small clean environment and a process
//! group of its own, which is killed when the task ends, runs too long, or is taken away. Tasks are
//! not shielded from each other: they run as the worker's own user.
//!
//! What a task may ask for is described at [`payload`].

mod artifacts;
mod claim;
mod clock;
mod config;
mod delivery;
mod directory;
mod event;
mod fault;
mod fields;
mod job;
mod live_log;
mod log;
mod mounts;
pub mod payload;
mod process;
mod report;
pub mod stack;
mod worker;

pub use config::{Config, Keep};
pub use event::Event;
pub use report::Resolution;
pub use worker::{Error, Summary, run};
