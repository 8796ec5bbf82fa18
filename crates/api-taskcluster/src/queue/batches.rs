//! Many tasks in one call.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use taskyard_access::Param;
use taskyard_engine::task;

use super::Queue;
use super::status::{Status, definition};
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
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Item<'a> {
        task_id: &'a str,
        task: &'a RawValue,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        tasks: Vec<Item<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        continuation_token: Option<String>,
    }
    let (ids, continuation_token) = page(&call)?;
    let found = queue
        .store
        .read(move |tx| task::listed_tasks(tx, &ids))
        .await?;
    let tasks = found
        .iter()
        .map(|listed| {
            Ok(Item {
                task_id: &listed.task.id,
                task: definition(&listed.definition)?,
            })
        })
        .collect::<Result<_, ApiError>>()?;
    Ok(Reply::json(&Body {
        tasks,
        continuation_token,
    }))
}

pub(super) async fn statuses(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Item<'a> {
        task_id: &'a str,
        status: Status<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        statuses: Vec<Item<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        continuation_token: Option<String>,
    }
    let (ids, continuation_token) = page(&call)?;
    let found = queue.store.read(move |tx| task::statuses(tx, &ids)).await?;
    let statuses = found
        .iter()
        .map(|task| Item {
            task_id: &task.id,
            status: Status(task),
        })
        .collect();
    Ok(Reply::json(&Body {
        statuses,
        continuation_token,
    }))
}
