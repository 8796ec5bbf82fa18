use std::time::Duration;

use serde_json::Value;

/// Why a call did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The call was never sent: an argument or an option is wrong.
    #[error("{0}")]
    Usage(String),
    /// The server refused the call.
    #[error("the server answered {status} {code}: {message}")]
    Api {
        /// HTTP status.
        status: u16,
        /// The API's error code, `UnknownError` if the body names none.
        code: String,
        /// What the server says about it.
        message: String,
        /// The whole body if it was JSON.
        body: Option<Box<Value>>,
    },
    /// The server does not believe the credentials (401).
    #[error("the credentials were refused ({code}): {message}")]
    Auth {
        /// HTTP status, 401.
        status: u16,
        /// The API's error code.
        code: String,
        /// What is wrong with the credentials.
        message: String,
        /// The whole body if it was JSON.
        body: Option<Box<Value>>,
    },
    /// No answer came, after all retries.
    #[error("cannot reach {url}: {reason}; is the server running at this address?")]
    Connection {
        /// Address without its query.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The server did not answer in time, after all retries.
    #[error("no answer from {url} within {} s", .after.as_secs_f32())]
    Timeout {
        /// Address without its query.
        url: String,
        /// The limit of one attempt.
        after: Duration,
    },
    /// The answer was not what the API promises.
    #[error("cannot read the server's answer: {0}")]
    Decode(String),
    /// The artifact stands for an error: its task did not produce it.
    #[error("the task left no such artifact ({reason}): {message}")]
    Artifact {
        /// `file-missing-on-worker`, `invalid-resource-on-worker`, …
        reason: String,
        /// The worker's explanation.
        message: String,
    },
    /// What was downloaded is not what was uploaded, or nobody can tell.
    #[error("the download of {name} is not what was uploaded: {reason}")]
    HashMismatch {
        /// Name of the object.
        name: String,
        /// Which hash is another one.
        reason: String,
    },
    /// A local file could not be read or written.
    #[error("{what}: {reason}")]
    File {
        /// What was being done with which file.
        what: String,
        /// What the system says.
        reason: String,
    },
}

impl Error {
    /// HTTP status, if the server answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Api { status, .. } | Self::Auth { status, .. } => Some(*status),
            Self::Artifact { .. } => Some(424),
            Self::Usage(_)
            | Self::Connection { .. }
            | Self::Timeout { .. }
            | Self::Decode(_)
            | Self::HashMismatch { .. }
            | Self::File { .. } => None,
        }
    }

    /// The API's error code, if the server answered with one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Api { code, .. } | Self::Auth { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether the same call may succeed later: no answer, or a 5xx.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connection { .. } | Self::Timeout { .. } => true,
            Self::Api { status, .. } => *status >= 500,
            _ => false,
        }
    }

    /// The error that an answer with a status outside 2xx and 3xx means.
    pub(crate) fn from_answer(status: u16, body: &[u8]) -> Self {
        let body: Option<Value> = serde_json::from_slice(body).ok();
        let text = |key: &str| {
            body.as_ref()
                .and_then(|b| b.get(key))
                .and_then(Value::as_str)
        };
        if status == 424
            && let (Some(reason), Some(message)) = (text("reason"), text("message"))
        {
            return Self::Artifact {
                reason: reason.to_owned(),
                message: message.to_owned(),
            };
        }
        let code = text("code").unwrap_or("UnknownError").to_owned();
        let message = text("message")
            .unwrap_or("the answer carries no explanation")
            .to_owned();
        let body = body.map(Box::new);
        if status == 401 {
            Self::Auth {
                status,
                code,
                message,
                body,
            }
        } else {
            Self::Api {
                status,
                code,
                message,
                body,
            }
        }
    }

    pub(crate) fn file(what: String, error: &std::io::Error) -> Self {
        Self::File {
            what,
            reason: error.to_string(),
        }
    }
}

/// `None` for what is not there.
pub(crate) fn found<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(Error::Api { status: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_not_json_still_makes_an_error() {
        let error = Error::from_answer(502, b"<html>Bad Gateway</html>");
        assert_eq!(
            (error.status(), error.code()),
            (Some(502), Some("UnknownError"))
        );
        assert!(error.is_transient());
    }

    #[test]
    fn a_401_is_an_authentication_error_and_never_transient() {
        let error = Error::from_answer(
            401,
            br#"{"code":"AuthenticationFailed","message":"Bad mac"}"#,
        );
        assert!(matches!(&error, Error::Auth { message, .. } if message == "Bad mac"));
        assert!(!error.is_transient());
    }

    #[test]
    fn an_error_artifact_carries_the_workers_reason() {
        let error =
            Error::from_answer(424, br#"{"reason":"file-missing-on-worker","message":"m"}"#);
        assert!(
            matches!(error, Error::Artifact { reason, .. } if reason == "file-missing-on-worker")
        );
    }
}
