//! HTTP/JSON: a request becomes the message that a gRPC client would have sent.

mod firebase;
pub(crate) mod json;
mod query;
mod route;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts as Head;
use http::{Method, Request};
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, ReflectMessage as _, Value};
use taskyard_http::body::{self, IDLE};
use tonic::Code;

use self::query::Query;
use self::route::Found;
pub(crate) use self::route::Routes;
use crate::failure::{self, Failure};
use crate::rpc;
use crate::service::{Answered, Asked, CloudTasks, Raw};

/// Answers a REST request.
pub(crate) async fn answer(service: &CloudTasks, request: Request<Body>) -> Response {
    let (mut head, body) = request.into_parts();
    let answered = Box::pin(dispatch(service, &mut head, body)).await;
    answered.unwrap_or_else(|failure| failure.into_response(service.schema()))
}

async fn dispatch(service: &CloudTasks, head: &mut Head, body: Body) -> Result<Response, Failure> {
    let path = head.uri.path().to_owned();
    let identity = &service.parts().identity;
    match path.as_str() {
        "/.well-known/openid-configuration" => return Ok(document(&identity.discovery)),
        "/jwks" => return Ok(document(&identity.keys)),
        _ => {}
    }
    let mut text = head.uri.query().unwrap_or_default().to_owned();
    let mut body = Some(body);
    if is_disguised_get(head) {
        // Its query was too long for a URL.
        let form = read(body.take(), rpc::ONE).await?;
        let form = str::from_utf8(&form).map_err(|_| Failure::invalid("The form is not UTF-8."))?;
        text = [text.as_str(), form.trim()].join("&");
        head.method = Method::GET;
    }
    if let Some(registered) = firebase::queue_at(&head.method, &path) {
        let body = read(body.take(), rpc::ONE).await?;
        return firebase::register(service, head, &registered, &body).await;
    }
    let found = find(service, &head.method, &path)?;
    let query = Query::parse(&text)?;
    let caller = service.caller(head, &found.call)?;
    let bytes = read(body.take(), caller.limit()).await?;
    let (message, raw) = message(&found, &query, bytes, head)?;
    let output = found.call.output.clone();
    let asked = Asked {
        call: found.call,
        caller,
        message,
        raw,
        by_rest: true,
    };
    let answered = service.handle(asked).await?;
    respond(answered, output, query.enums_as_numbers)
}

fn find(service: &CloudTasks, method: &Method, path: &str) -> Result<Found, Failure> {
    let found = match path.strip_prefix("/projects/") {
        Some(_) => firebase::find(service.routes(), method, path),
        None => service.routes().find(method, path),
    };
    found.ok_or_else(|| {
        let text = format!("There is nothing at {method} {path}.");
        Failure::new(Code::NotFound, text)
    })
}

/// A POST that stands for a GET.
fn is_disguised_get(head: &Head) -> bool {
    let says = head.headers.get("x-http-method-override");
    head.method == Method::POST && says.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"GET"))
}

async fn read(body: Option<Body>, limit: usize) -> Result<Bytes, Failure> {
    let Some(body) = body else {
        return Ok(Bytes::new());
    };
    body::read(body, limit, IDLE).await.map_err(|error| {
        let code = match error {
            body::Error::TooLarge { .. } => Code::InvalidArgument,
            body::Error::Stalled { .. } => Code::DeadlineExceeded,
            body::Error::Aborted => Code::Cancelled,
        };
        Failure::new(code, error.to_string())
    })
}

/// The message of a request: first what its body says, then its path, then its query.
fn message(
    found: &Found,
    query: &Query,
    body: Bytes,
    head: &Head,
) -> Result<(DynamicMessage, Option<Raw>), Failure> {
    let input = found.call.input.clone();
    let mut raw = None;
    let mut message = match found.call.row.body {
        rpc::Body::None => DynamicMessage::new(input),
        rpc::Body::Whole => json::read(&body, input)?,
        rpc::Body::Field(name) => {
            let mut message = DynamicMessage::new(input);
            let field = message.descriptor().get_field_by_name(name);
            if let Some(field) = field
                && let Kind::Message(of) = field.kind()
            {
                let inner = json::read(&body, of)?;
                message.set_field(&field, Value::Message(inner));
            }
            message
        }
        rpc::Body::Raw => {
            raw = Some(Raw {
                method: head.method.clone(),
                headers: head.headers.clone(),
                body,
            });
            DynamicMessage::new(input)
        }
    };
    for (path, value) in &found.fields {
        query::bind(&mut message, path, value)?;
    }
    let takes_query = raw.is_none() || found.fields.is_empty();
    for (path, value) in query.fields.iter().filter(|_| takes_query) {
        let of_path = |(bound, _): &(&str, String)| bound == path;
        if !found.fields.iter().any(of_path) {
            query::bind(&mut message, path, value)?;
        }
    }
    Ok((message, raw))
}

fn respond(
    answered: Answered,
    output: MessageDescriptor,
    enums_as_numbers: bool,
) -> Result<Response, Failure> {
    let message = match answered {
        Answered::Kept(message) => message,
        Answered::Written(bytes) => DynamicMessage::decode(output, bytes.as_slice())
            .map_err(|error| Failure::new(Code::Internal, error.to_string()))?,
    };
    let body = json::write(&message, enums_as_numbers)?;
    let mut response = Response::new(Body::from(body));
    *response.headers_mut() = failure::headers();
    Ok(response)
}

/// A document that anyone may read.
fn document(json: &serde_json::Value) -> Response {
    let mut response = Response::new(Body::from(json.to_string()));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
