//! Many tasks in one call.

use std::sync::Arc;

use serde_json::Value;
use taskyard_access::Param;
use taskyard_engine::task;
use taskyard_events::json::{Object, write_array};

use super::Queue;
use super::status::{STATUS, room_for, write_status};
use crate::call::Call;
use crate::error::ApiError;
use crate::paging;
use crate::reply::Reply;

/// The ids this page is about, and the token for the rest. Ids are taken in order and once each, so
/// that a page can be asked for again.
fn page(call: &Call) -> Result<(Vec<String>, Option<String>), ApiError> {
    let mut ids: Vec<String> = call
        .payload
        .get("taskIds")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    call.authorize(&[("taskIds", Param::from(ids.as_slice()))])?;
    let limit = paging::limit(call);
    let after: Option<String> = paging::position(call, None)?;
    ids.sort_unstable();
    ids.dedup();
    if let Some(after) = after {
        ids.retain(|id| *id > after);
    }
    let token = paging::cut(&mut ids, limit, String::clone);
    Ok((ids, token))
}

pub(super) async fn tasks(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let (ids, continuation_token) = page(&call)?;
    let found = queue
        .store
        .read(move |tx| task::listed_tasks(tx, &ids))
        .await?;
    let mut text = room_for(found.len());
    let mut body = Object::begin(&mut text);
    write_array(body.member("tasks"), &found, |into, listed| {
        let mut item = Object::begin(into);
        item.text("taskId", &listed.task.id);
        item.json("task", &listed.definition);
        item.end();
    });
    body.maybe("continuationToken", continuation_token.as_deref());
    body.end();
    Ok(Reply::json_text(text))
}

pub(super) async fn statuses(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let (ids, continuation_token) = page(&call)?;
    let found = queue.store.read(move |tx| task::statuses(tx, &ids)).await?;
    let mut text = Vec::with_capacity(found.len() * STATUS);
    let mut body = Object::begin(&mut text);
    write_array(body.member("statuses"), &found, |into, task| {
        let mut item = Object::begin(into);
        item.text("taskId", &task.id);
        write_status(item.member("status"), task);
        item.end();
    });
    body.maybe("continuationToken", continuation_token.as_deref());
    body.end();
    Ok(Reply::json_text(text))
}
