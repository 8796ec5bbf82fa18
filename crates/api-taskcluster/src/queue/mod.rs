//! The queue: tasks, their runs and artifacts.

mod artifacts;
mod batches;
mod built_in;
mod byte_range;
mod claims;
mod counts;
mod definition;
mod exchanges;
mod facts;
pub(crate) mod files;
mod groups;
mod listings;
mod messages;
mod methods;
mod priorities;
mod provisioners;
mod reports;
mod sightings;
mod status;
mod task_queues;
mod tasks;
pub(crate) mod transfer;
mod upkeep;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use taskyard_access::{Client, Directory, Sealer};
use taskyard_engine::clock::Clock;
use taskyard_http::Draining;
use taskyard_store::Store;

use crate::monitoring::Monitored;
use crate::service::{Context, Service};
use sightings::Sightings;

pub use built_in::BuiltIn;
pub(crate) use exchanges::EXCHANGES;
pub use files::{Bucket, Files};
pub(crate) use messages::QueueMessages;
pub(crate) use status::split_queue_id;
pub use transfer::Transfers;
pub use upkeep::{remove_broken_off, remove_orphans, upkeep};

/// The client that issues the credentials of tasks. It holds everything, since a task may be given
/// any scope that its creator holds.
pub const ISSUER: &str = "static/taskcluster/queue";

/// What the handlers of the queue share.
#[derive(Debug)]
pub struct Queue {
    store: Store,
    clock: Clock,
    directory: Arc<Directory>,
    transfers: Arc<Transfers>,
    claim_timeout: Duration,
    draining: Draining,
    sightings: Arc<Sightings>,
    started: taskyard_engine::Timestamp,
}

/// What a queue service is made of.
#[derive(Debug)]
pub struct Parts {
    /// Where tasks are kept.
    pub store: Store,
    /// How long a claim holds; workers renew it well before.
    pub claim_timeout: Duration,
    /// Cancelled when long polls should end.
    pub draining: Draining,
    /// Uploads and downloads of artifacts.
    pub transfers: Arc<Transfers>,
}

impl Queue {
    /// The queue as a service.
    pub fn service(parts: Parts, context: Context) -> Service<Queue> {
        let queue = Queue {
            store: parts.store,
            clock: context.clock.clone(),
            directory: Arc::clone(&context.directory),
            transfers: parts.transfers,
            claim_timeout: parts.claim_timeout,
            draining: parts.draining,
            sightings: Arc::default(),
            started: context.clock.now(),
        };
        Service::new("queue", methods::ABOUT, methods::methods(), queue, context)
    }

    fn issuer(&self) -> Option<Arc<Client>> {
        self.directory.snapshot().client(ISSUER)
    }
}

impl Monitored for Queue {
    fn uptime(&self) -> Duration {
        self.clock.now().since(self.started)
    }
}

/// Uploads and downloads of artifacts and objects, with URLs signed by `sealer`, bytes in `files`
/// and their records in `store`.
pub fn transfers(
    root_url: &str,
    sealer: Arc<Sealer>,
    files: Files,
    store: Store,
    clock: Clock,
) -> Transfers {
    Transfers::new(root_url.to_owned(), sealer, files, store, clock)
}
