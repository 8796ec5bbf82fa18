//! Task statuses as clients read them.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;
use taskyard_engine::task::{Listed, Run, Task};

use crate::error::ApiError;
use crate::reply::Reply;

/// A task's status structure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Status<'a>(pub(super) &'a Task);

impl Serialize for Status<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let task = self.0;
        let (provisioner_id, worker_type) = split_queue_id(&task.task_queue_id);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("taskId", &task.id)?;
        map.serialize_entry("provisionerId", provisioner_id)?;
        map.serialize_entry("workerType", worker_type)?;
        map.serialize_entry("taskQueueId", &task.task_queue_id)?;
        map.serialize_entry("schedulerId", &task.scheduler_id)?;
        map.serialize_entry("projectId", &task.project_id)?;
        map.serialize_entry("taskGroupId", &task.group_id)?;
        map.serialize_entry("priority", task.priority.as_str())?;
        map.serialize_entry("deadline", &task.deadline.to_iso())?;
        map.serialize_entry("expires", &task.expires.to_iso())?;
        map.serialize_entry("retriesLeft", &task.retries_left)?;
        map.serialize_entry("state", task.state().as_str())?;
        map.serialize_entry("runs", &Runs(&task.runs))?;
        map.end()
    }
}

struct Runs<'a>(&'a [Run]);

impl Serialize for Runs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(
            self.0
                .iter()
                .enumerate()
                .map(|(run_id, run)| RunBody(run_id, run)),
        )
    }
}

struct RunBody<'a>(usize, &'a Run);

impl Serialize for RunBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let RunBody(run_id, run) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("runId", run_id)?;
        map.serialize_entry("state", run.state.as_str())?;
        map.serialize_entry("reasonCreated", run.created.as_str())?;
        if let Some(reason) = run.reason_resolved() {
            map.serialize_entry("reasonResolved", reason)?;
        }
        if let Some(worker) = &run.worker {
            map.serialize_entry("workerGroup", &worker.group)?;
            map.serialize_entry("workerId", &worker.id)?;
        }
        if let Some(taken_until) = run.taken_until {
            map.serialize_entry("takenUntil", &taken_until.to_iso())?;
        }
        map.serialize_entry("scheduled", &run.scheduled.to_iso())?;
        if let Some(started) = run.started {
            map.serialize_entry("started", &started.to_iso())?;
        }
        if let Some(resolved) = run.resolved {
            map.serialize_entry("resolved", &resolved.to_iso())?;
        }
        map.end()
    }
}

/// `provisionerId` and `workerType` of a task queue id.
pub(super) fn split_queue_id(task_queue_id: &str) -> (&str, &str) {
    task_queue_id.split_once('/').unwrap_or((task_queue_id, ""))
}

/// The answer `{status}`.
pub(super) fn status_reply(task: &Task) -> Reply {
    #[derive(Serialize)]
    struct Body<'a> {
        status: Status<'a>,
    }
    Reply::json(&Body {
        status: Status(task),
    })
}

/// A stored definition, ready to stand in an answer as it is.
pub(super) fn definition(text: &str) -> Result<&RawValue, ApiError> {
    serde_json::from_str(text).map_err(ApiError::internal)
}

/// Room for a task in a listing: its definition, and its status with a run or two.
const LISTED: usize = 2048;

/// Room for so many tasks.
pub(super) fn room_for(tasks: usize) -> Vec<u8> {
    Vec::with_capacity(tasks * LISTED)
}

/// Appends `{task, status}` to the tasks in `into`. The definition stands in it as it is stored,
/// which is as JSON.
pub(super) fn write_task(
    into: &mut Vec<u8>,
    task: &Task,
    definition: &str,
) -> Result<(), serde_json::Error> {
    if !into.is_empty() {
        into.push(b',');
    }
    into.extend_from_slice(b"{\"task\":");
    into.extend_from_slice(definition.as_bytes());
    into.extend_from_slice(b",\"status\":");
    serde_json::to_writer(&mut *into, &Status(task))?;
    into.push(b'}');
    Ok(())
}

/// The answer `{…fields, tasks: [{task, status}, …]}`; `fields` is an object with at least one.
pub(super) fn tasks_reply(fields: &impl Serialize, listed: &[Listed]) -> Result<Reply, ApiError> {
    let mut tasks = room_for(listed.len());
    for each in listed {
        write_task(&mut tasks, &each.task, &each.definition).map_err(ApiError::internal)?;
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
