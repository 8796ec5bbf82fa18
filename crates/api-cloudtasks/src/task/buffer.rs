//! BufferTask: any HTTP request becomes a task that sends it on to where the queue says.

use http::HeaderMap;
use prost_reflect::Value;
use taskyard_engine::cloud::create::NewTask;
use taskyard_engine::cloud::{HttpRequest, Method, Payload, Queue, Scheme};

use super::methods::Creation;
use super::read::{self, Wanted};
use super::{View, render};
use crate::failure::Failure;
use crate::message::{Fields as _, Kept as _};
use crate::name::{QueueName, check_task_id};
use crate::rest::json;
use crate::service::{Answer, Asked, CloudTasks, Raw};
use crate::target;

/// What a request carries on, as a body and its type.
struct Content {
    kind: Option<String>,
    bytes: Vec<u8>,
}

pub(crate) async fn buffer_task(service: &CloudTasks, asked: Asked) -> Answer {
    let queue = QueueName::parse(asked.message.text("queue"))?;
    let id = match asked.message.text("task_id") {
        "" => None,
        id => {
            check_task_id(id)?;
            Some(id.to_owned())
        }
    };
    let request = if let Some(raw) = &asked.raw {
        request_of(service, raw)?
    } else {
        let body = asked.message.child("body");
        let content = body.map_or_else(
            || Content {
                kind: None,
                bytes: Vec::new(),
            },
            |body| Content {
                kind: Some(body.text("content_type").to_owned()).filter(|it| !it.is_empty()),
                bytes: body.bytes("data").to_vec(),
            },
        );
        request(Method::Post, Vec::new(), content)
    };
    let wanted = Wanted {
        is_too_large: read::is_too_large(&request, id.as_deref(), &queue),
        is_without_url: true,
        new: NewTask {
            id,
            ..NewTask::of(request)
        },
    };
    let creation = Creation::of(service, &asked, &queue, wanted, View::Basic)?;
    let key = taskyard_engine::cloud::queue::key(queue.as_str());
    let created = service.store().write(key, move |tx| creation.create(tx));
    let task = created.await??;
    let mut answer = asked.answer();
    if let Some(mut into) = answer.empty_child("task") {
        let version = asked.call.version;
        render(&mut into, &task, queue.as_str(), version, View::Basic);
        answer.put("task", Value::Message(into));
    }
    Ok(answer.into())
}

/// Where a queue sends requests that do not say it; `None` if it does not say it either.
pub(super) fn url_of(queue: &Queue) -> Option<String> {
    let uri = queue.settings.http_target.as_ref()?.uri_override.as_ref()?;
    let host = uri.host.as_ref().filter(|host| !host.is_empty())?;
    let scheme = match uri.scheme {
        Some(Scheme::Http) => "http",
        Some(Scheme::Https | Scheme::Unspecified) | None => "https",
    };
    let port = uri.port.filter(|port| *port > 0);
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    let path = uri.path.as_deref().unwrap_or_default();
    let slash = if path.starts_with('/') { "" } else { "/" };
    let query = uri.query.as_deref().filter(|query| !query.is_empty());
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    Some(format!("{scheme}://{host}{port}{slash}{path}{query}"))
}

/// The request that a raw one becomes: its method, its headers and its body.
fn request_of(service: &CloudTasks, raw: &Raw) -> Result<Payload, Failure> {
    let method = match raw.method {
        http::Method::GET => Method::Get,
        http::Method::HEAD => Method::Head,
        http::Method::PUT => Method::Put,
        http::Method::DELETE => Method::Delete,
        http::Method::PATCH => Method::Patch,
        http::Method::OPTIONS => Method::Options,
        _ => Method::Post,
    };
    let headers = own_headers(&raw.headers);
    let given = headers.iter().find(|(name, _)| is_content_type(name));
    let given = given.map(|(_, value)| value.clone());
    let mut content = wrapped(service, given.as_deref(), raw).unwrap_or_else(|| Content {
        kind: given,
        bytes: raw.body.to_vec(),
    });
    if !matches!(method, Method::Post | Method::Put | Method::Patch) {
        content.bytes.clear();
    }
    let pairs = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    target::check_headers(pairs)?;
    Ok(request(method, headers, content))
}

/// The content of `{"body": {"contentType": …, "data": …}}`, if the request is just that.
fn wrapped(service: &CloudTasks, kind: Option<&str>, raw: &Raw) -> Option<Content> {
    kind.filter(|kind| kind.to_ascii_lowercase().starts_with("application/json"))?;
    let outer: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&raw.body).ok()?;
    let body = outer.get("body").filter(|_| outer.len() == 1)?;
    body.as_object()?;
    let empty = service.schema().message("google.api.HttpBody")?;
    let text = serde_json::to_vec(body).ok()?;
    let body = json::read(&text, prost_reflect::ReflectMessage::descriptor(&empty)).ok()?;
    Some(Content {
        kind: Some(body.text("content_type").to_owned()).filter(|kind| !kind.is_empty()),
        bytes: body.bytes("data").to_vec(),
    })
}

fn request(method: Method, mut headers: Vec<(String, String)>, content: Content) -> Payload {
    headers.retain(|(name, _)| !is_content_type(name));
    let default = || (!content.bytes.is_empty()).then(|| "application/json".to_owned());
    if let Some(kind) = content.kind.clone().or_else(default) {
        headers.push(("Content-Type".to_owned(), kind));
    }
    Payload::Http(HttpRequest {
        ..read::http_task(String::new(), method, headers, content.bytes, None)
    })
}

fn is_content_type(name: &str) -> bool {
    name.eq_ignore_ascii_case("content-type")
}

/// Headers of a request that go on with it: not those of the connection, nor those that were meant
/// for this service.
fn own_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    const STAY: [&str; 15] = [
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-http-method-override",
    ];
    let connection = headers.get_all(http::header::CONNECTION);
    let named: Vec<String> = connection
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let goes_on = |name: &str| {
        !STAY.contains(&name)
            && !name.starts_with("x-goog-")
            && !target::is_reserved(name)
            && !named.iter().any(|other| other == name)
    };
    let pairs = headers.iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        goes_on(name.as_str()).then(|| (name.as_str().to_owned(), value.to_owned()))
    });
    pairs.collect()
}
