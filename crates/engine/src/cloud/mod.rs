//! Cloud queues: queues that send their tasks to a handler, or lend them to whoever asks.
//!
//! A *push* queue's tasks wait in the lease table until their `schedule_time`; [`dispatch::claim`]
//! takes those that are due as far as the queue's [rate and concurrency](budget) allow, and
//! [`record::record`] says what the handler answered: the task is done, tried again later by the
//! [law of retries](law), or given up. A *pull* queue's tasks are lent by [`pull::lease`].
//!
//! Names, sizes and bounds are checked before they come here. Every call is made inside one
//! transaction; a [`Refusal`] has changed nothing.

pub mod attempt;
pub mod bucket;
pub mod budget;
pub mod cmek;
pub mod create;
pub mod dispatch;
pub mod event;
pub mod failure;
pub mod law;
pub mod location;
pub mod lookup;
pub mod node;
pub mod operation;
pub mod outcome;
pub mod policy;
mod portions;
pub mod pull;
pub mod queue;
pub mod record;
mod refusal;
pub mod remove;
pub mod request;
mod schema;
pub mod settings;
pub mod signing_key;
pub mod stats;
pub mod sweep;
pub mod task;
mod task_id;
mod tombstone;
mod wait;

pub use create::NewTask;
pub use outcome::Outcome;
pub use queue::{Origin, Page, Queue, State};
pub use refusal::Refusal;
pub use request::{
    AppEngineRequest, AppEngineRouting, Authorization, EnforceMode, HttpRequest, HttpTarget,
    Method, Payload, PullMessage, Scheme, UriOverride,
};
pub use schema::MIGRATIONS;
pub use settings::{Kind, RateLimits, RetryConfig, Settings};
pub use task::{Attempt, Task};
