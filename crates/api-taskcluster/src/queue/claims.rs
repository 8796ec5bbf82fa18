//! Workers take runs and keep them.

use std::sync::Arc;
use std::time::Duration;

use taskyard_access::Param;
use taskyard_access::temporary::{self, TemporaryCredentials};
use taskyard_engine::task::{self, Claimed, Task, Worker};
use taskyard_engine::task_queue::KEPT;
use taskyard_engine::{Timestamp, lease, task_queue, worker as workers};
use taskyard_events::json::{Object, write_array};
use taskyard_store::Key;

use super::Queue;
use super::status::{put_time, room_for, write_status};
use super::tasks::{load, queue_parameters, task_key};
use crate::call::Call;
use crate::error::ApiError;
use crate::reply::Reply;

/// How long claimWork waits for work.
const LONG_POLL: Duration = Duration::from_secs(20);

/// What a worker is told about a run it has.
struct ClaimBody<'a> {
    task: &'a Task,
    run_id: usize,
    worker: &'a Worker,
    taken_until: Timestamp,
    definition: Option<&'a str>,
    credentials: TemporaryCredentials,
}

impl<'a> ClaimBody<'a> {
    /// `definition` is what the task is given scopes from; it is part of the answer if `with_task`.
    fn new(
        queue: &Queue,
        now: Timestamp,
        task: &'a Task,
        run_id: usize,
        definition: &'a str,
        with_task: bool,
    ) -> Result<Self, ApiError> {
        let run = task.runs.get(run_id);
        let (Some(worker), Some(taken_until)) = (
            run.and_then(|run| run.worker.as_ref()),
            run.and_then(|run| run.taken_until),
        ) else {
            return Err(ApiError::internal("a claimed run has no worker"));
        };
        Ok(ClaimBody {
            task,
            run_id,
            worker,
            taken_until,
            definition: with_task.then_some(definition),
            credentials: credentials(queue, now, task, run_id, worker, taken_until, definition)?,
        })
    }

    fn write(&self, into: &mut Vec<u8>) {
        let mut body = Object::begin(into);
        write_status(body.member("status"), self.task);
        body.number("runId", self.run_id as i64);
        body.text("workerGroup", &self.worker.group);
        body.text("workerId", &self.worker.id);
        put_time(&mut body, "takenUntil", self.taken_until);
        if let Some(definition) = self.definition {
            body.json("task", definition);
        }
        let mut credentials = Object::begin(body.member("credentials"));
        credentials.text("clientId", &self.credentials.client_id);
        credentials.text("accessToken", self.credentials.access_token.expose());
        credentials.text("certificate", &self.credentials.certificate);
        credentials.end();
        body.end();
    }

    fn reply(&self) -> Reply {
        let mut text = room_for(ROOM);
        self.write(&mut text);
        Reply::json_text(text)
    }
}

/// Room for a claim, in tasks of a listing: credentials take as much as a task.
const ROOM: usize = 2;

/// Temporary credentials with which a worker, and the task itself, may act until `taken_until`.
fn credentials(
    queue: &Queue,
    now: Timestamp,
    task: &Task,
    run_id: usize,
    worker: &Worker,
    taken_until: Timestamp,
    definition: &str,
) -> Result<TemporaryCredentials, ApiError> {
    #[derive(serde::Deserialize)]
    struct Scopes {
        #[serde(default)]
        scopes: Vec<String>,
    }
    let issuer = queue
        .issuer()
        .ok_or_else(|| ApiError::internal(format!("the client {} is missing", super::ISSUER)))?;
    let id = &task.id;
    let mut scopes = vec![
        format!("queue:reclaim-task:{id}/{run_id}"),
        format!("queue:resolve-task:{id}/{run_id}"),
        format!("queue:create-artifact:{id}/{run_id}"),
    ];
    let own: Scopes = serde_json::from_str(definition).map_err(ApiError::internal)?;
    scopes.extend(own.scopes);
    let name = format!(
        "task-client/{id}/{run_id}/on/{}/{}/until/{}",
        worker.group,
        worker.id,
        seconds(taken_until)
    );
    temporary::create(
        &issuer.client_id,
        issuer.access_token.expose(),
        Some(&name),
        now.millis(),
        taken_until.millis(),
        &scopes,
        &temporary::new_seed(),
    )
    .map_err(ApiError::internal)
}

/// Seconds since the epoch, with a fraction only where there is one, as JavaScript prints numbers.
fn seconds(time: Timestamp) -> String {
    let millis = time.millis();
    let (whole, rest) = (millis.div_euclid(1000), millis.rem_euclid(1000));
    if rest == 0 {
        return whole.to_string();
    }
    let text = format!("{whole}.{rest:03}");
    text.trim_end_matches('0').to_owned()
}

fn worker(call: &Call) -> Worker {
    Worker {
        group: call.text("workerGroup").to_owned(),
        id: call.text("workerId").to_owned(),
    }
}

fn worker_parameters(worker: &Worker) -> [(&'static str, Param<'_>); 2] {
    [
        ("workerGroup", Param::from(worker.group.as_str())),
        ("workerId", Param::from(worker.id.as_str())),
    ]
}

pub(super) async fn claim_work(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let worker = worker(&call);
    call.authorize(&worker_parameters(&worker))?;
    let count = call
        .payload
        .get("tasks")
        .and_then(serde_json::Value::as_f64)
        .unwrap_or(1.0);
    let (now, claimed) = wait_for_work(&queue, &call, worker, count as usize).await?;
    let tasks = claimed
        .iter()
        .map(|claim| {
            ClaimBody::new(
                &queue,
                now,
                &claim.task,
                claim.run_id,
                &claim.definition,
                true,
            )
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut text = room_for(tasks.len() * ROOM);
    let mut body = Object::begin(&mut text);
    write_array(
        body.member("tasks"),
        &tasks,
        |into, claim: &ClaimBody<'_>| {
            claim.write(into);
        },
    );
    body.end();
    Ok(Reply::json_text(text))
}

/// Claims as soon as there is anything to claim; empty after [`LONG_POLL`], or when the server
/// shuts down. A worker that is quarantined waits as long, and gets nothing. A caller that goes away drops this future, and with it the wait.
async fn wait_for_work(
    queue: &Queue,
    call: &Call,
    worker: Worker,
    count: usize,
) -> Result<(Timestamp, Vec<Claimed>), ApiError> {
    let task_queue_id: Arc<str> = call.param("taskQueueId").into();
    let topic = lease::Queue::runs(&task_queue_id).topic();
    let worker = Arc::new(worker);
    let give_up = tokio::time::sleep(LONG_POLL);
    tokio::pin!(give_up);
    // Registered before the first look, so that nothing is missed between a look and the wait.
    let mut waiter = queue.store.wait_for(topic);
    let mut is_new = true;
    loop {
        let now = queue.clock.now().trunc_millis();
        let until = now.plus(queue.claim_timeout);
        let (id, holder) = (Arc::clone(&task_queue_id), Arc::clone(&worker));
        let sighting = is_new && queue.sightings.is_due(now, &id, Some(&worker));
        let claimed = queue
            .store
            .write(Key::of(&*task_queue_id), move |tx| {
                if sighting {
                    workers::seen(tx, now, &id, &holder)?;
                }
                task::claim_work(tx, now, &id, &holder, count, until)
            })
            .await?;
        if sighting {
            queue.sightings.note(now, &task_queue_id, Some(&worker));
        }
        is_new = false;
        let Ok(claimed) = claimed else {
            // What this one may not have, the next in line may.
            drop(waiter);
            queue.store.pass_on(topic);
            tokio::select! {
                () = &mut give_up => {}
                () = queue.draining.cancelled() => {}
            }
            return Ok((now, Vec::new()));
        };
        if !claimed.is_empty() {
            if claimed.len() == count {
                // There may be more than this caller asked for.
                queue.store.pass_on(topic);
            }
            return Ok((now, claimed));
        }
        tokio::select! {
            () = waiter.woken() => {}
            () = &mut give_up => return Ok((now, claimed)),
            () = queue.draining.cancelled() => return Ok((now, claimed)),
        }
    }
}

pub(super) async fn claim_task(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let task = load(&queue, call.param("taskId")).await?;
    let worker = worker(&call);
    let parameters = [queue_parameters(&task), worker_parameters(&worker)].concat();
    call.authorize(&parameters)?;
    let (run_id, key) = (call.run_id(), task.key());
    let now = queue.clock.now().trunc_millis();
    let until = now.plus(queue.claim_timeout);
    let id = task.task_queue_id.clone();
    let sighting = queue.sightings.is_due(now, &id, None);
    let claimed = queue
        .store
        .write(key, move |tx| {
            if sighting {
                task_queue::seen(tx, now, &task.task_queue_id, KEPT)?;
            }
            task::claim_run(tx, now, &task.id, run_id, &worker, until)
        })
        .await?;
    if sighting {
        queue.sightings.note(now, &id, None);
    }
    let claimed = claimed?;
    let body = ClaimBody::new(
        &queue,
        now,
        &claimed.task,
        claimed.run_id,
        &claimed.definition,
        true,
    )?;
    Ok(body.reply())
}

/// Who has a run.
fn holder(task: &Task, run_id: usize) -> Option<&Worker> {
    task.runs.get(run_id).and_then(|run| run.worker.as_ref())
}

pub(super) async fn reclaim_task(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let task_id = call.param("taskId").to_owned();
    let run_id = call.run_id();
    let now = queue.clock.now().trunc_millis();
    let until = now.plus(queue.claim_timeout);
    let sightings = Arc::clone(&queue.sightings);
    let (task, text) = queue
        .store
        .write(task_key(&task_id), move |tx| {
            let reclaimed = task::reclaim(tx, now, &task_id, run_id, until)?;
            if let Ok(task) = &reclaimed
                && let Some(worker) = holder(task, run_id)
                && sightings.is_due(now, &task.task_queue_id, Some(worker))
            {
                workers::seen(tx, now, &task.task_queue_id, worker)?;
            }
            let text = task::load_definition(tx, &task_id)?;
            Ok(reclaimed.map(|task| (task, text)))
        })
        .await??;
    if let Some(worker) = holder(&task, run_id) {
        // Perhaps it was no longer ago; then it is looked up a little sooner than it need be.
        let id = &task.task_queue_id;
        if queue.sightings.is_due(now, id, Some(worker)) {
            queue.sightings.note(now, id, Some(worker));
        }
    }
    let text = text.ok_or_else(|| ApiError::internal("a task has no definition"))?;
    Ok(ClaimBody::new(&queue, now, &task, run_id, &text, false)?.reply())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_claim_is_told_in_seconds_without_needless_digits() {
        assert_eq!(
            seconds(Timestamp::from_millis(1_772_360_405_250)),
            "1772360405.25"
        );
        assert_eq!(
            seconds(Timestamp::from_millis(1_772_360_405_000)),
            "1772360405"
        );
        assert_eq!(
            seconds(Timestamp::from_millis(1_772_360_400_000)),
            "1772360400"
        );
    }
}
