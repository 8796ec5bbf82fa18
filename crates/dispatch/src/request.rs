//! The request a task is sent as, made by a pure function.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use taskyard_engine::Timestamp;
use taskyard_engine::cloud::dispatch::Dispatch;
use taskyard_engine::cloud::{
    AppEngineRequest, Authorization, HttpRequest, HttpTarget, Method, Outcome, Payload,
};
use url::Url;

use crate::target::{self, AppEngine};

/// What the requests of tasks depend on beside the tasks.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Where App Engine tasks go.
    pub app_engine: AppEngine,
    /// Hosts that are called under another name.
    pub hosts: BTreeMap<String, String>,
    /// Whether an empty path or query of a queue's clears the task's own.
    pub strict_empty_override: bool,
}

/// The request a task is sent as, but for its token.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// How.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Every header but the token's.
    pub headers: HeaderMap,
    /// The body, if the method has one.
    pub body: Option<Bytes>,
    /// The token, if one was asked for; its audience is filled in.
    pub authorization: Option<Authorization>,
    /// Within which the whole answer must have come.
    pub deadline: Duration,
}

/// Why a task cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsendable(pub String);

const HTTP_USER_AGENT: &str = "Google-Cloud-Tasks";
const APP_ENGINE_USER_AGENT: &str = "AppEngine-Google; (+http://code.google.com/appengine)";

/// The request that `dispatch` is sent as; it takes the bytes of the task with it.
///
/// # Errors
/// If its URL or a header of it cannot be sent.
pub fn build(dispatch: &mut Dispatch, rules: &Rules) -> Result<Request, Unsendable> {
    let body = dispatch.task.payload.take_body();
    let mut request = match &dispatch.task.payload {
        Payload::Http(request) => build_http(dispatch, request, rules)?,
        Payload::AppEngine(request) => build_app_engine(dispatch, request, rules)?,
        Payload::Pull(_) => return Err(Unsendable("a pull task is not sent".to_owned())),
    };
    let has_body = match &dispatch.task.payload {
        Payload::AppEngine(_) => matches!(request.method, Method::Post | Method::Put),
        Payload::Http(_) | Payload::Pull(_) => {
            matches!(request.method, Method::Post | Method::Put | Method::Patch)
        }
    };
    request.body = has_body.then(|| Bytes::from(body));
    Ok(request)
}

fn build_http(
    dispatch: &Dispatch,
    request: &HttpRequest,
    rules: &Rules,
) -> Result<Request, Unsendable> {
    let none = HttpTarget::default();
    let target = dispatch
        .queue
        .settings
        .http_target
        .as_ref()
        .unwrap_or(&none);
    let uri_override = target.uri_override.as_ref();
    let url = target::http(&request.url, uri_override, rules.strict_empty_override)?;
    let method = target.method.unwrap_or(request.method);
    let mut headers = HeaderMap::new();
    add(&mut headers, &request.headers)?;
    let overrides = distinct(&target.headers);
    for (name, _) in &overrides {
        headers.remove(name.as_str());
    }
    add(&mut headers, overrides.iter().copied())?;
    headers.insert(
        http::header::USER_AGENT,
        HeaderValue::from_static(HTTP_USER_AGENT),
    );
    let mut authorization = target
        .authorization
        .clone()
        .or_else(|| request.authorization.clone());
    if authorization.is_some() {
        headers.remove(http::header::AUTHORIZATION);
    }
    if let Some(Authorization::Oidc { audience, .. }) = &mut authorization
        && audience.is_empty()
    {
        *audience = url.to_string();
    }
    inject(
        &mut headers,
        "x-cloudtasks-",
        dispatch,
        dispatch.task.execution_count,
    )?;
    if let Some(previous) = dispatch.previous {
        let status = match previous {
            Outcome::Status(status) => status,
            Outcome::TimedOut | Outcome::Unreachable | Outcome::Refused => 504,
        };
        headers.insert("x-cloudtasks-taskpreviousresponse", status.into());
        headers.insert("x-cloudtasks-taskretryreason", HeaderValue::from_static(""));
    }
    Ok(Request {
        method,
        url: target::rewrite(url, &rules.hosts),
        headers,
        body: None,
        authorization,
        deadline: dispatch.deadline(),
    })
}

fn build_app_engine(
    dispatch: &Dispatch,
    request: &AppEngineRequest,
    rules: &Rules,
) -> Result<Request, Unsendable> {
    let url = rules
        .app_engine
        .url(&dispatch.queue, &request.routing, &request.relative_uri)?;
    let mut headers = HeaderMap::new();
    add(&mut headers, &request.headers)?;
    // Computed from the body.
    headers.remove(http::header::CONTENT_LENGTH);
    headers
        .entry(http::header::USER_AGENT)
        .or_insert(HeaderValue::from_static(APP_ENGINE_USER_AGENT));
    inject(
        &mut headers,
        "x-appengine-",
        dispatch,
        dispatch.task.response_count,
    )?;
    if let Some(previous) = dispatch.previous {
        let (status, reason) = match previous {
            Outcome::Status(status) => (status, "App Error"),
            Outcome::TimedOut | Outcome::Unreachable | Outcome::Refused => {
                (0, "Instance Unavailable")
            }
        };
        headers.insert("x-appengine-taskpreviousresponse", status.into());
        headers.insert(
            "x-appengine-taskretryreason",
            HeaderValue::from_static(reason),
        );
    }
    Ok(Request {
        method: request.method,
        url: target::rewrite(url, &rules.hosts),
        headers,
        body: None,
        authorization: None,
        deadline: dispatch.deadline(),
    })
}

/// Headers nobody but the server itself sets: handlers trust them.
const RESERVED: [&str; 3] = ["x-cloudtasks-", "x-appengine-", "x-google-"];
/// Headers that follow from the rest, or are between two ends of a connection.
const COMPUTED: [&str; 10] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
];

fn is_ours(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    RESERVED.iter().any(|prefix| name.starts_with(prefix)) || COMPUTED.contains(&name.as_str())
}

/// Headers of a queue's by name: the last of each counts.
fn distinct(headers: &[(String, String)]) -> Vec<&(String, String)> {
    let last = |at: usize, name: &str| {
        let mut later = headers.iter().skip(at + 1);
        !later.any(|(other, _)| other.eq_ignore_ascii_case(name))
    };
    headers
        .iter()
        .enumerate()
        .filter(|(at, (name, _))| !is_ours(name) && last(*at, name))
        .map(|(_, header)| header)
        .collect()
}

fn add<'a>(
    headers: &mut HeaderMap,
    from: impl IntoIterator<Item = &'a (String, String)>,
) -> Result<(), Unsendable> {
    for (name, value) in from {
        if is_ours(name) {
            continue;
        }
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Unsendable(format!("{name} is no name of a header")))?;
        headers.append(name.clone(), text(name.as_str(), value)?);
    }
    Ok(())
}

fn text(name: &str, value: &str) -> Result<HeaderValue, Unsendable> {
    HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| Unsendable(format!("the value of the header {name} cannot be sent")))
}

/// Sets the headers that tell a handler about the task.
fn inject(
    headers: &mut HeaderMap,
    prefix: &str,
    dispatch: &Dispatch,
    executions: i64,
) -> Result<(), Unsendable> {
    let facts = [
        ("queuename", dispatch.queue.id().to_owned()),
        ("taskname", dispatch.task.id.clone()),
        ("taskretrycount", (dispatch.attempt - 1).to_string()),
        ("taskexecutioncount", executions.to_string()),
        ("tasketa", eta(dispatch.schedule_time)),
    ];
    for (name, value) in facts {
        let name = format!("{prefix}{name}");
        let value = text(&name, &value)?;
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Unsendable(format!("{name} is no name of a header")))?;
        headers.insert(name, value);
    }
    Ok(())
}

/// Seconds since 1970 with six digits behind the point.
fn eta(time: Timestamp) -> String {
    let (seconds, micros) = (time.0.div_euclid(1_000_000), time.0.rem_euclid(1_000_000));
    format!("{seconds}.{micros:06}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_seconds_with_six_digits() {
        assert_eq!(eta(Timestamp(1_767_225_600_123_456)), "1767225600.123456");
        assert_eq!(eta(Timestamp(1_767_225_600_000_001)), "1767225600.000001");
    }

    #[test]
    fn headers_that_handlers_trust_are_recognised_in_any_case() {
        for name in [
            "X-CloudTasks-QueueName",
            "x-appengine-queuename",
            "X-Google-Any",
            "HOST",
        ] {
            assert!(is_ours(name), "{name}");
        }
        assert!(!is_ours("X-Cloud"));
    }
}
