//! Requests to workers to forget a cache: of a pool of workers, all that was kept under a name before
//! a moment. A request is there for a day, by which time every worker has asked.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use taskyard_events::{Event, outbox};
use taskyard_store::{Error, Migration, Row, Tx, params};

use crate::timestamp::Timestamp;

/// The table of requests.
pub(crate) const TABLES: Migration = Migration {
    component: "cache-purges",
    id: 1,
    name: "requests to purge caches",
    sql: "
CREATE TABLE cache_purges (
  worker_pool_id {text} NOT NULL,
  cache_name {text} NOT NULL,
  -- caches that were made before this are to go; grows with each request
  before {int} NOT NULL,
  expires {int} NOT NULL,
  PRIMARY KEY (worker_pool_id, cache_name)
) {by_key};
CREATE INDEX cache_purges_by_expiry ON cache_purges (expires);
",
};

/// How long a request is told.
const TOLD: Duration = Duration::from_hours(24);
/// Times are told to the millisecond, so that a later request differs by one at least.
const LATER: i64 = 1000;

/// The kind of event whose subject is a pool; [`purged_cache`] reads it.
pub const REQUESTED: &str = "cache-purge-requested";

/// A request to forget a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachePurge {
    /// `<provisionerId>/<workerType>`.
    pub worker_pool_id: String,
    /// The name of the cache.
    pub cache_name: String,
    /// What was made before this is to be forgotten.
    pub before: Timestamp,
}

fn read(row: &Row<'_>) -> Result<CachePurge, Error> {
    Ok(CachePurge {
        worker_pool_id: row.get(0)?,
        cache_name: row.get(1)?,
        before: row.get(2)?,
    })
}

#[derive(Serialize, Deserialize)]
struct Body {
    #[serde(rename = "c")]
    cache_name: String,
}

const REQUEST: &str = "INSERT INTO cache_purges (worker_pool_id, cache_name, before, expires) \
     VALUES ($1, $2, $3, $4) ON CONFLICT (worker_pool_id, cache_name) DO UPDATE \
     SET before = CASE WHEN cache_purges.before < excluded.before THEN excluded.before \
     ELSE cache_purges.before + $5 END, expires = excluded.expires";

/// Asks for a cache to be forgotten, also what was made since this was asked for before.
pub fn request(
    tx: &mut Tx<'_>,
    now: Timestamp,
    worker_pool_id: &str,
    cache_name: &str,
) -> Result<(), Error> {
    let (before, expires) = (now.trunc_millis(), now.plus(TOLD));
    let values = params![worker_pool_id, cache_name, before, expires, LATER];
    tx.execute(REQUEST, values)?;
    let cache_name = cache_name.to_owned();
    let body = serde_json::to_string(&Body { cache_name })
        .map_err(|error| Error::Statement(format!("the body of an event: {error}")))?;
    outbox::append(tx, now.0, REQUESTED, worker_pool_id, &body)
}

/// The name of the cache that an event of kind [`REQUESTED`] is about.
///
/// # Errors
/// It is an event of another kind.
pub fn purged_cache(event: &Event) -> Result<String, Error> {
    let body: Body = serde_json::from_str(&event.body)
        .map_err(|error| Error::Statement(format!("the event {}: {error}", event.position)))?;
    Ok(body.cache_name)
}

const OF_POOL: &str = "SELECT worker_pool_id, cache_name, before FROM cache_purges \
     WHERE worker_pool_id = $1 AND before >= $2 ORDER BY cache_name";

/// What the workers of a pool were asked `since` a moment, by the name of the cache.
pub fn of_pool(
    tx: &mut Tx<'_>,
    worker_pool_id: &str,
    since: Timestamp,
) -> Result<Vec<CachePurge>, Error> {
    tx.query(OF_POOL, params![worker_pool_id, since], read)
}

const ALL: &str = "SELECT worker_pool_id, cache_name, before FROM cache_purges \
     WHERE (worker_pool_id, cache_name) > ($1, $2) ORDER BY worker_pool_id, cache_name LIMIT $3";

/// Up to `limit` requests to all pools, by pool and name, beginning behind `after`.
pub fn all(
    tx: &mut Tx<'_>,
    after: &(String, String),
    limit: usize,
) -> Result<Vec<CachePurge>, Error> {
    tx.query(ALL, params![&after.0, &after.1, limit as i64], read)
}

const EXPIRE: &str = "DELETE FROM cache_purges WHERE expires < $1 AND (worker_pool_id, cache_name) \
     IN (SELECT worker_pool_id, cache_name FROM cache_purges WHERE expires < $1 \
     ORDER BY expires LIMIT $2)";

/// Forgets up to `limit` requests that expired before `by`; whether there may be more.
pub fn expire(tx: &mut Tx<'_>, by: Timestamp, limit: usize) -> Result<bool, Error> {
    Ok(tx.execute(EXPIRE, params![by, limit as i64])? as usize == limit)
}
