//! Artifacts: record them, upload them, list them, find their bytes.

mod blob;
mod fetch;
mod object;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use taskyard_access::slugid;
use taskyard_engine::artifact::{self, Artifact, Changed, StorageType};
use taskyard_engine::task::Refusal;

use self::blob::Blob;
use super::Queue;
use super::tasks::{load, task_key};
use super::transfer::{Subject, Terms};
use crate::call::Call;
use crate::date_time;
use crate::error::ApiError;
use crate::paging;
use crate::reply::Reply;

pub(super) use self::blob::complete_artifact;
pub(super) use self::fetch::{artifact, get_artifact, get_latest_artifact, latest_artifact};
pub(super) use self::object::finish_artifact;

/// How far in the past an artifact's expiry may be.
const DRIFT: Duration = Duration::from_mins(15);
/// How long an upload URL is said to hold, by storage type; it holds a little longer.
const S3_UPLOAD: Duration = Duration::from_mins(45);
const AZURE_UPLOAD: Duration = Duration::from_mins(30);
const BLOB_UPLOAD: Duration = Duration::from_mins(15);
const UPLOAD_GRACE: Duration = Duration::from_secs(10);
/// Longest artifact name, in bytes: listings allow no more.
const LONGEST_NAME: usize = 1024;

/// What a transfer of an artifact's bytes is about.
fn subject(artifact: &Artifact) -> Subject {
    Subject::Artifact(
        artifact.task_id.clone(),
        artifact.run_id,
        artifact.name.clone(),
    )
}

pub(super) async fn create_artifact(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let (new, blob) = requested(&call)?;
    if new.expires < call.now.minus(DRIFT) {
        return Err(ApiError::input("The artifact expires in the past."));
    }
    let now = queue.clock.now();
    let key = task_key(&new.task_id);
    let created = queue
        .store
        .write(key, move |tx| artifact::create(tx, now, &new))
        .await??;
    let Changed { artifact, task } = &created;
    let answer = match (artifact.storage_type, blob) {
        (StorageType::S3, _) => uploaded_at_once(&queue, &call, artifact, S3_UPLOAD)?,
        (StorageType::Azure, _) => uploaded_at_once(&queue, &call, artifact, AZURE_UPLOAD)?,
        (StorageType::Object, _) => object::created(&queue, artifact, task, call.now)?,
        (StorageType::Blob, Some(blob)) => {
            let expires = call.now.plus(BLOB_UPLOAD);
            let until = expires.plus(UPLOAD_GRACE);
            json!({
                "storageType": "blob",
                "expires": expires.to_iso(),
                "requests": blob.requests(artifact, |terms| {
                    queue.transfers.upload_url(subject(artifact), terms, until)
                })?,
            })
        }
        (storage_type, _) => json!({"storageType": storage_type.as_str()}),
    };
    Ok(Reply::json(&answer))
}

fn uploaded_at_once(
    queue: &Queue,
    call: &Call,
    artifact: &Artifact,
    within: Duration,
) -> Result<Value, ApiError> {
    let expires = call.now.plus(within);
    // Bytes that come after the artifact was forgotten would be for nothing.
    let until = expires.plus(UPLOAD_GRACE).min(artifact.expires.plus(DRIFT));
    let terms = Terms {
        // Clients of that cloud take nothing else for success.
        creates: artifact.storage_type == StorageType::Azure,
        ..Terms::default()
    };
    Ok(json!({
        "storageType": artifact.storage_type.as_str(),
        "putUrl": queue.transfers.upload_url(subject(artifact), terms, until)?,
        "expires": expires.to_iso(),
        "contentType": artifact.content_type,
    }))
}

/// The artifact that a valid body asks for; of a blob also what is to be uploaded.
fn requested(call: &Call) -> Result<(Artifact, Option<Blob>), ApiError> {
    let name = call.param("name");
    if name.len() > LONGEST_NAME {
        return Err(ApiError::input(format!(
            "The name of an artifact has at most {LONGEST_NAME} characters."
        )));
    }
    let storage_type = StorageType::parse(call.text("storageType")).ok_or_else(|| {
        ApiError::input(format!(
            "There is no storage type {}.",
            call.text("storageType")
        ))
    })?;
    let expires = date_time::parse(call.text("expires"))
        .ok_or_else(|| ApiError::input("`expires` is no moment that exists"))?;
    let mut blob = None;
    let details = match storage_type {
        StorageType::S3 | StorageType::Azure => json!({}),
        StorageType::Reference => json!({"url": call.text("url")}),
        StorageType::Link => json!({"artifact": call.text("artifact")}),
        StorageType::Error => {
            json!({"reason": call.text("reason"), "message": call.text("message")})
        }
        StorageType::Object => json!({"uploadId": slugid::v4()}),
        StorageType::Blob => blob.insert(Blob::requested(&call.payload)?).details(),
    };
    let content_type = call.payload.get("contentType").and_then(Value::as_str);
    // That of a blob says something else: it is checked, and never told.
    let told = (storage_type != StorageType::Blob).then_some("contentLength");
    let artifact = Artifact {
        task_id: call.param("taskId").to_owned(),
        run_id: call.run_id(),
        name: name.to_owned(),
        storage_type,
        content_type: content_type.unwrap_or("application/binary").to_owned(),
        details: details.to_string(),
        expires,
        content_length: told
            .and_then(|name| call.payload.get(name)?.as_f64())
            .map(|length| length as i64),
        present: false,
    };
    Ok((artifact, blob))
}

/// The last run of a task; 404 if there is none.
async fn last_run(queue: &Queue, call: &Call) -> Result<usize, ApiError> {
    let task = load(queue, call.param("taskId")).await?;
    task.runs.len().checked_sub(1).ok_or_else(|| {
        ApiError::not_found(format!(
            "Task {} has no runs, so it has no artifacts.",
            task.id
        ))
    })
}

fn body(artifact: &Artifact) -> Value {
    let mut body = json!({
        "storageType": artifact.storage_type.as_str(),
        "name": artifact.name,
        "expires": artifact.expires.to_iso(),
        "contentType": artifact.content_type,
    });
    if let Some(length) = artifact.content_length {
        body["contentLength"] = length.into();
    }
    body
}

async fn list(queue: &Queue, call: &Call, run_id: usize) -> Result<Reply, ApiError> {
    let limit = paging::limit(call);
    let after: String = paging::position(call, String::new())?;
    let task_id = call.param("taskId").to_owned();
    let mut artifacts = queue
        .store
        .read(move |tx| artifact::list(tx, &task_id, run_id, &after, limit + 1))
        .await?;
    let token = paging::cut(&mut artifacts, limit, |artifact| artifact.name.clone());
    let mut answer = Map::new();
    answer.insert("artifacts".to_owned(), artifacts.iter().map(body).collect());
    if let Some(token) = token {
        answer.insert("continuationToken".to_owned(), token.into());
    }
    Ok(Reply::json(&answer))
}

pub(super) async fn list_artifacts(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let task = load(&queue, call.param("taskId")).await?;
    let run_id = call.run_id();
    if run_id >= task.runs.len() {
        return Err(Refusal::NoSuchRun {
            task_id: task.id,
            run_id,
        }
        .into());
    }
    list(&queue, &call, run_id).await
}

pub(super) async fn list_latest_artifacts(
    queue: Arc<Queue>,
    call: Call,
) -> Result<Reply, ApiError> {
    let run_id = last_run(&queue, &call).await?;
    list(&queue, &call, run_id).await
}

async fn info(queue: &Queue, call: &Call, run_id: usize) -> Result<Reply, ApiError> {
    let (task_id, name) = (
        call.param("taskId").to_owned(),
        call.param("name").to_owned(),
    );
    let missing = format!("Task {task_id} has no artifact {name} in run {run_id}.");
    let found = queue
        .store
        .read(move |tx| artifact::load(tx, &task_id, run_id, &name))
        .await?;
    found
        .filter(|found| found.present)
        .map(|found| Reply::json(&body(&found)))
        .ok_or_else(|| ApiError::not_found(missing))
}

pub(super) async fn artifact_info(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let run_id = call.run_id();
    info(&queue, &call, run_id).await
}

pub(super) async fn latest_artifact_info(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let run_id = last_run(&queue, &call).await?;
    info(&queue, &call, run_id).await
}
