//! A task: where it stands, its runs, what they left behind, and what it is made of.

use maud::{Markup, html};
use serde_json::{Value, json};
use taskyard_client::taskcluster::{
    ArtifactsPage, DependentsPage, Run, TaskDefinition, TaskState, TaskStatus, TaskStatusResponse,
};

use crate::path::{below, path, with_query};
use crate::shown::{
    address, button, more, nothing, pretty, queue_link, state, task_link, time, time_or_dash, took,
    word,
};
use crate::trouble::Trouble;
use crate::visit::{Sheet, Shown, Stale, Visit};

/// Tasks that a page lists of those that wait for this one.
const DEPENDENTS: &str = "50";
/// Artifacts that a page lists.
const ARTIFACTS: &str = "200";

pub(crate) async fn page(visit: &Visit, task_id: &str) -> Result<Sheet, Trouble> {
    let task = path("/api/queue/v1/task/{}", &[task_id]);
    let found: TaskStatusResponse = visit.apis.get(&format!("{task}/status")).await?;
    let status = found.status;
    let definition: TaskDefinition = visit.apis.get(&task).await?;
    let dependents = format!("{task}/dependents");
    let dependents: DependentsPage = visit
        .apis
        .get(&with_query(&dependents, &[("limit", DEPENDENTS)]))
        .await?;
    let artifacts = if let Some(run) = status.runs.last() {
        artifacts(visit, &status, run).await?
    } else {
        html! {}
    };
    let name = match definition.metadata.name.as_str() {
        "" => task_id,
        name => name,
    };
    let main = html! {
        h1 { (name) " " (state(status.state.as_str())) }
        p { (definition.metadata.description) }
        (actions(&status))
        (facts(visit, &status, &definition))
        h2 { "Runs" }
        @if status.runs.is_empty() {
            (nothing("It waits for the tasks it depends on."))
        } @else {
            (runs(visit, &status))
        }
        (artifacts)
        @if !definition.dependencies.is_empty() {
            h2 { "Dependencies" }
            ul { @for id in &definition.dependencies { li { (task_link(id)) } } }
        }
        @if !dependents.tasks.is_empty() {
            h2 { "Dependents" }
            ul {
                @for dependent in &dependents.tasks {
                    li {
                        a href=(path("/tasks/{}", &[&dependent.status.task_id])) {
                            (dependent.task.metadata.name)
                        }
                        " " (state(dependent.status.state.as_str()))
                    }
                }
                @if dependents.continuation_token.is_some() { li { "and more" } }
            }
        }
        details id="definition" {
            summary { "Definition" }
            (pretty(&serde_json::to_value(&definition).unwrap_or_default()))
        }
    };
    Ok(Sheet {
        title: format!("{name}: {}", status.state.as_str()),
        main,
        stale: stale(&status),
    })
}

/// Any change of the task is told by one of these exchanges.
fn stale(status: &TaskStatus) -> Stale {
    let pattern = format!("primary.{}.#", status.task_id);
    let exchanges = [
        "task-pending",
        "task-running",
        "task-completed",
        "task-failed",
        "task-exception",
        "artifact-created",
    ];
    let bindings = exchanges.map(|exchange| {
        (
            format!("exchange/taskcluster-queue/v1/{exchange}"),
            pattern.clone(),
        )
    });
    Stale::Upon(bindings.into())
}

fn actions(status: &TaskStatus) -> Markup {
    let to = |action: &str| path("/tasks/{}/{}", &[&status.task_id, action]);
    html! {
        div.actions {
            @if status.state == TaskState::Unscheduled {
                (button(&to("schedule"), "Schedule now"))
            }
            @if status.state.is_resolved() {
                (button(&to("rerun"), "Run again"))
            } @else {
                (button(&to("cancel"), "Cancel"))
            }
        }
    }
}

fn facts(visit: &Visit, status: &TaskStatus, definition: &TaskDefinition) -> Markup {
    let queue = format!("{}/{}", status.provisioner_id, status.worker_type);
    html! {
        dl {
            dt { "Task" } dd.id { (status.task_id) }
            dt { "Group" } dd {
                a.id href=(path("/tasks/groups/{}", &[&status.task_group_id])) {
                    (status.task_group_id)
                }
            }
            dt { "Queue" } dd { (queue_link(&queue)) }
            dt { "Created" } dd { (time(definition.created, visit.now)) }
            dt { "Deadline" } dd { (time(status.deadline, visit.now)) }
            dt { "Expires" } dd { (time(status.expires, visit.now)) }
            dt { "Owner" } dd { (definition.metadata.owner) }
            dt { "Source" } dd { (address(&definition.metadata.source)) }
            dt { "Retries left" } dd { (status.retries_left) }
        }
    }
}

fn runs(visit: &Visit, status: &TaskStatus) -> Markup {
    html! {
        table {
            thead { tr {
                th.number { "Run" } th { "State" } th { "Made for" } th { "Ended by" }
                th { "Worker" } th { "Scheduled" } th { "Took" } th { "Log" }
            } }
            tbody {
                @for run in status.runs.iter().rev() {
                    tr {
                        td.number { (run.run_id) }
                        td { (state(&word(run.state))) }
                        td { (run.reason_created) }
                        td { (run.reason_resolved.as_deref().unwrap_or("–")) }
                        td { (worker(run)) }
                        td { (time(run.scheduled, visit.now)) }
                        td { (took(run.started, run.resolved, visit.now)) }
                        td {
                            @if run.started.is_some() {
                                a href=(log(&status.task_id, run, "public/logs/live.log")) { "log" }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn worker(run: &Run) -> String {
    match (&run.worker_group, &run.worker_id) {
        (Some(group), Some(id)) => format!("{group}/{id}"),
        _ => "–".to_owned(),
    }
}

fn log(task_id: &str, run: &Run, name: &str) -> String {
    let run = run.run_id.to_string();
    below(&path("/tasks/{}/runs/{}/logs", &[task_id, &run]), name)
}

async fn artifacts(visit: &Visit, status: &TaskStatus, run: &Run) -> Result<Markup, Trouble> {
    let run_id = run.run_id.to_string();
    let of_run = path("task/{}/runs/{}/artifacts", &[&status.task_id, &run_id]);
    let target = format!("/api/queue/v1/{of_run}");
    let target = visit.listing(&target, ARTIFACTS, "continuationToken");
    let found: ArtifactsPage = visit.apis.get(&target).await?;
    let files = path("/tasks/{}/runs/{}/artifacts", &[&status.task_id, &run_id]);
    Ok(html! {
        @if !found.artifacts.is_empty() {
            h2 { "Artifacts of run " (run_id) }
            table {
                thead { tr {
                    th { "Name" } th { "Type" } th.number { "Bytes" } th { "Expires" }
                } }
                tbody {
                    @for artifact in &found.artifacts {
                        tr {
                            td {
                                a href=(below(&files, &artifact.name)) { (artifact.name) }
                                @if is_log(&artifact.name) {
                                    " " a href=(log(&status.task_id, run, &artifact.name)) { "view" }
                                }
                            }
                            td { (artifact.content_type.as_deref().unwrap_or("–")) }
                            td.number {
                                @if let Some(bytes) = artifact.content_length { (bytes) }
                            }
                            td { (time_or_dash(Some(artifact.expires), visit.now)) }
                        }
                    }
                }
            }
            (more(&path("/tasks/{}", &[&status.task_id]), "continuationToken",
                found.continuation_token.as_deref()))
        }
    })
}

fn is_log(name: &str) -> bool {
    [".log", ".txt"].iter().any(|end| name.ends_with(end))
}

/// Cancels, reruns or schedules it.
pub(crate) async fn act(visit: &Visit, task_id: &str, action: &str) -> Result<Shown, Trouble> {
    if !["cancel", "rerun", "schedule"].contains(&action) {
        return Err(Trouble::NoPage);
    }
    let target = path("/api/queue/v1/task/{}/{}", &[task_id, action]);
    let _status: Value = visit.apis.post(&target, &json!({})).await?;
    Ok(Shown::Elsewhere(path("/tasks/{}", &[task_id])))
}
