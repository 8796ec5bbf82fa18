//! What stacks say about the jobs they start.

use std::time::Duration;

use serde_json::{Value, json};
use taskyard_engine::Timestamp;
use taskyard_engine::stacks::{self as engine, Note, NoteRules, NotesRefused};
use taskyard_store::Key;

use crate::problem::Problem;
use crate::reply::Reply;
use crate::service::Asked;
use crate::{job_id, time};

/// Notifications of one request.
const NOTES_AT_MOST: usize = 1000;
/// Notifications of one job.
const NOTES_OF_JOB: i64 = 100;
/// Longest detail, in characters.
const LONGEST_DETAIL: usize = 256;
/// How far the clocks of stacks may differ from ours.
const SKEW: Duration = Duration::from_mins(1);
/// How long after the end of a job something may be said about it.
const AFTER_END: Duration = Duration::from_mins(5);
/// Events of one page.
const EVENTS: usize = 1000;

/// Why a notification is not taken, in the words of the wire.
type Error = String;

fn refused(why: NotesRefused) -> Error {
    match why {
        NotesRefused::Unknown => "job not found",
        NotesRefused::TooMany => "job stack notification count exceeded",
        NotesRefused::TooEarly => "timestamp is before the job was created",
        NotesRefused::Over => "job has been finished for too long",
    }
    .to_owned()
}

fn read(item: &Value, now: Timestamp) -> Result<Note, Error> {
    let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
    let detail = text("detail");
    if detail.is_empty() {
        return Err("detail is required".to_owned());
    }
    if detail.chars().count() > LONGEST_DETAIL {
        return Err(format!(
            "detail exceeds its length limit of {LONGEST_DETAIL}"
        ));
    }
    if detail.contains('\0') {
        return Err("detail must not contain NUL characters".to_owned());
    }
    let at = match item.get("timestamp") {
        None | Some(Value::Null) => now,
        Some(at) => at
            .as_str()
            .and_then(time::parse)
            .ok_or_else(|| "timestamp is no RFC 3339 time".to_owned())?,
    };
    if at > now.plus(SKEW) {
        return Err("timestamp is in the future".to_owned());
    }
    let uuid = text("job_uuid");
    if uuid.is_empty() {
        return Err("job_uuid is required".to_owned());
    }
    Ok(Note {
        task_id: job_id::task_id(uuid).ok_or_else(|| refused(NotesRefused::Unknown))?,
        detail: detail.to_owned(),
        at,
    })
}

/// Takes the notifications that can be taken; answers for each whether it was.
async fn take(asked: &Asked<'_>, items: &[Value]) -> Result<Vec<Result<(), Error>>, Problem> {
    let stack = asked.stack().await?;
    let now = asked.now;
    let read: Vec<Result<Note, Error>> = items.iter().map(|item| read(item, now)).collect();
    let notes: Vec<Note> = read.iter().filter_map(|it| it.clone().ok()).collect();
    let may = asked.stack_may();
    let judged = if notes.is_empty() {
        Vec::new()
    } else {
        let key = Key::of(("stack-notes", &stack.key));
        let write = asked.store().write(key, move |tx| {
            let rules = NoteRules {
                may: &may,
                at_most: NOTES_OF_JOB,
                skew: SKEW,
                after_end: AFTER_END,
            };
            engine::take_notes(tx, now, &stack.key, &notes, rules)
        });
        write.await?
    };
    let mut judged = judged.into_iter();
    Ok(read
        .into_iter()
        .map(|note| {
            note?;
            judged.next().unwrap_or(Ok(())).map_err(refused)
        })
        .collect())
}

/// Notifications about many jobs. The answer says which were not taken, and why.
pub(crate) async fn notify(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let payload = asked.payload()?;
    let items = match payload.get("notifications") {
        None => &[][..],
        Some(Value::Array(items)) => items,
        Some(_) => {
            return Err(Problem::Bad("notifications must be an array".to_owned()));
        }
    };
    if items.len() > NOTES_AT_MOST {
        return Err(Problem::Bad(format!(
            "notifications must have at most {NOTES_AT_MOST} items"
        )));
    }
    let mut errors: Vec<(Error, Vec<usize>)> = Vec::new();
    for (index, taken) in take(asked, items).await?.into_iter().enumerate() {
        if let Err(error) = taken {
            match errors.iter_mut().find(|(known, _)| *known == error) {
                Some((_, indexes)) => indexes.push(index),
                None => errors.push((error, vec![index])),
            }
        }
    }
    let errors: Vec<Value> = errors
        .into_iter()
        .map(|(error, indexes)| json!({"error": error, "indexes": indexes}))
        .collect();
    Ok(Reply::ok(&json!({ "errors": errors })))
}

/// One notification, as older stacks send it.
pub(crate) async fn notify_job(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let payload = asked.payload()?;
    let uuid = asked.segment(1);
    let item = json!({
        "job_uuid": uuid,
        "detail": payload.text("detail")?,
        "timestamp": payload.text("timestamp")?,
    });
    match take(asked, &[item]).await?.pop() {
        Some(Err(error)) if error == refused(NotesRefused::Unknown) => Err(Problem::no_job(uuid)),
        Some(Err(error)) => Err(Problem::Invalid(error)),
        _ => Ok(Reply::ok(&json!({}))),
    }
}

/// What was said about a job, in the order of its arrival.
pub(crate) async fn events(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let uuid = asked.segment(0);
    asked.caller.require_stack()?;
    let id = job_id::task_id(uuid).ok_or_else(|| Problem::no_job(uuid))?;
    asked
        .find(&id, asked.stack_may())
        .await?
        .ok_or_else(|| Problem::no_job(uuid))?;
    let after = crate::request::query_int(asked.query(), "after")?.unwrap_or(0);
    let events = asked
        .store()
        .read(move |tx| engine::events(tx, &id, after, EVENTS))
        .await?;
    let events: Vec<Value> = events
        .into_iter()
        .map(|event| {
            json!({
                "number": event.number,
                "kind": event.kind,
                "actor": event.actor,
                "detail": event.detail,
                "at": event.at.to_iso(),
            })
        })
        .collect();
    Ok(Reply::ok(&json!({ "events": events })))
}
