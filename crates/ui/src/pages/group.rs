//! A group of tasks: how far it is, and every task of it.

use maud::{Markup, html};
use serde_json::{Value, json};
use taskyard_client::Timestamp;
use taskyard_client::taskcluster::{TaskAndStatus, TaskGroupPage, TaskState};

use crate::path::path;
use crate::shown::{button, more, queue_link, state, time_or_dash, took};
use crate::trouble::Trouble;
use crate::visit::{Sheet, Shown, Stale, Visit};

/// Tasks of one page: as many as the queue lists at once.
const TASKS: &str = "1000";
/// In the order of a bar.
const STATES: [TaskState; 6] = [
    TaskState::Completed,
    TaskState::Failed,
    TaskState::Exception,
    TaskState::Running,
    TaskState::Pending,
    TaskState::Unscheduled,
];

pub(crate) async fn page(visit: &Visit, group_id: &str) -> Result<Sheet, Trouble> {
    let here = path("/tasks/groups/{}", &[group_id]);
    let target = path("/api/queue/v1/task-group/{}/list", &[group_id]);
    let target = visit.listing(&target, TASKS, "continuationToken");
    let group: TaskGroupPage = visit.apis.get(&target).await?;
    let is_open = group.tasks.iter().any(|it| !it.status.state.is_resolved());
    let is_whole =
        visit.query("continuationToken").is_empty() && group.continuation_token.is_none();
    let main = html! {
        h1 { "Task group" }
        dl {
            dt { "Group" } dd.id { (group_id) }
            dt { "Scheduler" } dd { (group.scheduler_id.as_deref().unwrap_or("–")) }
            dt { "Sealed" } dd { (time_or_dash(group.sealed, visit.now)) }
            dt { "Expires" } dd { (time_or_dash(group.expires, visit.now)) }
        }
        div.actions {
            @if group.sealed.is_none() {
                (button(&format!("{here}/seal"), "Seal"))
                span.hint { "A sealed group takes no further tasks, and can be canceled as a whole." }
            } @else if is_open || !is_whole {
                (button(&format!("{here}/cancel"), "Cancel all"))
            }
        }
        (bar(&group.tasks))
        @if !is_whole {
            p.hint { "The group has more tasks than one page; counts are of this page." }
        }
        table {
            thead { tr {
                th { "Task" } th { "State" } th { "Queue" } th.number { "Runs" } th { "Took" }
            } }
            tbody {
                @for task in &group.tasks { (row(visit, task)) }
            }
        }
        (more(&here, "continuationToken", group.continuation_token.as_deref()))
    };
    Ok(Sheet {
        title: format!("Group {group_id}"),
        main,
        stale: stale(group_id),
    })
}

fn row(visit: &Visit, it: &TaskAndStatus) -> Markup {
    let status = &it.status;
    let name = match it.task.metadata.name.as_str() {
        "" => &status.task_id,
        name => name,
    };
    let queue = format!("{}/{}", status.provisioner_id, status.worker_type);
    let started: Option<Timestamp> = status.runs.iter().find_map(|run| run.started);
    let resolved = status
        .state
        .is_resolved()
        .then(|| status.runs.last().and_then(|run| run.resolved))
        .flatten();
    html! {
        tr {
            td { a href=(path("/tasks/{}", &[&status.task_id])) { (name) } }
            td { (state(status.state.as_str())) }
            td { (queue_link(&queue)) }
            td.number { (status.runs.len()) }
            td { (took(started, resolved, visit.now)) }
        }
    }
}

/// How many tasks are in which state, as a bar and in words.
fn bar(tasks: &[TaskAndStatus]) -> Markup {
    let count = |state: TaskState| tasks.iter().filter(|it| it.status.state == state).count();
    let mut from = 0;
    let parts: Vec<(TaskState, usize, usize)> = STATES
        .iter()
        .map(|state| (*state, count(*state)))
        .filter(|(_, count)| *count > 0)
        .map(|(state, count)| {
            from += count;
            (state, from - count, count)
        })
        .collect();
    html! {
        svg.bar viewBox={ "0 0 " (tasks.len().max(1)) " 1" } preserveAspectRatio="none"
            role="img" aria-label="States of the tasks" {
            @for (state, from, count) in &parts {
                rect class=(state.as_str()) x=(from) width=(count) height="1" {}
            }
        }
        p.counts {
            @for (name, _, count) in &parts {
                span { (state(name.as_str())) " " (count) } " "
            }
        }
    }
}

/// Any change of a task of the group.
fn stale(group_id: &str) -> Stale {
    // Kind, task, run, worker group, worker, provisioner, worker type, scheduler, group, reserved.
    let pattern = format!("primary.*.*.*.*.*.*.*.{group_id}.#");
    let exchanges = [
        "task-defined",
        "task-pending",
        "task-running",
        "task-completed",
        "task-failed",
        "task-exception",
    ];
    let bindings = exchanges.map(|exchange| {
        (
            format!("exchange/taskcluster-queue/v1/{exchange}"),
            pattern.clone(),
        )
    });
    Stale::Upon(bindings.into())
}

/// Cancels all of its tasks, or seals it.
pub(crate) async fn act(visit: &Visit, group_id: &str, action: &str) -> Result<Shown, Trouble> {
    if !["cancel", "seal"].contains(&action) {
        return Err(Trouble::NoPage);
    }
    let target = path("/api/queue/v1/task-group/{}/{}", &[group_id, action]);
    let _group: Value = visit.apis.post(&target, &json!({})).await?;
    Ok(Shown::Elsewhere(path("/tasks/groups/{}", &[group_id])))
}
