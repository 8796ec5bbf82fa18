//! Artifacts of runs, and logs as pages.

use http::{Method, StatusCode, header};
use maud::html;
use serde_json::Value;

use crate::path::{below, path};
use crate::shown::task_link;
use crate::trouble::Trouble;
use crate::visit::{Sheet, Shown, Stale, Visit};

/// A log, which the page's script fetches and shows while it grows.
pub(crate) async fn page(
    visit: &Visit,
    task_id: &str,
    run_id: &str,
    name: &str,
) -> Result<Sheet, Trouble> {
    // Says whether there is one, and refuses whoever may not read it.
    let info = path(
        "/api/queue/v1/task/{}/runs/{}/artifact-info/{}",
        &[task_id, run_id, name],
    );
    let _known: Value = visit.apis.get(&info).await?;
    let file = below(
        &path("/tasks/{}/runs/{}/artifacts", &[task_id, run_id]),
        name,
    );
    let main = html! {
        h1 { (name) }
        p {
            "Run " (run_id) " of " (task_link(task_id)) " · "
            a href=(file) { "as a file" } " · "
            span data-log-state="" role="status" {}
        }
        pre.log data-log=(file) tabindex="0" aria-label="Log" {}
        noscript { p { "Without scripts, read it " a href=(file) { "as a file" } "." } }
    };
    Ok(Sheet {
        title: format!("{name} of {task_id}"),
        main,
        stale: Stale::Never,
    })
}

/// Leads to the bytes of an artifact.
pub(crate) async fn artifact(
    visit: &Visit,
    task_id: &str,
    run_id: &str,
    name: &str,
) -> Result<Shown, Trouble> {
    let target = path(
        "/api/queue/v1/task/{}/runs/{}/artifacts/{}",
        &[task_id, run_id, name],
    );
    let answer = visit.apis.send(Method::GET, &target, None, &[]).await?;
    let place = answer.headers().get(header::LOCATION);
    match place.and_then(|place| place.to_str().ok()) {
        Some(place) if answer.status() == StatusCode::SEE_OTHER => {
            Ok(Shown::Elsewhere(place.to_owned()))
        }
        // It is refused, which reads better as a page.
        _ => {
            let refused: Value = visit.apis.get(&target).await?;
            Err(Trouble::Broken(format!(
                "The artifact leads nowhere: {refused}"
            )))
        }
    }
}
