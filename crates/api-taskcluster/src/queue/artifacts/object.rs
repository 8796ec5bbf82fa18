//! Artifacts of type object: their bytes go through the object service, with credentials of their
//! own.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use taskyard_access::temporary;
use taskyard_engine::Timestamp;
use taskyard_engine::artifact::{self, Artifact};
use taskyard_engine::task::Task;

use crate::call::Call;
use crate::error::ApiError;
use crate::queue::tasks::task_key;
use crate::queue::{ISSUER, Queue};
use crate::reply::Reply;

/// How long credentials for an upload hold, at most.
const UPLOAD: Duration = Duration::from_hours(24);
/// How long credentials for a download hold.
const DOWNLOAD: Duration = Duration::from_hours(1);

/// Credentials of a client that is called `name`, which hold `scope` until `expires`.
fn credentials(
    queue: &Queue,
    name: &str,
    scope: String,
    now: Timestamp,
    expires: Timestamp,
) -> Result<Value, ApiError> {
    let issuer = queue
        .issuer()
        .ok_or_else(|| ApiError::internal(format!("the client {ISSUER} is missing")))?;
    let made = temporary::create(
        &issuer.client_id,
        issuer.access_token.expose(),
        Some(name),
        now.millis(),
        expires.millis(),
        &[scope],
        &temporary::new_seed(),
    )
    .map_err(ApiError::internal)?;
    Ok(json!({
        "clientId": made.client_id,
        "accessToken": made.access_token.expose(),
        "certificate": made.certificate,
    }))
}

/// What the maker of an object artifact is told.
pub(super) fn created(
    queue: &Queue,
    artifact: &Artifact,
    task: &Task,
    now: Timestamp,
) -> Result<Value, ApiError> {
    let run = task.runs.get(artifact.run_id);
    let worker = run
        .and_then(|run| run.worker.as_ref())
        .ok_or_else(|| ApiError::internal("a run with artifacts has no worker"))?;
    let object = artifact.object_name();
    let client = format!(
        "artifact-upload/{}/{}/on/{}/{}",
        task.id, artifact.run_id, worker.group, worker.id
    );
    let scope = format!("object:upload:{}:{object}", task.project_id);
    // An artifact may expire a moment ago, credentials may not.
    let until = now.plus(UPLOAD).min(artifact.expires.max(now));
    Ok(json!({
        "storageType": "object",
        "name": object,
        "projectId": task.project_id,
        "uploadId": artifact.detail("uploadId").unwrap_or_default(),
        "expires": artifact.expires.to_iso(),
        "credentials": credentials(queue, &client, scope, now, until)?,
    }))
}

/// Credentials to download the object of an artifact with.
pub(super) fn download_credentials(
    queue: &Queue,
    artifact: &Artifact,
    now: Timestamp,
) -> Result<Value, ApiError> {
    let Artifact {
        task_id,
        run_id,
        name,
        ..
    } = artifact;
    // Names of clients have no blanks and the like, names of artifacts may.
    let name: String = name
        .chars()
        .map(|c| match c {
            'a'..='z'
            | 'A'..='Z'
            | '0'..='9'
            | '!'
            | '@'
            | '/'
            | ':'
            | '.'
            | '+'
            | '|'
            | '_'
            | '-' => c,
            _ => '_',
        })
        .collect();
    let client = format!("artifact-download/{task_id}/{run_id}/{name}");
    let scope = format!("object:download:{}", artifact.object_name());
    credentials(queue, &client, scope, now, now.plus(DOWNLOAD))
}

pub(in crate::queue) async fn finish_artifact(
    queue: Arc<Queue>,
    call: Call,
) -> Result<Reply, ApiError> {
    let (task_id, run_id) = (call.param("taskId").to_owned(), call.run_id());
    let name = call.param("name").to_owned();
    let upload_id = call.text("uploadId").to_owned();
    let now = queue.clock.now();
    queue
        .store
        .write(task_key(&task_id), move |tx| {
            artifact::finish(tx, now, (&task_id, run_id, &name), &upload_id)
        })
        .await??;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}
