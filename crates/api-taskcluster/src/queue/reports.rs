//! Workers report how runs ended.

use std::sync::Arc;

use serde_json::Value;
use taskyard_engine::task::{self, Exception, Resolved};

use super::Queue;
use super::status::status_reply;
use super::tasks::task_key;
use crate::call::Call;
use crate::error::ApiError;
use crate::reply::Reply;

async fn report(queue: &Queue, call: &Call, resolved: Resolved) -> Result<Reply, ApiError> {
    let task_id = call.param("taskId").to_owned();
    let (run_id, now) = (call.run_id(), queue.clock.now());
    let task = queue
        .store
        .write(task_key(&task_id), move |tx| {
            task::report(tx, now, &task_id, run_id, resolved)
        })
        .await??;
    Ok(status_reply(&task))
}

pub(super) async fn report_completed(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    // Very old workers said so with a body.
    let failed = call.payload.get("success") == Some(&Value::Bool(false));
    let resolved = if failed {
        Resolved::Failed
    } else {
        Resolved::Completed
    };
    report(&queue, &call, resolved).await
}

pub(super) async fn report_failed(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    report(&queue, &call, Resolved::Failed).await
}

pub(super) async fn report_exception(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let reported = [
        Exception::WorkerShutdown,
        Exception::MalformedPayload,
        Exception::ResourceUnavailable,
        Exception::InternalError,
        Exception::IntermittentTask,
        Exception::Superseded,
    ];
    let reason = call.text("reason");
    let exception = reported
        .into_iter()
        .find(|exception| exception.as_str() == reason);
    let exception = exception
        .ok_or_else(|| ApiError::input(format!("{reason} is no reason that a worker reports")))?;
    report(&queue, &call, Resolved::Exception(exception)).await
}
