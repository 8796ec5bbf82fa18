//! How full are the queues?

use std::sync::Arc;

use serde_json::{Value, json};
use taskyard_access::Param;
use taskyard_engine::lease::{self, Depth};

use super::Queue;
use super::status::split_queue_id;
use crate::call::Call;
use crate::error::ApiError;
use crate::reply::Reply;

async fn depth(queue: &Queue, call: &Call) -> Result<Depth, ApiError> {
    let waiting = lease::Queue::runs(call.param("taskQueueId"));
    let now = call.now;
    Ok(queue
        .store
        .read(move |tx| lease::depth(tx, &waiting, now))
        .await?)
}

pub(super) async fn pending_tasks(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let task_queue_id = call.param("taskQueueId");
    let (provisioner_id, worker_type) = split_queue_id(task_queue_id);
    let depth = depth(&queue, &call).await?;
    Ok(Reply::json(&json!({
        "provisionerId": provisioner_id,
        "workerType": worker_type,
        "taskQueueId": task_queue_id,
        "pendingTasks": depth.ready,
    })))
}

fn counts(task_queue_id: &str, depth: Depth) -> Value {
    let (provisioner_id, worker_type) = split_queue_id(task_queue_id);
    json!({
        "provisionerId": provisioner_id,
        "workerType": worker_type,
        "taskQueueId": task_queue_id,
        "pendingTasks": depth.ready,
        "claimedTasks": depth.held,
    })
}

pub(super) async fn task_queue_counts(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let depth = depth(&queue, &call).await?;
    Ok(Reply::json(&counts(call.param("taskQueueId"), depth)))
}

pub(super) async fn task_queue_counts_batch(
    queue: Arc<Queue>,
    call: Call,
) -> Result<Reply, ApiError> {
    let ids: Vec<String> = call
        .payload
        .get("taskQueueIds")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    call.authorize(&[("taskQueueIds", Param::from(ids.as_slice()))])?;
    let now = call.now;
    let mut all = Vec::with_capacity(ids.len());
    // One read each, so that a thousand full queues do not keep one reader from everybody else.
    for id in ids {
        let waiting = lease::Queue::runs(&id);
        let depth = queue
            .store
            .read(move |tx| lease::depth(tx, &waiting, now))
            .await?;
        all.push(counts(&id, depth));
    }
    Ok(Reply::json(&json!({ "taskQueueCounts": all })))
}
