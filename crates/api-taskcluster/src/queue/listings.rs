//! What waits in a queue, and what runs.

use std::sync::Arc;

use taskyard_engine::Timestamp;
use taskyard_engine::task::{self, ClaimedPlace, Listed};
use taskyard_events::json::{Object, write_array};

use super::Queue;
use super::status::{put_time, room_for};
use crate::call::Call;
use crate::error::ApiError;
use crate::paging;
use crate::reply::Reply;

/// The answer `{tasks, continuationToken}`. Each task's id, last run and definition are told, and
/// what `write` adds.
fn reply<'a, T>(
    tasks: impl ExactSizeIterator<Item = (&'a Listed, T)>,
    continuation_token: Option<&str>,
    mut write: impl FnMut(&mut Object<'_>, T),
) -> Reply {
    let mut text = room_for(tasks.len());
    let mut body = Object::begin(&mut text);
    write_array(body.member("tasks"), tasks, |into, (listed, more)| {
        let mut item = Object::begin(into);
        item.text("taskId", &listed.task.id);
        item.number("runId", last_run(listed) as i64);
        write(&mut item, more);
        item.json("task", &listed.definition);
        item.end();
    });
    body.maybe("continuationToken", continuation_token);
    body.end();
    Reply::json_text(text)
}

fn last_run(listed: &Listed) -> usize {
    listed.task.runs.len().saturating_sub(1)
}

pub(super) async fn list_pending_tasks(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let (id, now) = (call.param("taskQueueId").to_owned(), call.now);
    let limit = paging::limit(&call);
    let (time, number): (i64, i64) = paging::position(&call, (i64::MIN, 0))?;
    let after = (Timestamp(time), number);
    let mut runs = queue
        .store
        .read(move |tx| task::pending_runs(tx, now, &id, after, limit + 1))
        .await?;
    let continuation_token = paging::cut(&mut runs, limit, |run| (run.since.0, run.number));
    Ok(reply(
        runs.iter().map(|run| (&run.listed, run.since)),
        continuation_token.as_deref(),
        |item, since| put_time(item, "inserted", since),
    ))
}

pub(super) async fn list_claimed_tasks(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    fn place(listed: &Listed) -> (i64, String) {
        let started = listed.task.runs.last().and_then(|run| run.started);
        (started.map_or(i64::MIN, |at| at.0), listed.task.id.clone())
    }
    let id = call.param("taskQueueId").to_owned();
    let limit = paging::limit(&call);
    let (time, task_id): (i64, String) = paging::position(&call, (i64::MIN, String::new()))?;
    let after: ClaimedPlace = (Timestamp(time), task_id);
    let mut runs = queue
        .store
        .read(move |tx| task::claimed_runs(tx, &id, &after, limit + 1))
        .await?;
    let continuation_token = paging::cut(&mut runs, limit, place);
    let claims: Vec<_> = runs
        .iter()
        .filter_map(|listed| {
            let run = listed.task.runs.last()?;
            Some((listed, (run.worker.as_ref()?, run.started?)))
        })
        .collect();
    Ok(reply(
        claims.into_iter(),
        continuation_token.as_deref(),
        |item, (worker, started)| {
            item.text("workerGroup", &worker.group);
            item.text("workerId", &worker.id);
            put_time(item, "claimed", started);
        },
    ))
}
