//! What was said to people and programs, waits to be said, or is kept because there is nothing to
//! say it with.

use maud::{Markup, html};
use serde_json::Value;
use taskyard_client::taskcluster::{Notification, OutboxPage};

use crate::shown::{more, nothing, pretty, state, time, word};
use crate::trouble::Trouble;
use crate::visit::{Sheet, Stale, Visit};

/// Notifications of one page.
const ROWS: &str = "50";

pub(crate) async fn page(visit: &Visit) -> Result<Sheet, Trouble> {
    let target = visit.listing("/api/notify/v1/outbox", ROWS, "continuationToken");
    let outbox: OutboxPage = visit.apis.get(&target).await?;
    let main = html! {
        h1 { "Outbox" }
        @if outbox.notifications.is_empty() {
            (nothing("Nobody was told of anything in the last days. Tasks with routes such as \
                      notify.email.me@example.com.on-failed tell how they end."))
        } @else {
            table {
                thead { tr {
                    th { "When" } th { "Way" } th { "To" } th { "State" } th { "What" }
                } }
                tbody { @for it in &outbox.notifications { (row(visit, it)) } }
            }
            (more("/outbox", "continuationToken", outbox.continuation_token.as_deref()))
        }
    };
    Ok(Sheet {
        title: "Outbox".to_owned(),
        main,
        stale: Stale::After(5),
    })
}

fn row(visit: &Visit, it: &Notification) -> Markup {
    html! {
        tr {
            td { (time(it.created, visit.now)) }
            td { (word(it.kind)) }
            td { (it.address) }
            td {
                (state(&word(it.state)))
                @if it.attempts > 1 { " after " (it.attempts) " attempts" }
                @if !it.error.is_empty() { p.hint { (it.error) } }
            }
            td {
                details id={ "notification-" (it.number) } {
                    summary { (gist(&it.body)) }
                    (pretty(&it.body))
                }
            }
        }
    }
}

/// The first line of what is said.
fn gist(body: &Value) -> &str {
    let said = ["subject", "text", "body", "message"]
        .into_iter()
        .find_map(|name| body.get(name)?.as_str());
    let line = said.and_then(|text| text.lines().next());
    line.filter(|line| !line.is_empty()).unwrap_or("message")
}
