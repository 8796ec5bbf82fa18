//! What came of the fires of hooks.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use taskyard_engine::Timestamp;
use taskyard_engine::hook::{self, Fire};

use super::{Hooks, name_of, no_such_hook};
use crate::call::Call;
use crate::error::ApiError;
use crate::paging;
use crate::reply::Reply;

/// Before the newest fire: later than any, and behind every task.
const NEWEST: (i64, &str) = (i64::MAX, "");

pub(super) async fn get_hook_status(hooks: Arc<Hooks>, call: Call) -> Result<Reply, ApiError> {
    let hook = hooks.load(&call).await?;
    let name = hook.name.clone();
    let last = hooks.firing.store.read(move |tx| {
        let newest = (Timestamp(NEWEST.0), NEWEST.1);
        hook::fires(tx, &name, newest, 1)
    });
    let last_fire = match last.await?.pop() {
        None => json!({"result": "no-fire"}),
        Some(fire) if fire.error.is_empty() => json!({
            "result": "success",
            "taskId": fire.task_id,
            "time": fire.created.to_iso(),
        }),
        Some(fire) => json!({
            "result": "error",
            "error": as_object(&fire.error),
            "time": fire.created.to_iso(),
        }),
    };
    let mut status = json!({"lastFire": last_fire});
    if let (Some(next), Some(status)) = (hook.next.at, status.as_object_mut()) {
        status.insert("nextScheduledDate".to_owned(), next.to_iso().into());
    }
    Ok(Reply::json(&status))
}

/// An error as the JSON object it was, or one that holds its text.
fn as_object(error: &str) -> Value {
    match serde_json::from_str(error) {
        Ok(object @ Value::Object(_)) => object,
        _ => json!({"message": error}),
    }
}

pub(super) async fn list_last_fires(hooks: Arc<Hooks>, call: Call) -> Result<Reply, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Page {
        last_fires: Vec<Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        continuation_token: Option<String>,
    }
    let (limit, name) = (paging::limit(&call), name_of(&call));
    let start = (NEWEST.0, NEWEST.1.to_owned());
    let (created, task_id) = paging::position(&call, start)?;
    let wanted = name.clone();
    let found = hooks.firing.store.read(move |tx| {
        let fires = hook::fires(tx, &wanted, (Timestamp(created), &task_id), limit + 1)?;
        let states = fires.iter().map(|fire| hook::state_of(tx, fire));
        let states: Vec<_> = states.collect::<Result<_, _>>()?;
        Ok(fires.into_iter().zip(states).collect::<Vec<_>>())
    });
    let mut found = found.await?;
    if found.is_empty() {
        return Err(no_such_hook());
    }
    let continuation_token = paging::cut(&mut found, limit, |(fire, _): &(Fire, _)| {
        (fire.created.0, fire.task_id.clone())
    });
    let fires = found.into_iter().map(|(fire, state)| {
        json!({
            "hookGroupId": name.group_id,
            "hookId": name.hook_id,
            "taskId": fire.task_id,
            "firedBy": fire.fired_by,
            "taskCreateTime": fire.created.to_iso(),
            "result": if fire.error.is_empty() { "success" } else { "error" },
            "taskState": state.map_or("unknown", |state| state.as_str()),
            "error": fire.error,
        })
    });
    Ok(Reply::json(&Page {
        last_fires: fires.collect(),
        continuation_token,
    }))
}
