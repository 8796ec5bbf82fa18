use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::null;
use crate::Timestamp;

/// Which scheduled jobs to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledJobs {
    /// Key of the stack that asks.
    pub stack_key: String,
    /// Queue to look in.
    pub queue_key: String,
    /// At most so many, 1 to 1000; the server decides if unset.
    pub limit: Option<u32>,
    /// Where the page before ended.
    pub after: Option<String>,
}

impl ScheduledJobs {
    /// The first page of a queue.
    pub fn new(stack_key: impl Into<String>, queue_key: impl Into<String>) -> Self {
        Self {
            stack_key: stack_key.into(),
            queue_key: queue_key.into(),
            limit: None,
            after: None,
        }
    }

    /// At most so many jobs.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The page after one that ended at `cursor`.
    pub fn after(mut self, cursor: impl Into<String>) -> Self {
        self.after = Some(cursor.into());
        self
    }
}

/// A job that waits for somebody to run it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ScheduledJob {
    /// UUID.
    pub id: String,
    /// Jobs with a higher one come first.
    #[serde(default, deserialize_with = "null::default")]
    pub priority: i64,
    /// Tags that an agent must have, such as `queue=default`.
    #[serde(default, deserialize_with = "null::default")]
    pub agent_query_rules: Vec<String>,
    /// When it could first have run.
    #[serde(default)]
    pub runnable_at: Option<Timestamp>,
    /// When it was scheduled.
    #[serde(default)]
    pub scheduled_at: Option<Timestamp>,
    /// The pipeline it belongs to.
    #[serde(default, deserialize_with = "null::default")]
    pub pipeline: Pipeline,
    /// The build it belongs to.
    #[serde(default, deserialize_with = "null::default")]
    pub build: Build,
    /// The step it was made from.
    #[serde(default, deserialize_with = "null::default")]
    pub step: Step,
}

/// The pipeline of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Pipeline {
    /// Its name in addresses.
    #[serde(deserialize_with = "null::default")]
    pub slug: String,
    /// UUID.
    #[serde(deserialize_with = "null::default")]
    pub uuid: String,
}

/// The build of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Build {
    /// UUID.
    #[serde(deserialize_with = "null::default")]
    pub uuid: String,
    /// Its number within the pipeline.
    #[serde(deserialize_with = "null::default")]
    pub number: i64,
    /// The branch that is built.
    #[serde(deserialize_with = "null::default")]
    pub branch: String,
}

/// The step of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Step {
    /// Its key in the pipeline; empty if it has none.
    #[serde(deserialize_with = "null::default")]
    pub key: String,
}

/// Some scheduled jobs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JobsPage {
    /// The jobs, longest scheduled first.
    #[serde(default, deserialize_with = "null::default")]
    pub jobs: Vec<ScheduledJob>,
    /// The queue they were found in.
    #[serde(default, deserialize_with = "null::default")]
    pub cluster_queue: ClusterQueue,
    /// What comes after.
    #[serde(default, deserialize_with = "null::default")]
    pub page_info: PageInfo,
}

/// A queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ClusterQueue {
    /// UUID.
    #[serde(deserialize_with = "null::default")]
    pub id: String,
    #[serde(deserialize_with = "null::default")]
    paused: bool,
    #[serde(deserialize_with = "null::default")]
    dispatch_paused: bool,
}

impl ClusterQueue {
    /// Whether no job of the queue may be started now. Servers spell it in one of two ways.
    pub fn is_paused(&self) -> bool {
        self.paused || self.dispatch_paused
    }
}

/// What comes after a page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PageInfo {
    /// Whether there is more.
    #[serde(deserialize_with = "null::default")]
    pub has_next_page: bool,
    /// Where this page ended.
    pub end_cursor: Option<String>,
}

/// What came of a reservation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ReservedJobs {
    /// Jobs that are the stack's now.
    #[serde(deserialize_with = "null::default")]
    pub reserved: Vec<String>,
    /// Jobs that are not: unknown, somebody else's, or not scheduled any more.
    #[serde(deserialize_with = "null::default")]
    pub not_reserved: Vec<String>,
}

/// What a job runs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Job {
    /// UUID.
    pub id: String,
    /// Variables of its environment.
    #[serde(default, deserialize_with = "null::default")]
    pub env: BTreeMap<String, String>,
    /// Its command, for a shell.
    #[serde(default, deserialize_with = "null::default")]
    pub command: String,
}

#[derive(Debug, Serialize)]
pub(super) struct ReserveRequest {
    job_uuids: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reservation_expiry_seconds: Option<u64>,
}

impl ReserveRequest {
    pub(super) fn new(job_uuids: Vec<String>, expiry: Option<Duration>) -> Self {
        Self {
            job_uuids,
            reservation_expiry_seconds: expiry.map(|expiry| expiry.as_secs().max(1)),
        }
    }
}
