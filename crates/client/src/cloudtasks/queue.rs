use serde::{Deserialize, Serialize};

use super::target::{
    AppEngineRouting, HeaderOverride, HttpMethod, OAuthToken, OidcToken, UriOverride,
};

/// A queue. Durations are texts such as `600s`, times are RFC 3339.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Queue {
    /// `projects/P/locations/L/queues/Q`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where App Engine tasks go, whatever they say. v2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_engine_routing_override: Option<AppEngineRouting>,
    /// The same in v2beta3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_engine_http_queue: Option<AppEngineQueue>,
    /// The same in v2beta2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_engine_http_target: Option<AppEngineQueue>,
    /// Makes it a pull queue. v2beta2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_target: Option<PullTarget>,
    /// What all of its HTTP tasks have in common.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_target: Option<HttpTarget>,
    /// How fast tasks are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limits: Option<RateLimits>,
    /// What happens to tasks that fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_config: Option<RetryConfig>,
    /// Whether tasks are sent; pause and resume change it.
    #[serde(skip_serializing)]
    pub state: Option<QueueState>,
    /// When it was last purged.
    #[serde(skip_serializing)]
    pub purge_time: Option<String>,
    /// How long a task is kept, done or not. v2beta2 and v2beta3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_ttl: Option<String>,
    /// How long the name of a task that is gone stays taken. v2beta2 and v2beta3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tombstone_ttl: Option<String>,
    /// How many operations are logged. v2 and v2beta3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stackdriver_logging_config: Option<LoggingConfig>,
    /// Push or pull. v2beta3.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<QueueKind>,
    /// How it is going, if the read mask names it. v2beta2 and v2beta3.
    #[serde(skip_serializing)]
    pub stats: Option<QueueStats>,
}

impl Queue {
    /// The queue `id` below `parent`, with every default.
    pub fn named(parent: &str, id: &str) -> Self {
        Self {
            name: format!("{parent}/queues/{id}"),
            ..Self::default()
        }
    }
}

/// Which queues, or tasks, to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Only those it is true of, such as `state: PAUSED`. Queues and locations.
    pub filter: String,
    /// At most so many a page; the service decides if 0.
    pub page_size: u32,
    /// Fields of queues to fill, such as `name,stats`. v2beta2 and v2beta3.
    pub read_mask: String,
}

/// Where App Engine tasks go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AppEngineQueue {
    /// Whatever the tasks say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_engine_routing_override: Option<AppEngineRouting>,
}

/// Says that tasks are leased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullTarget {}

/// What all HTTP tasks of a queue have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpTarget {
    /// Parts of their addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri_override: Option<UriOverride>,
    /// Their method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_method: Option<HttpMethod>,
    /// Headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub header_overrides: Vec<HeaderOverride>,
    /// An OAuth token goes with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth_token: Option<OAuthToken>,
    /// An identity token goes with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oidc_token: Option<OidcToken>,
}

/// How fast tasks are sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RateLimits {
    /// Tasks a second. v2 and v2beta3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_dispatches_per_second: Option<f64>,
    /// Tasks a second. v2beta2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tasks_dispatched_per_second: Option<f64>,
    /// Tasks at once after a quiet time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_burst_size: Option<i32>,
    /// Tasks under way. v2 and v2beta3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_dispatches: Option<i32>,
    /// Tasks under way. v2beta2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_tasks: Option<i32>,
}

/// What happens to tasks that fail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryConfig {
    /// Attempts in all; -1 means no limit in v2 and v2beta3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<i32>,
    /// No limit. v2beta2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlimited_attempts: Option<bool>,
    /// Time for all attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retry_duration: Option<String>,
    /// The first pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_backoff: Option<String>,
    /// The longest pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_backoff: Option<String>,
    /// How often pauses double.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_doublings: Option<i32>,
}

/// Whether tasks are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum QueueState {
    #[serde(rename = "STATE_UNSPECIFIED")]
    Unspecified,
    Running,
    Paused,
    Disabled,
}

/// Push or pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum QueueKind {
    #[serde(rename = "TYPE_UNSPECIFIED")]
    Unspecified,
    Pull,
    Push,
}

/// How many operations are logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoggingConfig {
    /// A share from 0 to 1.
    pub sampling_ratio: f64,
}

/// How a queue is going.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueStats {
    /// Tasks in it.
    #[serde(with = "super::int64")]
    pub tasks_count: i64,
    /// When the next task is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_estimated_arrival_time: Option<String>,
    /// Answers in the last minute.
    #[serde(with = "super::int64")]
    pub executed_last_minute_count: i64,
    /// Tasks under way.
    #[serde(with = "super::int64")]
    pub concurrent_dispatches_count: i64,
    /// Tasks a second that are allowed now.
    pub effective_execution_rate: f64,
}
