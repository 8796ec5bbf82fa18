//! The index: tasks by names that were given to them.

mod artifacts;
mod methods;
mod namespaces;
mod promise;
mod tasks;

use std::sync::Arc;
use std::time::Duration;

use taskyard_access::Directory;
use taskyard_engine::Timestamp;
use taskyard_engine::clock::Clock;
use taskyard_store::{Key, Store};

use crate::monitoring::Monitored;
use crate::service::{Context, Service};

pub(crate) use promise::promise;

/// What the handlers of the index share.
#[derive(Debug)]
pub struct Index {
    store: Store,
    clock: Clock,
    directory: Arc<Directory>,
    root_url: String,
    started: Timestamp,
}

/// The longest path.
const LONGEST_PATH: usize = 255;
/// The most data that goes with a task, as JSON text: 32 KiB. A page has a thousand of them.
const MOST_DATA: usize = 32 * 1024;

impl Index {
    /// The index service of an installation that clients reach at `root_url`.
    pub fn service(store: Store, root_url: &str, context: Context) -> Service<Index> {
        let index = Index {
            store,
            clock: context.clock.clone(),
            directory: Arc::clone(&context.directory),
            root_url: root_url.to_owned(),
            started: context.clock.now(),
        };
        Service::new("index", methods::ABOUT, methods::methods(), index, context)
    }
}

impl Monitored for Index {
    fn uptime(&self) -> Duration {
        self.clock.now().since(self.started)
    }
}

/// The key of changes below the outermost namespace of `path`.
fn key(path: &str) -> Key {
    let outermost = path.split('.').next().unwrap_or_default();
    Key::of(("index", outermost))
}
