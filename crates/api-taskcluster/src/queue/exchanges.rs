//! What the world hears about tasks and task groups.

use taskyard_events::{Exchange, Word};

use crate::exchanges::Exchanges;

const KIND: Word = Word::constant(
    "routingKeyKind",
    "primary",
    "Always `primary`. The same messages are found by `route.<route>` for every route of the task.",
);
const TASK: Word = Word::required("taskId", 22, "The task.");
const GROUP: Word = Word::required("taskGroupId", 22, "The group that the task belongs to.");
const SCHEDULER: Word = Word::required("schedulerId", 38, "Who schedules the tasks of the group.");
const PROVISIONER: Word = Word::required(
    "provisionerId",
    38,
    "First part of the task queue that the task is in.",
);
const WORKER_TYPE: Word = Word::required(
    "workerType",
    38,
    "Second part of the task queue that the task is in.",
);
const RUN_SUMMARY: &str = "Number of the run, or `_` if the message is about none.";
const WORKER_GROUP_SUMMARY: &str = "Group of the worker that has the run, or `_`.";
const WORKER_SUMMARY: &str = "Worker that has the run, or `_`.";

/// The words of a message about a task; `run` and `worker` are what is known of its run.
const fn task_key(run: Word, [group, id]: [Word; 2]) -> [Word; 10] {
    [
        KIND,
        TASK,
        run,
        group,
        id,
        PROVISIONER,
        WORKER_TYPE,
        SCHEDULER,
        GROUP,
        Word::reserved(1),
    ]
}

const A_RUN: Word = Word::required("runId", 3, RUN_SUMMARY);
const MAYBE_A_RUN: Word = Word::optional("runId", 3, RUN_SUMMARY);
const A_WORKER: [Word; 2] = [
    Word::required("workerGroup", 38, WORKER_GROUP_SUMMARY),
    Word::required("workerId", 38, WORKER_SUMMARY),
];
const MAYBE_A_WORKER: [Word; 2] = [
    Word::optional("workerGroup", 38, WORKER_GROUP_SUMMARY),
    Word::optional("workerId", 38, WORKER_SUMMARY),
];

const ABOUT_A_TASK: &[Word] = &task_key(MAYBE_A_RUN, MAYBE_A_WORKER);
const ABOUT_A_RUN: &[Word] = &task_key(A_RUN, MAYBE_A_WORKER);
const ABOUT_A_WORKERS_RUN: &[Word] = &task_key(A_RUN, A_WORKER);
const ABOUT_A_GROUP: &[Word] = &[
    KIND,
    Word::required("taskGroupId", 22, "The group."),
    SCHEDULER,
    Word::reserved(1),
];

/// A task exists.
pub(super) const TASK_DEFINED: Exchange = Exchange {
    name: "taskDefined",
    exchange: "task-defined",
    title: "A task was defined",
    description: "There is a new task, which may wait for others. Its status is that of a task \
                  without runs; if it waits for nothing a message about its first run follows.",
    key: ABOUT_A_TASK,
    schema: "v1/task-defined-message.json#",
};
/// A run may be claimed.
pub(super) const TASK_PENDING: Exchange = Exchange {
    name: "taskPending",
    exchange: "task-pending",
    title: "A run waits for a worker",
    description: "A task has a run that workers may claim: its first, a retry, or a rerun.",
    key: ABOUT_A_RUN,
    schema: "v1/task-pending-message.json#",
};
/// A run was claimed.
pub(super) const TASK_RUNNING: Exchange = Exchange {
    name: "taskRunning",
    exchange: "task-running",
    title: "A worker has a run",
    description: "A worker claimed a run and has it until `takenUntil`. That it keeps it for \
                  longer is not told.",
    key: ABOUT_A_WORKERS_RUN,
    schema: "v1/task-running-message.json#",
};
/// A run left something behind.
pub(super) const ARTIFACT_CREATED: Exchange = Exchange {
    name: "artifactCreated",
    exchange: "artifact-created",
    title: "A run has an artifact",
    description: "An artifact can be fetched. Uploads whose end nobody reports are not told of: \
                  wait for the end of the run.",
    key: ABOUT_A_WORKERS_RUN,
    schema: "v1/artifact-created-message.json#",
};
/// A run did what it should.
pub(super) const TASK_COMPLETED: Exchange = Exchange {
    name: "taskCompleted",
    exchange: "task-completed",
    title: "A task completed",
    description: "The worker reported that the run did what it should.",
    key: ABOUT_A_WORKERS_RUN,
    schema: "v1/task-completed-message.json#",
};
/// A run did not do what it should.
pub(super) const TASK_FAILED: Exchange = Exchange {
    name: "taskFailed",
    exchange: "task-failed",
    title: "A task failed",
    description: "The worker reported that the run did not do what it should.",
    key: ABOUT_A_TASK,
    schema: "v1/task-failed-message.json#",
};
/// Something else came between.
pub(super) const TASK_EXCEPTION: Exchange = Exchange {
    name: "taskException",
    exchange: "task-exception",
    title: "A run ended as an exception",
    description: "A run ended in another way than by its own doing, or a task was resolved that \
                  never ran. The run's `reasonResolved` tells why. If the status has a newer run, \
                  the task goes on with that.",
    key: ABOUT_A_TASK,
    schema: "v1/task-exception-message.json#",
};
/// Nothing of a group is open.
pub(super) const TASK_GROUP_RESOLVED: Exchange = Exchange {
    name: "taskGroupResolved",
    exchange: "task-group-resolved",
    title: "A task group is resolved",
    description: "Every task of the group was resolved at least once. If tasks are added or run \
                  again, another message follows when these are resolved.",
    key: ABOUT_A_GROUP,
    schema: "v1/task-group-changed-message.json#",
};
/// A group takes no more tasks.
pub(super) const TASK_GROUP_SEALED: Exchange = Exchange {
    name: "taskGroupSealed",
    exchange: "task-group-sealed",
    title: "A task group was sealed",
    description: "No task can be added to the group any more.",
    key: ABOUT_A_GROUP,
    schema: "v1/task-group-changed-message.json#",
};
/// A task has another priority.
pub(super) const TASK_PRIORITY_CHANGED: Exchange = Exchange {
    name: "taskPriorityChanged",
    exchange: "task-priority-changed",
    title: "A task has another priority",
    description: "Somebody changed how soon the task is claimed.",
    key: ABOUT_A_TASK,
    schema: "v1/task-priority-changed-message.json#",
};
/// The tasks of a group have another priority.
pub(super) const TASK_GROUP_PRIORITY_CHANGED: Exchange = Exchange {
    name: "taskGroupPriorityChanged",
    exchange: "task-group-priority-changed",
    title: "The tasks of a group have another priority",
    description: "Somebody changed how soon the open tasks of the group are claimed.",
    key: ABOUT_A_GROUP,
    schema: "v1/task-group-priority-changed-message.json#",
};

/// The exchanges of the queue.
pub(crate) const EXCHANGES: Exchanges = Exchanges {
    service: "queue",
    title: "Messages about tasks",
    description: "Messages that tell how tasks move: defined, pending, running, resolved. Bind by \
                  parts of the routing key, or by a route that the task's definition names. Each \
                  message is published at least once; of one task in the order in which things \
                  happened.",
    entries: &[
        TASK_DEFINED,
        TASK_PENDING,
        TASK_RUNNING,
        ARTIFACT_CREATED,
        TASK_COMPLETED,
        TASK_FAILED,
        TASK_EXCEPTION,
        TASK_GROUP_RESOLVED,
        TASK_GROUP_SEALED,
        TASK_PRIORITY_CHANGED,
        TASK_GROUP_PRIORITY_CHANGED,
    ],
};
