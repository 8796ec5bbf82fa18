//! Events: what happens, as a stream that browsers and scripts can follow (Server-Sent Events).
//!
//! `GET /api/events/v1/connect/?bindings={"bindings":[{"exchange":…,"routingKeyPattern":…}]}`
//! answers with a stream of `ready`, `message`, `ping` and `error` events. Every event has an id;
//! a client that comes back with the last one (`Last-Event-ID`, or `?after=`) gets what it missed.

mod binding;
mod frame;
mod stream;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::stream as streams;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Request};
use serde_json::json;
use taskyard_access::Expression;
use taskyard_events::Exchange;
use taskyard_events::hub::Hub;
use taskyard_http::Draining;
use tokio::sync::mpsc;

use crate::authentication::Sent;
use crate::call::authorize;
use crate::error::{ApiError, Code, RequestInfo};
use crate::exchanges::{ALL, exchange_names};
use crate::route::Params;
use crate::service::{Context, not_found, read_pairs, shared_headers};

use self::stream::Feed;

/// What listening to exchanges of Taskcluster needs.
const SCOPE: &str = "web:read-pulse";
/// The one path below the prefix.
const CONNECT: &str = "/connect";
/// Streams of one process.
const MOST_STREAMS: usize = 10_000;

/// Limits and pauses of streams.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How often a stream says that it is alive.
    pub ping: Duration,
    /// How long a client may take nothing before its stream is ended.
    pub patience: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            ping: Duration::from_secs(20),
            patience: Duration::from_mins(1),
        }
    }
}

/// The events service.
#[derive(Debug, Clone)]
pub struct Events {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    context: Context,
    hub: Arc<Hub>,
    draining: Draining,
    pace: Pace,
    exchanges: Known,
    headers: HeaderMap,
}

/// An exchange of another API, whose messages can be heard here as well.
#[derive(Debug, Clone)]
pub struct Guest {
    /// Its full name.
    pub name: Arc<str>,
    /// Its declaration.
    pub exchange: &'static Exchange,
    /// The scope that is needed to hear what a pattern matches.
    pub scope: fn(&str) -> String,
}

/// What is known of an exchange.
#[derive(Debug, Clone, Copy)]
struct Listed {
    /// Its declaration, if it is one that is published to.
    exchange: Option<&'static Exchange>,
    /// The scope that is needed to hear what a pattern matches.
    scope: fn(&str) -> String,
}

/// Every exchange by its full name.
type Known = HashMap<String, Listed>;

/// What the exchanges of Taskcluster need, whatever the pattern.
fn any_pattern(_: &str) -> String {
    SCOPE.to_owned()
}

impl Events {
    /// The service over `hub`, with exchanges of others. Streams end when `draining` is cancelled.
    pub fn new(
        context: Context,
        hub: Arc<Hub>,
        draining: Draining,
        pace: Pace,
        guests: Vec<Guest>,
    ) -> Self {
        let of_ours = |exchange| Listed {
            exchange,
            scope: any_pattern,
        };
        let mut exchanges: Known = exchange_names()
            .into_iter()
            .map(|name| (name, of_ours(None)))
            .collect();
        for (name, exchange) in ALL.iter().flat_map(crate::exchanges::Exchanges::named) {
            exchanges.insert(name.to_string(), of_ours(Some(exchange)));
        }
        for guest in guests {
            let listed = Listed {
                exchange: Some(guest.exchange),
                scope: guest.scope,
            };
            exchanges.insert(guest.name.to_string(), listed);
        }
        let mut headers = shared_headers();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Events {
            shared: Arc::new(Shared {
                context,
                hub,
                draining,
                pace,
                exchanges,
                headers,
            }),
        }
    }

    /// The path that all of it stands below.
    pub fn prefix() -> &'static str {
        "/api/events/v1"
    }

    /// Answers a request whose path begins with [`Events::prefix`].
    pub async fn answer(&self, request: Request<Body>) -> Response {
        let path = request.uri().path();
        let rest = path.get(Self::prefix().len()..).unwrap_or_default();
        if rest.trim_end_matches('/') != CONNECT || request.method() != http::Method::GET {
            return not_found().into_response(&shared_headers());
        }
        let info = RequestInfo {
            method: "connect",
            params: Arc::default(),
            payload: Arc::new(json!({})),
            time: self.shared.context.clock.now().trunc_millis(),
        };
        match self.connect(request, &info).await {
            Ok(response) => response,
            Err(error) => error.into_reply(info).into_response(&shared_headers()),
        }
    }

    async fn connect(
        &self,
        request: Request<Body>,
        info: &RequestInfo,
    ) -> Result<Response, ApiError> {
        let shared = &self.shared;
        let (parts, _) = request.into_parts();
        let sent = Sent {
            parts: &parts,
            body: &[],
            trust_forwarded: shared.context.trust_forwarded,
        };
        let caller = shared.context.authenticate(sent, info.time).await?;
        let query = read_pairs(parts.uri.query().unwrap_or_default());
        let last_seen = parts.headers.get("last-event-id");
        let last_seen = last_seen.and_then(|id| id.to_str().ok());
        let asked = binding::Asked::read(&query, last_seen, &shared.exchanges);
        let scopes = match &asked {
            Ok(asked) => self.scopes(asked),
            // Whoever may not listen is not told what is wrong.
            Err(_) => BTreeSet::from([SCOPE.to_owned()]),
        };
        let scopes = scopes.into_iter().map(Expression::Scope).collect();
        let needed = Expression::AllOf(scopes);
        authorize(&caller, &needed, &Params::default(), &[])?;
        if shared.hub.subscribers() >= MOST_STREAMS {
            return Err(ApiError::new(
                Code::ServiceUnavailable,
                "Too many streams are open here; try again later.",
            ));
        }
        let body = match asked {
            Ok(asked) => {
                // The stream waits for its reader, not for the events.
                let (sender, mut chunks) = mpsc::channel(2);
                let feed = Feed::new(Arc::clone(&self.shared), asked, sender);
                tokio::spawn(feed.run());
                let chunks = streams::poll_fn(move |context| chunks.poll_recv(context));
                Body::from_stream(streams::StreamExt::map(
                    chunks,
                    Ok::<_, std::convert::Infallible>,
                ))
            }
            // Those who listen cannot see a status, so they hear it.
            Err(text) => Body::from(frame::error(&text)),
        };
        Ok((shared.headers.clone(), body).into_response())
    }

    /// What it takes to hear all that is asked for.
    fn scopes(&self, asked: &binding::Asked) -> BTreeSet<String> {
        let listed = asked.bindings.iter().filter_map(|binding| {
            let listed = self.shared.exchanges.get(&binding.exchange)?;
            Some((listed.scope)(&binding.pattern))
        });
        listed.collect()
    }
}
