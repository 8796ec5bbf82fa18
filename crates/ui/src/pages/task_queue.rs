//! A task queue: what waits, what runs, and who works.

use maud::{Markup, html};
use serde::Deserialize;
use taskyard_client::Timestamp;
use taskyard_client::taskcluster::TaskDefinition;

use super::overview::counts;
use crate::path::path;
use crate::shown::{more, nothing, task_link, time, time_or_dash, word};
use crate::trouble::Trouble;
use crate::visit::{Sheet, Stale, Visit};

/// Tasks and workers of one page.
const ROWS: &str = "100";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tasks {
    tasks: Vec<Waiting>,
    continuation_token: Option<String>,
}

/// A task that waits or runs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Waiting {
    task_id: String,
    #[serde(alias = "claimed")]
    inserted: Timestamp,
    worker_group: Option<String>,
    worker_id: Option<String>,
    task: TaskDefinition,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Workers {
    workers: Vec<Worker>,
    continuation_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Worker {
    #[serde(rename = "workerGroup")]
    group: String,
    #[serde(rename = "workerId")]
    id: String,
    first_claim: Timestamp,
    last_date_active: Option<Timestamp>,
    quarantine_until: Option<Timestamp>,
    latest_task: Option<LatestTask>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LatestTask {
    task_id: String,
}

pub(crate) async fn page(
    visit: &Visit,
    provisioner: &str,
    worker_type: &str,
) -> Result<Sheet, Trouble> {
    let id = format!("{provisioner}/{worker_type}");
    let here = path(
        "/provisioners/{}/worker-types/{}",
        &[provisioner, worker_type],
    );
    let of_queue = |list: &str| {
        let target = path("/api/queue/v1/task-queues/{}/{}", &[&id, list]);
        visit.listing(&target, ROWS, list)
    };
    let pending: Tasks = visit.apis.get(&of_queue("pending")).await?;
    let claimed: Tasks = visit.apis.get(&of_queue("claimed")).await?;
    let target = format!("/api/queue/v1{here}/workers");
    let target = visit.listing(&target, ROWS, "workers");
    let workers: Workers = visit.apis.get(&target).await?;
    let counts = counts(visit, &id).await?;
    let main = html! {
        h1 { (id) }
        p { (counts.pending_tasks) " pending, " (counts.claimed_tasks) " claimed" }
        h2 { "Claimed" }
        (tasks(visit, &claimed, "Claimed", "No worker runs a task of this queue."))
        (more(&here, "claimed", claimed.continuation_token.as_deref()))
        h2 { "Pending" }
        (tasks(visit, &pending, "Since", "Nothing waits."))
        (more(&here, "pending", pending.continuation_token.as_deref()))
        h2 { "Workers" }
        (crew(visit, &workers))
        (more(&here, "workers", workers.continuation_token.as_deref()))
    };
    Ok(Sheet {
        title: id,
        main,
        stale: Stale::After(2),
    })
}

fn tasks(visit: &Visit, listed: &Tasks, since: &str, empty: &str) -> Markup {
    html! {
        @if listed.tasks.is_empty() {
            (nothing(empty))
        } @else {
            table {
                thead { tr { th { "Task" } th { "Priority" } th { "Worker" } th { (since) } } }
                tbody {
                    @for it in &listed.tasks {
                        tr {
                            td { a href=(path("/tasks/{}", &[&it.task_id])) { (it.task.metadata.name) } }
                            td { (it.task.priority.map_or("lowest".to_owned(), word)) }
                            td { (named(it.worker_group.as_deref(), it.worker_id.as_deref())) }
                            td { (time(it.inserted, visit.now)) }
                        }
                    }
                }
            }
        }
    }
}

fn named(group: Option<&str>, id: Option<&str>) -> String {
    match (group, id) {
        (Some(group), Some(id)) => format!("{group}/{id}"),
        _ => "–".to_owned(),
    }
}

fn crew(visit: &Visit, listed: &Workers) -> Markup {
    html! {
        @if listed.workers.is_empty() {
            (nothing("No worker has claimed a task of this queue."))
        } @else {
            table {
                thead { tr {
                    th { "Worker" } th { "First claim" } th { "Last active" } th { "Latest task" }
                    th { "Quarantined" }
                } }
                tbody {
                    @for worker in &listed.workers {
                        tr {
                            td { (worker.group) "/" (worker.id) }
                            td { (time(worker.first_claim, visit.now)) }
                            td { (time_or_dash(worker.last_date_active, visit.now)) }
                            td {
                                @if let Some(task) = &worker.latest_task {
                                    (task_link(&task.task_id))
                                }
                            }
                            td { (time_or_dash(worker.quarantine_until, visit.now)) }
                        }
                    }
                }
            }
        }
    }
}
