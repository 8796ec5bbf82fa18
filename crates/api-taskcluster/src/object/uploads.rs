//! Uploads: begun with a proposal, finished with hashes.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use taskyard_access::Param;
use taskyard_engine::Timestamp;
use taskyard_engine::content::Stored;
use taskyard_engine::object::{self, Hashes, Object};

use super::{Objects, key};
use crate::call::Call;
use crate::date_time;
use crate::error::{ApiError, Code};
use crate::queue::transfer::{Subject, Terms};
use crate::reply::Reply;

/// How long an upload URL is said to hold; it holds a little longer.
const PUT_URL: Duration = Duration::from_mins(45);
const PUT_URL_GRACE: Duration = Duration::from_secs(10);

/// The way of uploading that was chosen.
enum Chosen {
    /// These bytes came along.
    DataInline(Vec<u8>),
    /// So many bytes are sent to a URL.
    PutUrl(u64),
    Nothing,
}

fn authorize(call: &Call) -> Result<(), ApiError> {
    let project = call.text("projectId").to_owned();
    call.authorize(&[("projectId", Param::from(project))])
}

/// Hashes of a body; those that are no text are none.
fn hashes(call: &Call) -> Hashes {
    let told = call.payload.get("hashes").and_then(Value::as_object);
    told.into_iter()
        .flatten()
        .filter_map(|(name, hash)| Some((name.clone(), hash.as_str()?.to_owned())))
        .collect()
}

/// The best of the proposed ways, and the content type that goes with it.
fn choose(call: &Call) -> Result<(Chosen, String), ApiError> {
    let proposed = |name: &str| call.payload.get("proposedUploadMethods")?.get(name);
    let text = |proposal: &Value, name: &str| {
        let text = proposal.get(name).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    if let Some(inline) = proposed("dataInline") {
        let bytes = STANDARD
            .decode(text(inline, "objectData"))
            .map_err(|error| ApiError::input(format!("`objectData` is not base64: {error}.")))?;
        return Ok((Chosen::DataInline(bytes), text(inline, "contentType")));
    }
    if let Some(put) = proposed("putUrl") {
        let length = put.get("contentLength").and_then(Value::as_f64);
        let length = length
            .filter(|length| *length >= 0.0)
            .ok_or_else(|| ApiError::input("`contentLength` is negative."))?;
        return Ok((Chosen::PutUrl(length as u64), text(put, "contentType")));
    }
    Ok((Chosen::Nothing, String::new()))
}

pub(super) async fn create_upload(objects: Arc<Objects>, call: Call) -> Result<Reply, ApiError> {
    authorize(&call)?;
    let expires = date_time::parse(call.text("expires"))
        .ok_or_else(|| ApiError::input("`expires` is no moment that exists."))?;
    let (chosen, content_type) = choose(&call)?;
    let new = Object {
        name: call.param("name").to_owned(),
        project_id: call.text("projectId").to_owned(),
        upload_id: call.text("uploadId").to_owned(),
        content_type,
        hashes: hashes(&call),
        finished: false,
        expires,
    };
    let inline = match &chosen {
        Chosen::DataInline(bytes) => Some(objects.keep(bytes).await?),
        Chosen::PutUrl(_) | Chosen::Nothing => None,
    };
    let object = objects.begin(new, inline).await?;
    let method = match chosen {
        Chosen::DataInline(_) => json!({"dataInline": true}),
        Chosen::PutUrl(length) => json!({"putUrl": objects.put_url(&object, length, call.now)?}),
        Chosen::Nothing => json!({}),
    };
    Ok(Reply::json(&json!({
        "projectId": object.project_id,
        "uploadId": object.upload_id,
        "expires": call.text("expires"),
        "uploadMethod": method,
    })))
}

impl Objects {
    async fn keep(&self, bytes: &[u8]) -> Result<Stored, ApiError> {
        let keep = async {
            let mut draft = self.transfers.files().draft().await?;
            draft.write(bytes).await?;
            draft.finish(String::new()).await
        };
        keep.await.map_err(|error: std::io::Error| {
            tracing::warn!(%error, "an object could not be written");
            ApiError::new(
                Code::ServiceUnavailable,
                "The object could not be stored; try again.",
            )
        })
    }

    async fn begin(&self, new: Object, inline: Option<Stored>) -> Result<Object, ApiError> {
        let now = self.clock.now();
        let kept = inline.clone();
        let begun = self
            .store
            .write(key(&new.name), move |tx| {
                object::begin(tx, now, &new, inline.as_ref())
            })
            .await?;
        if let (Err(_), Some(kept)) = (&begun, kept)
            && let Err(error) = self.transfers.files().remove_stored(&kept).await
        {
            tracing::warn!(%error, "a refused object stays behind for a day");
        }
        Ok(begun?)
    }

    fn put_url(&self, object: &Object, length: u64, now: Timestamp) -> Result<Value, ApiError> {
        let expires = now.plus(PUT_URL);
        let terms = Terms {
            length: Some(length),
            encoding: Some("identity".to_owned()),
            upload_id: Some(object.upload_id.clone()),
            ..Terms::default()
        };
        let subject = Subject::Object(object.name.clone());
        let until = expires.plus(PUT_URL_GRACE);
        let url = self.transfers.upload_url(subject, terms, until)?;
        let mut headers = json!({
            "Content-Type": object.content_type,
            "Content-Length": length.to_string(),
            "Content-Encoding": "identity",
        });
        if object.content_type == "text/html" {
            headers["Content-Disposition"] = "attachment".into();
        }
        Ok(json!({"url": url, "expires": expires.to_iso(), "headers": headers}))
    }
}

pub(super) async fn finish_upload(objects: Arc<Objects>, call: Call) -> Result<Reply, ApiError> {
    authorize(&call)?;
    let name = call.param("name").to_owned();
    let (project_id, upload_id) = (
        call.text("projectId").to_owned(),
        call.text("uploadId").to_owned(),
    );
    let hashes = hashes(&call);
    objects
        .store
        .write(key(&name), move |tx| {
            object::finish(tx, &name, &project_id, &upload_id, &hashes)
        })
        .await??;
    Ok(Reply::json(&json!({})))
}
