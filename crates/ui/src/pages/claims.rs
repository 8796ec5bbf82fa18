//! The groups of taskstore: what may be claimed, and what is.

use maud::{Markup, html};
use serde::Deserialize;
use taskyard_client::Timestamp;

use crate::path::{path, with_query};
use crate::shown::{nothing, state, time_or_dash};
use crate::trouble::Trouble;
use crate::visit::{Sheet, Stale, Visit};

/// Entries of one page.
const ROWS: &str = "200";

#[derive(Deserialize)]
struct Entry {
    id: i64,
    data: String,
    /// When it may be claimed, in milliseconds since 1970.
    timespec: i64,
    ownerid: i64,
}

pub(crate) async fn list(visit: &Visit) -> Result<Sheet, Trouble> {
    let groups = section(visit).await?;
    let main = html! {
        h1 { "Claims" }
        p { "Tasks that processes hand over to each other, one claim at a time." }
        @match groups {
            Some(groups) => (groups),
            None => (nothing("No group has a task.")),
        }
    };
    Ok(Sheet {
        title: "Claims".to_owned(),
        main,
        stale: Stale::After(2),
    })
}

/// Every group, if there is one.
pub(crate) async fn section(visit: &Visit) -> Result<Option<Markup>, Trouble> {
    let groups: Vec<String> = visit.apis.get("/taskstore/groups").await?;
    if groups.is_empty() {
        return Ok(None);
    }
    Ok(Some(html! {
        h2 { "Groups of claims" }
        ul {
            @for group in &groups { li { a href=(path("/claims/{}", &[group])) { (group) } } }
        }
    }))
}

pub(crate) async fn page(visit: &Visit, group: &str) -> Result<Sheet, Trouble> {
    let target = path("/taskstore/group/{}", &[group]);
    let target = with_query(&target, &[("limit", ROWS), ("owned", "1")]);
    let entries: Vec<Entry> = visit.apis.get(&target).await?;
    let now = visit.now.millis();
    let main = html! {
        h1 { (group) }
        @if entries.is_empty() {
            (nothing("The group has no task."))
        } @else {
            table {
                thead { tr {
                    th.number { "Task" } th { "State" } th.number { "Client" } th { "From" } th { "Data" }
                } }
                tbody {
                    @for entry in &entries {
                        tr {
                            td.number { (entry.id) }
                            td { (state(if entry.timespec > now { "claimed" } else { "ready" })) }
                            td.number { (entry.ownerid) }
                            td { (time_or_dash(Timestamp::from_millis(entry.timespec), visit.now)) }
                            td { code { (beginning(&entry.data)) } }
                        }
                    }
                }
            }
            p.hint { "The first " (ROWS) " at most, in the order in which they may be claimed." }
        }
    };
    Ok(Sheet {
        title: format!("Claims of {group}"),
        main,
        stale: Stale::After(2),
    })
}

/// As much of it as fits into a row.
fn beginning(data: &str) -> String {
    const MOST: usize = 200;
    let mut text: String = data.chars().take(MOST).collect();
    if text.len() < data.len() {
        text.push('…');
    }
    text
}
