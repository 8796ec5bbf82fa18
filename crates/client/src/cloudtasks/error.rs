use std::fmt;

use serde::Deserialize;
use serde_json::Value;

/// Why a call did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service refused.
    #[error("{0}")]
    Status(Box<Status>),
    /// No answer came, it cannot be read, or the call was never sent.
    #[error(transparent)]
    Call(#[from] crate::Error),
}

/// What the service says about a refusal.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// What kind of refusal it is.
    pub code: Code,
    /// For people.
    pub message: String,
    /// For programs: objects with `@type`.
    pub details: Vec<Value>,
    /// HTTP status.
    pub http_status: u16,
}

/// Kinds of refusals, as all Google services have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    Ok,
    Cancelled,
    Unknown,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    OutOfRange,
    Unimplemented,
    Internal,
    Unavailable,
    DataLoss,
    Unauthenticated,
}

/// In the order of their numbers.
const CODES: [(Code, &str); 17] = [
    (Code::Ok, "OK"),
    (Code::Cancelled, "CANCELLED"),
    (Code::Unknown, "UNKNOWN"),
    (Code::InvalidArgument, "INVALID_ARGUMENT"),
    (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
    (Code::NotFound, "NOT_FOUND"),
    (Code::AlreadyExists, "ALREADY_EXISTS"),
    (Code::PermissionDenied, "PERMISSION_DENIED"),
    (Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
    (Code::FailedPrecondition, "FAILED_PRECONDITION"),
    (Code::Aborted, "ABORTED"),
    (Code::OutOfRange, "OUT_OF_RANGE"),
    (Code::Unimplemented, "UNIMPLEMENTED"),
    (Code::Internal, "INTERNAL"),
    (Code::Unavailable, "UNAVAILABLE"),
    (Code::DataLoss, "DATA_LOSS"),
    (Code::Unauthenticated, "UNAUTHENTICATED"),
];

impl Code {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        CODES
            .iter()
            .find(|(code, _)| *code == self)
            .map_or("UNKNOWN", |(_, name)| name)
    }

    /// The code of a number; an unknown one is `Unknown`.
    pub fn from_number(number: i64) -> Self {
        usize::try_from(number)
            .ok()
            .and_then(|number| CODES.get(number))
            .map_or(Self::Unknown, |(code, _)| *code)
    }

    fn from_name(name: &str) -> Option<Self> {
        let found = CODES.iter().find(|(_, known)| *known == name);
        found.map(|(code, _)| *code)
    }

    /// What an HTTP status means when nothing else is known.
    fn from_http(status: u16) -> Self {
        match status {
            400 => Self::InvalidArgument,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::NotFound,
            409 => Self::Aborted,
            429 => Self::ResourceExhausted,
            499 => Self::Cancelled,
            501 => Self::Unimplemented,
            502 | 503 => Self::Unavailable,
            504 => Self::DeadlineExceeded,
            500.. => Self::Internal,
            _ => Self::Unknown,
        }
    }
}

impl Error {
    /// The refusal, if it is one.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Status(status) => Some(status),
            Self::Call(_) => None,
        }
    }

    /// The kind of refusal. No answer at all counts as `Unavailable`, one that took too long as
    /// `DeadlineExceeded`.
    pub fn code(&self) -> Code {
        match self {
            Self::Status(status) => status.code,
            Self::Call(crate::Error::Connection { .. }) => Code::Unavailable,
            Self::Call(crate::Error::Timeout { .. }) => Code::DeadlineExceeded,
            Self::Call(crate::Error::Usage(_)) => Code::InvalidArgument,
            Self::Call(_) => Code::Unknown,
        }
    }

    /// The error that an answer outside 2xx means.
    pub(super) fn from_answer(http_status: u16, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Envelope {
            error: Body,
        }
        #[derive(Deserialize)]
        struct Body {
            #[serde(default)]
            message: String,
            #[serde(default)]
            status: String,
            #[serde(default)]
            details: Vec<Value>,
        }

        let status = match serde_json::from_slice::<Envelope>(body) {
            Ok(Envelope { error }) => Status {
                code: Code::from_name(&error.status).unwrap_or(Code::from_http(http_status)),
                message: error.message,
                details: error.details,
                http_status,
            },
            // A page of something in between.
            Err(_) => Status {
                code: Code::from_http(http_status),
                message: "the answer carries no explanation".to_owned(),
                details: Vec::new(),
                http_status,
            },
        };
        Self::Status(Box::new(status))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_with_its_details() {
        let body = br#"{"error":{"code":409,"message":"Task exists.","status":"ALREADY_EXISTS",
            "details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"x"}]}}"#;
        let error = Error::from_answer(409, body);
        assert_eq!(error.to_string(), "ALREADY_EXISTS: Task exists.");
        assert_eq!(error.status().unwrap().details[0]["reason"], "x");
        assert_eq!(error.code(), Code::AlreadyExists);
    }

    #[test]
    fn a_page_in_between_is_judged_by_its_status() {
        let error = Error::from_answer(503, b"<html>");
        assert_eq!(error.code(), Code::Unavailable);
        assert_eq!(Code::from_number(10), Code::Aborted);
        assert_eq!(Code::from_number(99), Code::Unknown);
    }
}
