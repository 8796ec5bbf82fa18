//! What waits in a queue, and what runs.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use taskyard_engine::Timestamp;
use taskyard_engine::task::{self, ClaimedPlace, Listed};

use super::Queue;
use super::status::definition;
use crate::call::Call;
use crate::error::ApiError;
use crate::paging;
use crate::reply::Reply;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<T> {
    tasks: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continuation_token: Option<String>,
}

fn last_run(listed: &Listed) -> usize {
    listed.task.runs.len().saturating_sub(1)
}

pub(super) async fn list_pending_tasks(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Pending<'a> {
        task_id: &'a str,
        run_id: usize,
        task: &'a RawValue,
        inserted: String,
    }
    let (id, now) = (call.param("taskQueueId").to_owned(), call.now);
    let limit = paging::limit(&call);
    let (time, number): (i64, i64) = paging::position(&call, (i64::MIN, 0))?;
    let after = (Timestamp(time), number);
    let mut runs = queue
        .store
        .read(move |tx| task::pending_runs(tx, now, &id, after, limit + 1))
        .await?;
    let continuation_token = paging::cut(&mut runs, limit, |run| (run.since.0, run.number));
    let tasks = runs
        .iter()
        .map(|run| {
            Ok(Pending {
                task_id: &run.listed.task.id,
                run_id: last_run(&run.listed),
                task: definition(&run.listed.definition)?,
                inserted: run.since.to_iso(),
            })
        })
        .collect::<Result<_, ApiError>>()?;
    Ok(Reply::json(&Body {
        tasks,
        continuation_token,
    }))
}

pub(super) async fn list_claimed_tasks(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Running<'a> {
        task_id: &'a str,
        run_id: usize,
        worker_group: &'a str,
        worker_id: &'a str,
        claimed: String,
        task: &'a RawValue,
    }
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
    let mut tasks = Vec::new();
    for listed in &runs {
        let run = listed.task.runs.last();
        let (worker, started) = (
            run.and_then(|run| run.worker.as_ref()),
            run.and_then(|run| run.started),
        );
        if let (Some(worker), Some(started)) = (worker, started) {
            tasks.push(Running {
                task_id: &listed.task.id,
                run_id: last_run(listed),
                worker_group: &worker.group,
                worker_id: &worker.id,
                claimed: started.to_iso(),
                task: definition(&listed.definition)?,
            });
        }
    }
    Ok(Reply::json(&Body {
        tasks,
        continuation_token,
    }))
}
