//! Methods about many tasks at once, about whole groups, and about what comes before a task runs.

use serde_json::json;

use crate::method::Verb::Post;
use crate::method::{Method, handler};
use crate::queue::{Queue, batches, groups, priorities, tasks};

use super::PAGED;

const TASKS: &str = "Tasks";
const GROUPS: &str = "Task Groups";

pub(super) fn methods() -> Vec<Method<Queue>> {
    [batch_methods(), group_methods(), task_methods()]
        .into_iter()
        .flatten()
        .collect()
}

fn batch_methods() -> Vec<Method<Queue>> {
    let each = |scope: &str| {
        json!({"AllOf": [
            {"for": "taskId", "in": "taskIds", "each": format!("queue:{scope}:<taskId>")},
        ]})
    };
    vec![
        Method::new("tasks", Post, "/tasks", handler!(batches::tasks))
            .scopes(each("get-task"))
            .query(PAGED)
            .input("v1/tasks-request.json#")
            .output("v1/tasks-response.json#")
            .experimental()
            .about(
                TASKS,
                "Many task definitions",
                "The definitions of many tasks, by id; those that do not exist are left out.",
            ),
        Method::new(
            "statuses",
            Post,
            "/tasks/status",
            handler!(batches::statuses),
        )
        .scopes(each("status"))
        .query(PAGED)
        .input("v1/tasks-request.json#")
        .output("v1/tasks-statuses-response.json#")
        .experimental()
        .about(
            TASKS,
            "Many task statuses",
            "Where many tasks stand, by id; those that do not exist are left out.",
        ),
    ]
}

fn group_methods() -> Vec<Method<Queue>> {
    vec![
        Method::new(
            "cancelTaskGroup",
            Post,
            "/task-group/<taskGroupId>/cancel",
            handler!(groups::cancel_task_group),
        )
        .scopes(json!("queue:cancel-task-group:<schedulerId>/<taskGroupId>"))
        .output("v1/cancel-task-group-response.json#")
        .experimental()
        .about(
            TASKS,
            "Cancel a task group",
            "Cancels every task of a sealed group that is not resolved.",
        ),
        Method::new(
            "sealTaskGroup",
            Post,
            "/task-group/<taskGroupId>/seal",
            handler!(groups::seal_task_group),
        )
        .scopes(json!("queue:seal-task-group:<schedulerId>/<taskGroupId>"))
        .output("v1/task-group-response.json#")
        .experimental()
        .about(
            GROUPS,
            "Seal a task group",
            "From now on no task can be added to the group. There is no way back.",
        ),
        Method::new(
            "changeTaskGroupPriority",
            Post,
            "/task-group/<taskGroupId>/priority",
            handler!(priorities::change_task_group_priority),
        )
        .scopes(json!(
            "queue:change-task-group-priority:<schedulerId>/<taskGroupId>"
        ))
        .input("v1/change-task-priority-request.json#")
        .output("v1/task-group-priority-change-response.json#")
        .experimental()
        .about(
            GROUPS,
            "Change the priority of a task group",
            "Gives another priority to every task of the group that was never resolved.",
        ),
    ]
}

fn task_methods() -> Vec<Method<Queue>> {
    vec![
        Method::new(
            "changeTaskPriority",
            Post,
            "/task/<taskId>/priority",
            handler!(priorities::change_task_priority),
        )
        .scopes(json!({"AnyOf": [
            "queue:change-task-priority:<taskId>",
            "queue:change-task-priority-in-queue:<taskQueueId>",
        ]}))
        .input("v1/change-task-priority-request.json#")
        .output("v1/task-status-response.json#")
        .experimental()
        .about(
            TASKS,
            "Change the priority of a task",
            "A pending run moves within its queue at once; a running one is not touched.",
        ),
        Method::new(
            "defineTask",
            Post,
            "/task/<taskId>/define",
            handler!(tasks::define_task),
        )
        .scopes(json!({"AllOf": [
            {"for": "scope", "in": "scopes", "each": "<scope>"},
            {"for": "route", "in": "routes", "each": "queue:route:<route>"},
            {"AnyOf": [
                {"AllOf": [
                    "queue:scheduler-id:<schedulerId>",
                    {"AnyOf": [{
                        "for": "priority",
                        "in": "priorities",
                        "each": "queue:create-task:<priority>:<provisionerId>/<workerType>",
                    }]},
                ]},
                {"if": "legacyScopes", "then": {"AnyOf": [
                    "queue:define-task:<provisionerId>/<workerType>",
                    "queue:create-task:<provisionerId>/<workerType>",
                    {"AllOf": [
                        "queue:define-task:<provisionerId>/<workerType>",
                        "queue:task-group-id:<schedulerId>/<taskGroupId>",
                    ]},
                ]}},
            ]},
        ]}))
        .input("v1/create-task-request.json#")
        .output("v1/task-status-response.json#")
        .deprecated()
        .about(
            TASKS,
            "Define a task",
            "As createTask, but the task also depends on itself, so that it waits until somebody \
             schedules it. Needs queue:create-task:project:<projectId>, too.",
        ),
    ]
}
