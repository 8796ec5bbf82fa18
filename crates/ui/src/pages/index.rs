//! The index: what is found at a path, and below it.

use maud::{Markup, html};
use taskyard_client::taskcluster::{IndexedTasksPage, NamespacesPage};

use crate::path::path;
use crate::shown::{more, nothing, task_link, time};
use crate::trouble::Trouble;
use crate::visit::{Sheet, Stale, Visit};

/// Namespaces and tasks of one page.
const ROWS: &str = "200";

pub(crate) async fn page(visit: &Visit, namespace: &str) -> Result<Sheet, Trouble> {
    let here = place(namespace);
    let in_namespace = |list: &str| match namespace {
        "" => format!("/api/index/v1/{list}"),
        namespace => path("/api/index/v1/{}/{}", &[list, namespace]),
    };
    let target = visit.listing(&in_namespace("namespaces"), ROWS, "namespaces");
    let below: NamespacesPage = visit.apis.get(&target).await?;
    let target = visit.listing(&in_namespace("tasks"), ROWS, "tasks");
    let tasks: IndexedTasksPage = visit.apis.get(&target).await?;
    let main = html! {
        h1 { "Index" }
        (trail(namespace))
        @if below.namespaces.is_empty() && tasks.tasks.is_empty() {
            (nothing("Nothing is indexed here. Tasks with a route index.<path> are, once they complete."))
        }
        @if !below.namespaces.is_empty() {
            h2 { "Namespaces" }
            ul {
                @for it in &below.namespaces {
                    li { a href=(place(&it.namespace)) { (it.name) } }
                }
            }
            (more(&here, "namespaces", below.continuation_token.as_deref()))
        }
        @if !tasks.tasks.is_empty() {
            h2 { "Tasks" }
            table {
                thead { tr {
                    th { "Path" } th { "Task" } th.number { "Rank" } th { "Expires" }
                } }
                tbody {
                    @for it in &tasks.tasks {
                        tr {
                            td { (it.namespace) }
                            td { (task_link(&it.task_id)) }
                            td.number { (it.rank) }
                            td { (time(it.expires, visit.now)) }
                        }
                    }
                }
            }
            (more(&here, "tasks", tasks.continuation_token.as_deref()))
        }
    };
    Ok(Sheet {
        title: format!("Index {namespace}"),
        main,
        stale: Stale::Never,
    })
}

fn place(namespace: &str) -> String {
    if namespace.is_empty() {
        "/tasks/index".to_owned()
    } else {
        path("/tasks/index/{}", &[namespace])
    }
}

/// The way to here, each step a link.
fn trail(namespace: &str) -> Markup {
    let ends = namespace.match_indices('.').map(|(at, _)| at);
    let steps: Vec<&str> = ends
        .chain([namespace.len()])
        .filter_map(|end| namespace.get(..end))
        .filter(|step| !step.is_empty())
        .collect();
    html! {
        p.trail {
            a href="/tasks/index" { "all" }
            @for step in steps {
                " › "
                a href=(place(step)) { (step.rsplit('.').next().unwrap_or(step)) }
            }
        }
    }
}
