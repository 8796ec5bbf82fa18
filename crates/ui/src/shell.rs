//! What all pages have: head, navigation, who is signed in.

use http::StatusCode;
use maud::{DOCTYPE, Markup, html};
use serde_json::json;

use crate::path;
use crate::trouble::Trouble;
use crate::visit::{Sheet, Stale};

/// What stands around a page.
pub(crate) struct Shell {
    /// Id of the client who is signed in.
    pub(crate) client_id: Option<String>,
    /// Whether nobody needs to sign in.
    pub(crate) dev: bool,
    /// Where the page stands.
    pub(crate) path: String,
}

/// The navigation: what it leads to, what it is called, and the paths that belong to it.
const PLACES: [(&str, &str, &[&str]); 8] = [
    ("/", "Queues", &["/provisioners"]),
    ("/tasks/index", "Index", &["/tasks/index"]),
    ("/hooks", "Hooks", &["/hooks"]),
    ("/cloudtasks", "Cloud Tasks", &["/cloudtasks"]),
    ("/claims", "Claims", &["/claims"]),
    ("/events", "Events", &["/events"]),
    ("/outbox", "Outbox", &["/outbox"]),
    ("/auth/clients", "Access", &["/auth", "/secrets"]),
];

impl Shell {
    /// The whole page.
    pub(crate) fn page(&self, sheet: &Sheet) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (sheet.title) " · Taskyard" }
                    link rel="icon" href="/assets/icon.svg";
                    link rel="stylesheet" href="/assets/style.css";
                    script type="module" src="/assets/pages.js" {}
                }
                body data-stale-after=[after(&sheet.stale)] data-stale-upon=[upon(&sheet.stale)] {
                    header {
                        a.home href="/" { "Taskyard" }
                        nav aria-label="Pages" {
                            @for (path, name, below) in PLACES {
                                a href=(path) aria-current=[self.is_at(path, below)] { (name) }
                            }
                        }
                        form.find action="/find" role="search" {
                            input type="search" name="id" placeholder="task or group id"
                                aria-label="Task or group id" maxlength="200";
                        }
                        (self.visitor())
                    }
                    main { (sheet.main) }
                }
            }
        }
    }

    fn is_at(&self, path: &str, below: &[&str]) -> Option<&'static str> {
        let is_here = self.path == path || below.iter().any(|start| self.path.starts_with(start));
        is_here.then_some("page")
    }

    fn visitor(&self) -> Markup {
        html! {
            @if let Some(client_id) = &self.client_id {
                form.visitor method="post" action="/sign-out" {
                    span title="Signed in as this client" { (client_id) }
                    button { "Sign out" }
                }
            } @else if self.dev {
                span.visitor title="The server runs with --dev: everybody may do everything" {
                    "development"
                }
            } @else {
                a.visitor href=(self.sign_in()) { "Sign in" }
            }
        }
    }

    fn sign_in(&self) -> String {
        path::with_query("/sign-in", &[("back", &self.path)])
    }
}

/// A page that tells why there is no other.
pub(crate) fn trouble(shell: &Shell, trouble: &Trouble) -> Sheet {
    let needs_anybody = trouble.status() == StatusCode::UNAUTHORIZED;
    let is_nobody = shell.client_id.is_none();
    let main = html! {
        h1 { (trouble.title()) }
        // An API tells programs how to send credentials; that is no use to people.
        @if needs_anybody && is_nobody {
            p.reason role="alert" { "This needs somebody who is signed in." }
        } @else {
            p.reason role="alert" { (trouble.message()) }
        }
        @if trouble.is_about_rights() && (is_nobody || needs_anybody) {
            p { a.button href=(shell.sign_in()) { "Sign in" } }
        } @else if trouble.is_about_rights() {
            p { "Somebody who may change clients or roles can give the scope that is missing." }
        }
    };
    Sheet {
        title: trouble.title().to_owned(),
        main,
        stale: Stale::Never,
    }
}

fn after(stale: &Stale) -> Option<u32> {
    match stale {
        Stale::After(seconds) => Some(*seconds),
        Stale::Never | Stale::Upon(_) => None,
    }
}

/// The bindings as the events service reads them.
fn upon(stale: &Stale) -> Option<String> {
    let Stale::Upon(bindings) = stale else {
        return None;
    };
    let bindings: Vec<_> = bindings
        .iter()
        .map(|(exchange, pattern)| json!({"exchange": exchange, "routingKeyPattern": pattern}))
        .collect();
    Some(json!({ "bindings": bindings }).to_string())
}
