//! Artifacts of type blob: uploaded in one or more parts, whose hashes and lengths are told before
//! and checked, and there only once all parts are.

use std::sync::Arc;

use aws_lc_rs::digest::{self, SHA256};
use futures_util::TryStreamExt as _;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use taskyard_access::Param;
use taskyard_engine::artifact::{self, Artifact};
use taskyard_engine::content::{self, Stored};
use taskyard_engine::task::{self, Task, Worker};

use crate::call::Call;
use crate::error::ApiError;
use crate::queue::Queue;
use crate::queue::files::hex;
use crate::queue::tasks::task_key;
use crate::queue::transfer::Terms;
use crate::reply::Reply;

/// Most parts, as S3 has it.
const MOST_PARTS: usize = 10_000;

/// What is to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Blob {
    content_encoding: Option<String>,
    content_sha256: String,
    content_length: u64,
    transfer_sha256: Option<String>,
    transfer_length: Option<u64>,
    #[serde(default)]
    parts: Vec<Part>,
}

/// A part as it is told before.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Part {
    sha256: String,
    size: u64,
}

/// What of a blob is remembered, and must be the same when it is created again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Details {
    content_encoding: String,
    content_sha256: String,
    content_length: u64,
    transfer_sha256: String,
    transfer_length: u64,
    /// How many parts there are; 0 if it is uploaded whole.
    parts: usize,
    /// What tells the parts from any others.
    parts_sha256: String,
}

impl Blob {
    /// Reads a request that fits its schema.
    pub(super) fn requested(payload: &Value) -> Result<Self, ApiError> {
        let mut blob: Blob = serde_json::from_value(whole_numbers(payload))
            .map_err(|error| ApiError::input(format!("The blob cannot be read: {error}")))?;
        blob.content_sha256.make_ascii_lowercase();
        if let Some(sha256) = &mut blob.transfer_sha256 {
            sha256.make_ascii_lowercase();
        }
        for part in &mut blob.parts {
            part.sha256.make_ascii_lowercase();
        }
        if blob.parts.len() > MOST_PARTS {
            return Err(ApiError::input(format!(
                "A blob has at most {MOST_PARTS} parts."
            )));
        }
        let sum = blob
            .parts
            .iter()
            .try_fold(0_u64, |sum, part| sum.checked_add(part.size));
        if !blob.parts.is_empty() && sum != Some(blob.transfer_length()) {
            return Err(ApiError::input(format!(
                "The sizes of the parts do not add up to the {} bytes of the whole.",
                blob.transfer_length()
            )));
        }
        let is_encoded = !matches!(blob.content_encoding.as_deref(), None | Some("identity"));
        let differs = blob.transfer_length() != blob.content_length
            || blob.transfer_sha256() != blob.content_sha256;
        if differs && !is_encoded {
            return Err(ApiError::input(
                "What is transferred differs from the content, but contentEncoding does not say \
                 how.",
            ));
        }
        Ok(blob)
    }

    fn transfer_length(&self) -> u64 {
        self.transfer_length.unwrap_or(self.content_length)
    }

    fn transfer_sha256(&self) -> &str {
        self.transfer_sha256
            .as_deref()
            .unwrap_or(&self.content_sha256)
    }

    /// What is remembered of it.
    pub(super) fn details(&self) -> Value {
        let mut hash = digest::Context::new(&SHA256);
        for part in &self.parts {
            hash.update(format!("{}:{}_", part.sha256, part.size).as_bytes());
        }
        json!(Details {
            content_encoding: self
                .content_encoding
                .clone()
                .unwrap_or_else(|| "identity".to_owned()),
            content_sha256: self.content_sha256.clone(),
            content_length: self.content_length,
            transfer_sha256: self.transfer_sha256().to_owned(),
            transfer_length: self.transfer_length(),
            parts: self.parts.len(),
            parts_sha256: hex(hash.finish().as_ref()),
        })
    }

    /// The requests that upload it, in the order of the parts.
    pub(super) fn requests(
        &self,
        artifact: &Artifact,
        url: impl Fn(Terms) -> Result<String, ApiError>,
    ) -> Result<Vec<Value>, ApiError> {
        let encoding = self.content_encoding.as_deref().unwrap_or("identity");
        let terms = |part, length, sha256: &str| Terms {
            part,
            length: Some(length),
            sha256: Some(sha256.to_owned()),
            encoding: Some(encoding.to_owned()),
            ..Terms::default()
        };
        if self.parts.is_empty() {
            let length = self.transfer_length();
            return Ok(vec![json!({
                "url": url(terms(0, length, self.transfer_sha256()))?,
                "method": "PUT",
                "headers": {
                    "content-type": artifact.content_type,
                    "content-length": length.to_string(),
                    "content-encoding": encoding,
                },
            })]);
        }
        let parts = self.parts.iter().zip(0..);
        parts
            .map(|(part, number)| {
                Ok(json!({
                    "url": url(terms(number, part.size, &part.sha256))?,
                    "method": "PUT",
                    "headers": {"content-length": part.size.to_string()},
                }))
            })
            .collect()
    }
}

/// JSON knows one kind of number: `5.0` is as whole as `5`.
fn whole_numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.as_u64().is_none() && float >= 0.0 => json!(float as u64),
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(whole_numbers).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), whole_numbers(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

impl Details {
    /// Those of a blob.
    pub(super) fn of(artifact: &Artifact) -> Result<Self, ApiError> {
        serde_json::from_str(&artifact.details).map_err(ApiError::internal)
    }

    /// What a redirect to the bytes tells about them.
    pub(super) fn location_headers(&self) -> [(&'static str, String); 5] {
        [
            (
                "x-taskcluster-location-content-sha256",
                self.content_sha256.clone(),
            ),
            (
                "x-taskcluster-location-content-length",
                self.content_length.to_string(),
            ),
            (
                "x-taskcluster-location-transfer-sha256",
                self.transfer_sha256.clone(),
            ),
            (
                "x-taskcluster-location-transfer-length",
                self.transfer_length.to_string(),
            ),
            (
                "x-taskcluster-location-content-encoding",
                self.content_encoding.clone(),
            ),
        ]
    }

    /// Whether the parts are all there, and those whose ETags were named, in the same order. What
    /// each one is was checked when it came.
    fn examine(&self, parts: &[(i64, Stored)], etags: &[String]) -> Result<(), ApiError> {
        let count = self.parts.max(1);
        let missing: Vec<String> = (0..count as i64)
            .filter(|number| !parts.iter().any(|(known, _)| known == number))
            .take(10)
            .map(|number| number.to_string())
            .collect();
        if !missing.is_empty() {
            return Err(ApiError::input(format!(
                "The upload is incomplete: of {count} parts these are missing, counted from 0: {}.",
                missing.join(", ")
            )));
        }
        if etags.len() != count {
            return Err(ApiError::input(format!(
                "There are {count} parts, but {} ETags were named.",
                etags.len()
            )));
        }
        for ((number, part), etag) in parts.iter().zip(etags) {
            // Clients that got to see none say so.
            if etag != "NOETAG" && etag.trim_matches('"') != part.key {
                return Err(ApiError::input(format!(
                    "{etag} is not the ETag of part {number}: name them in the order of the parts, \
                     as the last upload of each one told them."
                )));
            }
        }
        Ok(())
    }
}

pub(in crate::queue) async fn complete_artifact(
    queue: Arc<Queue>,
    call: Call,
) -> Result<Reply, ApiError> {
    let etags = call.payload.get("etags").and_then(Value::as_array);
    let etags: Vec<String> = etags
        .into_iter()
        .flatten()
        .filter_map(|etag| etag.as_str().map(str::to_owned))
        .collect();
    let (task_id, run_id) = (call.param("taskId").to_owned(), call.run_id());
    let name = call.param("name").to_owned();
    let now = queue.clock.now();
    let at = (task_id.clone(), name.clone());
    let (task, artifact, parts) = queue
        .store
        .read(move |tx| {
            let (task_id, name) = &at;
            let task = task::load(tx, task_id)?;
            let artifact = artifact::load(tx, task_id, run_id, name)?;
            let parts = match &artifact {
                Some(artifact) => content::parts(tx, &artifact.owner())?,
                None => Vec::new(),
            };
            Ok((task, artifact, parts))
        })
        .await?;
    authorize(&call, task.as_ref(), run_id)?;
    let (Some(task), Some(artifact)) = (task, artifact) else {
        let missing = artifact::Refusal::Missing {
            task_id,
            run_id,
            name,
        };
        return Err(missing.into());
    };
    artifact::may_complete(&artifact, &task, now)?;
    let mut keys = Vec::new();
    if !artifact.present {
        let details = Details::of(&artifact)?;
        details.examine(&parts, &etags)?;
        keys = parts.iter().map(|(_, part)| part.key.clone()).collect();
        let parts = parts.into_iter().map(|(_, part)| part).collect();
        examine_whole(&queue, &details, parts).await?;
    }
    queue
        .store
        .write(task_key(&task_id), move |tx| {
            artifact::complete(tx, now, (&task_id, run_id, &name), &keys)
        })
        .await??;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// Workers of old may do it by who they are.
fn authorize(call: &Call, task: Option<&Task>, run_id: usize) -> Result<(), ApiError> {
    let worker = task
        .and_then(|task| task.runs.get(run_id)?.worker.clone())
        .unwrap_or_else(|| Worker {
            group: String::new(),
            id: String::new(),
        });
    call.authorize(&[
        ("workerGroup", Param::from(worker.group)),
        ("workerId", Param::from(worker.id)),
    ])
}

/// Whether the parts together are what was told of the whole. One part was hashed as it came; of
/// several the bytes are read once more.
async fn examine_whole(
    queue: &Queue,
    details: &Details,
    parts: Vec<Stored>,
) -> Result<(), ApiError> {
    let length: u64 = parts.iter().map(|part| part.size).sum();
    let sha256 = if let [part] = parts.as_slice() {
        part.sha256.clone()
    } else {
        let unreadable = |error: std::io::Error| {
            tracing::warn!(%error, "the parts of a blob cannot be read");
            ApiError::new(
                crate::error::Code::ServiceUnavailable,
                "The parts cannot be read now; try again.",
            )
        };
        let files = queue.transfers.files();
        let bytes = files.read(parts, 0..length).await.map_err(unreadable)?;
        let hash = digest::Context::new(&SHA256);
        let hash = bytes.try_fold(hash, |mut hash, piece| {
            hash.update(&piece);
            std::future::ready(Ok(hash))
        });
        hex(hash.await.map_err(unreadable)?.finish().as_ref())
    };
    if sha256 == details.transfer_sha256 && length == details.transfer_length {
        return Ok(());
    }
    Err(ApiError::input(format!(
        "What was uploaded has {length} bytes and the SHA-256 hash {sha256}, not {} bytes and {}.",
        details.transfer_length, details.transfer_sha256
    )))
}
