//! A task as a message of each version.

use std::collections::BTreeMap;

use taskyard_engine::Timestamp;
use taskyard_engine::cloud::dispatch::DEFAULT_DEADLINE;
use taskyard_engine::cloud::{Attempt, Outcome, Payload, Task};
use tonic::Code;

use super::View;
use crate::failure::code_name;
use crate::message::Put;
use crate::queue;
use crate::target;
use crate::version::Version;

/// Completes `into`, an empty task of `version`, with what `view` shows of a task of the queue
/// named `queue`.
pub(crate) fn task(into: &mut impl Put, task: &Task, queue: &str, version: Version, view: View) {
    into.put_text("name", &format!("{queue}/tasks/{}", task.id));
    payload(into, &task.payload, version, view);
    into.put_span("schedule_time", task.schedule_time.into());
    let created = Timestamp(task.create_time.0 - task.create_time.0.rem_euclid(1_000_000));
    into.put_span("create_time", created.into());
    if !task.payload.is_pull() {
        let deadline = task.dispatch_deadline.unwrap_or(DEFAULT_DEADLINE);
        into.put_span("dispatch_deadline", deadline.into());
    }
    match version {
        Version::V2beta2 if task.dispatch_count > 0 => into.put_child("status", |into| {
            progress(into, task, &PROGRESS_BETA2);
        }),
        Version::V2beta2 => {}
        Version::V2 | Version::V2beta3 => progress(into, task, &PROGRESS),
    }
    into.set_choice("view", view.number());
    if let Some(retry) = &task.retry {
        into.put_child("retry_config", |into| {
            queue::put_retry(into, retry, version);
        });
    }
}

fn payload<P: Put>(into: &mut P, payload: &Payload, version: Version, view: View) {
    let put_body = |into: &mut P, name: &str, body: &[u8]| {
        if view == View::Full {
            into.put_bytes(name, body);
        }
    };
    match payload {
        Payload::Http(request) => into.put_child("http_request", |into| {
            into.put_text("url", &request.url);
            target::put_method(into, request.method);
            into.put_pairs("headers", &pairs(&request.headers));
            put_body(into, "body", &request.body);
            if let Some(authorization) = &request.authorization {
                target::put_authorization(into, authorization);
            }
        }),
        Payload::AppEngine(request) => into.put_child("app_engine_http_request", |into| {
            let words = version.words();
            target::put_method(into, request.method);
            target::put_routing(into, "app_engine_routing", &request.routing);
            into.put_text(words.relative_uri, &request.relative_uri);
            into.put_pairs("headers", &pairs(&request.headers));
            put_body(into, words.app_engine_body, &request.body);
        }),
        Payload::Pull(message) => into.put_child("pull_message", |into| {
            put_body(into, "payload", &message.payload);
            into.put_text("tag", &message.tag);
        }),
    }
}

/// Headers as a message has them: none twice.
fn pairs(headers: &[(String, String)]) -> BTreeMap<&str, &str> {
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// The fields that tell how far a task has come: attempts, answers, the first attempt, the last.
const PROGRESS: [&str; 4] = [
    "dispatch_count",
    "response_count",
    "first_attempt",
    "last_attempt",
];
const PROGRESS_BETA2: [&str; 4] = [
    "attempt_dispatch_count",
    "attempt_response_count",
    "first_attempt_status",
    "last_attempt_status",
];

/// How far the task has come.
fn progress(into: &mut impl Put, task: &Task, names: &[&str; 4]) {
    let count = |count: i64| i32::try_from(count).unwrap_or(i32::MAX);
    let [dispatches, responses, first, last] = names;
    into.put_int(dispatches, count(task.dispatch_count));
    if task.payload.is_pull() {
        return;
    }
    into.put_int(responses, count(task.response_count));
    if let Some(time) = task.first_dispatch_time {
        into.put_child(first, |into| {
            into.put_span("dispatch_time", time.into());
        });
    }
    if let Some(known) = &task.last_attempt {
        into.put_child(last, |into| attempt(into, known));
    }
}

fn attempt(into: &mut impl Put, attempt: &Attempt) {
    into.put_span("schedule_time", attempt.schedule_time.into());
    into.put_span("dispatch_time", attempt.dispatch_time.into());
    if let Some((at, outcome)) = attempt.response {
        put_outcome(into, at, outcome);
    }
}

/// When an attempt ended, and how.
pub(crate) fn put_outcome(into: &mut impl Put, at: Timestamp, outcome: Outcome) {
    into.put_span("response_time", at.into());
    let (code, status) = answered(outcome);
    into.put_child("response_status", |into| {
        let number = i32::from(code);
        into.put_int("code", number);
        let text = format!("{}({number}): HTTP status code {status}", code_name(code));
        into.put_text("message", &text);
    });
}

/// What an attempt came to, as a code and an HTTP status.
fn answered(outcome: Outcome) -> (Code, u16) {
    let status = match outcome {
        Outcome::Status(status) => status,
        Outcome::TimedOut => return (Code::DeadlineExceeded, 504),
        Outcome::Unreachable | Outcome::Refused => return (Code::Unknown, 0),
    };
    let code = match status {
        200..=299 => Code::Ok,
        400 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        409 => Code::AlreadyExists,
        429 => Code::ResourceExhausted,
        499 => Code::Cancelled,
        500 => Code::Internal,
        501 => Code::Unimplemented,
        503 => Code::Unavailable,
        504 => Code::DeadlineExceeded,
        _ => Code::Unknown,
    };
    (code, status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_by_code_and_status() {
        for (outcome, text) in [
            (Outcome::Status(500), "INTERNAL 500"),
            (Outcome::Status(302), "UNKNOWN 302"),
            (Outcome::Status(429), "RESOURCE_EXHAUSTED 429"),
            (Outcome::TimedOut, "DEADLINE_EXCEEDED 504"),
            (Outcome::Unreachable, "UNKNOWN 0"),
        ] {
            let (code, status) = answered(outcome);
            assert_eq!(format!("{} {status}", code_name(code)), text);
        }
    }
}
