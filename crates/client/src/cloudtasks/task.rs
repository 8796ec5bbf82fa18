use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bytes64::Base64;
use super::queue::RetryConfig;
use super::target::{AppEngineRequest, HttpRequest};

/// A task. Durations are texts such as `600s`, times are RFC 3339.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Task {
    /// `projects/P/locations/L/queues/Q/tasks/T`; the service makes one up if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// It goes to an App Engine application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_engine_http_request: Option<AppEngineRequest>,
    /// It goes to an HTTP target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_request: Option<HttpRequest>,
    /// It is leased. v2beta2; v2beta3 can only read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_message: Option<PullMessage>,
    /// When it is sent; now if unset. Of a leased task: when the lease ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_time: Option<String>,
    /// When it was created.
    #[serde(skip_serializing)]
    pub create_time: Option<String>,
    /// How long an answer may take. v2 and v2beta3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispatch_deadline: Option<String>,
    /// Attempts so far. v2 and v2beta3.
    #[serde(skip_serializing)]
    pub dispatch_count: i32,
    /// Attempts that were answered. v2 and v2beta3.
    #[serde(skip_serializing)]
    pub response_count: i32,
    /// The first attempt, of which only the dispatch time is kept. v2 and v2beta3.
    #[serde(skip_serializing)]
    pub first_attempt: Option<Attempt>,
    /// The last attempt. v2 and v2beta3.
    #[serde(skip_serializing)]
    pub last_attempt: Option<Attempt>,
    /// Attempts. v2beta2.
    #[serde(skip_serializing)]
    pub status: Option<TaskStatus>,
    /// How much of it is told.
    #[serde(skip_serializing)]
    pub view: Option<View>,
    /// What happens when it fails, if not what the queue says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_config: Option<RetryConfig>,
}

impl Task {
    /// A task that sends `request`, now.
    pub fn http(request: HttpRequest) -> Self {
        Self {
            http_request: Some(request),
            ..Self::default()
        }
    }

    /// A task that is leased. v2beta2.
    pub fn pull(payload: impl Into<Base64>, tag: impl Into<String>) -> Self {
        Self {
            pull_message: Some(PullMessage {
                payload: Some(payload.into()),
                tag: tag.into(),
            }),
            ..Self::default()
        }
    }

    /// The same, called `id` in `queue`.
    pub fn named(mut self, queue: &str, id: &str) -> Self {
        self.name = format!("{queue}/tasks/{id}");
        self
    }

    /// The same, sent at `time` (RFC 3339).
    pub fn at(mut self, time: impl Into<String>) -> Self {
        self.schedule_time = Some(time.into());
        self
    }
}

/// What a leased task carries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PullMessage {
    /// Absent in the basic view.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Base64>,
    /// By which tasks can be picked.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tag: String,
}

/// One attempt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Attempt {
    /// When it was due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_time: Option<String>,
    /// When it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispatch_time: Option<String>,
    /// When it was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_time: Option<String>,
    /// What it was answered with: `code`, `message` and `details`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_status: Option<Value>,
}

/// An attempt as Taskyard's log keeps it, also when the task is gone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoggedAttempt {
    /// Name of the task.
    pub task: String,
    /// Which attempt at the task it was, counted from 1.
    pub dispatch: i32,
    /// When it was due.
    pub schedule_time: String,
    /// When it was sent.
    pub dispatch_time: String,
    /// When it ended.
    pub response_time: String,
    /// How it ended: `code` and `message`.
    pub response_status: Value,
    /// What the handler answered; `None` if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// How the answer began, or what went wrong; in the full view only.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub excerpt: String,
}

/// A task that was given up, as Taskyard keeps it for a while.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FailedTask {
    /// As it stood in the end.
    pub task: Task,
    /// When it was given up.
    pub fail_time: String,
    /// Until when it can be looked at.
    pub expire_time: String,
}

/// The attempts of a task, in v2beta2.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskStatus {
    /// Attempts so far.
    pub attempt_dispatch_count: i32,
    /// Attempts that were answered.
    pub attempt_response_count: i32,
    /// The first attempt.
    pub first_attempt_status: Option<Attempt>,
    /// The last attempt.
    pub last_attempt_status: Option<Attempt>,
}

/// How much of a task is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum View {
    /// As the service likes.
    #[serde(rename = "VIEW_UNSPECIFIED")]
    Unspecified,
    /// All but the body.
    Basic,
    /// All, which needs a right of its own.
    Full,
}

impl View {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "VIEW_UNSPECIFIED",
            Self::Basic => "BASIC",
            Self::Full => "FULL",
        }
    }
}

/// What came of a buffered request.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct BufferedTask {
    /// The task it became.
    pub task: Task,
}
