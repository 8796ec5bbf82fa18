//! Why a request is not answered as it hoped: a status, and `{"message": …}`.

use http::StatusCode;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use serde_json::{Value, json};
use taskyard_http::body;

use crate::limit::Exceeded;
use crate::reply::Reply;

/// Why a request is refused. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// The request cannot be understood.
    #[error("{0}")]
    Bad(String),
    /// Credentials are missing or not valid.
    #[error("{0}")]
    Unauthorized(String),
    /// The caller may not do this, or there is too much of something.
    #[error("{0}")]
    Forbidden(String),
    /// It is not there, as far as the caller may know.
    #[error("{0}")]
    NotFound(String),
    /// The path takes another method.
    #[error("use {0} here")]
    Method(&'static str),
    /// The body did not come in time.
    #[error("{0}")]
    Slow(String),
    /// The body is too large.
    #[error("{0}")]
    TooLarge(String),
    /// The request can be understood, but not followed.
    #[error("{0}")]
    Invalid(String),
    /// The job waits for other jobs; try again.
    #[error("{0}")]
    Locked(String),
    /// Too many requests.
    #[error("the rate limit of {} requests a second is exceeded", .0.limit)]
    Limited(Exceeded),
    /// Something failed here.
    #[error("the server failed on this request; its log has the reason")]
    Internal(String),
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
    pub(crate) fn internal(error: impl std::fmt::Display) -> Self {
        Problem::Internal(error.to_string())
    }

    /// No job of this id, whether there is none or the caller may not see it.
    pub(crate) fn no_job(id: &str) -> Self {
        Problem::NotFound(format!("No job found with the uuid {id}"))
    }

    fn status(&self) -> StatusCode {
        match self {
            Problem::Bad(_) => StatusCode::BAD_REQUEST,
            Problem::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Problem::Forbidden(_) => StatusCode::FORBIDDEN,
            Problem::NotFound(_) => StatusCode::NOT_FOUND,
            Problem::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Problem::Slow(_) => StatusCode::REQUEST_TIMEOUT,
            Problem::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Problem::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Problem::Locked(_) => StatusCode::LOCKED,
            Problem::Limited(_) => StatusCode::TOO_MANY_REQUESTS,
            Problem::Store(error) if error.is_temporary() => StatusCode::SERVICE_UNAVAILABLE,
            Problem::Internal(_) | Problem::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn body(&self) -> Value {
        let message = self.to_string();
        match self {
            Problem::Limited(exceeded) => json!({
                "message": message,
                "scope": exceeded.scope,
                "limit": exceeded.limit,
                "current": exceeded.current,
                "reset": exceeded.reset,
            }),
            _ => json!({ "message": message }),
        }
    }

    fn retry_after(&self) -> Option<(HeaderName, HeaderValue)> {
        let seconds = match self {
            Problem::Limited(exceeded) => exceeded.reset,
            Problem::Store(error) if error.is_temporary() => 1,
            _ => return None,
        };
        Some((RETRY_AFTER, HeaderValue::from(seconds)))
    }

    pub(crate) fn into_reply(self) -> Reply {
        match &self {
            Problem::Store(error) => tracing::error!(%error, "a request about jobs failed"),
            Problem::Internal(error) => tracing::error!(error, "a request about jobs failed"),
            _ => {}
        }
        let mut reply = Reply::json(self.status(), &self.body());
        if let Some((name, value)) = self.retry_after() {
            reply = reply.with_header(name, value);
        }
        reply
    }
}

impl From<body::Error> for Problem {
    fn from(error: body::Error) -> Self {
        match error {
            body::Error::TooLarge { .. } => Problem::TooLarge(error.to_string()),
            body::Error::Stalled { .. } => Problem::Slow(error.to_string()),
            body::Error::Aborted => Problem::Bad(error.to_string()),
        }
    }
}
