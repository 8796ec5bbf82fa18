//! What the world hears about caches that are to be forgotten.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use taskyard_engine::cache_purge;
use taskyard_events::{Event, Exchange, Message, Translate, Word};
use taskyard_store::{Error, Tx};

use crate::exchanges::Exchanges;
use crate::queue::split_queue_id;

const PURGE_CACHE: Exchange = Exchange {
    name: "purgeCache",
    exchange: "purge-cache",
    title: "A cache is to be forgotten",
    description: "The workers of a pool are asked to forget a cache.",
    key: &[
        Word::constant("routingKeyKind", "primary", "Always `primary`."),
        Word::required("provisionerId", 38, "First part of the pool's name."),
        Word::required("workerType", 38, "Second part of the pool's name."),
    ],
    schema: "v1/purge-cache-message.json#",
};

/// The exchanges of the purge-cache service.
pub(crate) const EXCHANGES: Exchanges = Exchanges {
    service: "purge-cache",
    title: "Messages about caches",
    description: "Messages that tell workers which caches to forget, so that they need not ask.",
    entries: &[PURGE_CACHE],
};

/// Makes messages of requests to forget a cache.
#[derive(Debug)]
pub(crate) struct PurgeCacheMessages {
    name: Arc<str>,
}

impl Default for PurgeCacheMessages {
    fn default() -> Self {
        PurgeCacheMessages {
            name: EXCHANGES.full_name(&PURGE_CACHE).into(),
        }
    }
}

impl Translate for PurgeCacheMessages {
    fn kinds(&self) -> &'static [&'static str] {
        &[cache_purge::REQUESTED]
    }

    fn translate(&self, _: &mut Tx<'_>, event: &Event) -> Result<Vec<Message>, Error> {
        let (provisioner_id, worker_type) = split_queue_id(&event.subject);
        let words = [
            ("provisionerId", provisioner_id),
            ("workerType", worker_type),
        ];
        let routing_key = PURGE_CACHE.routing_key(&words);
        let payload = json!({
            "version": 1,
            "provisionerId": provisioner_id,
            "workerType": worker_type,
            "cacheName": cache_purge::purged_cache(event)?,
        });
        Ok(vec![Message {
            exchange: Arc::clone(&self.name),
            routing_key: routing_key.map_err(|error| Error::Statement(error.to_string()))?,
            cc: Vec::new(),
            payload: Bytes::from(payload.to_string()),
        }])
    }
}
