//! The queue's table of contents.

mod groups;
mod metadata;

use serde_json::json;

use super::Queue;
use super::{artifacts, claims, reports, tasks};
use crate::method::Verb::{Get, Post, Put};
use crate::method::{Method, handler};
use crate::monitoring;

/// Title and description of the service.
pub(super) const ABOUT: (&str, &str) = (
    "Queue Service",
    "Accepts tasks, hands their runs to workers, keeps what they leave behind, and tries again \
     what was lost with a worker.",
);

const PAGED: &[&str] = &["continuationToken", "limit"];

/// All methods, in the order of the reference.
pub(super) fn methods() -> Vec<Method<Queue>> {
    [
        monitoring::methods(),
        task_methods(),
        groups::methods(),
        worker_methods(),
        artifact_methods(),
        metadata::methods(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The three ways to be allowed to move a task: itself, all of its project, all of its scheduler.
fn task_scopes(verb: &str) -> serde_json::Value {
    json!({"AnyOf": [
        format!("queue:{verb}-task:<schedulerId>/<taskGroupId>/<taskId>"),
        format!("queue:{verb}-task-in-project:<projectId>"),
        {"AllOf": [
            format!("queue:{verb}-task"),
            "assume:scheduler-id:<schedulerId>/<taskGroupId>",
        ]},
    ]})
}

fn task_methods() -> Vec<Method<Queue>> {
    const TASKS: &str = "Tasks";
    vec![
        Method::new("task", Get, "/task/<taskId>", handler!(tasks::task))
            .scopes(json!("queue:get-task:<taskId>"))
            .output("v1/task.json#")
            .about(
                TASKS,
                "Task definition",
                "The definition of a task, as it was created.",
            ),
        Method::new(
            "status",
            Get,
            "/task/<taskId>/status",
            handler!(tasks::status),
        )
        .scopes(json!("queue:status:<taskId>"))
        .output("v1/task-status-response.json#")
        .about(
            TASKS,
            "Task status",
            "Where a task stands, with all its runs.",
        ),
        Method::new(
            "listTaskGroup",
            Get,
            "/task-group/<taskGroupId>/list",
            handler!(super::groups::list_task_group),
        )
        .scopes(json!("queue:list-task-group:<taskGroupId>"))
        .query(PAGED)
        .output("v1/list-task-group-response.json#")
        .about(
            TASKS,
            "List a task group",
            "The tasks of a group with their statuses, by id.",
        ),
        Method::new(
            "getTaskGroup",
            Get,
            "/task-group/<taskGroupId>",
            handler!(super::groups::get_task_group),
        )
        .scopes(json!("queue:list-task-group:<taskGroupId>"))
        .output("v1/task-group-response.json#")
        .about(
            TASKS,
            "Task group",
            "What is known of a group beside its tasks.",
        ),
        Method::new(
            "listDependentTasks",
            Get,
            "/task/<taskId>/dependents",
            handler!(super::groups::list_dependent_tasks),
        )
        .scopes(json!("queue:list-dependent-tasks:<taskId>"))
        .query(PAGED)
        .output("v1/list-dependent-tasks-response.json#")
        .about(
            TASKS,
            "List dependents",
            "The tasks that name this one among their dependencies.",
        ),
        Method::new(
            "createTask",
            Put,
            "/task/<taskId>",
            handler!(tasks::create_task),
        )
        .scopes(json!({"AllOf": [
            {"for": "scope", "in": "scopes", "each": "<scope>"},
            {"for": "route", "in": "routes", "each": "queue:route:<route>"},
            "queue:create-task:project:<projectId>",
            "queue:scheduler-id:<schedulerId>",
            {"AnyOf": [{
                "for": "priority",
                "in": "priorities",
                "each": "queue:create-task:<priority>:<provisionerId>/<workerType>",
            }]},
        ]}))
        .input("v1/create-task-request.json#")
        .output("v1/task-status-response.json#")
        .about(
            TASKS,
            "Create a task",
            "Creates a task under an id that the caller chose. The same request again finds \
                 the same task; another definition under the same id is a conflict.",
        ),
        Method::new(
            "scheduleTask",
            Post,
            "/task/<taskId>/schedule",
            handler!(tasks::schedule_task),
        )
        .scopes(task_scopes("schedule"))
        .output("v1/task-status-response.json#")
        .about(
            TASKS,
            "Schedule a task",
            "Makes an unscheduled task pending at once.",
        ),
        Method::new(
            "rerunTask",
            Post,
            "/task/<taskId>/rerun",
            handler!(tasks::rerun_task),
        )
        .scopes(task_scopes("rerun"))
        .output("v1/task-status-response.json#")
        .about(
            TASKS,
            "Rerun a task",
            "Gives a resolved task another run and new retries.",
        ),
        Method::new(
            "cancelTask",
            Post,
            "/task/<taskId>/cancel",
            handler!(tasks::cancel_task),
        )
        .scopes(task_scopes("cancel"))
        .output("v1/task-status-response.json#")
        .about(
            TASKS,
            "Cancel a task",
            "Resolves a task that is not resolved as canceled.",
        ),
    ]
}

fn worker_methods() -> Vec<Method<Queue>> {
    const WORKERS: &str = "Worker Interface";
    let resolve = || json!("queue:resolve-task:<taskId>/<runId>");
    vec![
        Method::new(
            "claimWork",
            Post,
            "/claim-work/<taskQueueId>",
            handler!(claims::claim_work),
        )
        .scopes(json!({"AllOf": [
            "queue:claim-work:<taskQueueId>",
            "queue:worker-id:<workerGroup>/<workerId>",
        ]}))
        .input("v1/claim-work-request.json#")
        .output("v1/claim-work-response.json#")
        .about(
            WORKERS,
            "Claim work",
            "Gives a worker pending tasks of a queue; waits for up to 20 seconds if there are \
                 none.",
        ),
        Method::new(
            "claimTask",
            Post,
            "/task/<taskId>/runs/<runId>/claim",
            handler!(claims::claim_task),
        )
        .scopes(json!({"AllOf": [
            "queue:claim-task:<provisionerId>/<workerType>",
            "queue:worker-id:<workerGroup>/<workerId>",
        ]}))
        .input("v1/task-claim-request.json#")
        .output("v1/task-claim-response.json#")
        .deprecated()
        .about(
            WORKERS,
            "Claim a task",
            "Gives a worker one particular pending run.",
        ),
        Method::new(
            "reclaimTask",
            Post,
            "/task/<taskId>/runs/<runId>/reclaim",
            handler!(claims::reclaim_task),
        )
        .scopes(json!("queue:reclaim-task:<taskId>/<runId>"))
        .output("v1/task-reclaim-response.json#")
        .about(
            WORKERS,
            "Reclaim a task",
            "Renews a claim, and the credentials that go with it.",
        ),
        Method::new(
            "reportCompleted",
            Post,
            "/task/<taskId>/runs/<runId>/completed",
            handler!(reports::report_completed),
        )
        .scopes(resolve())
        .output("v1/task-status-response.json#")
        .about(
            WORKERS,
            "Report a completed run",
            "The run did what it should.",
        ),
        Method::new(
            "reportFailed",
            Post,
            "/task/<taskId>/runs/<runId>/failed",
            handler!(reports::report_failed),
        )
        .scopes(resolve())
        .output("v1/task-status-response.json#")
        .about(
            WORKERS,
            "Report a failed run",
            "The run did not do what it should.",
        ),
        Method::new(
            "reportException",
            Post,
            "/task/<taskId>/runs/<runId>/exception",
            handler!(reports::report_exception),
        )
        .scopes(resolve())
        .input("v1/task-exception-request.json#")
        .output("v1/task-status-response.json#")
        .about(
            WORKERS,
            "Report an exception",
            "Something else kept the run from its end; some reasons lead to another run.",
        ),
    ]
}

fn artifact_methods() -> Vec<Method<Queue>> {
    const ARTIFACTS: &str = "Artifacts";
    let get =
        || json!({"AllOf": [{"for": "name", "in": "names", "each": "queue:get-artifact:<name>"}]});
    vec![
        Method::new(
            "createArtifact",
            Post,
            "/task/<taskId>/runs/<runId>/artifacts/<name>",
            handler!(artifacts::create_artifact),
        )
        .scopes(json!("queue:create-artifact:<taskId>/<runId>"))
        .input("v1/post-artifact-request.json#")
        .output("v1/post-artifact-response.json#")
        .about(
            ARTIFACTS,
            "Create an artifact",
            "Records an artifact of a run; bytes follow by PUT.",
        ),
        Method::new(
            "finishArtifact",
            Put,
            "/task/<taskId>/runs/<runId>/artifacts/<name>",
            handler!(artifacts::finish_artifact),
        )
        .scopes(json!("queue:create-artifact:<taskId>/<runId>"))
        .input("v1/finish-artifact-request.json#")
        .told_by("uploadId")
        .about(
            ARTIFACTS,
            "Finish an artifact",
            "Says that the object of an object artifact has been uploaded; now it can be fetched.",
        ),
        Method::new(
            "completeArtifact",
            Put,
            "/task/<taskId>/runs/<runId>/artifacts/<name>",
            handler!(artifacts::complete_artifact),
        )
        .scopes(json!({"AnyOf": [
            "queue:create-artifact:<taskId>/<runId>",
            {"AllOf": [
                "queue:create-artifact:<name>",
                "assume:worker-id:<workerGroup>/<workerId>",
            ]},
        ]}))
        .input("v1/put-artifact-request.json#")
        .told_by("etags")
        .experimental()
        .about(
            ARTIFACTS,
            "Complete an artifact",
            "Says that all parts of a blob artifact have been uploaded; now it can be fetched.",
        ),
        Method::new(
            "listArtifacts",
            Get,
            "/task/<taskId>/runs/<runId>/artifacts",
            handler!(artifacts::list_artifacts),
        )
        .scopes(json!("queue:list-artifacts:<taskId>:<runId>"))
        .query(PAGED)
        .output("v1/list-artifacts-response.json#")
        .about(
            ARTIFACTS,
            "List a run's artifacts",
            "The artifacts of a run, by name.",
        ),
        Method::new(
            "listLatestArtifacts",
            Get,
            "/task/<taskId>/artifacts",
            handler!(artifacts::list_latest_artifacts),
        )
        .scopes(json!("queue:list-artifacts:<taskId>"))
        .query(PAGED)
        .output("v1/list-artifacts-response.json#")
        .about(
            ARTIFACTS,
            "List the latest artifacts",
            "The artifacts of the last run, by name.",
        ),
        Method::new(
            "getArtifact",
            Get,
            "/task/<taskId>/runs/<runId>/artifacts/<name>",
            handler!(artifacts::get_artifact),
        )
        .scopes(get())
        .output("v1/get-artifact-response.json#")
        .about(
            ARTIFACTS,
            "Get an artifact",
            "Redirects to where an artifact's bytes are.",
        ),
        Method::new(
            "getLatestArtifact",
            Get,
            "/task/<taskId>/artifacts/<name>",
            handler!(artifacts::get_latest_artifact),
        )
        .scopes(get())
        .output("v1/get-artifact-response.json#")
        .about(
            ARTIFACTS,
            "Get a latest artifact",
            "As getArtifact, of the last run.",
        ),
        Method::new(
            "artifactInfo",
            Get,
            "/task/<taskId>/runs/<runId>/artifact-info/<name>",
            handler!(artifacts::artifact_info),
        )
        .scopes(json!("queue:list-artifacts:<taskId>:<runId>"))
        .output("v1/artifact-response.json#")
        .about(
            ARTIFACTS,
            "Artifact information",
            "What is known of an artifact.",
        ),
        Method::new(
            "latestArtifactInfo",
            Get,
            "/task/<taskId>/artifact-info/<name>",
            handler!(artifacts::latest_artifact_info),
        )
        .scopes(json!("queue:list-artifacts:<taskId>"))
        .output("v1/artifact-response.json#")
        .about(
            ARTIFACTS,
            "Latest artifact information",
            "As artifactInfo, of the last run.",
        ),
        Method::new(
            "artifact",
            Get,
            "/task/<taskId>/runs/<runId>/artifact-content/<name>",
            handler!(artifacts::artifact),
        )
        .scopes(get())
        .output("v1/artifact-content-response.json#")
        .about(
            ARTIFACTS,
            "Artifact content",
            "Tells where an artifact's bytes are.",
        ),
        Method::new(
            "latestArtifact",
            Get,
            "/task/<taskId>/artifact-content/<name>",
            handler!(artifacts::latest_artifact),
        )
        .scopes(get())
        .output("v1/artifact-content-response.json#")
        .about(
            ARTIFACTS,
            "Latest artifact content",
            "As artifact, of the last run.",
        ),
    ]
}
