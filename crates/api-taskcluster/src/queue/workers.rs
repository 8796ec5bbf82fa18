//! Workers: who they are, what they claimed, and whether they get work.

use std::sync::Arc;

use serde::Serialize;
use taskyard_engine::task::Worker;
use taskyard_engine::worker::{self, Listing, Quarantine, RecentRun, Record};
use taskyard_engine::{Timestamp, task_queue};
use taskyard_store::{Error, Key, Tx};

use super::Queue;
use super::status::split_queue_id;
use super::task_queues::{authorize_properties, moment, paged, queue_id};
use crate::call::Call;
use crate::error::ApiError;
use crate::paging;
use crate::reply::Reply;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunBody<'a> {
    task_id: &'a str,
    run_id: usize,
}

impl<'a> RunBody<'a> {
    fn new(run: &'a RecentRun) -> Self {
        RunBody {
            task_id: &run.task_id,
            run_id: run.run_id,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QuarantineBody<'a> {
    client_id: &'a str,
    updated_at: String,
    quarantine_until: String,
    quarantine_info: &'a str,
}

/// All that is known of one worker.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WorkerBody<'a> {
    provisioner_id: &'a str,
    worker_type: &'a str,
    task_queue_id: &'a str,
    worker_group: &'a str,
    worker_id: &'a str,
    recent_tasks: Vec<RunBody<'a>>,
    expires: String,
    quarantine_until: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    quarantine_details: Vec<QuarantineBody<'a>>,
    first_claim: String,
    last_date_active: String,
    /// Nobody can declare any, and old clients look for them.
    actions: [(); 0],
}

/// A worker with its quarantines.
type Known = (Record, Vec<Quarantine>);

fn body((record, quarantines): &Known) -> WorkerBody<'_> {
    let (provisioner_id, worker_type) = split_queue_id(&record.task_queue_id);
    WorkerBody {
        provisioner_id,
        worker_type,
        task_queue_id: &record.task_queue_id,
        worker_group: &record.worker.group,
        worker_id: &record.worker.id,
        recent_tasks: record.recent.iter().map(RunBody::new).collect(),
        expires: record.expires.to_iso(),
        quarantine_until: record.quarantine_until.to_iso(),
        quarantine_details: quarantines
            .iter()
            .map(|quarantine| QuarantineBody {
                client_id: &quarantine.client_id,
                updated_at: quarantine.updated_at.to_iso(),
                quarantine_until: quarantine.until.to_iso(),
                quarantine_info: &quarantine.reason,
            })
            .collect(),
        first_claim: record.first_claim.to_iso(),
        last_date_active: record.last_active.to_iso(),
        actions: [],
    }
}

/// The worker that a call is about.
fn named(call: &Call) -> Worker {
    Worker {
        group: call.param("workerGroup").to_owned(),
        id: call.param("workerId").to_owned(),
    }
}

fn unknown(task_queue_id: &str, worker: &Worker) -> ApiError {
    ApiError::not_found(format!(
        "Worker {}/{} of {task_queue_id} is not known: it did not ask for work lately.",
        worker.group, worker.id
    ))
}

pub(super) async fn list_workers(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Item<'a> {
        worker_group: &'a str,
        worker_id: &'a str,
        first_claim: String,
        last_date_active: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        latest_task: Option<RunBody<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        quarantine_until: Option<String>,
    }
    let (id, now, limit) = (queue_id(&call), call.now, paging::limit(&call));
    let listing = match call.query("quarantined") {
        None => Listing::All,
        Some("true") => Listing::Quarantined,
        Some(_) => Listing::Free,
    };
    let (group, worker_id): (String, String) =
        paging::position(&call, (String::new(), String::new()))?;
    let after = Worker {
        group,
        id: worker_id,
    };
    let mut found = queue
        .store
        .read(move |tx| worker::workers(tx, now, &id, listing, &after, limit + 1))
        .await?;
    let token = paging::cut(&mut found, limit, |record| {
        (record.worker.group.clone(), record.worker.id.clone())
    });
    let items: Vec<_> = found
        .iter()
        .map(|record| Item {
            worker_group: &record.worker.group,
            worker_id: &record.worker.id,
            first_claim: record.first_claim.to_iso(),
            last_date_active: record.last_active.to_iso(),
            latest_task: record.recent.last().map(RunBody::new),
            quarantine_until: record
                .is_quarantined(now)
                .then(|| record.quarantine_until.to_iso()),
        })
        .collect();
    Ok(Reply::json(&paged("workers", &items, token)))
}

pub(super) async fn get_worker(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let (id, worker, now) = (queue_id(&call), named(&call), call.now);
    let (wanted, holder) = (id.clone(), worker.clone());
    let found = queue
        .store
        .read(move |tx| {
            if task_queue::task_queue(tx, now, &wanted)?.is_none() {
                return Ok(None);
            }
            worker::worker(tx, now, &wanted, &holder)
        })
        .await?;
    let found = found.ok_or_else(|| unknown(&id, &worker))?;
    Ok(Reply::json(&body(&found)))
}

/// Does something to a worker; `None` if it is not known.
type Change = fn(&mut Tx<'_>, Timestamp, &str, &Worker, &Wanted) -> Result<bool, Error>;

/// What is wanted of a worker.
#[derive(Debug, Clone)]
struct Wanted {
    until: Timestamp,
    client_id: String,
    reason: String,
}

async fn change(
    queue: &Queue,
    call: &Call,
    wanted: Wanted,
    change: Change,
) -> Result<Reply, ApiError> {
    let (id, worker) = (queue_id(call), named(call));
    let now = queue.clock.now().trunc_millis();
    let (key, holder) = (id.clone(), worker.clone());
    let found = queue
        .store
        .write(Key::of(&id), move |tx| {
            if !change(tx, now, &key, &holder, &wanted)? {
                return Ok(None);
            }
            worker::worker(tx, now, &key, &holder)
        })
        .await?;
    let found = found.ok_or_else(|| unknown(&id, &worker))?;
    Ok(Reply::json(&body(&found)))
}

pub(super) async fn quarantine_worker(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let until = moment(&call, "quarantineUntil")?
        .ok_or_else(|| ApiError::input("`quarantineUntil` is missing"))?;
    let reason = match call.text("quarantineInfo") {
        "" => "[unspecified]",
        reason => reason,
    };
    let wanted = Wanted {
        until,
        client_id: call.caller.client_id.clone().unwrap_or_default(),
        reason: reason.to_owned(),
    };
    change(&queue, &call, wanted, |tx, now, id, worker, wanted| {
        let quarantine = Quarantine {
            client_id: wanted.client_id.clone(),
            updated_at: now,
            until: wanted.until,
            reason: wanted.reason.clone(),
        };
        worker::quarantine(tx, now, id, worker, &quarantine)
    })
    .await
}

pub(super) async fn declare_worker(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    authorize_properties(&call)?;
    let id = queue_id(&call);
    if !crate::parameter::TASK_QUEUE_ID.matches(&id) {
        return Err(ApiError::input(format!(
            "{id} cannot be the name of a task queue"
        )));
    }
    let default = call.now.plus(task_queue::KEPT_FOR_WORKER);
    let wanted = Wanted {
        until: moment(&call, "expires")?.unwrap_or(default),
        client_id: String::new(),
        reason: String::new(),
    };
    change(&queue, &call, wanted, |tx, now, id, worker, wanted| {
        worker::declare(tx, now, id, worker, wanted.until)?;
        Ok(true)
    })
    .await
}
