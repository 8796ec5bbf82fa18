//! Tasks: create them, look at them, move them.

use std::sync::Arc;

use serde_json::{Value, json};
use taskyard_access::{Param, Rendered};
use taskyard_engine::Timestamp;
use taskyard_engine::task::{self, NewTask, Refusal, Task, group_key};
use taskyard_store::{Error, Key, Tx};

use super::Queue;
use super::definition::Definition;
use super::status::{split_queue_id, status_reply};
use crate::call::{Call, require};
use crate::error::ApiError;
use crate::reply::Reply;

/// The task of this id, or 404.
pub(super) async fn load(queue: &Queue, task_id: &str) -> Result<Task, ApiError> {
    let id = task_id.to_owned();
    let found = queue.store.read(move |tx| task::load(tx, &id)).await?;
    found.ok_or_else(|| Refusal::NoSuchTask(task_id.to_owned()).into())
}

pub(super) async fn task(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let id = call.param("taskId").to_owned();
    let text = queue
        .store
        .read(move |tx| task::load_definition(tx, &id))
        .await?;
    let text = text.ok_or_else(|| Refusal::NoSuchTask(call.param("taskId").to_owned()))?;
    Ok(Reply::json_text(text.into_bytes()))
}

pub(super) async fn status(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    load(&queue, call.param("taskId"))
        .await
        .map(|task| status_reply(&task))
}

pub(super) async fn create_task(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let task_id = call.param("taskId");
    let definition = Definition::new(task_id, &call.payload)?;
    call.authorize(&definition.scope_parameters())?;
    create(&queue, definition.into_task(call.now)?).await
}

/// As createTask, for a task that waits until somebody schedules it: it depends on itself.
pub(super) async fn define_task(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let task_id = call.param("taskId");
    let mut body = (*call.payload).clone();
    waits_for_itself(&mut body, task_id);
    let definition = Definition::new(task_id, &body)?;
    let mut parameters = definition.scope_parameters();
    // The ways of clients that are older than priorities are closed, as they are for createTask.
    parameters.push(("legacyScopes", Param::Flag(false)));
    call.authorize(&parameters)?;
    let project = format!("queue:create-task:project:{}", definition.project_id());
    require(&call.caller, &Rendered::Scope(project))?;
    create(&queue, definition.into_task(call.now)?).await
}

fn waits_for_itself(body: &mut Value, task_id: &str) {
    let Some(body) = body.as_object_mut() else {
        return;
    };
    let dependencies = body.entry("dependencies").or_insert_with(|| json!([]));
    if let Some(dependencies) = dependencies.as_array_mut()
        && !dependencies.iter().any(|known| known == task_id)
    {
        dependencies.insert(0, task_id.into());
    }
}

async fn create(queue: &Queue, new: NewTask) -> Result<Reply, ApiError> {
    let now = queue.clock.now();
    let key = group_key(&new.group_id);
    let created = queue
        .store
        .write(key, move |tx| task::create(tx, now, &new))
        .await??;
    Ok(status_reply(&created))
}

/// The key of a change that is about one task, made without knowing its group.
pub(super) fn task_key(task_id: &str) -> Key {
    Key::of(("task", task_id))
}

/// A way to move a task that its scheduler may ask for.
type Move = fn(&mut Tx<'_>, Timestamp, &str) -> Result<Result<Task, Refusal>, Error>;

async fn move_task(queue: &Queue, call: &Call, step: Move) -> Result<Reply, ApiError> {
    let task = load(queue, call.param("taskId")).await?;
    call.authorize(&[
        ("schedulerId", Param::from(task.scheduler_id.as_str())),
        ("taskGroupId", Param::from(task.group_id.as_str())),
        ("projectId", Param::from(task.project_id.as_str())),
    ])?;
    let (key, now) = (task.key(), queue.clock.now());
    let moved = queue
        .store
        .write(key, move |tx| step(tx, now, &task.id))
        .await??;
    Ok(status_reply(&moved))
}

pub(super) async fn schedule_task(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    move_task(&queue, &call, task::schedule).await
}

pub(super) async fn rerun_task(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    move_task(&queue, &call, task::rerun).await
}

pub(super) async fn cancel_task(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    move_task(&queue, &call, task::cancel).await
}

/// The parameters of scopes that name a task's queue.
pub(super) fn queue_parameters(task: &Task) -> [(&'static str, Param<'_>); 2] {
    let (provisioner_id, worker_type) = split_queue_id(&task.task_queue_id);
    [
        ("provisionerId", Param::from(provisioner_id)),
        ("workerType", Param::from(worker_type)),
    ]
}
