//! Fetching artifacts: where their bytes are, links followed.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use taskyard_access::Param;
use taskyard_engine::Timestamp;
use taskyard_engine::artifact::{self, Artifact, StorageType};

use super::{last_run, subject};
use crate::call::Call;
use crate::error::{ApiError, Code};
use crate::queue::Queue;
use crate::queue::transfer::Subject;
use crate::reply::Reply;

/// How long a download URL holds.
const DOWNLOAD: Duration = Duration::from_mins(30);
/// More links than this in a row are taken for a mistake.
const LONGEST_CHAIN: usize = 100;

/// The artifact that a name leads to: links are followed within the run, and the caller must be
/// allowed to see every name on the way.
async fn follow(queue: &Queue, call: &Call, run_id: usize) -> Result<Artifact, ApiError> {
    let mut names = vec![call.param("name").to_owned()];
    loop {
        call.authorize(&[("names", Param::from(names.clone()))])?;
        let Some(name) = names.last().cloned() else {
            return Err(ApiError::internal("a link chain is empty"));
        };
        let task_id = call.param("taskId").to_owned();
        let missing = format!("Task {task_id} has no artifact {name} in run {run_id}.");
        let found = queue
            .store
            .read(move |tx| artifact::load(tx, &task_id, run_id, &name))
            .await?;
        // What is not whole yet is not there.
        let found = found
            .filter(|found| found.present)
            .ok_or_else(|| ApiError::not_found(missing))?;
        if found.expires < call.now {
            return Err(ApiError::new(
                Code::ResourceExpired,
                format!(
                    "Artifact {} expired {}.",
                    found.name,
                    found.expires.to_iso()
                ),
            ));
        }
        if found.storage_type != StorageType::Link {
            return Ok(found);
        }
        let target = detail(&found, "artifact");
        if names.contains(&target) || names.len() >= LONGEST_CHAIN {
            return Err(ApiError::input(format!(
                "The links lead in a circle: {names:?}"
            )));
        }
        names.push(target);
    }
}

fn detail(artifact: &Artifact, name: &str) -> String {
    artifact.detail(name).unwrap_or_default()
}

/// Where the bytes of an uploaded or referenced artifact are.
fn location(queue: &Queue, artifact: &Artifact, now: Timestamp) -> Result<String, ApiError> {
    let subject = match artifact.storage_type {
        StorageType::Reference => return Ok(detail(artifact, "url")),
        StorageType::Object => Subject::Object(artifact.object_name()),
        _ => subject(artifact),
    };
    queue.transfers.download_url(subject, now.plus(DOWNLOAD))
}

async fn redirect(queue: &Queue, call: &Call, run_id: usize) -> Result<Reply, ApiError> {
    let artifact = follow(queue, call, run_id).await?;
    let storage_type = artifact.storage_type.as_str();
    let mut reply = if artifact.storage_type == StorageType::Error {
        Reply::json(&json!({
            "reason": detail(&artifact, "reason"),
            "message": detail(&artifact, "message"),
        }))
        .with_status(StatusCode::FAILED_DEPENDENCY)
    } else {
        let url = location(queue, &artifact, call.now)?;
        Reply::json(&json!({"storageType": storage_type, "url": url}))
            .with_status(StatusCode::SEE_OTHER)
            .with_header("location", &url)
    };
    if artifact.storage_type == StorageType::Blob {
        for (header, value) in super::blob::Details::of(&artifact)?.location_headers() {
            reply = reply.with_header(header, &value);
        }
        reply = reply.with_header(
            "x-taskcluster-location-content-type",
            &artifact.content_type,
        );
    }
    Ok(reply.with_header("x-taskcluster-artifact-storage-type", storage_type))
}

pub(in crate::queue) async fn get_artifact(
    queue: Arc<Queue>,
    call: Call,
) -> Result<Reply, ApiError> {
    let run_id = call.run_id();
    redirect(&queue, &call, run_id).await
}

/// Checks the first name before anything is told about the task.
fn authorize_name(call: &Call) -> Result<(), ApiError> {
    call.authorize(&[("names", Param::from(vec![call.param("name").to_owned()]))])
}

pub(in crate::queue) async fn get_latest_artifact(
    queue: Arc<Queue>,
    call: Call,
) -> Result<Reply, ApiError> {
    authorize_name(&call)?;
    let run_id = last_run(&queue, &call).await?;
    redirect(&queue, &call, run_id).await
}

async fn content(queue: &Queue, call: &Call, run_id: usize) -> Result<Reply, ApiError> {
    let artifact = follow(queue, call, run_id).await?;
    let answer = match artifact.storage_type {
        StorageType::Error => json!({
            "storageType": "error",
            "reason": detail(&artifact, "reason"),
            "message": detail(&artifact, "message"),
        }),
        StorageType::Object => json!({
            "storageType": "object",
            "name": artifact.object_name(),
            "credentials": super::object::download_credentials(queue, &artifact, call.now)?,
        }),
        StorageType::Reference => json!({
            "storageType": "reference",
            "url": detail(&artifact, "url"),
        }),
        // Those who ask in this way know nothing of the older types, and fetch all of them alike.
        StorageType::S3 | StorageType::Azure | StorageType::Blob | StorageType::Link => json!({
            "storageType": "s3",
            "url": location(queue, &artifact, call.now)?,
        }),
    };
    Ok(Reply::json(&answer))
}

pub(in crate::queue) async fn artifact(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let run_id = call.run_id();
    content(&queue, &call, run_id).await
}

pub(in crate::queue) async fn latest_artifact(
    queue: Arc<Queue>,
    call: Call,
) -> Result<Reply, ApiError> {
    authorize_name(&call)?;
    let run_id = last_run(&queue, &call).await?;
    content(&queue, &call, run_id).await
}
