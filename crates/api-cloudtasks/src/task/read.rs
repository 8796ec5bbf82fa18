//! A task that is to be created, as a message of any version, checked in the order in which
//! clients are used to be refused.

use std::time::Duration;

use taskyard_engine::Timestamp;
use taskyard_engine::cloud::create::NewTask;
use taskyard_engine::cloud::{
    AppEngineRequest, AppEngineRouting, Authorization, HttpRequest, Method, Payload, PullMessage,
};

use super::pacific;
use crate::failure::Failure;
use crate::message::Fields;
use crate::name::{QueueName, TaskName};
use crate::queue;
use crate::target;
use crate::time;
use crate::version::Version;

/// The largest task, as it is stored: 7 bytes less than 1 MiB.
const LARGEST: usize = 1_048_569;
/// Room for all of a task but its payload and its headers.
const REST: usize = 8 * 1024;
/// How far ahead a task can be scheduled.
const AHEAD: Duration = Duration::from_hours(720);
/// A tag is shorter than this, in characters.
const TAG: usize = 500;
/// The least time for a handler.
const LEAST_DEADLINE: Duration = Duration::from_secs(15);

/// What is to be known of a task before anything is asked of the engine.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) new: NewTask,
    /// The URL is left to the queue's target.
    pub(crate) is_without_url: bool,
    /// Found out first and said last.
    pub(crate) is_too_large: bool,
}

/// What the server is told about tasks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) now: Timestamp,
    pub(crate) tokens_need_https: bool,
}

/// Reads the `task` of a request to create one in `queue`.
pub(crate) fn read(
    task: Option<&impl Fields>,
    version: Version,
    queue: &QueueName,
    rules: Rules,
) -> Result<Wanted, Failure> {
    let task = task.ok_or_else(|| Failure::invalid("Task is not set."))?;
    let unset = || Failure::invalid("Task.payload_type is not set.");
    let http = task.child("http_request");
    let app_engine = task.child("app_engine_http_request");
    let pull = task
        .child("pull_message")
        .filter(|_| version == Version::V2beta2);
    if http.is_none() && app_engine.is_none() && pull.is_none() {
        return Err(unset());
    }
    let id = match task.text("name") {
        "" => None,
        name => Some(TaskName::parse_new(name, queue)?),
    };
    let payload = if let Some(request) = http {
        Payload::Http(http_request(request, rules)?)
    } else if let Some(request) = app_engine {
        Payload::AppEngine(app_engine_request(request, version, queue)?)
    } else {
        Payload::Pull(pull_message(pull.ok_or_else(unset)?)?)
    };
    let retry = task.child("retry_config");
    let dispatch_deadline = deadline(task, &payload)?;
    let schedule_time = schedule_time(task, rules.now)?;
    let retry = retry
        .map(|retry| queue::retry(retry, version))
        .transpose()?;
    let is_without_url = matches!(&payload, Payload::Http(request) if request.url.is_empty());
    let is_too_large = is_too_large(&payload, id.as_deref(), queue);
    let new = NewTask {
        id,
        payload,
        schedule_time,
        dispatch_deadline,
        retry,
    };
    Ok(Wanted {
        new,
        is_without_url,
        is_too_large,
    })
}

fn http_request(request: &impl Fields, rules: Rules) -> Result<HttpRequest, Failure> {
    let url = url(request.text("url"))?;
    let method = target::method(request)?.unwrap_or_default();
    let body = request.bytes("body");
    let may_have_body = matches!(method, Method::Post | Method::Put | Method::Patch);
    if !body.is_empty() && !may_have_body {
        return Err(Failure::invalid(
            "HttpRequest.body can only be set for POST, PUT and PATCH.",
        ));
    }
    let given = request.pairs("headers");
    target::check_headers(
        given
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    )?;
    let authorization = target::authorization(request)?.map(target::with_default_scope);
    if authorization.is_some() && rules.tokens_need_https && !starts_with(&url, "https://") {
        return Err(Failure::invalid(
            "HttpRequest.url must start with 'https://' for request with \
             HttpRequest.authorization_header",
        ));
    }
    Ok(http_task(
        url,
        method,
        target::own_headers(given),
        body.to_vec(),
        authorization,
    ))
}

/// A request as it is kept: without the headers that follow from it, with the one that tells who
/// sends it.
pub(crate) fn http_task(
    url: String,
    method: Method,
    mut headers: Vec<(String, String)>,
    body: Vec<u8>,
    authorization: Option<Authorization>,
) -> HttpRequest {
    headers.retain(|(name, _)| {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        !is("content-length") && !is("user-agent")
    });
    headers.push(("User-Agent".to_owned(), "Google-Cloud-Tasks".to_owned()));
    HttpRequest {
        url,
        method,
        headers,
        body,
        authorization,
    }
}

/// A URL with what cannot be sent escaped. An empty one is left to the queue.
fn url(given: &str) -> Result<String, Failure> {
    if given.is_empty() {
        return Ok(String::new());
    }
    if !starts_with(given, "http://") && !starts_with(given, "https://") {
        return Err(Failure::invalid(
            "HttpTarget.url must start with 'http://' or 'https://'.",
        ));
    }
    let escaped = escape(given);
    if escaped.len() > target::URL {
        return Err(Failure::invalid(format!(
            "HttpRequest.url must be no longer than {} characters.",
            target::URL
        )));
    }
    let host = escaped.split("//").nth(1).unwrap_or_default();
    let host = host.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() {
        return Err(Failure::invalid("HttpRequest.url has no host."));
    }
    Ok(escaped)
}

fn starts_with(url: &str, scheme: &str) -> bool {
    url.get(..scheme.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

/// Escapes what no URL can have. Escapes that are there stay, broken ones too.
fn escape(given: &str) -> String {
    let mut escaped = String::with_capacity(given.len());
    for byte in given.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.extend(format!("%{byte:02X}").chars());
        }
    }
    escaped
}

fn app_engine_request(
    request: &impl Fields,
    version: Version,
    queue: &QueueName,
) -> Result<AppEngineRequest, Failure> {
    let words = version.words();
    let given = request.text(words.relative_uri);
    if !given.is_empty() && !given.starts_with('/') {
        return Err(Failure::invalid(
            "AppEngineHttpRequest.relativeUri must start with '/'.",
        ));
    }
    if given.contains(' ') {
        return Err(Failure::invalid(
            "AppEngineHttpRequest.relativeUri must not contain spaces.",
        ));
    }
    let relative_uri = escape(given);
    if relative_uri.len() > target::URL {
        return Err(Failure::invalid(format!(
            "AppEngineHttpRequest.relativeUri must be no longer than {} characters.",
            target::URL
        )));
    }
    let method = target::method(request)?.unwrap_or_default();
    let body = request.bytes(words.app_engine_body);
    if !body.is_empty() && !matches!(method, Method::Post | Method::Put) {
        return Err(Failure::invalid(
            "AppEngineHttpRequest.body can only be set for POST and PUT.",
        ));
    }
    let given = request.pairs("headers");
    target::check_headers(
        given
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    )?;
    let routing = match request.child("app_engine_routing") {
        Some(routing) => target::routing(routing, queue)?,
        None => AppEngineRouting {
            host: target::host("", "", "", queue),
            ..AppEngineRouting::default()
        },
    };
    let headers = app_engine_headers(target::own_headers(given), body.len());
    Ok(AppEngineRequest {
        method,
        routing,
        relative_uri: if relative_uri.is_empty() {
            "/".to_owned()
        } else {
            relative_uri
        },
        headers,
        body: body.to_vec(),
    })
}

/// The headers of a task for App Engine, with those that the service adds when it is created.
fn app_engine_headers(given: Vec<(String, String)>, length: usize) -> Vec<(String, String)> {
    const AGENT: &str = "AppEngine-Google; (+http://code.google.com/appengine)";
    let mut agent = AGENT.to_owned();
    let mut headers = Vec::with_capacity(given.len() + 3);
    let mut has_type = false;
    for (name, value) in given {
        if name.eq_ignore_ascii_case("content-length") {
            continue;
        }
        if name.eq_ignore_ascii_case("user-agent") {
            agent = format!("{value} {AGENT}");
            continue;
        }
        has_type |= name.eq_ignore_ascii_case("content-type");
        headers.push((name, value));
    }
    headers.push(("Content-Length".to_owned(), length.to_string()));
    if length > 0 && !has_type {
        let default = "application/octet-stream".to_owned();
        headers.push(("Content-Type".to_owned(), default));
    }
    headers.push(("User-Agent".to_owned(), agent));
    headers
}

fn pull_message(message: &impl Fields) -> Result<PullMessage, Failure> {
    let tag = message.text("tag");
    if tag.chars().count() >= TAG {
        return Err(Failure::invalid(format!(
            "PullMessage.tag must be less than {TAG} characters."
        )));
    }
    Ok(PullMessage {
        payload: message.bytes("payload").to_vec(),
        tag: tag.to_owned(),
    })
}

fn deadline(task: &impl Fields, payload: &Payload) -> Result<Option<Duration>, Failure> {
    let Some(span) = task.span("dispatch_deadline") else {
        return Ok(None);
    };
    let (most, text) = match payload {
        Payload::Http(_) => (1800, "[15s, 30m]"),
        Payload::AppEngine(_) => (86_415, "[15s, 24h15s]"),
        Payload::Pull(_) => return Ok(None),
    };
    let is_app_engine = matches!(payload, Payload::AppEngine(_));
    if is_app_engine && span.seconds == 0 && span.nanos == 0 {
        return Ok(None);
    }
    let out_of_range =
        || Failure::invalid(format!("Task.dispatchDeadline must be between {text}."));
    let given = time::duration(span, "Task.dispatchDeadline").map_err(|_| out_of_range())?;
    if given < LEAST_DEADLINE || given > Duration::from_secs(most) {
        return Err(out_of_range());
    }
    Ok(Some(Duration::from_millis(given.as_millis() as u64)))
}

fn schedule_time(task: &impl Fields, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
    let Some(span) = task.span("schedule_time") else {
        return Ok(None);
    };
    let time = time::timestamp(span, "Task.scheduleTime")?;
    if time > now.plus(AHEAD) {
        return Err(Failure::invalid(format!(
            "The Task.scheduleTime, {}, is too far in the future. Schedule time must be no more \
             than 720h in the future.",
            pacific::text(time)
        )));
    }
    Ok(Some(time))
}

/// Whether a task is larger than can be stored: counted as its parts and what stands between them.
pub(super) fn is_too_large(payload: &Payload, id: Option<&str>, queue: &QueueName) -> bool {
    let pairs = |headers: &[(String, String)]| -> usize {
        headers
            .iter()
            .map(|(name, value)| name.len() + value.len() + 6)
            .sum()
    };
    let sized = match payload {
        Payload::Http(request) => request.url.len() + pairs(&request.headers) + request.body.len(),
        Payload::AppEngine(request) => {
            request.relative_uri.len() + pairs(&request.headers) + request.body.len()
        }
        Payload::Pull(message) => message.payload.len() + message.tag.len(),
    };
    // Most are so far from the limit that nothing has to be counted exactly.
    if sized + REST <= LARGEST {
        return false;
    }
    // Generated ids have 20 digits; fields of messages this large take 4 bytes before each.
    let name = queue.as_str().len() + "/tasks/".len() + id.map_or(20, str::len) + 3;
    let times = 2 * 14;
    let deadline = 5;
    name + times + deadline + 2 * 4 + sized > LARGEST
}
