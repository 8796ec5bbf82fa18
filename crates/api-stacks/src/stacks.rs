//! Stacks come and go; queues are paused.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};
use taskyard_engine::stacks::{self as engine, Kind, NewStack, Stack};
use taskyard_store::Key;
use uuid::Uuid;

use crate::caller::Right;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::request::Payload;
use crate::secret;
use crate::service::{Asked, no_stack};

/// What this installation is called where an organization is asked for.
pub(crate) const ORGANIZATION: &str = "taskyard";

/// A stack that was not heard of for this long is lost.
const LOST_AFTER: Duration = Duration::from_mins(6);
/// Connected stacks at a time.
const STACKS_AT_MOST: i64 = 1000;
/// Longest key of a stack, in bytes.
const LONGEST_KEY: usize = 80;
/// Entries of a stack's metadata, and the longest of their keys and values in characters.
const METADATA_AT_MOST: usize = 100;
const LONGEST_METADATA_KEY: usize = 64;
const LONGEST_METADATA_VALUE: usize = 256;

/// The UUID of this installation.
pub(crate) fn organization_uuid() -> String {
    secret::uuid_of("organization").to_string()
}

/// The UUID of a queue.
pub(crate) fn queue_uuid(queue_key: &str) -> String {
    secret::uuid_of(&format!("queue:{queue_key}")).to_string()
}

/// A stack as it is told of itself when it registers.
fn body(stack: &Stack) -> Result<Value, Problem> {
    let metadata: Value = serde_json::from_str(&stack.metadata).map_err(Problem::internal)?;
    Ok(json!({
        "id": stack.id,
        "organization_uuid": organization_uuid(),
        "cluster_queue_key": stack.queue_key,
        "key": stack.key,
        "type": stack.kind.as_str(),
        "metadata": metadata,
        "last_connected_on": stack.last_connected_at.to_iso(),
        "state": "connected",
    }))
}

/// What a stack says of itself.
fn metadata(payload: &Payload) -> Result<String, Problem> {
    let wrong = |text: String| Problem::Invalid(text);
    let given = match payload.get("metadata") {
        None => &Map::new(),
        Some(Value::Object(given)) => given,
        Some(_) => return Err(wrong("metadata must be an object of strings".to_owned())),
    };
    if given.len() > METADATA_AT_MOST {
        return Err(wrong(format!(
            "metadata must have at most {METADATA_AT_MOST} keys"
        )));
    }
    for (key, value) in given {
        let Some(value) = value.as_str() else {
            return Err(wrong(format!("metadata {key:?} must be a string")));
        };
        if key.chars().count() > LONGEST_METADATA_KEY {
            return Err(wrong(format!(
                "metadata keys must have at most {LONGEST_METADATA_KEY} characters"
            )));
        }
        if value.chars().count() > LONGEST_METADATA_VALUE {
            return Err(wrong(format!(
                "metadata values must have at most {LONGEST_METADATA_VALUE} characters"
            )));
        }
    }
    serde_json::to_string(given).map_err(Problem::internal)
}

fn check_key(key: &str) -> Result<(), Problem> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if key.len() <= LONGEST_KEY && key.bytes().all(is_allowed) {
        return Ok(());
    }
    Err(Problem::Invalid(format!(
        "key must be at most {LONGEST_KEY} letters, digits, dashes or underscores"
    )))
}

/// A stack registers, or registers again.
pub(crate) async fn register(asked: &Asked<'_>) -> Result<Reply, Problem> {
    asked.caller.require_stack()?;
    let payload = asked.payload()?;
    let key = payload.required("key")?;
    check_key(key)?;
    let kind = Kind::parse(payload.required("type")?)
        .ok_or_else(|| Problem::Invalid("type must be kubernetes, elastic or custom".to_owned()))?;
    let queue_key = payload.required("queue_key")?;
    let queue_key = asked
        .parts()
        .queues
        .canonical(queue_key)
        .ok_or_else(|| no_queue(queue_key))?;
    asked.caller.require(Right::Stack, &queue_key)?;
    let new = NewStack {
        key: key.to_owned(),
        id: Uuid::new_v4().to_string(),
        kind,
        queue_key,
        metadata: metadata(&payload)?,
    };
    let (now, caller) = (asked.now, asked.caller.clone());
    let limit = (STACKS_AT_MOST, now.minus(LOST_AFTER));
    let registered = asked
        .store()
        .write(Key::of(("stack", &new.key)), move |tx| {
            // A stack of a queue that is none of the caller's is not taken over.
            let known = engine::stack(tx, &new.key)?;
            if known.is_some_and(|known| !caller.may(Right::Stack, &known.queue_key)) {
                return Ok(Err(Problem::Forbidden(format!(
                    "the stack {:?} belongs to a queue that the token is not good for",
                    new.key
                ))));
            }
            engine::register(tx, now, &new, limit).map(Ok)
        })
        .await??;
    let Some((stack, is_new)) = registered else {
        return Err(Problem::Forbidden(format!(
            "there are {STACKS_AT_MOST} connected stacks already; deregister one"
        )));
    };
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(Reply::json(status, &body(&stack)?))
}

/// A stack says goodbye.
pub(crate) async fn deregister(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let key = asked.segment(0).to_owned();
    if key.contains('\0') {
        return Err(no_stack(&key));
    }
    let caller = asked.caller.clone();
    let done = asked
        .store()
        .write(Key::of(("stack", &key)), move |tx| {
            let known = engine::stack(tx, &key)?;
            // Nobody learns here which stacks there are for other queues.
            if !known.is_some_and(|known| caller.may(Right::Stack, &known.queue_key)) {
                return Ok(Err(no_stack(&key)));
            }
            engine::deregister(tx, &key).map(Ok)
        })
        .await?;
    done?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// No queue can have this key.
pub(crate) fn no_queue(key: &str) -> Problem {
    Problem::NotFound(format!("No queue found with the key {key:?}"))
}

/// Stops or resumes the handing out of a queue's jobs.
pub(crate) async fn pause_queue(asked: &Asked<'_>, is_paused: bool) -> Result<Reply, Problem> {
    let given = asked.segment(0);
    let key = asked
        .parts()
        .queues
        .canonical(given)
        .ok_or_else(|| no_queue(given))?;
    asked.caller.require(Right::Pause, &key)?;
    let answer = queue_body(&key, is_paused);
    asked
        .store()
        .write(Key::of(("stack-queue", &key)), move |tx| {
            engine::pause(tx, &key, is_paused)
        })
        .await?;
    Ok(Reply::ok(&answer))
}

/// A queue as listings describe it. Clients of different age read one or the other of the flags.
pub(crate) fn queue_body(key: &str, is_paused: bool) -> Value {
    json!({
        "id": queue_uuid(key),
        "paused": is_paused,
        "dispatch_paused": is_paused,
    })
}
