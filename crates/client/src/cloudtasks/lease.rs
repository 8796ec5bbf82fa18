use serde::{Deserialize, Serialize};

use super::task::{Task, View};

/// Which tasks of a pull queue to lease. v2beta2.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseRequest {
    /// At most so many, 1 to 1000.
    pub max_tasks: u32,
    /// For how long, such as `60s`; a week at most.
    pub lease_duration: String,
    /// How much of them is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_view: Option<View>,
    /// `tag=x`, or `tag_function=oldest_tag()`; any if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter: String,
}

impl LeaseRequest {
    /// Up to `max_tasks` tasks with their payloads, for `seconds`.
    pub fn full(max_tasks: u32, seconds: u32) -> Self {
        Self {
            max_tasks,
            lease_duration: format!("{seconds}s"),
            response_view: Some(View::Full),
            filter: String::new(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Leased {
    pub(super) tasks: Vec<Task>,
}

/// A lease that is to be ended or renewed: the task's name, and its schedule time of now, which
/// proves that the lease still holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Name of the task.
    pub name: String,
    /// Its schedule time.
    pub schedule_time: String,
}

impl From<&Task> for Lease {
    fn from(task: &Task) -> Self {
        Self {
            name: task.name.clone(),
            schedule_time: task.schedule_time.clone().unwrap_or_default(),
        }
    }
}
