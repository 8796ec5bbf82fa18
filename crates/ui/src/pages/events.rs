//! What happens, as it happens.

use axum::response::Response;
use http::{HeaderName, HeaderValue, Method};
use maud::html;
use serde_json::json;

use crate::path::with_query;
use crate::trouble::Trouble;
use crate::visit::{Sheet, Shown, Stale, Visit};

/// Where the stream comes from.
const CONNECT: &str = "/api/events/v1/connect/";
/// By which a browser that comes back tells how far it was.
const LAST: HeaderName = HeaderName::from_static("last-event-id");
/// The exchanges that are followed unless others are asked for.
const USUAL: [&str; 9] = [
    "exchange/taskcluster-queue/v1/task-defined",
    "exchange/taskcluster-queue/v1/task-pending",
    "exchange/taskcluster-queue/v1/task-running",
    "exchange/taskcluster-queue/v1/task-completed",
    "exchange/taskcluster-queue/v1/task-failed",
    "exchange/taskcluster-queue/v1/task-exception",
    "exchange/taskcluster-queue/v1/task-group-resolved",
    "exchange/taskcluster-hooks/v1/hook-created",
    "exchange/taskcluster-hooks/v1/hook-updated",
];

/// The page, which is filled by its script.
pub(crate) fn page(visit: &Visit) -> Sheet {
    let pattern = match visit.query("pattern") {
        "" => "#",
        pattern => pattern,
    };
    let exchanges: Vec<String> = match visit.query("exchange") {
        "" => USUAL.map(str::to_owned).into(),
        exchange => vec![exchange.to_owned()],
    };
    let bindings: Vec<_> = exchanges
        .iter()
        .map(|exchange| json!({"exchange": exchange, "routingKeyPattern": pattern}))
        .collect();
    let bindings = json!({ "bindings": bindings }).to_string();
    let main = html! {
        h1 { "Events" }
        form.fields.row action="/events" {
            label { "Exchange"
                input name="exchange" value=(visit.query("exchange")) maxlength="255"
                    placeholder="tasks and hooks";
            }
            label { "Routing key pattern"
                input name="pattern" value=(visit.query("pattern")) maxlength="255" placeholder="#";
            }
            button { "Follow" }
        }
        p.hint data-feed-state="" role="status" {
            "Events are shown as they happen, by a script of this page."
        }
        table {
            thead { tr { th { "When" } th { "What" } th { "Routing key" } th { "Message" } } }
            tbody data-feed=(bindings) {}
        }
    };
    Sheet {
        title: "Events".to_owned(),
        main,
        stale: Stale::Never,
    }
}

/// The stream of events, with the rights of whoever looks.
pub(crate) async fn live(visit: &Visit) -> Result<Shown, Trouble> {
    let target = with_query(CONNECT, &[("bindings", visit.query("bindings"))]);
    let last: Option<&HeaderValue> = visit.header(&LAST);
    let headers: Vec<(HeaderName, HeaderValue)> = last
        .map(|value| (LAST, value.clone()))
        .into_iter()
        .collect();
    let stream: Response = visit
        .apis
        .send(Method::GET, &target, None, &headers)
        .await?;
    Ok(Shown::Raw(stream))
}
