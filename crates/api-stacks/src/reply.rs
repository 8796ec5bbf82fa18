//! Answers.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

/// An answer to be sent.
#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
}

impl Reply {
    /// An answer without a body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Reply {
            status,
            headers: HeaderMap::new(),
            body: Body::empty(),
        }
    }

    /// A JSON answer.
    pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(bytes) => Reply::json_bytes(status, bytes),
            Err(error) => {
                tracing::error!(%error, "an answer cannot be written as JSON");
                Reply::empty(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// A JSON answer that is written already.
    pub(crate) fn json_bytes(status: StatusCode, bytes: Vec<u8>) -> Self {
        let mut reply = Reply::empty(status);
        reply.body = bytes.into();
        let json = HeaderValue::from_static("application/json");
        reply.headers.insert(CONTENT_TYPE, json);
        reply
    }

    /// A 200 with JSON.
    pub(crate) fn ok(body: &impl Serialize) -> Self {
        Reply::json(StatusCode::OK, body)
    }

    /// A 200 with any body.
    pub(crate) fn stream(content_type: &'static str, body: Body) -> Self {
        let mut reply = Reply::empty(StatusCode::OK);
        reply.body = body;
        let value = HeaderValue::from_static(content_type);
        reply.headers.insert(CONTENT_TYPE, value);
        reply
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(crate) fn into_response(self) -> Response {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
