//! Task statuses as clients read them.

use serde::Serialize;
use taskyard_engine::Timestamp;
use taskyard_engine::task::{Listed, Run, Task};
use taskyard_events::json::{Object, write_array};

use crate::error::ApiError;
use crate::reply::Reply;

/// Appends a task's status structure.
pub(super) fn write_status(into: &mut Vec<u8>, task: &Task) {
    let (provisioner_id, worker_type) = split_queue_id(&task.task_queue_id);
    let mut status = Object::begin(into);
    status.text("taskId", &task.id);
    status.text("provisionerId", provisioner_id);
    status.text("workerType", worker_type);
    status.text("taskQueueId", &task.task_queue_id);
    status.text("schedulerId", &task.scheduler_id);
    status.text("projectId", &task.project_id);
    status.text("taskGroupId", &task.group_id);
    status.text("priority", task.priority.as_str());
    put_time(&mut status, "deadline", task.deadline);
    put_time(&mut status, "expires", task.expires);
    status.number("retriesLeft", i64::from(task.retries_left));
    status.text("state", task.state().as_str());
    let runs = task.runs.iter().enumerate();
    write_array(status.member("runs"), runs, |into, (run_id, run)| {
        write_run(into, run_id, run);
    });
    status.end();
}

fn write_run(into: &mut Vec<u8>, run_id: usize, run: &Run) {
    let mut body = Object::begin(into);
    body.number("runId", run_id as i64);
    body.text("state", run.state.as_str());
    body.text("reasonCreated", run.created.as_str());
    body.maybe("reasonResolved", run.reason_resolved());
    if let Some(worker) = &run.worker {
        body.text("workerGroup", &worker.group);
        body.text("workerId", &worker.id);
    }
    put_time(&mut body, "takenUntil", run.taken_until);
    put_time(&mut body, "scheduled", run.scheduled);
    put_time(&mut body, "started", run.started);
    put_time(&mut body, "resolved", run.resolved);
    body.end();
}

/// Adds a moment, if there is one.
#[inline]
pub(super) fn put_time(
    object: &mut Object<'_>,
    name: &'static str,
    at: impl Into<Option<Timestamp>>,
) {
    if let Some(at) = at.into() {
        at.with_iso(|text| object.text(name, text));
    }
}

/// Room for a status with a run or two.
pub(super) const STATUS: usize = 1024;

/// `provisionerId` and `workerType` of a task queue id.
pub(crate) fn split_queue_id(task_queue_id: &str) -> (&str, &str) {
    task_queue_id.split_once('/').unwrap_or((task_queue_id, ""))
}

/// The answer `{status}`.
pub(super) fn status_reply(task: &Task) -> Reply {
    let mut text = Vec::with_capacity(STATUS);
    let mut body = Object::begin(&mut text);
    write_status(body.member("status"), task);
    body.end();
    Reply::json_text(text)
}

/// Room for a task in a listing: its definition, and its status.
const LISTED: usize = 1024 + STATUS;

/// Room for so many tasks.
pub(super) fn room_for(tasks: usize) -> Vec<u8> {
    Vec::with_capacity(tasks * LISTED)
}

/// Appends `{task, status}` to the tasks in `into`. The definition stands in it as it is stored,
/// which is as JSON.
pub(super) fn write_task(into: &mut Vec<u8>, task: &Task, definition: &str) {
    if !into.is_empty() {
        into.push(b',');
    }
    let mut item = Object::begin(into);
    item.json("task", definition);
    write_status(item.member("status"), task);
    item.end();
}

/// The answer `{…fields, tasks: [{task, status}, …]}`; `fields` is an object with at least one.
pub(super) fn tasks_reply(fields: &impl Serialize, listed: &[Listed]) -> Result<Reply, ApiError> {
    let mut tasks = room_for(listed.len());
    for each in listed {
        write_task(&mut tasks, &each.task, &each.definition);
    }
    written_tasks_reply(fields, &[tasks])
}

/// The same of tasks that are written already, in portions.
pub(super) fn written_tasks_reply(
    fields: &impl Serialize,
    portions: &[Vec<u8>],
) -> Result<Reply, ApiError> {
    let mut body = serde_json::to_vec(fields).map_err(ApiError::internal)?;
    if body.pop() != Some(b'}') {
        return Err(ApiError::internal("a listing is no object"));
    }
    let size: usize = portions.iter().map(Vec::len).sum();
    body.reserve(size + 64);
    body.extend_from_slice(b",\"tasks\":[");
    let mut is_first = true;
    for portion in portions.iter().filter(|portion| !portion.is_empty()) {
        if !is_first {
            body.push(b',');
        }
        is_first = false;
        body.extend_from_slice(portion);
    }
    body.extend_from_slice(b"]}");
    Ok(Reply::json_text(body))
}
