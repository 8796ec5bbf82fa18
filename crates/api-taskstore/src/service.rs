//! The service: finds the route, reads the body, finds out who calls, and answers.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::Request;
use taskyard_access::Directory;
use taskyard_engine::clock::Clock;
use taskyard_http::Draining;
use taskyard_http::body::{self, IDLE};
use taskyard_store::Store;

use crate::caller::Caller;
use crate::problem::Problem;
use crate::query::Query;
use crate::route::Route;
use crate::{claim, form, read, render, update};

/// Largest request body: 16 MiB, inclusive. Room for an update of the most entries, with 100 bytes
/// of data each.
const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// What the service works with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Where tasks are.
    pub store: Store,
    /// The server's clock.
    pub clock: Clock,
    /// Who may do what.
    pub directory: Arc<Directory>,
    /// Cancelled when waiting claims are to answer.
    pub draining: Draining,
    /// Whether `X-Forwarded-Port` and `X-Forwarded-Proto` are believed: only where the listener
    /// takes them away from requests that no trusted proxy sent.
    pub trust_forwarded: bool,
}

/// The taskstore service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Taskstore {
    parts: Arc<Parts>,
}

/// A request whose sender is known.
pub(crate) struct Asked<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) caller: Caller,
    pub(crate) query: Query<'a>,
}

impl Taskstore {
    /// A service over `parts`.
    pub fn new(parts: Parts) -> Self {
        Taskstore {
            parts: Arc::new(parts),
        }
    }

    /// Answers a request whose path begins with `prefix`, which has no slash at its end; routes
    /// are below it.
    pub async fn answer(&self, prefix: &str, request: Request<Body>) -> Response {
        let (head, body) = request.into_parts();
        let answered = self.dispatch(prefix, &head, body).await;
        answered.map_or_else(Problem::into_response, render::ok)
    }

    async fn dispatch(
        &self,
        prefix: &str,
        head: &http::request::Parts,
        body: Body,
    ) -> Result<Vec<u8>, Problem> {
        let path = head
            .uri
            .path()
            .strip_prefix(prefix)
            .ok_or(Problem::NotFound)?;
        let route = Route::find(path, &head.method)?;
        let body = read_body(body).await?;
        let now = self.parts.clock.now();
        let (directory, trust) = (&self.parts.directory, self.parts.trust_forwarded);
        let caller = Caller::of(head, &body, now, directory, trust)?;
        let query = Query(head.uri.query().unwrap_or_default());
        let asked = Asked {
            parts: &self.parts,
            caller,
            query,
        };
        match route {
            Route::Groups => read::groups(&asked).await,
            Route::Group(name) => read::group(&asked, name).await,
            Route::Task(id) => read::task(&asked, id).await,
            Route::Tasks(ids) => read::tasks(&asked, ids).await,
            Route::AllStats => read::all_stats(&asked).await,
            Route::Stats(name) => read::stats(&asked, name).await,
            Route::Update => {
                let json = form::find(&head.headers, &body, head.uri.query(), "update");
                let none = || Problem::Bad("no data provided for task update".to_owned());
                update::update(&asked, &json.ok_or_else(none)?).await
            }
            Route::Claim => {
                let json = form::find(&head.headers, &body, head.uri.query(), "claim");
                let none = || Problem::Bad("no parameters provided for task claim".to_owned());
                claim::claim(&asked, &json.ok_or_else(none)?).await
            }
        }
    }
}

async fn read_body(body: Body) -> Result<Bytes, Problem> {
    body::read(body, BODY_LIMIT, IDLE)
        .await
        .map_err(|error| match error {
            body::Error::TooLarge { .. } => Problem::TooLarge(error.to_string()),
            body::Error::Stalled { .. } => Problem::Slow(error.to_string()),
            body::Error::Aborted => Problem::Bad(error.to_string()),
        })
}
