//! Clients and roles: who may do what.

use maud::{Markup, html};
use serde::Deserialize;
use taskyard_client::taskcluster::{Client, Role};

use crate::shown::{more, state, time};
use crate::trouble::Trouble;
use crate::visit::{Sheet, Stale, Visit};

/// Clients and roles of one page.
const ROWS: &str = "100";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Clients {
    clients: Vec<Client>,
    continuation_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Roles {
    roles: Vec<Role>,
    continuation_token: Option<String>,
}

pub(crate) async fn clients(visit: &Visit) -> Result<Sheet, Trouble> {
    let listed: Clients = visit
        .apis
        .get(&visit.listing("/api/auth/v1/clients/", ROWS, "continuationToken"))
        .await?;
    let main = html! {
        h1 { "Access" }
        (switch("/auth/clients"))
        table {
            thead { tr {
                th { "Client" } th { "State" } th { "Scopes" } th { "Last used" } th { "Expires" }
            } }
            tbody {
                @for client in &listed.clients {
                    tr {
                        td { (client.client_id) p.hint { (client.description) } }
                        td {
                            @if client.disabled {
                                (state("disabled"))
                            } @else if client.expires.millis() <= visit.now.millis() {
                                (state("expired"))
                            } @else {
                                (state("enabled"))
                            }
                        }
                        td { (scopes(&client.scopes)) }
                        td { (time(client.last_date_used, visit.now)) }
                        td { (time(client.expires, visit.now)) }
                    }
                }
            }
        }
        (more("/auth/clients", "continuationToken", listed.continuation_token.as_deref()))
    };
    Ok(Sheet {
        title: "Clients".to_owned(),
        main,
        stale: Stale::Never,
    })
}

pub(crate) async fn roles(visit: &Visit) -> Result<Sheet, Trouble> {
    let listed: Roles = visit
        .apis
        .get(&visit.listing("/api/auth/v1/roles2/", ROWS, "continuationToken"))
        .await?;
    let main = html! {
        h1 { "Access" }
        (switch("/auth/roles"))
        table {
            thead { tr { th { "Role" } th { "Scopes" } th { "Changed" } } }
            tbody {
                @for role in &listed.roles {
                    tr {
                        td { (role.role_id) p.hint { (role.description) } }
                        td { (scopes(&role.scopes)) }
                        td { (time(role.last_modified, visit.now)) }
                    }
                }
            }
        }
        (more("/auth/roles", "continuationToken", listed.continuation_token.as_deref()))
    };
    Ok(Sheet {
        title: "Roles".to_owned(),
        main,
        stale: Stale::Never,
    })
}

/// Leads to the other pages of who may do what.
pub(super) fn switch(current: &str) -> Markup {
    let places = [
        ("/auth/clients", "clients"),
        ("/auth/roles", "roles"),
        ("/secrets", "secrets"),
    ];
    html! {
        p.trail {
            @for (place, name) in places {
                a href=(place) aria-current=[(place == current).then_some("page")] { (name) }
                " "
            }
        }
    }
}

fn scopes(scopes: &[String]) -> Markup {
    html! {
        @match scopes {
            [] => "–",
            [only] => code { (only) },
            [first, ..] => details {
                summary { code { (first) } " and " (scopes.len() - 1) " more" }
                ul { @for scope in scopes { li { code { (scope) } } } }
            },
        }
    }
}
