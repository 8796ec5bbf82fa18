//! What happens to every request on its way in and out: it gets an id, a panic becomes an answer,
//! and the answer is counted.
//!
//! What answers is a [`Door`]: a router is one, and whoever has hot paths puts a plainer one before
//! it.

use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, StatusCode, Version, header};
use hyper::body::Incoming;
use ipnet::IpNet;
use tower::Service as _;
use tracing::Instrument as _;

use crate::request_id;
use crate::watched::Watched;
use crate::{RequestId, Traffic};

/// Headers by which proxies tell how a request reached them. From anybody else they are a lie, or
/// not for us.
const FORWARDED: [&str; 4] = [
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-for",
    "x-forwarded-host",
];

/// What answers requests.
pub trait Door: Send + Sync + 'static {
    /// Answers one request.
    fn answer(self: Arc<Self>, request: Request<Body>) -> BoxFuture<'static, Response>;
}

impl Door for Router {
    fn answer(self: Arc<Self>, request: Request<Body>) -> BoxFuture<'static, Response> {
        let mut router = Router::clone(&self);
        Box::pin(async move {
            let Ok(response) = router.call(request).await;
            response
        })
    }
}

/// A door and the figures its traffic is counted in. Cheap to clone.
#[derive(Clone)]
pub struct Entrance {
    door: Arc<dyn Door>,
    traffic: Arc<Traffic>,
    proxies: Arc<[IpNet]>,
}

impl std::fmt::Debug for Entrance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entrance")
            .field("proxies", &self.proxies)
            .finish_non_exhaustive()
    }
}

impl Entrance {
    /// Leads to `door` and counts in `traffic`.
    pub fn new(door: impl Door, traffic: Traffic) -> Self {
        Self {
            door: Arc::new(door),
            traffic: Arc::new(traffic),
            proxies: Arc::default(),
        }
    }

    /// Believes what proxies with these addresses say in `X-Forwarded-…` headers. From others the
    /// headers are taken away before anybody reads them.
    #[must_use]
    pub fn trusting(self, proxies: &[IpNet]) -> Self {
        Self {
            proxies: proxies.into(),
            ..self
        }
    }

    /// Whether `peer` is a proxy to be believed.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(&peer))
    }

    /// Answers one request, which came through a trusted proxy if `is_proxied`.
    pub(crate) async fn answer(
        self,
        mut request: Request<Incoming>,
        is_proxied: bool,
    ) -> Result<Response, Infallible> {
        let Self {
            door,
            traffic,
            proxies: _,
        } = self;
        let arrived = Instant::now();
        if !is_proxied {
            for name in FORWARDED {
                request.headers_mut().remove(name);
            }
        }
        let id = RequestId::fresh();
        let api = traffic.index(request.uri().path());
        request.extensions_mut().insert(id);
        let method = request.method().clone();
        // Kept for the log; cloning a Uri shares its bytes.
        let uri = request.uri().clone();
        let version = request.version();
        let request = request.map(Watched::new);
        let body = request.body().ended();
        let request = request.map(Body::new);
        let span = tracing::debug_span!("request", %id, %method, path = uri.path());

        let answered = AssertUnwindSafe(async move { door.answer(request).await })
            .catch_unwind()
            .instrument(span)
            .await;
        let panicked = answered.is_err();
        let mut response = match answered {
            Ok(response) => response,
            Err(_panic) => internal_error(id),
        };
        response
            .headers_mut()
            .insert(request_id::HEADER, id.header_value());
        // What is left of the body stands where the next request would begin, so the connection
        // ends, and a client that wants to send another is told so before it does.
        if version == Version::HTTP_11 && !body.is_ended() {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }

        let status = response.status();
        let took = arrived.elapsed();
        traffic.count(api, status, took);
        if panicked {
            tracing::error!(%id, %method, path = uri.path(), "a handler panicked");
        } else if status.is_server_error() {
            let status = status.as_u16();
            tracing::warn!(%id, %method, path = uri.path(), status, ?took, "answered with a failure");
        } else {
            let status = status.as_u16();
            tracing::debug!(%id, %method, path = uri.path(), status, ?took, "answered");
        }
        Ok(response)
    }
}

impl From<Router> for Entrance {
    fn from(router: Router) -> Self {
        Self::new(router, Traffic::of(&[]))
    }
}

/// What a client sees of a panic: no reason, but the id under which the log has it.
fn internal_error(id: RequestId) -> Response {
    let body = serde_json::json!({
        "code": "InternalServerError",
        "message": format!("The server failed on this request. Its log has the reason, under {id}."),
    });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
