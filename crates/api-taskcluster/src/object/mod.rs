//! The object service: named bytes, uploaded in a few steps that leave the way to the server.

mod downloads;
mod methods;
mod uploads;

use std::sync::Arc;
use std::time::Duration;

use taskyard_engine::Timestamp;
use taskyard_engine::clock::Clock;
use taskyard_engine::object;
use taskyard_store::{Key, Store};

use crate::call::Call;
use crate::error::ApiError;
use crate::monitoring::Monitored;
use crate::queue::Transfers;
use crate::service::{Context, Service};

/// What the handlers of the object service share.
#[derive(Debug)]
pub struct Objects {
    store: Store,
    clock: Clock,
    transfers: Arc<Transfers>,
    started: Timestamp,
}

impl Objects {
    /// The object service, whose bytes go through `transfers`.
    pub fn service(store: Store, transfers: Arc<Transfers>, context: Context) -> Service<Objects> {
        let objects = Objects {
            store,
            clock: context.clock.clone(),
            transfers,
            started: context.clock.now(),
        };
        Service::new(
            "object",
            methods::ABOUT,
            methods::methods(),
            objects,
            context,
        )
    }

    /// The object that a call names, if it can be had.
    async fn find(&self, call: &Call) -> Result<object::Object, ApiError> {
        let name = call.param("name").to_owned();
        let wanted = name.clone();
        let found = self.store.read(move |tx| object::load(tx, &wanted)).await?;
        found
            .filter(|found| found.finished && found.expires >= call.now)
            .ok_or_else(|| ApiError::not_found(format!("Object \"{name}\" not found.")))
    }
}

impl Monitored for Objects {
    fn uptime(&self) -> Duration {
        self.clock.now().since(self.started)
    }
}

/// The key of changes to one object.
fn key(name: &str) -> Key {
    Key::of(("object", name))
}
