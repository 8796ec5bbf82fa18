//! The purge-cache service's table of contents.

use serde_json::json;

use super::{PurgeCache, all_purge_requests, purge_cache, purge_requests};
use crate::method::Verb::{Get, Post};
use crate::method::{Method, handler};
use crate::monitoring;

/// Title and description of the service.
pub(super) const ABOUT: (&str, &str) = (
    "Purge Cache Service",
    "Asks the workers of a pool to forget caches. They come and ask before they take a task.",
);

const CATEGORY: &str = "Purge-Cache Service";

/// All methods, in the order of the reference.
pub(super) fn methods() -> Vec<Method<PurgeCache>> {
    let mut methods = monitoring::methods();
    methods.extend([
        Method::new(
            "purgeCache",
            Post,
            "/purge-cache/<workerPoolId>",
            handler!(purge_cache),
        )
        .scopes(json!("purge-cache:<workerPoolId>:<cacheName>"))
        .input("v1/purge-cache-request.json#")
        .about(
            CATEGORY,
            "Purge worker cache",
            "Asks the workers of a pool to forget everything they have kept under a name so far.",
        ),
        Method::new(
            "allPurgeRequests",
            Get,
            "/purge-cache/list",
            handler!(all_purge_requests),
        )
        .query(&["continuationToken", "limit"])
        .scopes(json!("purge-cache:all-purge-requests"))
        .output("v1/all-purge-cache-request-list.json#")
        .about(
            CATEGORY,
            "All open purge requests",
            "The requests to all pools, by pool and name.",
        ),
        Method::new(
            "purgeRequests",
            Get,
            "/purge-cache/<workerPoolId>",
            handler!(purge_requests),
        )
        .query(&["since"])
        .scopes(json!("purge-cache:purge-requests::<workerPoolId>"))
        .output("v1/purge-cache-request-list.json#")
        .about(
            CATEGORY,
            "Open purge requests for a worker pool",
            "What the workers of a pool were asked to forget, `since` a moment if one is given.",
        ),
    ]);
    methods
}
