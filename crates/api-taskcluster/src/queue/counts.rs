//! How full are the queues?

use std::sync::Arc;

use serde_json::json;
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

pub(super) async fn task_queue_counts(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let task_queue_id = call.param("taskQueueId");
    let (provisioner_id, worker_type) = split_queue_id(task_queue_id);
    let depth = depth(&queue, &call).await?;
    Ok(Reply::json(&json!({
        "provisionerId": provisioner_id,
        "workerType": worker_type,
        "taskQueueId": task_queue_id,
        "pendingTasks": depth.ready,
        "claimedTasks": depth.held,
    })))
}
