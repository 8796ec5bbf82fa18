//! The APIs, called from within with the credentials of whoever looks.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use taskyard_access::sign::{Destination, nonce};
use taskyard_access::{Credentials, Signer};
use taskyard_engine::Timestamp;
use taskyard_http::Door;
use taskyard_http::body;

use crate::trouble::Trouble;

/// The most that is read of an answer: a page of a thousand tasks with large definitions.
const LIMIT: usize = 64 * 1024 * 1024;
/// Whom requests from within are addressed to. Only the signature covers it.
const HOST: &str = "localhost";
const PORT: u16 = 80;

/// All APIs, on behalf of one visitor.
#[derive(Clone)]
pub(crate) struct Apis {
    door: Arc<dyn Door>,
    now: Timestamp,
    credentials: Option<Credentials>,
}

impl Apis {
    pub(crate) fn new(
        door: Arc<dyn Door>,
        now: Timestamp,
        credentials: Option<Credentials>,
    ) -> Self {
        Apis {
            door,
            now,
            credentials,
        }
    }

    /// Reads what stands at `target`, a path with its query.
    pub(crate) async fn get<T: DeserializeOwned>(&self, target: &str) -> Result<T, Trouble> {
        let bytes = self.json(Method::GET, target, None).await?;
        parse(&bytes, target)
    }

    /// As [`Apis::get`], with `None` for what is not there.
    pub(crate) async fn find<T: DeserializeOwned>(
        &self,
        target: &str,
    ) -> Result<Option<T>, Trouble> {
        match self.get(target).await {
            Ok(found) => Ok(Some(found)),
            Err(Trouble::Refused { status, .. }) if status == http::StatusCode::NOT_FOUND => {
                Ok(None)
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Posts a body to `target`.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        target: &str,
        body: &Value,
    ) -> Result<T, Trouble> {
        let bytes = self.json(Method::POST, target, Some(body)).await?;
        parse(&bytes, target)
    }

    /// Deletes what stands at `target`.
    pub(crate) async fn delete(&self, target: &str) -> Result<(), Trouble> {
        self.json(Method::DELETE, target, None).await.map(drop)
    }

    /// Sends a request and hands on the answer as it is.
    pub(crate) async fn send(
        &self,
        method: Method,
        target: &str,
        body: Option<&Value>,
        headers: &[(header::HeaderName, HeaderValue)],
    ) -> Result<Response, Trouble> {
        let mut request = Request::builder()
            .method(&method)
            .uri(target)
            .header(header::HOST, HOST);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(credentials) = &self.credentials {
            let authorization = self.authorization(credentials, &method, target)?;
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let request = request.body(body);
        let request = request.map_err(|error| Trouble::Bad(format!("No such address: {error}")))?;
        Ok(Arc::clone(&self.door).answer(request).await)
    }

    /// A signature where the API takes one; the others take the token itself, which stays in this
    /// process.
    fn authorization(
        &self,
        credentials: &Credentials,
        method: &Method,
        target: &str,
    ) -> Result<String, Trouble> {
        if !target.starts_with("/api/") {
            let token = credentials.access_token.expose();
            let pair = STANDARD.encode(format!("{}:{token}", credentials.client_id));
            return Ok(format!("Basic {pair}"));
        }
        let to = Destination {
            target,
            host: HOST,
            port: PORT,
        };
        let signer = Signer::new(credentials, None);
        let signer = signer.map_err(|error| Trouble::Bad(error.to_string()))?;
        let seconds = self.now.millis() / 1000;
        Ok(signer.authorization_header(method.as_str(), &to, seconds, &nonce(), None))
    }

    async fn json(
        &self,
        method: Method,
        target: &str,
        body: Option<&Value>,
    ) -> Result<Bytes, Trouble> {
        let answer = self.send(method, target, body, &[]).await?;
        let status = answer.status();
        let read = body::read(answer.into_body(), LIMIT, body::IDLE).await;
        let bytes = read.map_err(|error| {
            tracing::warn!(%error, target, "an API's answer to a page cannot be read");
            Trouble::Broken(format!("The answer of {target} cannot be read: {error}."))
        })?;
        if status.is_success() {
            return Ok(bytes);
        }
        Err(Trouble::Refused {
            status,
            message: reason(&bytes),
        })
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8], target: &str) -> Result<T, Trouble> {
    serde_json::from_slice(bytes).map_err(|error| {
        tracing::error!(%error, target, "an API's answer is not what its page expects");
        Trouble::Broken(format!("The answer of {target} is not understood."))
    })
}

/// What the APIs say to people when they refuse, each in its own form.
fn reason(bytes: &[u8]) -> String {
    let said: Option<Value> = serde_json::from_slice(bytes).ok();
    let message = said.as_ref().and_then(|said| {
        let error = said.get("error");
        let nested = error.and_then(|error| error.get("message"));
        let candidates = [said.get("message"), nested, error];
        candidates.into_iter().flatten().find_map(Value::as_str)
    });
    let text = match message {
        Some(message) => message.to_owned(),
        None => String::from_utf8_lossy(bytes).into_owned(),
    };
    // What follows repeats the request, for logs.
    let text = text.split("\n\n---\n").next().unwrap_or_default().trim();
    if text.is_empty() {
        "The server gave no reason.".to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn every_api_is_understood_when_it_refuses() {
        let taskcluster = br#"{"code":"X","message":"No task.\n\n---\n\n* method: task"}"#;
        assert_eq!(reason(taskcluster), "No task.");
        let cloudtasks = br#"{"error":{"code":404,"message":"No queue.","status":"NOT_FOUND"}}"#;
        assert_eq!(reason(cloudtasks), "No queue.");
        assert_eq!(reason(br#"{"error":"Not found"}"#), "Not found");
        assert_eq!(reason(b"bad id\n"), "bad id");
        assert_eq!(reason(b""), "The server gave no reason.");
    }
}
