//! Artifacts: record them, list them, find their bytes.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};
use taskyard_access::Param;
use taskyard_engine::Timestamp;
use taskyard_engine::artifact::{self, Artifact, StorageType};
use taskyard_engine::task::Refusal;

use super::Queue;
use super::tasks::{load, task_key};
use crate::call::Call;
use crate::date_time;
use crate::error::{ApiError, Code};
use crate::paging;
use crate::reply::Reply;

/// How far in the past an artifact's expiry may be.
const DRIFT: Duration = Duration::from_mins(15);
/// How long an upload URL is said to hold; it holds a little longer.
const UPLOAD: Duration = Duration::from_mins(45);
const UPLOAD_GRACE: Duration = Duration::from_secs(10);
/// How long a download URL holds.
const DOWNLOAD: Duration = Duration::from_mins(30);
/// Longest artifact name, in bytes: listings allow no more.
const LONGEST_NAME: usize = 1024;
/// More links than this in a row are taken for a mistake.
const LONGEST_CHAIN: usize = 100;

pub(super) async fn create_artifact(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let new = requested(&call)?;
    if new.expires < call.now.minus(DRIFT) {
        return Err(ApiError::input("The artifact expires in the past."));
    }
    let now = queue.clock.now();
    let key = task_key(&new.task_id);
    let stored = queue
        .store
        .write(key, move |tx| artifact::create(tx, now, &new))
        .await??;
    let mut answer = json!({"storageType": stored.storage_type.as_str()});
    if stored.storage_type == StorageType::S3 {
        let expires = call.now.plus(UPLOAD);
        let at = (stored.task_id.as_str(), stored.run_id, stored.name.as_str());
        // Bytes that come after the artifact was forgotten would stay for ever.
        let until = expires.plus(UPLOAD_GRACE).min(stored.expires.plus(DRIFT));
        answer["putUrl"] = queue
            .transfers
            .upload_url(at, &stored.content_type, until)?
            .into();
        answer["expires"] = expires.to_iso().into();
        answer["contentType"] = stored.content_type.into();
    }
    Ok(Reply::json(&answer))
}

/// The artifact that a valid body asks for.
fn requested(call: &Call) -> Result<Artifact, ApiError> {
    let name = call.param("name");
    if name.len() > LONGEST_NAME {
        return Err(ApiError::input(format!(
            "The name of an artifact has at most {LONGEST_NAME} characters."
        )));
    }
    let storage_type = StorageType::parse(call.text("storageType")).ok_or_else(|| {
        ApiError::input(format!(
            "This installation keeps no artifacts of storage type {}; use s3, reference, link or \
             error.",
            call.text("storageType")
        ))
    })?;
    let expires = date_time::parse(call.text("expires"))
        .ok_or_else(|| ApiError::input("`expires` is no moment that exists"))?;
    let details = match storage_type {
        StorageType::S3 => json!({}),
        StorageType::Reference => json!({"url": call.text("url")}),
        StorageType::Link => json!({"artifact": call.text("artifact")}),
        StorageType::Error => {
            json!({"reason": call.text("reason"), "message": call.text("message")})
        }
    };
    let content_type = call.payload.get("contentType").and_then(Value::as_str);
    Ok(Artifact {
        task_id: call.param("taskId").to_owned(),
        run_id: call.run_id(),
        name: name.to_owned(),
        storage_type,
        content_type: content_type.unwrap_or("application/binary").to_owned(),
        details: details.to_string(),
        expires,
        content_length: call
            .payload
            .get("contentLength")
            .and_then(Value::as_f64)
            .map(|length| length as i64),
    })
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
        let found = found.ok_or_else(|| ApiError::not_found(missing))?;
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
        let target = detail(&found, "artifact")?;
        if names.contains(&target) || names.len() >= LONGEST_CHAIN {
            return Err(ApiError::input(format!(
                "The links lead in a circle: {names:?}"
            )));
        }
        names.push(target);
    }
}

fn detail(artifact: &Artifact, name: &str) -> Result<String, ApiError> {
    let details: Value = serde_json::from_str(&artifact.details).map_err(ApiError::internal)?;
    Ok(details
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned())
}

/// Where the bytes of an uploaded or referenced artifact are.
fn location(queue: &Queue, artifact: &Artifact, now: Timestamp) -> Result<String, ApiError> {
    if artifact.storage_type == StorageType::Reference {
        return detail(artifact, "url");
    }
    let at = (
        artifact.task_id.as_str(),
        artifact.run_id,
        artifact.name.as_str(),
    );
    queue.transfers.download_url(at, now.plus(DOWNLOAD))
}

async fn redirect(queue: &Queue, call: &Call, run_id: usize) -> Result<Reply, ApiError> {
    let artifact = follow(queue, call, run_id).await?;
    let storage_type = artifact.storage_type.as_str();
    let reply = if artifact.storage_type == StorageType::Error {
        Reply::json(&json!({
            "reason": detail(&artifact, "reason")?,
            "message": detail(&artifact, "message")?,
        }))
        .with_status(StatusCode::FAILED_DEPENDENCY)
    } else {
        let url = location(queue, &artifact, call.now)?;
        Reply::json(&json!({"storageType": storage_type, "url": url}))
            .with_status(StatusCode::SEE_OTHER)
            .with_header("location", &url)
    };
    Ok(reply.with_header("x-taskcluster-artifact-storage-type", storage_type))
}

pub(super) async fn get_artifact(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let run_id = call.run_id();
    redirect(&queue, &call, run_id).await
}

/// Checks the first name before anything is told about the task.
fn authorize_name(call: &Call) -> Result<(), ApiError> {
    call.authorize(&[("names", Param::from(vec![call.param("name").to_owned()]))])
}

pub(super) async fn get_latest_artifact(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    authorize_name(&call)?;
    let run_id = last_run(&queue, &call).await?;
    redirect(&queue, &call, run_id).await
}

async fn content(queue: &Queue, call: &Call, run_id: usize) -> Result<Reply, ApiError> {
    let artifact = follow(queue, call, run_id).await?;
    let storage_type = artifact.storage_type.as_str();
    let answer = if artifact.storage_type == StorageType::Error {
        json!({
            "storageType": storage_type,
            "reason": detail(&artifact, "reason")?,
            "message": detail(&artifact, "message")?,
        })
    } else {
        json!({"storageType": storage_type, "url": location(queue, &artifact, call.now)?})
    };
    Ok(Reply::json(&answer))
}

pub(super) async fn artifact(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let run_id = call.run_id();
    content(&queue, &call, run_id).await
}

pub(super) async fn latest_artifact(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    authorize_name(&call)?;
    let run_id = last_run(&queue, &call).await?;
    content(&queue, &call, run_id).await
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
