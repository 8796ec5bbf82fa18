use serde::{Deserialize, Serialize};

use crate::{
    Credentials, Timestamp,
    taskcluster::{TaskDefinition, TaskStatus},
};

/// Who asks for work, and for how much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimWorkRequest {
    /// Group of the worker.
    pub worker_group: String,
    /// The worker.
    pub worker_id: String,
    /// Tasks wanted, 1 to 32.
    pub tasks: u32,
}

/// What there was to do.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ClaimWorkResponse {
    /// At most as many as were asked for; empty after a fruitless wait.
    pub tasks: Vec<Claim>,
}

/// A run that is the caller's until `taken_until`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The task's status, the claimed run being its last.
    pub status: TaskStatus,
    /// The claimed run.
    pub run_id: u32,
    /// Group of the worker.
    pub worker_group: String,
    /// The worker.
    pub worker_id: String,
    /// End of the claim by the server's clock.
    pub taken_until: Timestamp,
    /// What to do.
    pub task: TaskDefinition,
    /// For everything that concerns this run; they end with the claim.
    pub credentials: Credentials,
}

/// A claim that was extended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reclaim {
    /// The task's status.
    pub status: TaskStatus,
    /// The claimed run.
    pub run_id: u32,
    /// New end of the claim by the server's clock.
    pub taken_until: Timestamp,
    /// Credentials that last as long as the claim.
    pub credentials: Credentials,
}

/// Why a worker could not finish a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExceptionReason {
    /// The worker is going away; the task is tried again.
    WorkerShutdown,
    /// The payload is wrong.
    MalformedPayload,
    /// Something the task needs is not there.
    ResourceUnavailable,
    /// The worker is at fault.
    InternalError,
    /// The task says that another attempt may succeed; it is tried again.
    IntermittentTask,
}

impl ExceptionReason {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WorkerShutdown => "worker-shutdown",
            Self::MalformedPayload => "malformed-payload",
            Self::ResourceUnavailable => "resource-unavailable",
            Self::InternalError => "internal-error",
            Self::IntermittentTask => "intermittent-task",
        }
    }
}
