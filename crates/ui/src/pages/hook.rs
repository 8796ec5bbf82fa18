//! Hooks: templates of tasks, when they fire, and what came of it.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;
use taskyard_client::taskcluster::{FireResult, FiredBy, Hook, HookFiresPage, HookStatus};

use crate::path::path;
use crate::shown::{more, nothing, pretty, state, task_link, time, time_or_dash};
use crate::trouble::Trouble;
use crate::visit::{Sheet, Shown, Stale, Visit};

/// Fires of one page.
const FIRES: &str = "50";

#[derive(Deserialize)]
struct Groups {
    groups: Vec<String>,
}

#[derive(Deserialize)]
struct OfGroup {
    hooks: Vec<Hook>,
}

pub(crate) async fn list(visit: &Visit) -> Result<Sheet, Trouble> {
    let groups: Groups = visit.apis.get("/api/hooks/v1/hooks").await?;
    let mut hooks = Vec::new();
    for group in &groups.groups {
        let of_group: OfGroup = visit
            .apis
            .get(&path("/api/hooks/v1/hooks/{}", &[group]))
            .await?;
        hooks.extend(of_group.hooks);
    }
    let main = html! {
        h1 { "Hooks" }
        @if hooks.is_empty() {
            (nothing("There is no hook. A hook makes tasks on a schedule, upon messages, or when \
                      it is triggered."))
        } @else {
            table {
                thead { tr { th { "Hook" } th { "Name" } th { "Schedule" } th { "Owner" } } }
                tbody {
                    @for hook in &hooks {
                        tr {
                            td {
                                a href=(path("/hooks/{}/{}", &[&hook.hook_group_id, &hook.hook_id])) {
                                    (hook.hook_group_id) "/" (hook.hook_id)
                                }
                            }
                            td { (hook.definition.metadata.name) }
                            td { (schedule(&hook.definition.schedule)) }
                            td { (hook.definition.metadata.owner) }
                        }
                    }
                }
            }
        }
    };
    Ok(Sheet {
        title: "Hooks".to_owned(),
        main,
        stale: Stale::Never,
    })
}

fn schedule(lines: &[String]) -> Markup {
    html! {
        @for line in lines { code { (line) } " " }
    }
}

pub(crate) async fn page(visit: &Visit, group: &str, name: &str) -> Result<Sheet, Trouble> {
    let of_hook = path("/api/hooks/v1/hooks/{}/{}", &[group, name]);
    let here = path("/hooks/{}/{}", &[group, name]);
    let hook: Hook = visit.apis.get(&of_hook).await?;
    let status: HookStatus = visit.apis.get(&format!("{of_hook}/status")).await?;
    let fires = format!("{of_hook}/last-fires");
    let fires = visit.listing(&fires, FIRES, "continuationToken");
    let fires: Option<HookFiresPage> = visit.apis.find(&fires).await?;
    let definition = &hook.definition;
    let main = html! {
        h1 { (definition.metadata.name) }
        p { (definition.metadata.description) }
        dl {
            dt { "Hook" } dd.id { (group) "/" (name) }
            dt { "Owner" } dd { (definition.metadata.owner) }
            dt { "Schedule" } dd { (schedule(&definition.schedule)) }
            dt { "Fires next" } dd { (time_or_dash(status.next_scheduled_date, visit.now)) }
            dt { "Bound to" } dd {
                @for binding in &definition.bindings {
                    code { (binding.exchange) } " " code { (binding.routing_key_pattern) } br;
                }
            }
        }
        form.fields method="post" action={ (here) "/trigger" } {
            label { "Payload, as JSON"
                textarea name="payload" rows="3" spellcheck="false" { "{}" }
            }
            button { "Trigger" }
        }
        h2 { "Fires" }
        (fired(visit, fires.as_ref()))
        @if let Some(fires) = &fires {
            (more(&here, "continuationToken", fires.continuation_token.as_deref()))
        }
        details id="task" {
            summary { "Task template" }
            (pretty(&definition.task))
        }
        details id="schema" {
            summary { "Schema of payloads" }
            (pretty(&definition.trigger_schema))
        }
    };
    Ok(Sheet {
        title: format!("Hook {group}/{name}"),
        main,
        stale: Stale::After(5),
    })
}

fn fired(visit: &Visit, fires: Option<&HookFiresPage>) -> Markup {
    let Some(page) = fires.filter(|page| !page.last_fires.is_empty()) else {
        return nothing("It has not fired yet.");
    };
    html! {
        table {
            thead { tr {
                th { "When" } th { "By" } th { "Result" } th { "Task" } th { "State" } th { "Error" }
            } }
            tbody {
                @for fire in &page.last_fires {
                    tr {
                        td { (time(fire.task_create_time, visit.now)) }
                        td { (by(fire.fired_by)) }
                        @if fire.result == FireResult::Success {
                            td { (state("success")) }
                            td { (task_link(&fire.task_id)) }
                        } @else {
                            td { (state("error")) }
                            td {}
                        }
                        td { @if let Some(task) = fire.task_state { (state(task.as_str())) } }
                        td { (fire.error) }
                    }
                }
            }
        }
    }
}

fn by(fired_by: FiredBy) -> &'static str {
    match fired_by {
        FiredBy::Schedule => "schedule",
        FiredBy::TriggerHook => "call",
        FiredBy::TriggerHookWithToken => "call with token",
        FiredBy::PulseMessage => "message",
    }
}

/// Triggers it; leads to the task that it made.
pub(crate) async fn fire(visit: &Visit, group: &str, name: &str) -> Result<Shown, Trouble> {
    let payload: Value = serde_json::from_str(visit.form("payload"))
        .map_err(|error| Trouble::Bad(format!("The payload is no JSON: {error}.")))?;
    let target = path("/api/hooks/v1/hooks/{}/{}/trigger", &[group, name]);
    let made: Value = visit.apis.post(&target, &payload).await?;
    // A template may give no task at all.
    let task_id = made.pointer("/status/taskId").or(made.get("taskId"));
    Ok(Shown::Elsewhere(match task_id.and_then(Value::as_str) {
        Some(task_id) => path("/tasks/{}", &[task_id]),
        None => path("/hooks/{}/{}", &[group, name]),
    }))
}
