//! Artifacts of tasks that are found in the index.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use taskyard_access::sign::{Credentials, Destination, Signer};

use super::Index;
use crate::call::Call;
use crate::error::ApiError;
use crate::queue::ISSUER;
use crate::reply::Reply;

/// How long a redirect to an artifact that not everybody may have can be followed.
const REDIRECT: Duration = Duration::from_mins(15);
/// What stands in a path segment as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

pub(super) async fn find_artifact_from_task(
    index: Arc<Index>,
    call: Call,
) -> Result<Reply, ApiError> {
    let found = index.find(&call).await?;
    let name = call.param("name");
    let target = format!(
        "/api/queue/v1/task/{}/artifacts/{}",
        found.task_id,
        utf8_percent_encode(name, PLAIN)
    );
    let scope = format!("queue:get-artifact:{name}");
    let known = index.directory.snapshot();
    let everybody = known.roles.expand(&["assume:anonymous"]);
    let target = if everybody.satisfies(&scope) {
        target
    } else {
        index.signed(&target, scope, &call)?
    };
    let location = format!("{}{target}", index.root_url);
    Ok(Reply::empty(StatusCode::SEE_OTHER).with_header("location", &location))
}

impl Index {
    /// A target of the queue that whoever has it may GET, with this one scope and for a while.
    fn signed(&self, target: &str, scope: String, call: &Call) -> Result<String, ApiError> {
        let issuer = self.directory.snapshot().client(ISSUER);
        let issuer =
            issuer.ok_or_else(|| ApiError::internal(format!("the client {ISSUER} is missing")))?;
        let credentials = Credentials {
            client_id: issuer.client_id.clone(),
            access_token: issuer.access_token.clone(),
            certificate: None,
        };
        let signer = Signer::new(&credentials, Some(&[scope])).map_err(ApiError::internal)?;
        let url = Url::parse(&self.root_url).map_err(ApiError::internal)?;
        let destination = Destination {
            target,
            host: url.host_str().unwrap_or_default(),
            port: url.port_or_known_default().unwrap_or_default(),
        };
        let expires = call.now.plus(REDIRECT).millis() / 1000;
        Ok(signer.signed_target(&destination, expires))
    }
}
