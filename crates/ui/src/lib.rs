//! The web pages: what happens, seen and steered with a browser.
//!
//! The pages are a client of the APIs like any other, only without a network in between: whatever a
//! page shows or does is a request to an API in this process, with the credentials of whoever looks
//! at it. So nothing here decides who may do what, and no page can do what an API can't.
//!
//! Pages are whole without scripts. A script exchanges the page's main part when an event says that
//! something changed, and shows logs while they grow.

mod apis;
mod asset;
mod guard;
mod pages;
mod path;
mod route;
mod session;
mod shell;
mod shown;
mod trouble;
mod visit;

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::Request;
use taskyard_access::Sealer;
use taskyard_engine::clock::Clock;
use taskyard_http::Door;
use taskyard_store::Store;

/// What the pages stand on.
pub struct Parts {
    /// Every API.
    pub apis: Arc<dyn Door>,
    /// Where cloud queues are looked for, which no call lists without their project.
    pub store: Store,
    /// The server's clock.
    pub clock: Clock,
    /// Seals the credentials that a browser keeps.
    pub sealer: Arc<Sealer>,
    /// How browsers reach the server.
    pub root_url: String,
    /// Whether everybody may do everything, so that nobody needs to sign in.
    pub dev: bool,
}

/// The web pages. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pages {
    parts: Arc<Parts>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("root_url", &self.root_url)
            .field("dev", &self.dev)
            .finish_non_exhaustive()
    }
}

impl Pages {
    /// Pages over `parts`.
    pub fn new(parts: Parts) -> Self {
        Pages {
            parts: Arc::new(parts),
        }
    }

    /// Whether `path` leads to a page.
    pub fn takes(path: &str) -> bool {
        route::is_page(path)
    }

    /// Answers a request whose path [leads to a page](Pages::takes).
    pub async fn answer(self, request: Request<Body>) -> Response {
        visit::answer(&self.parts, request).await
    }
}
