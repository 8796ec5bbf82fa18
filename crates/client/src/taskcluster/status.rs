use serde::{Deserialize, Serialize};

use crate::{
    Timestamp,
    taskcluster::{ExceptionReason, Priority},
};

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatus {
    /// The task.
    pub task_id: String,
    /// First half of the queue's name.
    pub provisioner_id: String,
    /// Second half of the queue's name.
    pub worker_type: String,
    /// The queue's name; absent on old deployments.
    #[serde(default)]
    pub task_queue_id: Option<String>,
    /// Who schedules the group.
    pub scheduler_id: String,
    /// Project; absent on old deployments.
    #[serde(default)]
    pub project_id: Option<String>,
    /// The group.
    pub task_group_id: String,
    /// Current priority; absent on old deployments.
    #[serde(default)]
    pub priority: Option<Priority>,
    /// When it must be resolved.
    pub deadline: Timestamp,
    /// When everything about it may be deleted.
    pub expires: Timestamp,
    /// New runs left after a worker's failure.
    pub retries_left: u32,
    /// State of the last run, or unscheduled.
    pub state: TaskState,
    /// Every attempt, in order: `runs[i].run_id == i`.
    pub runs: Vec<Run>,
}

/// An answer that is a status.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TaskStatusResponse {
    /// The status.
    pub status: TaskStatus,
}

/// State of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    /// Waits for its dependencies, or to be scheduled.
    Unscheduled,
    /// Waits for a worker.
    Pending,
    /// A worker has it.
    Running,
    /// Done, successfully.
    Completed,
    /// Done, unsuccessfully.
    Failed,
    /// Not done.
    Exception,
}

/// State of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Waits for a worker.
    Pending,
    /// A worker has it.
    Running,
    /// Done, successfully.
    Completed,
    /// Done, unsuccessfully.
    Failed,
    /// Not done.
    Exception,
}

/// One attempt at a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Number of the attempt, from 0.
    pub run_id: u32,
    /// Its state.
    pub state: RunState,
    /// `scheduled`, `retry`, `task-retry`, `rerun` or `exception`.
    pub reason_created: String,
    /// `completed`, `failed`, or why it is an exception; only once resolved.
    #[serde(default)]
    pub reason_resolved: Option<String>,
    /// Group of the worker that claimed it.
    #[serde(default)]
    pub worker_group: Option<String>,
    /// Worker that claimed it.
    #[serde(default)]
    pub worker_id: Option<String>,
    /// End of the claim.
    #[serde(default)]
    pub taken_until: Option<Timestamp>,
    /// When it became pending.
    pub scheduled: Timestamp,
    /// When it was claimed.
    #[serde(default)]
    pub started: Option<Timestamp>,
    /// When it was resolved.
    #[serde(default)]
    pub resolved: Option<Timestamp>,
}

// === impl TaskState ===

impl TaskState {
    /// The word for it on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unscheduled => "unscheduled",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Exception => "exception",
        }
    }

    /// Whether nothing but a rerun can change it.
    pub fn is_resolved(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Exception => true,
            Self::Unscheduled | Self::Pending | Self::Running => false,
        }
    }
}

// === impl Run ===

impl Run {
    /// Whether it ended for `reason`.
    pub fn ended_for(&self, reason: ExceptionReason) -> bool {
        self.reason_resolved.as_deref() == Some(reason.as_str())
    }
}
