//! Two questions an operator's machinery asks: does the process live, and may it get traffic.
//!
//! `GET /healthz` answers 200 as long as the process answers at all. `GET /readyz` runs every check
//! and answers 200, or 503 with the checks that failed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::Draining;

/// A check that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(2);

/// The checks of one server.
#[derive(Debug)]
pub struct Health {
    draining: Draining,
    checks: Vec<Check>,
}

/// One thing the server can't do without.
struct Check {
    name: &'static str,
    run: Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

impl Health {
    /// No checks yet, except that a server that shuts down is not ready.
    pub fn new(draining: Draining) -> Self {
        Self {
            draining,
            checks: Vec::new(),
        }
    }

    /// Adds a check. The reason of a failure is shown to anyone who asks: keep secrets out of it.
    pub fn check<F, R>(mut self, name: &'static str, run: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push(Check {
            name,
            run: Box::new(move || run().boxed()),
        });
        self
    }

    /// The two routes.
    pub fn routes(self) -> Router {
        let health = Arc::new(self);
        Router::new()
            .route(
                "/healthz",
                get(async || answer(StatusCode::OK, &json!({"status": "alive"}))),
            )
            .route("/readyz", get(async move || health.ready().await))
    }

    async fn ready(&self) -> Response {
        let outcomes = join_all(self.checks.iter().map(Check::outcome)).await;
        let mut ready = true;
        let mut checks = Map::new();
        for (check, outcome) in self.checks.iter().zip(outcomes) {
            ready &= outcome.is_ok();
            let text = outcome.err().unwrap_or_else(|| "ok".to_owned());
            checks.insert(check.name.to_owned(), Value::String(text));
        }
        if self.draining.is_cancelled() {
            ready = false;
            checks.insert("draining".to_owned(), json!("the server is shutting down"));
        }
        let (status, word) = if ready {
            (StatusCode::OK, "ready")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready")
        };
        answer(status, &json!({"status": word, "checks": checks}))
    }
}

impl Check {
    async fn outcome(&self) -> Result<(), String> {
        tokio::time::timeout(PATIENCE, (self.run)())
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
