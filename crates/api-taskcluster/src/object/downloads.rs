//! Downloads: where an object's bytes are, and what they hash to.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use taskyard_engine::Timestamp;

use super::Objects;
use crate::call::Call;
use crate::error::{ApiError, Code};
use crate::queue::transfer::Subject;
use crate::reply::Reply;

/// How long a download URL holds.
const DOWNLOAD: Duration = Duration::from_mins(30);

impl Objects {
    fn url(&self, name: &str, now: Timestamp) -> Result<(String, Timestamp), ApiError> {
        let expires = now.plus(DOWNLOAD);
        let subject = Subject::Object(name.to_owned());
        Ok((self.transfers.download_url(subject, expires)?, expires))
    }
}

pub(super) async fn start_download(objects: Arc<Objects>, call: Call) -> Result<Reply, ApiError> {
    let object = objects.find(&call).await?;
    let accepts = |method: &str| {
        let accepted = call.payload.get("acceptDownloadMethods");
        accepted.is_some_and(|accepted| accepted.get(method).is_some())
    };
    let (url, expires) = objects.url(&object.name, call.now)?;
    if accepts("getUrl") {
        return Ok(Reply::json(&json!({
            "method": "getUrl",
            "url": url,
            "expires": expires.to_iso(),
            "hashes": object.hashes,
        })));
    }
    if accepts("simple") {
        return Ok(Reply::json(&json!({"method": "simple", "url": url})));
    }
    Err(ApiError::new(
        Code::NoMatchingMethod,
        "None of the accepted download methods is known here: accept getUrl or simple.",
    ))
}

pub(super) async fn object(objects: Arc<Objects>, call: Call) -> Result<Reply, ApiError> {
    let object = objects.find(&call).await?;
    Ok(Reply::json(&json!({
        "projectId": object.project_id,
        "expires": object.expires.to_iso(),
        "hashes": object.hashes,
    })))
}

pub(super) async fn download(objects: Arc<Objects>, call: Call) -> Result<Reply, ApiError> {
    let object = objects.find(&call).await?;
    let (url, _) = objects.url(&object.name, call.now)?;
    Ok(Reply::empty(StatusCode::SEE_OTHER).with_header("location", &url))
}
