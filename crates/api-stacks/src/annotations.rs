//! Annotations: what a job puts beside its build, or beside itself, for people to read.

use http::StatusCode;
use serde_json::{Value, json};
use taskyard_engine::stacks::{self as engine, Annotation};
use taskyard_store::Key;

use crate::problem::Problem;
use crate::reply::Reply;
use crate::request::query_value;
use crate::service::Asked;

/// Longest annotation, in bytes, and context.
const LONGEST: usize = 1024 * 1024;
const LONGEST_CONTEXT: usize = 100;
/// What nobody said.
const CONTEXT: &str = "default";
const PRIORITY: i64 = 3;
/// Annotations that are listed.
const PAGE: usize = 1000;

/// What an annotation stands beside.
fn place(scope: Option<&str>, group_id: &str, task_id: &str) -> Result<String, Problem> {
    match scope.unwrap_or("build") {
        "build" | "" => Ok(format!("build:{group_id}")),
        "job" => Ok(format!("job:{task_id}")),
        _ => Err(Problem::Invalid("scope must be build or job".to_owned())),
    }
}

/// Puts an annotation in its place.
pub(crate) async fn annotate(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let payload = asked.payload()?;
    let style = payload.text("style")?.unwrap_or_default();
    if !["", "success", "info", "warning", "error", "default"].contains(&style) {
        return Err(Problem::Invalid(
            "style must be success, info, warning or error".to_owned(),
        ));
    }
    let context = payload
        .text("context")?
        .filter(|context| !context.is_empty());
    let context = context.unwrap_or(CONTEXT);
    if context.chars().count() > LONGEST_CONTEXT {
        return Err(Problem::Invalid(format!(
            "context must have at most {LONGEST_CONTEXT} characters"
        )));
    }
    let priority = match payload.int("priority")? {
        None | Some(0) => PRIORITY,
        Some(priority @ 1..=10) => priority,
        Some(_) => return Err(Problem::Invalid("priority must be from 1 to 10".to_owned())),
    };
    let append = payload.flag("append")?;
    let new = Annotation {
        context: context.to_owned(),
        style: style.to_owned(),
        priority,
        body: payload.text("body")?.unwrap_or_default().to_owned(),
        updated_at: asked.now,
    };
    let member = asked.member().await?;
    let place = place(payload.text("scope")?, &member.group_id, &member.task_id)?;
    let taken = asked
        .store()
        .write(Key::of(&place), move |tx| {
            engine::annotate(tx, &place, &new, (append, LONGEST), member.expires)
        })
        .await?;
    taken.ok_or_else(|| Problem::TooLarge(format!("an annotation has at most {LONGEST} bytes")))?;
    Ok(Reply::json(StatusCode::CREATED, &json!({})))
}

/// Takes an annotation away.
pub(crate) async fn remove(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let member = asked.member().await?;
    let scope = query_value(asked.query(), "scope");
    let place = place(scope.as_deref(), &member.group_id, &member.task_id)?;
    let context = asked.segment(1).to_owned();
    let unknown = Problem::NotFound(format!("No annotation found with the context {context:?}"));
    if context.contains('\0') {
        return Err(unknown);
    }
    let removed = asked
        .store()
        .write(Key::of(&place), move |tx| {
            engine::remove_annotation(tx, &place, &context)
        })
        .await?;
    if removed {
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    } else {
        Err(unknown)
    }
}

/// The annotations of a build.
pub(crate) async fn list(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let member = asked.member().await?;
    let place = place(None, &member.group_id, &member.task_id)?;
    let found = asked
        .store()
        .read(move |tx| engine::annotations(tx, &place, PAGE))
        .await?;
    let found: Vec<Value> = found
        .into_iter()
        .map(|annotation| {
            json!({
                "context": annotation.context,
                "style": annotation.style,
                "priority": annotation.priority,
                "body": annotation.body,
                "updated_at": annotation.updated_at.to_iso(),
            })
        })
        .collect();
    Ok(Reply::ok(&found))
}
