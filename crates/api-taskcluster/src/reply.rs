//! Answers, before they become HTTP responses.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

impl Reply {
    /// 200 with `body` as JSON.
    pub(crate) fn json(body: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => Self::json_text(body),
            Err(error) => {
                // Our answers have string keys and finite numbers; this would be a bug.
                tracing::error!(%error, "an answer could not be written as JSON");
                Self::empty(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// 200 with `body`, which is JSON already.
    pub(crate) fn json_text(body: Vec<u8>) -> Self {
        Reply {
            status: StatusCode::OK,
            headers: vec![(CONTENT_TYPE, JSON)],
            body: body.into(),
        }
    }

    /// An answer without a body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Reply {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// An answer of plain text.
    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        let headers = vec![(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        )];
        Reply {
            status: StatusCode::OK,
            headers,
            body: text.into(),
        }
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds a header; one that cannot be sent is left out.
    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }

    /// The response, with `shared` headers first.
    pub(crate) fn into_response(self, shared: &HeaderMap) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        response.headers_mut().clone_from(shared);
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
