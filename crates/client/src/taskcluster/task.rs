use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Timestamp, taskcluster::TaskStatus};

/// What a task is: input of `createTask`, and what `task` returns. What is `None` or empty is not
/// sent, so that the server's default holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskDefinition {
    /// Queue that workers claim from, `<provisionerId>/<workerType>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_queue_id: Option<String>,
    /// First half of the queue's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioner_id: Option<String>,
    /// Second half of the queue's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_type: Option<String>,
    /// Who schedules the group; default `-`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler_id: Option<String>,
    /// Project; default `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// Group; default the task's own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_group_id: Option<String>,
    /// Tasks that come first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<String>,
    /// What must have become of them; default all completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires: Option<Requires>,
    /// Routes its events are published under.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// Default lowest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// New runs after a worker's failure, 0 to 49; default 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// When it was made.
    pub created: Timestamp,
    /// When it must be resolved, at most five days ahead.
    pub deadline: Timestamp,
    /// When everything about it may be deleted; default a year after the deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Rights of the task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// What the worker does.
    pub payload: Value,
    /// For people.
    pub metadata: Metadata,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

/// What people should know about a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Short name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Whom to ask, an e-mail address.
    pub owner: String,
    /// Where it comes from, a URL.
    pub source: String,
}

/// Order of claims within a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Priority {
    /// Old deployments call it `normal`.
    #[serde(alias = "normal")]
    Lowest,
    VeryLow,
    Low,
    Medium,
    High,
    VeryHigh,
    Highest,
}

/// When dependencies count as satisfied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Requires {
    /// All have completed.
    AllCompleted,
    /// All are resolved, however.
    AllResolved,
}

/// A task with its status, as listings have it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TaskAndStatus {
    /// Its definition.
    pub task: TaskDefinition,
    /// Where it stands.
    pub status: TaskStatus,
}

/// One page of a group.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskGroupPage {
    /// The group.
    pub task_group_id: String,
    /// Scheduler of its tasks.
    pub scheduler_id: Option<String>,
    /// When the group's record may be deleted.
    pub expires: Option<Timestamp>,
    /// Since when it takes no more tasks.
    pub sealed: Option<Timestamp>,
    /// Members; may be empty although more follow.
    pub tasks: Vec<TaskAndStatus>,
    /// Present when more follow.
    pub continuation_token: Option<String>,
}

/// One page of the tasks that depend on a task.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DependentsPage {
    /// The task depended on.
    pub task_id: String,
    /// Those that depend on it.
    pub tasks: Vec<TaskAndStatus>,
    /// Present when more follow.
    pub continuation_token: Option<String>,
}

// === impl TaskDefinition ===

impl TaskDefinition {
    /// A task with every default.
    pub fn new(
        task_queue_id: impl Into<String>,
        created: Timestamp,
        deadline: Timestamp,
        payload: Value,
        metadata: Metadata,
    ) -> Self {
        Self {
            task_queue_id: Some(task_queue_id.into()),
            provisioner_id: None,
            worker_type: None,
            scheduler_id: None,
            project_id: None,
            task_group_id: None,
            dependencies: Vec::new(),
            requires: None,
            routes: Vec::new(),
            priority: None,
            retries: None,
            created,
            deadline,
            expires: None,
            scopes: Vec::new(),
            payload,
            metadata,
            tags: BTreeMap::new(),
            extra: Map::new(),
        }
    }

    /// The queue's name, from whichever form the definition uses.
    pub fn queue(&self) -> Option<String> {
        self.task_queue_id.clone().or_else(|| {
            Some(format!(
                "{}/{}",
                self.provisioner_id.as_deref()?,
                self.worker_type.as_deref()?
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_set_is_sent() {
        let created: Timestamp = "2026-03-01T10:00:00.000Z".parse().unwrap();
        let metadata = Metadata {
            name: "n".to_owned(),
            description: "d".to_owned(),
            owner: "o@example.com".to_owned(),
            source: "https://example.com/r".to_owned(),
        };
        let mut task = TaskDefinition::new(
            "proj-a/linux",
            created,
            created,
            serde_json::json!({}),
            metadata,
        );
        task.priority = Some(Priority::VeryHigh);
        let sent = serde_json::to_value(&task).unwrap();
        assert_eq!(
            sent,
            serde_json::json!({
                "taskQueueId": "proj-a/linux", "priority": "very-high",
                "created": "2026-03-01T10:00:00.000Z", "deadline": "2026-03-01T10:00:00.000Z",
                "payload": {},
                "metadata": {"name": "n", "description": "d", "owner": "o@example.com",
                             "source": "https://example.com/r"},
            })
        );
    }

    #[test]
    fn the_definition_of_an_old_deployment_is_understood() {
        let task: TaskDefinition = serde_json::from_value(serde_json::json!({
            "provisionerId": "p", "workerType": "w", "priority": "normal", "new": 1,
            "created": "2026-03-01T10:00:00Z", "deadline": "2026-03-01T10:00:00Z", "payload": {},
            "metadata": {"name": "", "description": "", "owner": "", "source": ""},
        }))
        .unwrap();
        assert_eq!(
            (task.queue(), task.priority),
            (Some("p/w".to_owned()), Some(Priority::Lowest))
        );
    }
}
