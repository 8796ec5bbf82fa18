//! An answer, read to its end.

use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The body, if it is JSON.
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX)
            .await
            .expect("the body is whole");
        let json = serde_json::from_slice(&body).unwrap_or_default();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
            json,
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }

    /// The status structure of a task, which must be the answer.
    #[track_caller]
    pub(crate) fn status_of(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json["status"].clone()
    }

    /// Asserts that it succeeded; the body.
    #[track_caller]
    pub(crate) fn granted(&self) -> Value {
        assert!(self.status < 400, "{self:?}");
        self.json.clone()
    }

    /// Asserts that it is this error; the first part of the message.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> String {
        assert_eq!(
            (self.status, self.json["code"].as_str()),
            (status, Some(code)),
            "{self:?}"
        );
        let message = self.json["message"].as_str().expect("a message");
        message
            .split("\n\n---\n\n")
            .next()
            .unwrap_or_default()
            .to_owned()
    }
}
