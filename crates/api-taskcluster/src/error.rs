//! Errors as Taskcluster's clients read them.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};
use taskyard_access::DirectoryError;
use taskyard_engine::{Timestamp, artifact, object, task};

use crate::reply::Reply;
use crate::route::Params;

/// What a client is told went wrong: a status, a code it may match on, and a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) code: Code,
    pub(crate) message: String,
}

/// Taskcluster's error codes; each has one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    MalformedPayload,
    InvalidRequestArguments,
    InputValidationError,
    InputError,
    AuthenticationFailed,
    InsufficientScopes,
    ResourceNotFound,
    RequestConflict,
    ResourceExpired,
    /// No way to get an object that both sides know.
    NoMatchingMethod,
    /// Nothing is sent to this address.
    DenylistedAddress,
    InputTooLarge,
    /// A service outside lets us do no more for now.
    TooManyRequests,
    InternalServerError,
    /// The database is away or full: the same request may succeed later.
    ServiceUnavailable,
}

impl Code {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Code::MalformedPayload => "MalformedPayload",
            Code::InvalidRequestArguments => "InvalidRequestArguments",
            Code::InputValidationError => "InputValidationError",
            Code::InputError => "InputError",
            Code::AuthenticationFailed => "AuthenticationFailed",
            Code::InsufficientScopes => "InsufficientScopes",
            Code::ResourceNotFound => "ResourceNotFound",
            Code::RequestConflict => "RequestConflict",
            Code::ResourceExpired => "ResourceExpired",
            Code::NoMatchingMethod => "NoMatchingMethod",
            Code::DenylistedAddress => "DenylistedAddress",
            Code::InputTooLarge => "InputTooLarge",
            Code::TooManyRequests => "TooManyRequests",
            Code::InternalServerError => "InternalServerError",
            Code::ServiceUnavailable => "ServiceUnavailable",
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Code::MalformedPayload
            | Code::InvalidRequestArguments
            | Code::InputValidationError
            | Code::InputError
            | Code::DenylistedAddress => StatusCode::BAD_REQUEST,
            Code::AuthenticationFailed => StatusCode::UNAUTHORIZED,
            Code::InsufficientScopes => StatusCode::FORBIDDEN,
            Code::ResourceNotFound => StatusCode::NOT_FOUND,
            Code::RequestConflict => StatusCode::CONFLICT,
            Code::ResourceExpired => StatusCode::GONE,
            Code::NoMatchingMethod => StatusCode::NOT_ACCEPTABLE,
            Code::InputTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Code::InternalServerError => StatusCode::INTERNAL_SERVER_ERROR,
            Code::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// What stands in an error in place of a secret.
const OMITTED: &str = "(OMITTED)";

/// What of a request is repeated in an error about it.
#[derive(Debug, Clone)]
pub(crate) struct RequestInfo {
    pub(crate) method: &'static str,
    pub(crate) params: Arc<Params>,
    pub(crate) payload: Arc<Value>,
    pub(crate) time: Timestamp,
}

impl RequestInfo {
    /// The same without what stands in the URL parameter or the field `secret` of the body, or, where
    /// a field cannot be told from the rest, without the body.
    pub(crate) fn without(mut self, secret: Option<&str>) -> Self {
        let Some(field) = secret else {
            return self;
        };
        for (name, value) in Arc::make_mut(&mut self.params) {
            if *name == field {
                OMITTED.clone_into(value);
            }
        }
        match Arc::make_mut(&mut self.payload) {
            Value::Object(fields) => {
                if let Some(secret) = fields.get_mut(field) {
                    *secret = OMITTED.into();
                }
            }
            other => *other = OMITTED.into(),
        }
        self
    }
}

impl ApiError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        ApiError {
            code,
            message: message.into(),
        }
    }

    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(Code::InputError, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::ResourceNotFound, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(Code::RequestConflict, message)
    }

    /// A fault of the server: the text is for the log, the client gets a general one.
    pub(crate) fn internal(what: impl std::fmt::Display) -> Self {
        tracing::error!(error = %what, "a request failed on our side");
        Self::new(
            Code::InternalServerError,
            "The server failed on this request; its log has more.",
        )
    }

    pub(crate) fn into_reply(self, info: RequestInfo) -> Reply {
        let time = info.time.to_iso();
        let status = self.code.status();
        let message = format!(
            "{}\n\n---\n\n* method:     {}\n* errorCode:  {}\n* statusCode: {}\n* time:       {time}",
            self.message,
            info.method,
            self.code.as_str(),
            status.as_u16()
        );
        let reply = Reply::json(&json!({
            "code": self.code.as_str(),
            "message": message,
            "requestInfo": {
                "method": info.method,
                "params": shown(&info.params),
                "payload": *info.payload,
                "time": time,
            },
        }))
        .with_status(status);
        if status == StatusCode::UNAUTHORIZED {
            reply.with_header("www-authenticate", "hawk")
        } else {
            reply
        }
    }
}

/// Parameters as errors repeat them.
fn shown(params: &Params) -> Value {
    let fields = params
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone().into()));
    Value::Object(fields.collect())
}

impl From<taskyard_store::Error> for ApiError {
    fn from(error: taskyard_store::Error) -> Self {
        if error.is_temporary() {
            tracing::warn!(%error, "the database cannot take a request");
            Self::new(Code::ServiceUnavailable, error.to_string())
        } else {
            Self::internal(error)
        }
    }
}

impl From<DirectoryError> for ApiError {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Store(error) => error.into(),
            DirectoryError::Seal(error) => Self::internal(error),
        }
    }
}

impl From<task::Refusal> for ApiError {
    fn from(refusal: task::Refusal) -> Self {
        let code = match refusal {
            task::Refusal::NoSuchTask(_)
            | task::Refusal::NoSuchRun { .. }
            | task::Refusal::NoSuchGroup(_) => Code::ResourceNotFound,
            task::Refusal::Dependencies { .. } => Code::InputError,
            task::Refusal::Different(_)
            | task::Refusal::OtherScheduler { .. }
            | task::Refusal::Sealed(_)
            | task::Refusal::DeadlinePassed(_)
            | task::Refusal::WrongState { .. }
            | task::Refusal::Resolved(_)
            | task::Refusal::NotSealed(_)
            | task::Refusal::Quarantined { .. }
            | task::Refusal::TooManyRuns(_) => Code::RequestConflict,
        };
        Self::new(code, capitalized(&refusal.to_string()))
    }
}

impl From<artifact::Refusal> for ApiError {
    fn from(refusal: artifact::Refusal) -> Self {
        match refusal {
            artifact::Refusal::Input(text) => Self::input(capitalized(&text)),
            artifact::Refusal::Conflict(text) => Self::conflict(capitalized(&text)),
            artifact::Refusal::Missing { .. } => Self::not_found(capitalized(&refusal.to_string())),
        }
    }
}

impl From<object::Refusal> for ApiError {
    fn from(refusal: object::Refusal) -> Self {
        let code = match refusal {
            object::Refusal::Missing(_) => Code::ResourceNotFound,
            object::Refusal::Input(_) => Code::InputError,
            object::Refusal::Conflict(_) => Code::RequestConflict,
        };
        Self::new(code, capitalized(&refusal.to_string()))
    }
}

pub(crate) fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}
