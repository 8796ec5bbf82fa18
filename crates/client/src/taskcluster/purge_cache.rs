use serde::Deserialize;
use serde_json::json;

use super::page::{Listing, Page, list, list_all};
use crate::{Call, Options, Result, Service, Timestamp};

/// The purge-cache service: which caches workers are to forget. Clones share connections.
#[derive(Debug, Clone)]
pub struct PurgeCache {
    service: Service,
}

/// A cache that the workers of a pool are asked to forget.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PurgeRequest {
    /// First part of the pool's name.
    pub provisioner_id: String,
    /// Second part of the pool's name.
    pub worker_type: String,
    /// The cache.
    pub cache_name: String,
    /// What was made before this is to be forgotten.
    pub before: Timestamp,
}

/// A page of requests.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PurgeRequestsPage {
    /// The requests, by pool and name.
    pub requests: Vec<PurgeRequest>,
    /// Where to go on.
    pub continuation_token: Option<String>,
}

impl Listing for PurgeRequestsPage {
    type Item = PurgeRequest;

    fn into_parts(self) -> (Vec<PurgeRequest>, Option<String>) {
        (self.requests, self.continuation_token)
    }
}

// === impl PurgeCache ===

impl PurgeCache {
    /// A client of the purge-cache service.
    ///
    /// # Errors
    /// `Usage` when an option is wrong.
    pub fn new(options: Options) -> Result<Self> {
        Ok(Self {
            service: Service::new("purge-cache", "v1", options)?,
        })
    }

    /// The service beneath, for addresses and methods that have no function here.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Asks the workers of a pool (`<provisionerId>/<workerType>`) to forget what they have kept
    /// under a name so far.
    pub async fn purge_cache(&self, worker_pool_id: &str, cache_name: &str) -> Result<()> {
        let path = ["purge-cache", worker_pool_id];
        let call = Call::post(&path).json(&json!({"cacheName": cache_name}))?;
        self.service.send(call).await.map(drop)
    }

    /// What the workers of a pool are asked to forget, `since` a moment if one is given.
    pub async fn purge_requests(
        &self,
        worker_pool_id: &str,
        since: Option<Timestamp>,
    ) -> Result<Vec<PurgeRequest>> {
        let path = ["purge-cache", worker_pool_id];
        let since = since.map(|since| since.to_string());
        let mut call = Call::get(&path);
        if let Some(since) = &since {
            call = call.query("since", since);
        }
        let page: PurgeRequestsPage = self.service.send(call).await?.json()?;
        Ok(page.requests)
    }

    /// A page of what the workers of all pools are asked to forget.
    pub async fn all_purge_requests(&self, page: &Page) -> Result<PurgeRequestsPage> {
        list(&self.service, &["purge-cache", "list"], page).await
    }

    /// All of it.
    pub async fn all_purge_requests_all(&self) -> Result<Vec<PurgeRequest>> {
        list_all::<PurgeRequestsPage>(&self.service, &["purge-cache", "list"]).await
    }
}
