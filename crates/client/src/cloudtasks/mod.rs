//! Google Cloud Tasks: queues whose tasks are sent to HTTP targets, each until it is answered with
//! success, and pull queues whose tasks are leased.
//!
//! Speaks HTTP/JSON, every method of the versions v2, v2beta3 and v2beta2, with Taskyard and with
//! the real service. The types have the fields of all versions; a field that only some have names
//! them, and must be left unset for others.
//!
//! ```no_run
//! use taskyard_client::cloudtasks::{CloudTasks, HttpRequest, Options, Queue, Task};
//!
//! # async fn example() -> Result<(), taskyard_client::cloudtasks::Error> {
//! let client = CloudTasks::new(Options::at("http://127.0.0.1:8080"))?;
//! let parent = "projects/p/locations/l";
//! let queue = client.create_queue(parent, &Queue::named(parent, "mail")).await?;
//! let task = Task::http(HttpRequest::post("https://example.com/send", "hello"));
//! let task = client.create_task(&queue.name, &task).await?;
//! println!("{}", task.name);
//! # Ok(())
//! # }
//! ```

mod bytes64;
mod call;
mod call_options;
mod client;
mod error;
mod iam;
mod int64;
mod lease;
mod methods;
mod operation;
mod options;
mod pages;
mod place;
mod queue;
mod target;
mod task;

pub use bytes64::Base64;
pub use call_options::{CallOptions, CallSettings, RetryPolicy};
pub use client::CloudTasks;
pub use error::{Code, Error, Status};
pub use iam::{AuditConfig, AuditLogConfig, Binding, Condition, Policy};
pub use lease::{Lease, LeaseRequest};
pub use operation::{Operation, OperationOutcome};
pub use options::{DEFAULT_ENDPOINT, Options, TokenSource, Version};
pub use pages::Pages;
pub use place::{CmekConfig, Location};
pub use queue::{
    AppEngineQueue, HttpTarget, Listing, LoggingConfig, PullTarget, Queue, QueueKind, QueueState,
    QueueStats, RateLimits, RetryConfig,
};
pub use target::{
    AppEngineRequest, AppEngineRouting, Header, HeaderOverride, HttpMethod, HttpRequest,
    OAuthToken, OidcToken, PathOverride, QueryOverride, UriOverride,
};
pub use task::{
    Attempt, BufferedTask, FailedTask, LoggedAttempt, PullMessage, Task, TaskStatus, View,
};
