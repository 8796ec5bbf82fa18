//! What does not get as far as an outcome: answered with a status and a line of text.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};

/// Why a request is refused. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// The request cannot be understood.
    #[error("{0}")]
    Bad(String),
    /// The body did not come in time.
    #[error("{0}")]
    Slow(String),
    /// The body is too large.
    #[error("{0}")]
    TooLarge(String),
    /// Credentials are missing or not valid.
    #[error("{0}")]
    Unauthorized(String),
    /// The caller lacks a scope.
    #[error("{0}")]
    Forbidden(String),
    /// There is nothing at this path.
    #[error(
        "nothing is here; see /groups, /group/NAME, /task/ID, /tasks/ID,ID, /stats, /update, /claim"
    )]
    NotFound,
    /// The path takes another method.
    #[error("use {0} here")]
    Method(&'static str),
    /// The database failed.
    #[error("{}", store_text(.0))]
    Store(#[from] taskyard_store::Error),
}

fn store_text(error: &taskyard_store::Error) -> &'static str {
    if error.is_temporary() {
        "the database does not answer at the moment; try again"
    } else {
        "the server failed on this request; its log has the reason"
    }
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Problem::Bad(_) => StatusCode::BAD_REQUEST,
            Problem::Slow(_) => StatusCode::REQUEST_TIMEOUT,
            Problem::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Problem::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Problem::Forbidden(_) => StatusCode::FORBIDDEN,
            Problem::NotFound => StatusCode::NOT_FOUND,
            Problem::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Problem::Store(error) if error.is_temporary() => StatusCode::SERVICE_UNAVAILABLE,
            Problem::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Problem::Unauthorized(_) => {
                let how = HeaderValue::from_static("Basic realm=\"taskstore\", Hawk");
                Some((WWW_AUTHENTICATE, how))
            }
            Problem::Method(allowed) => Some((ALLOW, HeaderValue::from_static(allowed))),
            Problem::Store(error) if error.is_temporary() => {
                Some((RETRY_AFTER, HeaderValue::from_static("1")))
            }
            _ => None,
        }
    }

    pub(crate) fn into_response(self) -> Response {
        if let Problem::Store(error) = &self {
            tracing::error!(%error, "a taskstore request failed");
        }
        let mut response = Response::new(Body::from(format!("{self}\n")));
        *response.status_mut() = self.status();
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, text);
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
