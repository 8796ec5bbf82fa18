//! Task queues, which older clients call worker types.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use taskyard_access::Param;
use taskyard_engine::Timestamp;
use taskyard_engine::task_queue::{self, Declaration, Description, Stability};
use taskyard_store::Key;

use super::Queue;
use super::status::split_queue_id;
use crate::call::Call;
use crate::date_time;
use crate::error::ApiError;
use crate::paging;
use crate::reply::Reply;

/// A queue as those clients know it who name it by one id.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QueueBody<'a> {
    task_queue_id: &'a str,
    stability: &'a str,
    description: &'a str,
    expires: String,
    last_date_active: String,
}

/// A queue as those know it who name it by two.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WorkerTypeBody<'a> {
    provisioner_id: &'a str,
    worker_type: &'a str,
    #[serde(flatten)]
    queue: QueueBody<'a>,
    /// Nobody can declare any, and old clients look for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    actions: Option<[(); 0]>,
}

impl<'a> QueueBody<'a> {
    fn new(queue: &'a Description) -> Self {
        QueueBody {
            task_queue_id: &queue.id,
            stability: queue.stability.as_str(),
            description: &queue.description,
            expires: queue.expires.to_iso(),
            last_date_active: queue.last_active.to_iso(),
        }
    }
}

impl<'a> WorkerTypeBody<'a> {
    fn listed(queue: &'a Description) -> Self {
        let (provisioner_id, worker_type) = split_queue_id(&queue.id);
        WorkerTypeBody {
            provisioner_id,
            worker_type,
            queue: QueueBody::new(queue),
            actions: None,
        }
    }

    fn alone(queue: &'a Description) -> Self {
        WorkerTypeBody {
            actions: Some([]),
            ..Self::listed(queue)
        }
    }
}

/// The task queue id of a call that names it by two.
pub(super) fn queue_id(call: &Call) -> String {
    format!(
        "{}/{}",
        call.param("provisionerId"),
        call.param("workerType")
    )
}

/// Checks the scope of each property that the body sets.
pub(super) fn authorize_properties(call: &Call) -> Result<(), ApiError> {
    let properties: Vec<String> = call
        .payload
        .as_object()
        .map(|body| body.keys().cloned().collect())
        .unwrap_or_default();
    call.authorize(&[("properties", Param::from(properties))])
}

/// The moment a property of the body names, if it is there.
pub(super) fn moment(call: &Call, name: &str) -> Result<Option<Timestamp>, ApiError> {
    let text = call.payload.get(name).and_then(Value::as_str);
    text.map(|text| {
        date_time::parse(text)
            .ok_or_else(|| ApiError::input(format!("`{name}` is no moment that exists: {text}")))
    })
    .transpose()
}

/// What the body declares of a queue or provisioner.
pub(super) fn declaration(call: &Call) -> Result<Declaration, ApiError> {
    let text = |name: &str| call.payload.get(name).and_then(Value::as_str);
    Ok(Declaration {
        description: text("description").map(str::to_owned),
        stability: text("stability").and_then(Stability::parse),
        expires: moment(call, "expires")?,
    })
}

fn unknown(task_queue_id: &str) -> ApiError {
    ApiError::not_found(format!(
        "Task queue {task_queue_id} is not known: no worker asked it for work lately, and nobody \
         declared it."
    ))
}

async fn load(queue: &Queue, call: &Call, id: String) -> Result<Description, ApiError> {
    let now = call.now;
    let wanted = id.clone();
    let found = queue
        .store
        .read(move |tx| task_queue::task_queue(tx, now, &wanted))
        .await?;
    found.ok_or_else(|| unknown(&id))
}

pub(super) async fn list_task_queues(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let (now, limit) = (call.now, paging::limit(&call));
    let after: String = paging::position(&call, String::new())?;
    let mut found = queue
        .store
        .read(move |tx| task_queue::task_queues(tx, now, &after, limit + 1))
        .await?;
    let token = paging::cut(&mut found, limit, |queue| queue.id.clone());
    let bodies: Vec<_> = found.iter().map(QueueBody::new).collect();
    Ok(Reply::json(&paged("taskQueues", &bodies, token)))
}

/// A page of a listing, its items under `name`.
pub(super) fn paged(name: &str, items: &[impl Serialize], token: Option<String>) -> Value {
    let mut body = json!({ name: items });
    if let Some(token) = token {
        body["continuationToken"] = token.into();
    }
    body
}

pub(super) async fn get_task_queue(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let id = call.param("taskQueueId").to_owned();
    let found = load(&queue, &call, id).await?;
    Ok(Reply::json(&QueueBody::new(&found)))
}

pub(super) async fn list_worker_types(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let provisioner_id = call.param("provisionerId").to_owned();
    let (now, limit) = (call.now, paging::limit(&call));
    let after: String = paging::position(&call, String::new())?;
    let mut found = queue
        .store
        .read(move |tx| task_queue::of_provisioner(tx, now, &provisioner_id, &after, limit + 1))
        .await?;
    let token = paging::cut(&mut found, limit, |queue| queue.id.clone());
    let bodies: Vec<_> = found.iter().map(WorkerTypeBody::listed).collect();
    Ok(Reply::json(&paged("workerTypes", &bodies, token)))
}

pub(super) async fn get_worker_type(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let found = load(&queue, &call, queue_id(&call)).await?;
    Ok(Reply::json(&WorkerTypeBody::alone(&found)))
}

pub(super) async fn declare_worker_type(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    authorize_properties(&call)?;
    let (id, now) = (queue_id(&call), queue.clock.now().trunc_millis());
    // The pattern of the URL allows more than a queue may be called.
    if !crate::parameter::TASK_QUEUE_ID.matches(&id) {
        return Err(ApiError::input(format!(
            "{id} cannot be the name of a task queue: a worker type begins with a lower-case \
             letter and goes on with those, digits and hyphens"
        )));
    }
    let declaration = declaration(&call)?;
    let declared = queue
        .store
        .write(Key::of(&id), move |tx| {
            task_queue::declare(tx, now, &id, &declaration)
        })
        .await?;
    Ok(Reply::json(&WorkerTypeBody::alone(&declared)))
}
