//! Why a call is refused: a canonical code, a text, and details that clients can read.

use std::fmt;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MapKey, ReflectMessage as _, Value};
use serde_json::json;
use tonic::Code;

use crate::message::{Kept as _, Put as _, Span};
use crate::schema::Schema;

/// A refusal as every version and transport renders it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
    details: Vec<Detail>,
}

/// What is said beside the text.
#[derive(Debug, Clone, PartialEq)]
enum Detail {
    /// `google.rpc.ErrorInfo`.
    Reason {
        reason: &'static str,
        metadata: Vec<(&'static str, String)>,
    },
    /// `google.rpc.Help` with one link.
    Help {
        description: &'static str,
        url: &'static str,
    },
    /// `google.rpc.BadRequest` with one field.
    Field { field: String, description: String },
    /// `google.rpc.RetryInfo`, in seconds.
    Retry(i64),
}

/// Whom the details name as the one who refuses.
const DOMAIN: &str = "googleapis.com";

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Failure {
            code,
            message: message.into(),
            details: Vec::new(),
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Failure::new(Code::InvalidArgument, message)
    }

    /// Something is missing, and clients know no better words for it.
    pub(crate) fn entity_not_found() -> Self {
        Failure::new(Code::NotFound, "Requested entity was not found.")
    }

    pub(crate) fn queue_not_found() -> Self {
        Failure::new(
            Code::NotFound,
            "Queue does not exist. If you just created the queue, wait at least a minute for the \
             queue to initialize.",
        )
    }

    /// A name that cannot be one.
    pub(crate) fn invalid_resource() -> Self {
        Failure::invalid("Invalid resource field value in the request.")
    }

    /// A call without credentials that needs some.
    pub(crate) fn no_credentials(method: String) -> Self {
        let failure = Failure::new(
            Code::Unauthenticated,
            "This call needs credentials: send a client and its access token as \
             `Authorization: Bearer CLIENT_ID:ACCESS_TOKEN`.",
        );
        failure.because(
            "CREDENTIALS_MISSING",
            vec![
                ("service", "cloudtasks.googleapis.com".to_owned()),
                ("method", method),
            ],
        )
    }

    /// Credentials that are not valid, and why.
    pub(crate) fn bad_credentials(why: &str, method: String) -> Self {
        let text = format!("These credentials are not valid: {why}");
        Failure::new(Code::Unauthenticated, text).because(
            "ACCESS_TOKEN_INVALID",
            vec![
                ("service", "cloudtasks.googleapis.com".to_owned()),
                ("method", method),
            ],
        )
    }

    pub(crate) fn denied(permission: &str, resource: &str) -> Self {
        let text = format!(
            "The principal (user or service account) lacks IAM permission \"{permission}\" for \
             the resource \"{resource}\" (or the resource may not exist)."
        );
        Failure::new(Code::PermissionDenied, text).because(
            "IAM_PERMISSION_DENIED",
            vec![
                ("permission", permission.to_owned()),
                ("resource", resource.to_owned()),
            ],
        )
    }

    fn because(mut self, reason: &'static str, metadata: Vec<(&'static str, String)>) -> Self {
        self.details.push(Detail::Reason { reason, metadata });
        self
    }

    pub(crate) fn with_help(mut self, description: &'static str, url: &'static str) -> Self {
        self.details.push(Detail::Help { description, url });
        self
    }

    /// Names the field at fault; an empty one is the request itself.
    pub(crate) fn at(mut self, field: &str) -> Self {
        let (field, description) = (field.to_owned(), self.message.clone());
        self.details.push(Detail::Field { field, description });
        self
    }

    /// `google.rpc.Status`.
    pub(crate) fn status(&self, schema: &Schema) -> Option<DynamicMessage> {
        let mut status = schema.message("google.rpc.Status")?;
        status.put_int("code", i32::from(self.code));
        status.put_text("message", &self.message);
        let details = self.details.iter().filter_map(|detail| detail.any(schema));
        let details: Vec<Value> = details.map(Value::Message).collect();
        if !details.is_empty() {
            status.put("details", Value::List(details));
        }
        Some(status)
    }

    /// The end of a gRPC call.
    pub(crate) fn into_grpc(self, schema: &Schema) -> tonic::Status {
        let details = if self.details.is_empty() {
            Bytes::new()
        } else {
            let status = self.status(schema);
            status.map_or_else(Bytes::new, |status| status.encode_to_vec().into())
        };
        tonic::Status::with_details(self.code, self.message, details)
    }

    /// The answer to a REST request.
    pub(crate) fn into_response(self, schema: &Schema) -> Response {
        let status = http_status(self.code);
        let mut error = json!({
            "code": status.as_u16(),
            "message": self.message,
            "status": code_name(self.code),
        });
        let rendered = self.status(schema).map(serde_json::to_value);
        if let Some(Ok(mut rendered)) = rendered
            && let Some(details) = rendered.get_mut("details")
            && let Some(error) = error.as_object_mut()
        {
            error.insert("details".to_owned(), details.take());
        }
        let body = format!("{:#}\n", json!({ "error": error }));
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers();
        if self.code == Code::Unauthenticated {
            let how = HeaderValue::from_static("Bearer realm=\"cloudtasks\"");
            response
                .headers_mut()
                .insert(http::header::WWW_AUTHENTICATE, how);
        }
        response
    }
}

/// The headers of every JSON answer.
pub(crate) fn headers() -> HeaderMap {
    let json = HeaderValue::from_static("application/json; charset=UTF-8");
    HeaderMap::from_iter([(CONTENT_TYPE, json)])
}

impl Detail {
    /// Packed as `google.protobuf.Any`.
    fn any(&self, schema: &Schema) -> Option<DynamicMessage> {
        let message = self.message(schema)?;
        pack(schema, &message)
    }

    fn message(&self, schema: &Schema) -> Option<DynamicMessage> {
        Some(match self {
            Detail::Reason { reason, metadata } => {
                let mut info = schema.message("google.rpc.ErrorInfo")?;
                info.put_text("reason", reason);
                info.put_text("domain", DOMAIN);
                let pair = |(key, value): &(&str, String)| {
                    (
                        MapKey::String((*key).to_owned()),
                        Value::String(value.clone()),
                    )
                };
                info.put("metadata", Value::Map(metadata.iter().map(pair).collect()));
                info
            }
            Detail::Help { description, url } => {
                let mut help = schema.message("google.rpc.Help")?;
                let mut link = schema.message("google.rpc.Help.Link")?;
                link.put_text("description", description);
                link.put_text("url", url);
                help.put("links", Value::List(vec![Value::Message(link)]));
                help
            }
            Detail::Field { field, description } => {
                let mut request = schema.message("google.rpc.BadRequest")?;
                let mut violation = schema.message("google.rpc.BadRequest.FieldViolation")?;
                violation.put_text("field", field);
                violation.put_text("description", description);
                let violations = Value::List(vec![Value::Message(violation)]);
                request.put("field_violations", violations);
                request
            }
            Detail::Retry(seconds) => {
                let mut info = schema.message("google.rpc.RetryInfo")?;
                info.put_span(
                    "retry_delay",
                    Span {
                        seconds: *seconds,
                        nanos: 0,
                    },
                );
                info
            }
        })
    }
}

/// `message` as a `google.protobuf.Any`.
pub(crate) fn pack(schema: &Schema, message: &DynamicMessage) -> Option<DynamicMessage> {
    let mut any = schema.message("google.protobuf.Any")?;
    let url = format!("type.googleapis.com/{}", message.descriptor().full_name());
    any.put_text("type_url", &url);
    any.put("value", Value::Bytes(message.encode_to_vec().into()));
    Some(any)
}

impl From<taskyard_store::Error> for Failure {
    fn from(error: taskyard_store::Error) -> Self {
        if error.is_temporary() {
            tracing::warn!(%error, "a Cloud Tasks call found no database");
            let mut failure = Failure::new(
                Code::Unavailable,
                "The database does not answer at the moment. Try again.",
            );
            failure.details.push(Detail::Retry(1));
            failure
        } else {
            tracing::error!(%error, "a Cloud Tasks call failed");
            Failure::new(
                Code::Internal,
                "The server failed on this call; its log has the reason.",
            )
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", code_name(self.code), self.message)
    }
}

impl std::error::Error for Failure {}

/// The name of a code, as JSON has it.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            StatusCode::BAD_REQUEST
        }
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        // 499: the client went away. It has no constant, and is within what a status may be.
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_names_and_statuses_that_clients_know() {
        for (number, name, http) in [
            (0, "OK", 200),
            (1, "CANCELLED", 499),
            (2, "UNKNOWN", 500),
            (3, "INVALID_ARGUMENT", 400),
            (4, "DEADLINE_EXCEEDED", 504),
            (5, "NOT_FOUND", 404),
            (6, "ALREADY_EXISTS", 409),
            (7, "PERMISSION_DENIED", 403),
            (8, "RESOURCE_EXHAUSTED", 429),
            (9, "FAILED_PRECONDITION", 400),
            (10, "ABORTED", 409),
            (11, "OUT_OF_RANGE", 400),
            (12, "UNIMPLEMENTED", 501),
            (13, "INTERNAL", 500),
            (14, "UNAVAILABLE", 503),
            (15, "DATA_LOSS", 500),
            (16, "UNAUTHENTICATED", 401),
        ] {
            let code = Code::from_i32(number);
            assert_eq!((code_name(code), http_status(code).as_u16()), (name, http));
        }
    }
}
