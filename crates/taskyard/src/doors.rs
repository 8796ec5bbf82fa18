//! Which API a path leads to.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use futures_util::future::BoxFuture;
use http::{Request, StatusCode, header};
use taskyard_api_cloudtasks::CloudTasks;
use taskyard_api_stacks::Stacks;
use taskyard_api_taskcluster::auth::Auth;
use taskyard_api_taskcluster::events::Events;
use taskyard_api_taskcluster::hooks::Hooks;
use taskyard_api_taskcluster::index::Index;
use taskyard_api_taskcluster::notify::Notify;
use taskyard_api_taskcluster::object::Objects;
use taskyard_api_taskcluster::purge_cache::PurgeCache;
use taskyard_api_taskcluster::queue::{Queue, Transfers};
use taskyard_api_taskcluster::secrets::Secrets;
use taskyard_api_taskcluster::{References, Service};
use taskyard_api_taskstore::Taskstore;
use taskyard_http::Door;
use taskyard_ui::Pages;

/// Every API of the server, and what is beside them.
#[derive(Debug)]
pub(crate) struct Doors {
    pub(crate) auth: Arc<Service<Auth>>,
    pub(crate) events: Events,
    pub(crate) hooks: Arc<Service<Hooks>>,
    pub(crate) index: Arc<Service<Index>>,
    pub(crate) notify: Arc<Service<Notify>>,
    pub(crate) object: Arc<Service<Objects>>,
    pub(crate) purge_cache: Arc<Service<PurgeCache>>,
    pub(crate) queue: Arc<Service<Queue>>,
    pub(crate) secrets: Arc<Service<Secrets>>,
    pub(crate) transfers: Arc<Transfers>,
    pub(crate) taskstore: Taskstore,
    pub(crate) cloudtasks: CloudTasks,
    pub(crate) stacks: Stacks,
    /// What is below no API's prefix: health, figures, references.
    pub(crate) others: Arc<Router>,
}

/// The web pages before all that, for they are made of what the APIs answer.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) pages: Pages,
    pub(crate) doors: Arc<Doors>,
}

/// Taskstore alone, at the root of a listener of its own.
#[derive(Debug)]
pub(crate) struct Alone(pub(crate) Taskstore);

/// The prefixes of Taskcluster's services, in any case.
const AUTH: &str = "/api/auth/v1";
const HOOKS: &str = "/api/hooks/v1";
const INDEX: &str = "/api/index/v1";
const NOTIFY: &str = "/api/notify/v1";
const OBJECT: &str = "/api/object/v1";
const PURGE_CACHE: &str = "/api/purge-cache/v1";
const QUEUE: &str = "/api/queue/v1";
const SECRETS: &str = "/api/secrets/v1";
/// Where taskstore is, beside the root of its own listener.
const TASKSTORE: &str = "/taskstore";
/// Where stacks and agents are.
const STACKS: &str = "/v3";

impl Door for Doors {
    fn answer(self: Arc<Self>, request: Request<Body>) -> BoxFuture<'static, Response> {
        let path = request.uri().path();
        if is_below(path, AUTH) {
            return Box::pin(async move { self.auth.answer(request).await });
        }
        if is_below(path, Events::prefix()) {
            return Box::pin(async move { self.events.answer(request).await });
        }
        if is_below(path, HOOKS) {
            return Box::pin(async move { self.hooks.answer(request).await });
        }
        if is_below(path, INDEX) {
            return Box::pin(async move { self.index.answer(request).await });
        }
        if is_below(path, NOTIFY) {
            return Box::pin(async move { self.notify.answer(request).await });
        }
        if is_below(path, OBJECT) {
            return Box::pin(async move { self.object.answer(request).await });
        }
        if is_below(path, PURGE_CACHE) {
            return Box::pin(async move { self.purge_cache.answer(request).await });
        }
        if is_below(path, QUEUE) {
            return Box::pin(async move { self.queue.answer(request).await });
        }
        if is_below(path, SECRETS) {
            return Box::pin(async move { self.secrets.answer(request).await });
        }
        if path.starts_with(self.transfers.prefix()) {
            return Box::pin(async move { self.transfers.answer(request).await });
        }
        if path
            .strip_prefix(TASKSTORE)
            .is_some_and(|rest| rest.starts_with('/'))
        {
            return Box::pin(async move { self.taskstore.answer(TASKSTORE, request).await });
        }
        if CloudTasks::takes(path) {
            return Box::pin(async move { self.cloudtasks.answer(request).await });
        }
        if is_below(path, STACKS) {
            return Box::pin(async move { self.stacks.answer(STACKS, request).await });
        }
        Arc::clone(&self.others).answer(request)
    }
}

impl Door for Front {
    fn answer(self: Arc<Self>, request: Request<Body>) -> BoxFuture<'static, Response> {
        if Pages::takes(request.uri().path()) && !CloudTasks::is_grpc(&request) {
            let pages = self.pages.clone();
            return Box::pin(async move { pages.answer(request).await });
        }
        Arc::clone(&self.doors).answer(request)
    }
}

impl Door for Alone {
    fn answer(self: Arc<Self>, request: Request<Body>) -> BoxFuture<'static, Response> {
        Box::pin(async move { self.0.answer("", request).await })
    }
}

/// Answers what is below no API's prefix and no page of its own.
pub(crate) async fn others(
    cloudtasks: CloudTasks,
    references: Arc<References>,
    request: Request<Body>,
) -> Response {
    if CloudTasks::is_grpc(&request) {
        return cloudtasks.answer(request).await;
    }
    let path = request.uri().path();
    if path.starts_with("/references/") || path.starts_with("/schemas/") {
        return references.answer(path);
    }
    match path {
        "/__lbheartbeat__" | "/__heartbeat__" => json("{}"),
        "/robots.txt" => "User-Agent: *\nDisallow: /\n".into_response(),
        _ => (StatusCode::NOT_FOUND, json(r#"{"error":"Not found"}"#)).into_response(),
    }
}

fn json(text: &'static str) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json; charset=utf-8")],
        text,
    )
        .into_response()
}

/// Whether `path` is `prefix` or goes on below it; Taskcluster takes the prefix in any case.
fn is_below(path: &str, prefix: &str) -> bool {
    path.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        && matches!(path.as_bytes().get(prefix.len()), None | Some(b'/'))
}

#[cfg(test)]
mod tests {
    use super::is_below;

    #[test]
    fn the_prefix_matches_in_any_case_and_ends_at_a_segment() {
        assert!(is_below("/API/Queue/V1/ping", "/api/queue/v1"));
        assert!(!is_below("/api/queue/v10/ping", "/api/queue/v1"));
        assert!(!is_below("/api/queue", "/api/queue/v1"));
    }
}
