//! Tasks by what they have in common.

use std::sync::Arc;

use serde::Serialize;
use taskyard_engine::task::{self, Listed, Refusal};

use super::Queue;
use super::status::DefinitionAndStatus;
use super::tasks::load;
use crate::call::Call;
use crate::error::ApiError;
use crate::paging;
use crate::reply::Reply;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupBody<'a> {
    task_group_id: &'a str,
    scheduler_id: &'a str,
    expires: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks: Option<Vec<DefinitionAndStatus<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continuation_token: Option<String>,
}

impl<'a> GroupBody<'a> {
    fn new(group: &'a task::Group) -> Self {
        GroupBody {
            task_group_id: &group.id,
            scheduler_id: &group.scheduler_id,
            expires: group.expires.to_iso(),
            sealed: group.sealed.map(taskyard_engine::Timestamp::to_iso),
            tasks: None,
            continuation_token: None,
        }
    }
}

fn bodies(listed: &[Listed]) -> Result<Vec<DefinitionAndStatus<'_>>, ApiError> {
    listed.iter().map(DefinitionAndStatus::new).collect()
}

pub(super) async fn get_task_group(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let id = call.param("taskGroupId").to_owned();
    let group = queue.store.read(move |tx| task::group(tx, &id)).await?;
    let group = group.ok_or_else(|| no_group(&call))?;
    Ok(Reply::json(&GroupBody::new(&group)))
}

fn no_group(call: &Call) -> ApiError {
    Refusal::NoSuchGroup(call.param("taskGroupId").to_owned()).into()
}

pub(super) async fn list_task_group(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let id = call.param("taskGroupId").to_owned();
    let limit = paging::limit(&call);
    let after: String = paging::position(&call, String::new())?;
    let (group, mut members) = queue
        .store
        .read(move |tx| {
            Ok((
                task::group(tx, &id)?,
                task::group_members(tx, &id, &after, limit + 1)?,
            ))
        })
        .await?;
    let group = group.ok_or_else(|| no_group(&call))?;
    let token = paging::cut(&mut members, limit, |listed| listed.task.id.clone());
    Ok(Reply::json(&GroupBody {
        tasks: Some(bodies(&members)?),
        continuation_token: token,
        ..GroupBody::new(&group)
    }))
}

pub(super) async fn list_dependent_tasks(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        task_id: &'a str,
        tasks: Vec<DefinitionAndStatus<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        continuation_token: Option<String>,
    }
    let required = load(&queue, call.param("taskId")).await?;
    let limit = paging::limit(&call);
    let after: String = paging::position(&call, String::new())?;
    let (id, now) = (required.id.clone(), call.now);
    let mut dependents = queue
        .store
        .read(move |tx| task::dependents(tx, now, &id, &after, limit + 1))
        .await?;
    let continuation_token = paging::cut(&mut dependents, limit, |listed| listed.task.id.clone());
    let tasks = bodies(&dependents)?;
    Ok(Reply::json(&Body {
        task_id: &required.id,
        tasks,
        continuation_token,
    }))
}
