//! Cloud queues and their tasks.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};
use taskyard_client::cloudtasks::{LoggedAttempt, Queue, Task};
use taskyard_engine::cloud::location;

use crate::path::{below, with_query};
use crate::shown::{button, more, nothing, pretty, state, word, written_time};
use crate::trouble::Trouble;
use crate::visit::{Sheet, Shown, Stale, Visit};

/// The version that tells most.
const VERSION: &str = "/v2beta3";
/// Tasks and attempts of one page.
const ROWS: &str = "50";
/// Locations that are looked into.
const MOST_PLACES: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Queues {
    queues: Vec<Queue>,
    next_page_token: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Tasks {
    tasks: Vec<Task>,
    next_page_token: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Attempts {
    attempts: Vec<LoggedAttempt>,
}

pub(crate) async fn list(visit: &Visit) -> Result<Sheet, Trouble> {
    let queues = section(visit).await?;
    let main = html! {
        h1 { "Cloud Tasks" }
        @match queues {
            Some(queues) => (queues),
            None => {
                (nothing("There is no queue. Make one with any client of Cloud Tasks, or with:"))
                pre { code {
                    "taskyard cloudtasks queues create projects/my-project/locations/here/queues/mail"
                } }
            }
        }
    };
    Ok(Sheet {
        title: "Cloud Tasks".to_owned(),
        main,
        stale: Stale::After(2),
    })
}

/// Every location with its queues, as far as the visitor may list them; `None` if there are none.
pub(crate) async fn section(visit: &Visit) -> Result<Option<Markup>, Trouble> {
    let places = visit.store.read(|tx| location::all(tx, MOST_PLACES)).await;
    let places = places.map_err(|error| Trouble::Broken(error.to_string()))?;
    let mut found = Vec::new();
    let mut refusal = None;
    for place in &places {
        let target = with_query(
            &format!("{}/queues", below(VERSION, place)),
            &[("readMask", "*"), ("pageToken", visit.query(place))],
        );
        match visit.apis.get::<Queues>(&target).await {
            Ok(queues) => found.push((place, queues)),
            Err(trouble) if trouble.is_about_rights() => refusal = Some(trouble),
            Err(trouble) => return Err(trouble),
        }
    }
    if found.is_empty() {
        return refusal.map_or(Ok(None), Err);
    }
    Ok(Some(html! {
        @for (place, queues) in &found {
            h2 { (place) }
            (table_of_queues(visit, &queues.queues))
            (more("/cloudtasks", place, some(queues.next_page_token.as_deref())))
        }
    }))
}

/// Tokens are empty where there is nothing more.
fn some(token: Option<&str>) -> Option<&str> {
    token.filter(|token| !token.is_empty())
}

fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn state_of(queue: &Queue) -> String {
    word(queue.state).to_ascii_lowercase()
}

fn table_of_queues(visit: &Visit, queues: &[Queue]) -> Markup {
    html! {
        table {
            thead { tr {
                th { "Queue" } th { "State" } th.number { "Tasks" } th { "Oldest" }
                th.number { "Under way" } th.number { "In the last minute" } th.number { "Rate limit" }
            } }
            tbody {
                @for queue in queues {
                    @let stats = queue.stats.as_ref();
                    tr {
                        td { a href=(below("/cloudtasks", &queue.name)) { (last(&queue.name)) } }
                        td { (state(&state_of(queue))) }
                        td.number { @if let Some(stats) = stats { (stats.tasks_count) } }
                        td {
                            (written_time(stats.and_then(|stats| {
                                stats.oldest_estimated_arrival_time.as_deref()
                            }), visit.now))
                        }
                        td.number { @if let Some(stats) = stats { (stats.concurrent_dispatches_count) } }
                        td.number { @if let Some(stats) = stats { (stats.executed_last_minute_count) } }
                        td.number {
                            @if let Some(rate) = queue.rate_limits.as_ref()
                                .and_then(|limits| limits.max_dispatches_per_second) {
                                (rate) "/s"
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A queue, its tasks and its last attempts.
pub(crate) async fn queue(visit: &Visit, name: &str) -> Result<Sheet, Trouble> {
    let target = below(VERSION, name);
    let here = below("/cloudtasks", name);
    let queue: Queue = visit
        .apis
        .get(&with_query(&target, &[("readMask", "*")]))
        .await?;
    let tasks = with_query(
        &format!("{target}/tasks"),
        &[("pageSize", ROWS), ("pageToken", visit.query("pageToken"))],
    );
    let tasks: Tasks = visit.apis.get(&tasks).await?;
    let attempts = with_query(&format!("{target}/attempts"), &[("pageSize", ROWS)]);
    let attempts: Attempts = visit.apis.get(&attempts).await?;
    let is_running = state_of(&queue) == "running";
    let main = html! {
        h1 { (last(name)) " " (state(&state_of(&queue))) }
        p.id { (name) }
        div.actions {
            @if is_running {
                (button(&format!("{here}/pause"), "Pause"))
            } @else {
                (button(&format!("{here}/resume"), "Resume"))
            }
            (button(&format!("{here}/purge"), "Purge"))
        }
        (table_of_queues(visit, std::slice::from_ref(&queue)))
        h2 { "Tasks" }
        @if tasks.tasks.is_empty() {
            (nothing("Nothing waits."))
        } @else {
            table {
                thead { tr {
                    th { "Task" } th { "To" } th { "Due" } th.number { "Attempts" } th { "Last answer" }
                } }
                tbody {
                    @for task in &tasks.tasks {
                        tr {
                            td { a.id href=(below("/cloudtasks", &task.name)) { (last(&task.name)) } }
                            td { (receiver(task)) }
                            td { (written_time(task.schedule_time.as_deref(), visit.now)) }
                            td.number { (task.dispatch_count) }
                            td {
                                (answer(task.last_attempt.as_ref().and_then(|attempt| {
                                    attempt.response_status.as_ref()
                                })))
                            }
                        }
                    }
                }
            }
            (more(&here, "pageToken", some(tasks.next_page_token.as_deref())))
        }
        h2 { "Attempts" }
        (table_of_attempts(visit, &attempts.attempts))
        details id="settings" {
            summary { "Settings" }
            (pretty(&serde_json::to_value(&queue).unwrap_or_default()))
        }
    };
    Ok(Sheet {
        title: format!("Queue {}", last(name)),
        main,
        stale: Stale::After(2),
    })
}

/// Whom a task is sent to.
fn receiver(task: &Task) -> String {
    let written = serde_json::to_value(task).unwrap_or_default();
    let text = |pointer: &str| written.pointer(pointer).and_then(Value::as_str);
    let paths = ["/httpRequest/url", "/appEngineHttpRequest/relativeUri"];
    let found = paths.into_iter().find_map(text);
    found.unwrap_or("whoever leases it").to_owned()
}

/// What a status of gRPC says.
fn answer(status: Option<&Value>) -> Markup {
    let message = status.and_then(|status| status.get("message"));
    let code = status.and_then(|status| status.get("code"));
    html! {
        @if let Some(message) = message.and_then(Value::as_str).filter(|text| !text.is_empty()) {
            (message)
        } @else if let Some(code) = code.and_then(Value::as_i64).filter(|code| *code != 0) {
            "code " (code)
        } @else if status.is_some() {
            "OK"
        } @else {
            "–"
        }
    }
}

fn table_of_attempts(visit: &Visit, attempts: &[LoggedAttempt]) -> Markup {
    html! {
        @if attempts.is_empty() {
            (nothing("No attempt was made, or all of them are forgotten."))
        } @else {
            table {
                thead { tr {
                    th { "Sent" } th { "Task" } th.number { "Attempt" } th.number { "HTTP" } th { "Answer" }
                } }
                tbody {
                    @for attempt in attempts {
                        tr {
                            td { (written_time(Some(&attempt.dispatch_time), visit.now)) }
                            td { a.id href=(below("/cloudtasks", &attempt.task)) { (last(&attempt.task)) } }
                            td.number { (attempt.dispatch) }
                            td.number { @if let Some(status) = attempt.http_status { (status) } }
                            td {
                                (answer(Some(&attempt.response_status)))
                                @if !attempt.excerpt.is_empty() {
                                    " " code { (attempt.excerpt) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A task and the attempts at it, which outlive it.
pub(crate) async fn task(visit: &Visit, name: &str) -> Result<Sheet, Trouble> {
    let target = below(VERSION, name);
    let here = below("/cloudtasks", name);
    let task: Option<Task> = visit.apis.find(&target).await?;
    let attempts = with_query(&format!("{target}/attempts"), &[("pageSize", ROWS)]);
    let attempts: Attempts = visit.apis.get(&attempts).await?;
    let queue = name.rsplit_once("/tasks/").map_or(name, |(queue, _)| queue);
    let main = html! {
        h1 { (last(name)) }
        p { "Queue " a href=(below("/cloudtasks", queue)) { (last(queue)) } }
        @if let Some(task) = &task {
            div.actions {
                (button(&format!("{here}/run"), "Run now"))
                (button(&format!("{here}/delete"), "Delete"))
            }
            dl {
                dt { "To" } dd { (receiver(task)) }
                dt { "Due" } dd { (written_time(task.schedule_time.as_deref(), visit.now)) }
                dt { "Created" } dd { (written_time(task.create_time.as_deref(), visit.now)) }
                dt { "Attempts" } dd { (task.dispatch_count) }
            }
        } @else {
            (nothing("The task is done, deleted, or was never there."))
        }
        h2 { "Attempts" }
        (table_of_attempts(visit, &attempts.attempts))
        @if let Some(task) = &task {
            details id="task" {
                summary { "Request" }
                (pretty(&serde_json::to_value(task).unwrap_or_default()))
            }
        }
    };
    Ok(Sheet {
        title: format!("Task {}", last(name)),
        main,
        stale: Stale::After(2),
    })
}

/// Pauses, resumes or purges it.
pub(crate) async fn act_on_queue(
    visit: &Visit,
    name: &str,
    action: &str,
) -> Result<Shown, Trouble> {
    if !["pause", "resume", "purge"].contains(&action) {
        return Err(Trouble::NoPage);
    }
    let target = format!("{}:{action}", below(VERSION, name));
    let _queue: Value = visit.apis.post(&target, &json!({})).await?;
    Ok(Shown::Elsewhere(below("/cloudtasks", name)))
}

/// Runs it now, or deletes it.
pub(crate) async fn act_on_task(visit: &Visit, name: &str, action: &str) -> Result<Shown, Trouble> {
    let target = below(VERSION, name);
    match action {
        "run" => {
            let target = format!("{target}:run");
            let _task: Value = visit.apis.post(&target, &json!({})).await?;
            Ok(Shown::Elsewhere(below("/cloudtasks", name)))
        }
        "delete" => {
            visit.apis.delete(&target).await?;
            let queue = name.rsplit_once("/tasks/").map_or(name, |(queue, _)| queue);
            Ok(Shown::Elsewhere(below("/cloudtasks", queue)))
        }
        _ => Err(Trouble::NoPage),
    }
}
