//! The index's table of contents.

use serde_json::json;

use super::{Index, artifacts, namespaces, tasks};
use crate::method::Verb::{Delete, Get, Post, Put};
use crate::method::{Method, handler};
use crate::monitoring;

/// Title and description of the service.
pub(super) const ABOUT: (&str, &str) = (
    "Index Service",
    "Finds tasks by names: dot-separated paths, each of which leads to the task of the highest \
     rank that was put there. A task with a route `index.<path>` is put there when it completes.",
);

const CATEGORY: &str = "Index Service";
const PAGE: &[&str] = &["continuationToken", "limit"];

/// All methods, in the order of the reference.
pub(super) fn methods() -> Vec<Method<Index>> {
    let mut methods = monitoring::methods();
    methods.extend([
        Method::new(
            "findTask",
            Get,
            "/task/<indexPath>",
            handler!(tasks::find_task),
        )
        .scopes(json!("index:find-task:<indexPath>"))
        .output("v1/indexed-task-response.json#")
        .about(
            CATEGORY,
            "Find indexed task",
            "The task that a path leads to.",
        ),
        Method::new(
            "findTasksAtIndex",
            Post,
            "/tasks/indexes",
            handler!(tasks::find_tasks_at_index),
        )
        .query(PAGE)
        .scopes(json!({"AllOf": [{
            "for": "indexPath", "in": "indexPaths", "each": "index:find-task:<indexPath>",
        }]}))
        .input("v1/list-tasks-at-index.json#")
        .output("v1/list-tasks-response.json#")
        .experimental()
        .about(
            CATEGORY,
            "Find tasks at indexes",
            "The tasks that several paths lead to, in the order of the paths. Paths that lead \
             nowhere are left out.",
        ),
        Method::new(
            "listNamespaces",
            Get,
            "/namespaces/<namespace>",
            handler!(namespaces::list_namespaces),
        )
        .query(PAGE)
        .scopes(json!("index:list-namespaces:<namespace>"))
        .output("v1/list-namespaces-response.json#")
        .about(
            CATEGORY,
            "List namespaces",
            "The namespaces that stand directly in one, ordered by name.",
        ),
        Method::new(
            "listNamespacesPost",
            Post,
            "/namespaces/<namespace>",
            handler!(namespaces::list_namespaces),
        )
        .scopes(json!("index:list-namespaces:<namespace>"))
        .input("v1/list-namespaces-request.json#")
        .output("v1/list-namespaces-response.json#")
        .unpublished(),
        Method::new(
            "listTasks",
            Get,
            "/tasks/<namespace>",
            handler!(tasks::list_tasks),
        )
        .query(PAGE)
        .scopes(json!("index:list-tasks:<namespace>"))
        .output("v1/list-tasks-response.json#")
        .about(
            CATEGORY,
            "List tasks",
            "The tasks that stand directly in a namespace, ordered by name.",
        ),
        Method::new(
            "listTasksPost",
            Post,
            "/tasks/<namespace>",
            handler!(tasks::list_tasks),
        )
        .scopes(json!("index:list-tasks:<namespace>"))
        .output("v1/list-tasks-response.json#")
        .unpublished(),
        Method::new(
            "insertTask",
            Put,
            "/task/<namespace>",
            handler!(tasks::insert_task),
        )
        .scopes(json!("index:insert-task:<namespace>"))
        .input("v1/insert-task-request.json#")
        .output("v1/indexed-task-response.json#")
        .about(
            CATEGORY,
            "Insert task into index",
            "Puts a task at a path, unless one of a higher rank is there. Answers what is there \
             now.",
        ),
        Method::new(
            "deleteTask",
            Delete,
            "/task/<namespace>",
            handler!(tasks::delete_task),
        )
        .scopes(json!("index:delete-task:<namespace>"))
        .about(
            CATEGORY,
            "Remove task from index",
            "Takes the task at a path away; none being there is fine.",
        ),
        Method::new(
            "findArtifactFromTask",
            Get,
            "/task/<indexPath>/artifacts/<name>",
            handler!(artifacts::find_artifact_from_task),
        )
        .scopes(json!("queue:get-artifact:<name>"))
        .about(
            CATEGORY,
            "Get artifact from indexed task",
            "Redirects to an artifact of the last run of the task that a path leads to.",
        ),
    ]);
    methods
}
