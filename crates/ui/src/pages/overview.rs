//! The first page: every task queue, and what waits in it.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};
use taskyard_client::Timestamp;

use crate::path::path;
use crate::shown::{more, nothing, queue_link, time};
use crate::trouble::Trouble;
use crate::visit::{Sheet, Shown, Stale, Visit};

/// Queues of one page.
const QUEUES: &str = "100";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    task_queues: Vec<TaskQueue>,
    continuation_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TaskQueue {
    task_queue_id: String,
    last_date_active: Timestamp,
}

/// How full a task queue is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counts {
    task_queue_id: String,
    pub(crate) pending_tasks: u64,
    pub(crate) claimed_tasks: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counted {
    task_queue_counts: Vec<Counts>,
}

pub(crate) async fn page(visit: &Visit) -> Result<Sheet, Trouble> {
    let sections = [
        task_queues(visit).await,
        super::cloud::section(visit).await,
        super::claims::section(visit).await,
    ];
    let mut shown = Vec::new();
    let mut refusal = None;
    for section in sections {
        match section {
            Ok(section) => shown.extend(section),
            Err(trouble) if trouble.is_about_rights() => refusal = Some(trouble),
            Err(trouble) => return Err(trouble),
        }
    }
    let main = html! {
        h1 { "Queues" }
        @for section in &shown { (section) }
        @if let Some(refusal) = &refusal {
            p.hint { "There may be more that you may not see." }
            details id="refusal" { summary { "Why" } p.reason { (refusal.message()) } }
        } @else if shown.is_empty() {
            (nothing("Nothing waits, and nobody has asked for work yet."))
            (first_steps())
        }
    };
    Ok(Sheet {
        title: "Queues".to_owned(),
        main,
        stale: Stale::After(2),
    })
}

async fn task_queues(visit: &Visit) -> Result<Option<Markup>, Trouble> {
    let target = visit.listing("/api/queue/v1/task-queues", QUEUES, "continuationToken");
    let listed: Listed = visit.apis.get(&target).await?;
    let queues = &listed.task_queues;
    if queues.is_empty() {
        return Ok(None);
    }
    let ids: Vec<&str> = queues
        .iter()
        .map(|queue| queue.task_queue_id.as_str())
        .collect();
    let target = "/api/queue/v1/task-queues/counts";
    let counted: Counted = visit
        .apis
        .post(target, &json!({ "taskQueueIds": ids }))
        .await?;
    let counts = |id: &str| {
        let all = &counted.task_queue_counts;
        all.iter().find(|counts| counts.task_queue_id == id)
    };
    Ok(Some(html! {
        h2 { "Task queues" }
        table {
            thead { tr {
                th { "Queue" } th.number { "Pending" } th.number { "Claimed" } th { "Last active" }
            } }
            tbody {
                @for queue in queues {
                    @let counts = counts(&queue.task_queue_id);
                    tr {
                        td { (queue_link(&queue.task_queue_id)) }
                        td.number { @if let Some(counts) = counts { (counts.pending_tasks) } }
                        td.number { @if let Some(counts) = counts { (counts.claimed_tasks) } }
                        td { (time(queue.last_date_active, visit.now)) }
                    }
                }
            }
        }
        (more("/", "continuationToken", listed.continuation_token.as_deref()))
    }))
}

/// Counts what waits and runs.
pub(crate) async fn counts(visit: &Visit, task_queue_id: &str) -> Result<Counts, Trouble> {
    let target = path("/api/queue/v1/task-queues/{}/counts", &[task_queue_id]);
    visit.apis.get(&target).await
}

fn first_steps() -> Markup {
    html! {
        p { "Run a few tasks on this machine:" }
        pre { code { "taskyard run examples/build.yml" } }
    }
}

/// Leads to whatever has this id: a task, or else a group.
pub(crate) async fn find(visit: &Visit) -> Result<Shown, Trouble> {
    let id = visit.query("id").trim();
    if id.is_empty() {
        return Ok(Shown::Elsewhere("/".to_owned()));
    }
    let target = path("/api/queue/v1/task/{}/status", &[id]);
    let found: Result<Option<Value>, Trouble> = visit.apis.find(&target).await;
    Ok(Shown::Elsewhere(match found {
        Ok(Some(_)) => path("/tasks/{}", &[id]),
        // The page of the group says it if there is none of this id either.
        Ok(None) | Err(_) => path("/tasks/groups/{}", &[id]),
    }))
}
