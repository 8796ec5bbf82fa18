//! The purge-cache service: workers ask which of their caches they are to forget.

mod exchanges;
mod methods;
mod since;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;
use taskyard_access::Param;
use taskyard_engine::Timestamp;
use taskyard_engine::cache_purge::{self, CachePurge};
use taskyard_engine::clock::Clock;
use taskyard_store::{Key, Store};

use crate::call::Call;
use crate::error::{ApiError, Code};
use crate::monitoring::Monitored;
use crate::paging;
use crate::queue::split_queue_id;
use crate::reply::Reply;
use crate::service::{Context, Service};

pub(crate) use exchanges::{EXCHANGES, PurgeCacheMessages};

/// The longest name of a cache, in bytes.
const LONGEST_NAME: usize = 4096;

/// What the handlers of the purge-cache service share.
#[derive(Debug)]
pub struct PurgeCache {
    store: Store,
    clock: Clock,
    started: Timestamp,
}

impl PurgeCache {
    /// The purge-cache service.
    pub fn service(store: Store, context: Context) -> Service<PurgeCache> {
        let purge_cache = PurgeCache {
            store,
            clock: context.clock.clone(),
            started: context.clock.now(),
        };
        Service::new(
            "purge-cache",
            methods::ABOUT,
            methods::methods(),
            purge_cache,
            context,
        )
    }
}

impl Monitored for PurgeCache {
    fn uptime(&self) -> Duration {
        self.clock.now().since(self.started)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    provisioner_id: String,
    worker_type: String,
    cache_name: String,
    before: String,
}

impl From<CachePurge> for Body {
    fn from(purge: CachePurge) -> Self {
        let (provisioner_id, worker_type) = split_queue_id(&purge.worker_pool_id);
        Body {
            provisioner_id: provisioner_id.to_owned(),
            worker_type: worker_type.to_owned(),
            cache_name: purge.cache_name,
            before: purge.before.to_iso(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    requests: Vec<Body>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continuation_token: Option<String>,
}

fn page(purges: Vec<CachePurge>, continuation_token: Option<String>) -> Reply {
    Reply::json(&Page {
        requests: purges.into_iter().map(Body::from).collect(),
        continuation_token,
    })
}

async fn purge_cache(purge_cache: Arc<PurgeCache>, call: Call) -> Result<Reply, ApiError> {
    let name = call.text("cacheName").to_owned();
    call.authorize(&[("cacheName", Param::from(name.as_str()))])?;
    if name.len() > LONGEST_NAME {
        return Err(ApiError::input(format!(
            "The name of a cache has {LONGEST_NAME} bytes at most."
        )));
    }
    let (pool, now) = (call.param("workerPoolId").to_owned(), call.now);
    let key = Key::of(("cache-purge", pool.as_str()));
    let requested = purge_cache
        .store
        .write(key, move |tx| cache_purge::request(tx, now, &pool, &name));
    requested.await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

async fn all_purge_requests(purge_cache: Arc<PurgeCache>, call: Call) -> Result<Reply, ApiError> {
    let limit = paging::limit(&call);
    let after = paging::position(&call, (String::new(), String::new()))?;
    let found = purge_cache
        .store
        .read(move |tx| cache_purge::all(tx, &after, limit + 1));
    let mut found = found.await?;
    let token = paging::cut(&mut found, limit, |purge| {
        (purge.worker_pool_id.clone(), purge.cache_name.clone())
    });
    Ok(page(found, token))
}

async fn purge_requests(purge_cache: Arc<PurgeCache>, call: Call) -> Result<Reply, ApiError> {
    let since = match call.query("since") {
        Some(text) => since::parse(text).ok_or_else(|| {
            ApiError::new(
                Code::InvalidRequestArguments,
                format!("Query-string parameter 'since' is '{text}', which is no date."),
            )
        })?,
        None => Timestamp(i64::MIN),
    };
    let pool = call.param("workerPoolId").to_owned();
    let found = purge_cache
        .store
        .read(move |tx| cache_purge::of_pool(tx, &pool, since));
    Ok(page(found.await?, None))
}
