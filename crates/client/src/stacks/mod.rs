//! Stacks: whoever starts Buildkite-style agents takes jobs here, and tells how they are going.
//!
//! A stack registers itself, lists the jobs that are scheduled in a queue, reserves those it wants
//! to run, and starts an agent for each. The agent then takes its job, reports its log and its end:
//! see [`agent`]. Everything works with Taskyard and with the real service.
//!
//! ```no_run
//! use taskyard_client::stacks::{NewStack, Options, ReservedJobs, ScheduledJobs, Stacks};
//!
//! # async fn example() -> Result<(), taskyard_client::stacks::Error> {
//! let options = Options::new("bkct_secret").with_base_url("http://127.0.0.1:8080/v3");
//! let stacks = Stacks::new(options)?;
//! stacks.register(&NewStack::new("my-stack", "default")).await?;
//! let page = stacks.scheduled_jobs(&ScheduledJobs::new("my-stack", "default")).await?;
//! let ids = page.jobs.iter().map(|job| job.id.clone()).collect();
//! let ReservedJobs { reserved, .. } = stacks.reserve("my-stack", ids, None).await?.value;
//! println!("{} jobs are ours to run", reserved.len());
//! stacks.deregister("my-stack").await?;
//! # Ok(())
//! # }
//! ```

pub mod agent;
mod answer;
pub mod blocking;
mod client;
mod cluster_token;
mod error;
mod finish;
mod job;
mod job_state;
mod metrics;
mod notification;
mod null;
mod options;
mod redaction;
mod retry;
mod stack;
mod token;
mod transport;

pub use answer::{Answer, RateLimit};
pub use client::Stacks;
pub use cluster_token::{ClusterToken, ClusterTokens, IssuedClusterToken, NewClusterToken};
pub use error::{Error, Refusal};
pub use finish::FinishedJob;
pub use job::{
    Build, ClusterQueue, Job, JobsPage, PageInfo, Pipeline, ReservedJobs, ScheduledJob,
    ScheduledJobs, Step,
};
pub use job_state::JobState;
pub use metrics::{AgentCounts, Agents, JobCounts, Jobs, Metrics, Organization};
pub use notification::{Notification, NotificationError, NotificationErrors};
pub use options::{DEFAULT_BASE_URL, DEFAULT_QUEUE, Options};
pub use retry::{Backoff, Retry};
pub use stack::{NewStack, Stack, StackKind, StackState};
pub use token::{JobAcquisitionToken, JobAcquisitionTokens, TokenIdentity};
