//! Tasks are to be claimed sooner, or later.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use taskyard_access::Param;
use taskyard_engine::task::{self, Priority, group_key};
use taskyard_store::Error;

use super::Queue;
use super::groups::authorized;
use super::status::status_reply;
use super::tasks::load;
use crate::call::Call;
use crate::error::ApiError;
use crate::reply::Reply;

fn new_priority(call: &Call) -> Result<Priority, ApiError> {
    let text = call.text("newPriority");
    Priority::parse(text).ok_or_else(|| ApiError::input(format!("{text} is no priority")))
}

/// The definition with another priority, and all the rest as it was.
fn redefine(definition: &str, priority: Priority) -> Result<String, Error> {
    let broken = |error: serde_json::Error| Error::Statement(format!("a definition: {error}"));
    let mut fields: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(definition).map_err(broken)?;
    let priority = to_raw_value(priority.as_str()).map_err(broken)?;
    fields.insert("priority".to_owned(), priority);
    serde_json::to_string(&fields).map_err(broken)
}

pub(super) async fn change_task_priority(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let task = load(&queue, call.param("taskId")).await?;
    call.authorize(&[("taskQueueId", Param::from(task.task_queue_id.as_str()))])?;
    let priority = new_priority(&call)?;
    let (key, now) = (task.key(), queue.clock.now());
    let (task, _before) = queue
        .store
        .write(key, move |tx| {
            task::change_priority(tx, now, &task.id, priority, redefine)
        })
        .await??;
    Ok(status_reply(&task))
}

/// Tasks that are changed in one go, so that others get their turn in between.
const CHANGED_AT_ONCE: usize = 200;

pub(super) async fn change_task_group_priority(
    queue: Arc<Queue>,
    call: Call,
) -> Result<Reply, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        task_group_id: &'a str,
        scheduler_id: &'a str,
        new_priority: &'a str,
        tasks_affected: usize,
        task_ids: &'a [String],
    }
    let group = authorized(&queue, &call).await?;
    let priority = new_priority(&call)?;
    let now = queue.clock.now();
    let mut changed = Vec::new();
    let mut after = Some(0);
    while let Some(place) = after {
        let id = group.id.clone();
        let portion = queue
            .store
            .write(group_key(&group.id), move |tx| {
                let to = (priority, redefine as task::Redefine);
                task::change_group_priority(tx, now, &id, to, place, CHANGED_AT_ONCE)
            })
            .await?;
        changed.extend(portion.changed.into_iter().map(|task| task.id));
        after = portion.next.map(|(_, number)| number);
    }
    let (id, count) = (group.id.clone(), changed.len());
    queue
        .store
        .write(group_key(&group.id), move |tx| {
            task::announce_priority(tx, now, &id, priority, count)
        })
        .await?;
    Ok(Reply::json(&Body {
        task_group_id: &group.id,
        scheduler_id: &group.scheduler_id,
        new_priority: priority.as_str(),
        tasks_affected: changed.len(),
        task_ids: &changed,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_priority_of_a_definition_changes() {
        let text = r#"{"priority":"low","payload":{"n":1.10,"b":12345678901234567890123}}"#;
        let changed = redefine(text, Priority::VeryHigh).expect("a definition");
        assert!(changed.contains(r#""priority":"very-high""#), "{changed}");
        assert!(changed.contains(r#"{"n":1.10,"b":12345678901234567890123}"#));
    }
}
