//! The names of secrets. What they hold is shown nowhere.

use maud::html;
use taskyard_client::taskcluster::SecretsPage;

use crate::shown::{more, nothing};
use crate::trouble::Trouble;
use crate::visit::{Sheet, Stale, Visit};

/// Names of one page.
const ROWS: &str = "200";

pub(crate) async fn page(visit: &Visit) -> Result<Sheet, Trouble> {
    let target = visit.listing("/api/secrets/v1/secrets", ROWS, "continuationToken");
    let listed: SecretsPage = visit.apis.get(&target).await?;
    let main = html! {
        h1 { "Access" }
        (super::access::switch("/secrets"))
        @if listed.secrets.is_empty() {
            (nothing("There is no secret. Keep one with taskyard secrets set."))
        }
        ul { @for name in &listed.secrets { li { (name) } } }
        (more("/secrets", "continuationToken", listed.continuation_token.as_deref()))
        p.hint { "What a secret holds is told by " code { "taskyard secrets get" } " only." }
    };
    Ok(Sheet {
        title: "Secrets".to_owned(),
        main,
        stale: Stale::Never,
    })
}
