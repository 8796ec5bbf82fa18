//! Methods about queues, provisioners and workers.

use serde_json::json;

use crate::method::Verb::{Get, Post, Put};
use crate::method::{Method, handler};
use crate::queue::{Queue, counts, listings, provisioners, task_queues, workers};

use super::PAGED;

const METADATA: &str = "Worker Metadata";

pub(super) fn methods() -> Vec<Method<Queue>> {
    [
        count_methods(),
        queue_methods(),
        provisioner_methods(),
        worker_type_methods(),
        worker_methods(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn count_methods() -> Vec<Method<Queue>> {
    vec![
        Method::new(
            "pendingTasks",
            Get,
            "/pending/<taskQueueId>",
            handler!(counts::pending_tasks),
        )
        .scopes(json!("queue:pending-count:<taskQueueId>"))
        .output("v1/pending-tasks-response.json#")
        .deprecated()
        .about(
            METADATA,
            "Number of pending tasks",
            "How many tasks of a queue wait.",
        ),
        Method::new(
            "taskQueueCounts",
            Get,
            "/task-queues/<taskQueueId>/counts",
            handler!(counts::task_queue_counts),
        )
        .scopes(json!({"AllOf": [
            "queue:pending-count:<taskQueueId>",
            "queue:claimed-count:<taskQueueId>",
        ]}))
        .output("v1/task-queue-counts-response.json#")
        .about(
            METADATA,
            "Counts of a queue",
            "How many tasks wait and how many run.",
        ),
        Method::new(
            "taskQueueCountsBatch",
            Post,
            "/task-queues/counts",
            handler!(counts::task_queue_counts_batch),
        )
        .scopes(json!({"AllOf": [
            {"for": "taskQueueId", "in": "taskQueueIds",
                "each": "queue:pending-count:<taskQueueId>"},
            {"for": "taskQueueId", "in": "taskQueueIds",
                "each": "queue:claimed-count:<taskQueueId>"},
        ]}))
        .input("v1/task-queue-counts-batch-request.json#")
        .output("v1/task-queue-counts-batch-response.json#")
        .experimental()
        .about(
            METADATA,
            "Counts of many queues",
            "As taskQueueCounts, for many queues at once.",
        ),
        Method::new(
            "listPendingTasks",
            Get,
            "/task-queues/<taskQueueId>/pending",
            handler!(listings::list_pending_tasks),
        )
        .scopes(json!("queue:pending-list:<taskQueueId>"))
        .query(PAGED)
        .output("v1/list-pending-tasks-response.json#")
        .experimental()
        .about(
            METADATA,
            "List pending tasks",
            "The runs that wait in a queue, longest waiting first.",
        ),
        Method::new(
            "listClaimedTasks",
            Get,
            "/task-queues/<taskQueueId>/claimed",
            handler!(listings::list_claimed_tasks),
        )
        .scopes(json!("queue:claimed-list:<taskQueueId>"))
        .query(PAGED)
        .output("v1/list-claimed-tasks-response.json#")
        .experimental()
        .about(
            METADATA,
            "List claimed tasks",
            "The runs of a queue that workers have, in the order in which they were claimed.",
        ),
    ]
}

fn queue_methods() -> Vec<Method<Queue>> {
    vec![
        Method::new(
            "listTaskQueues",
            Get,
            "/task-queues",
            handler!(task_queues::list_task_queues),
        )
        .scopes(json!("queue:list-task-queues"))
        .query(PAGED)
        .output("v1/list-taskqueues-response.json#")
        .about(
            METADATA,
            "List task queues",
            "The queues that are in use or were declared, by id.",
        ),
        // Behind those whose paths go on after the id, which may be two segments.
        Method::new(
            "getTaskQueue",
            Get,
            "/task-queues/<taskQueueId>",
            handler!(task_queues::get_task_queue),
        )
        .scopes(json!("queue:get-task-queue:<taskQueueId>"))
        .output("v1/taskqueue-response.json#")
        .about(METADATA, "Task queue", "What is known of a queue."),
    ]
}

fn provisioner_methods() -> Vec<Method<Queue>> {
    vec![
        Method::new(
            "listProvisioners",
            Get,
            "/provisioners",
            handler!(provisioners::list_provisioners),
        )
        .scopes(json!("queue:list-provisioners"))
        .query(PAGED)
        .output("v1/list-provisioners-response.json#")
        .deprecated()
        .about(
            METADATA,
            "List provisioners",
            "The provisioners whose queues are in use, and those that were declared, by id.",
        ),
        Method::new(
            "getProvisioner",
            Get,
            "/provisioners/<provisionerId>",
            handler!(provisioners::get_provisioner),
        )
        .scopes(json!("queue:get-provisioner:<provisionerId>"))
        .output("v1/provisioner-response.json#")
        .deprecated()
        .about(METADATA, "Provisioner", "What is known of a provisioner."),
        Method::new(
            "declareProvisioner",
            Put,
            "/provisioners/<provisionerId>",
            handler!(provisioners::declare_provisioner),
        )
        .scopes(json!({"AllOf": [{
            "for": "property",
            "in": "properties",
            "each": "queue:declare-provisioner:<provisionerId>#<property>",
        }]}))
        .input("v1/update-provisioner-request.json#")
        .output("v1/provisioner-response.json#")
        .experimental()
        .about(
            METADATA,
            "Declare a provisioner",
            "Describes a provisioner, which is made known if it is not; what is not given stays.",
        ),
    ]
}

fn worker_type_methods() -> Vec<Method<Queue>> {
    vec![
        Method::new(
            "listWorkerTypes",
            Get,
            "/provisioners/<provisionerId>/worker-types",
            handler!(task_queues::list_worker_types),
        )
        .scopes(json!("queue:list-worker-types:<provisionerId>"))
        .query(PAGED)
        .output("v1/list-workertypes-response.json#")
        .deprecated()
        .about(
            METADATA,
            "List worker types",
            "The queues of a provisioner, by id.",
        ),
        Method::new(
            "getWorkerType",
            Get,
            "/provisioners/<provisionerId>/worker-types/<workerType>",
            handler!(task_queues::get_worker_type),
        )
        .scopes(json!("queue:get-worker-type:<provisionerId>/<workerType>"))
        .output("v1/workertype-response.json#")
        .deprecated()
        .about(METADATA, "Worker type", "What is known of a queue."),
        Method::new(
            "declareWorkerType",
            Put,
            "/provisioners/<provisionerId>/worker-types/<workerType>",
            handler!(task_queues::declare_worker_type),
        )
        .scopes(json!({"AllOf": [{
            "for": "property",
            "in": "properties",
            "each": "queue:declare-worker-type:<provisionerId>/<workerType>#<property>",
        }]}))
        .input("v1/update-workertype-request.json#")
        .output("v1/workertype-response.json#")
        .experimental()
        .about(
            METADATA,
            "Declare a worker type",
            "Describes a queue, which is made known if it is not; what is not given stays.",
        ),
    ]
}

fn worker_methods() -> Vec<Method<Queue>> {
    const WORKER: &str = "/provisioners/<provisionerId>/worker-types/<workerType>/workers/\
                          <workerGroup>/<workerId>";
    vec![
        Method::new(
            "listWorkers",
            Get,
            "/provisioners/<provisionerId>/worker-types/<workerType>/workers",
            handler!(workers::list_workers),
        )
        .scopes(json!("queue:list-workers:<provisionerId>/<workerType>"))
        .query(&["continuationToken", "limit", "quarantined"])
        .output("v1/list-workers-response.json#")
        .deprecated()
        .about(
            METADATA,
            "List workers",
            "The workers of a queue, by group and id; only those that are quarantined, or only \
             the others, with quarantined=true or =false.",
        ),
        Method::new("getWorker", Get, WORKER, handler!(workers::get_worker))
            .scopes(json!(
                "queue:get-worker:<provisionerId>/<workerType>/<workerGroup>/<workerId>"
            ))
            .output("v1/worker-response.json#")
            .deprecated()
            .about(
                METADATA,
                "Worker",
                "When a worker was seen, and what it claimed last.",
            ),
        Method::new(
            "quarantineWorker",
            Put,
            WORKER,
            handler!(workers::quarantine_worker),
        )
        .scopes(json!({"AllOf": [
            "queue:quarantine-worker:<provisionerId>/<workerType>/<workerGroup>/<workerId>",
        ]}))
        .input("v1/quarantine-worker-request.json#")
        .output("v1/worker-response.json#")
        .experimental()
        .about(
            METADATA,
            "Quarantine a worker",
            "Keeps a worker from getting work until a time; a time in the past lets it go.",
        ),
        Method::new(
            "declareWorker",
            Put,
            "/provisioners/<provisionerId>/worker-types/<workerType>/<workerGroup>/<workerId>",
            handler!(workers::declare_worker),
        )
        .scopes(json!({"AllOf": [{
            "for": "property",
            "in": "properties",
            "each": "queue:declare-worker:<provisionerId>/<workerType>/<workerGroup>/<workerId>\
                     #<property>",
        }]}))
        .input("v1/update-worker-request.json#")
        .output("v1/worker-response.json#")
        .experimental()
        .about(
            METADATA,
            "Declare a worker",
            "Makes a worker and its queue known.",
        ),
    ]
}
