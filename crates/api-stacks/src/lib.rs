//! The Stacks API, and the API of the agents that stacks start.
//!
//! A stack registers, lists the scheduled jobs of a queue, reserves some, and starts an agent for
//! each. The agent acquires its job, sends its log while it runs, and reports how it ended. A job is
//! a task: its UUID and the task's id are the same 128 bits, its queue `K` is the task queue
//! `stacks/K` unless a [`QueueMap`] says otherwise, its build is the task group.
//!
//! Every route is in `route.rs`.

mod agents;
mod annotations;
mod artifacts;
mod assignment;
mod caller;
mod finish;
mod job;
mod job_id;
mod jobs;
mod limit;
mod listing;
mod log;
mod meta_data;
mod metrics;
mod notifications;
mod problem;
mod queue;
mod reply;
mod request;
mod route;
mod runs;
mod secret;
mod service;
mod stacks;
mod state;
mod time;
mod tokens;

pub use artifacts::{ArtifactStore, Stored};
pub use queue::{QueueMap, QueueMapError};
pub use service::{Parts, Stacks};
