//! Tasks by what they have in common.

use std::sync::Arc;

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use taskyard_engine::task::{self, Group, Place, Refusal, group_key};
use taskyard_store::{Error, Tx};

use super::Queue;
use super::status::{room_for, tasks_reply, write_task, written_tasks_reply};
use super::tasks::load;
use crate::call::Call;
use crate::error::ApiError;
use crate::paging;
use crate::reply::Reply;
use taskyard_access::Param;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupBody<'a> {
    task_group_id: &'a str,
    scheduler_id: &'a str,
    expires: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
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
            continuation_token: None,
        }
    }
}

pub(super) async fn get_task_group(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let id = call.param("taskGroupId").to_owned();
    let group = queue.store.read(move |tx| task::group(tx, &id)).await?;
    let group = group.ok_or_else(|| no_group(&call))?;
    Ok(Reply::json(&GroupBody::new(&group)))
}

/// The group that a call is about, if the caller may do with it what the method does.
pub(super) async fn authorized(queue: &Queue, call: &Call) -> Result<Group, ApiError> {
    let id = call.param("taskGroupId").to_owned();
    let group = queue.store.read(move |tx| task::group(tx, &id)).await?;
    let group = group.ok_or_else(|| no_group(call))?;
    call.authorize(&[("schedulerId", Param::from(group.scheduler_id.as_str()))])?;
    Ok(group)
}

pub(super) async fn seal_task_group(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let id = authorized(&queue, &call).await?.id;
    let now = queue.clock.now();
    let group = queue
        .store
        .write(group_key(&id), move |tx| task::seal(tx, now, &id))
        .await??;
    Ok(Reply::json(&GroupBody::new(&group)))
}

/// Tasks that are cancelled in one go, so that others get their turn in between.
const CANCELLED_AT_ONCE: usize = 50;

pub(super) async fn cancel_task_group(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        task_group_id: &'a str,
        task_group_size: usize,
        cancelled_count: usize,
        task_ids: &'a [String],
    }
    let group = authorized(&queue, &call).await?;
    if group.sealed.is_none() {
        return Err(Refusal::NotSealed(group.id).into());
    }
    let now = queue.clock.now();
    let mut cancelled = Vec::new();
    let mut after: Option<Place> = Some((false, 0));
    while let Some(place) = after {
        let id = group.id.clone();
        let portion = queue
            .store
            .write(group_key(&group.id), move |tx| {
                task::cancel_members(tx, now, &id, place, CANCELLED_AT_ONCE)
            })
            .await??;
        cancelled.extend(portion.changed.into_iter().map(|task| task.id));
        after = portion.next;
    }
    let id = group.id.clone();
    let size = queue.store.read(move |tx| task::group_size(tx, &id));
    Ok(Reply::json(&Body {
        task_group_id: &group.id,
        task_group_size: size.await?,
        cancelled_count: cancelled.len(),
        task_ids: &cancelled,
    }))
}

fn no_group(call: &Call) -> ApiError {
    Refusal::NoSuchGroup(call.param("taskGroupId").to_owned()).into()
}

/// The task behind which the next page of a group begins.
#[derive(Serialize, Deserialize)]
struct Behind {
    number: i64,
}

/// Portions of a page that are read at the same time: a store reads with two threads at least.
const READ_SIDE_BY_SIDE: usize = 2;

pub(super) async fn list_task_group(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let id = call.param("taskGroupId").to_owned();
    let limit = paging::limit(&call);
    let after: Behind = paging::position(&call, Behind { number: 0 })?;
    let (group, mut numbers) = queue
        .store
        .read(move |tx| {
            Ok((
                task::group(tx, &id)?,
                task::member_numbers(tx, &id, after.number, limit + 1)?,
            ))
        })
        .await?;
    let group = group.ok_or_else(|| no_group(&call))?;
    let continuation_token = paging::cut(&mut numbers, limit, |number| Behind { number: *number });
    let portion = numbers.len().div_ceil(READ_SIDE_BY_SIDE).max(1);
    let reads = numbers.chunks(portion).map(|numbers| {
        let (id, numbers) = (group.id.clone(), numbers.to_vec());
        queue.store.read(move |tx| write_members(tx, &id, &numbers))
    });
    let members = try_join_all(reads).await?;
    let group = GroupBody {
        continuation_token,
        ..GroupBody::new(&group)
    };
    written_tasks_reply(&group, &members)
}

/// Those of a group's tasks that have these numbers, as a listing has them.
fn write_members(tx: &mut Tx<'_>, group_id: &str, numbers: &[i64]) -> Result<Vec<u8>, Error> {
    let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else {
        return Ok(Vec::new());
    };
    let mut written = room_for(numbers.len());
    task::group_members(tx, group_id, *first..=*last, |task, definition| {
        write_task(&mut written, &task, definition);
        Ok(())
    })?;
    Ok(written)
}

pub(super) async fn list_dependent_tasks(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        task_id: &'a str,
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
    let body = Body {
        task_id: &required.id,
        continuation_token,
    };
    tasks_reply(&body, &dependents)
}
