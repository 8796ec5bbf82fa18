//! The clients and roles of an installation: rows of the store, and a compiled copy in memory that
//! every request is checked against.
//!
//! Every change is written down in the history by the transaction that makes it. The copy keeps up
//! by reading there what has changed: before the changer gets its answer on this node, and by a
//! wake-up on others.

mod clients;
pub mod history;
mod roles;
mod schema;
mod snapshot;
mod standing;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use taskyard_store::{Error, Key, Store, Topic};
use thiserror::Error as ThisError;
use tokio::sync::Notify;

use crate::seal::{SealError, Sealer};

pub use clients::{ClientDefinition, ClientRecord, ClientRefusal};
pub use history::{Action, Deed, HistoryEntry};
pub use roles::{RoleDefinition, RoleRecord, RoleRefusal};
pub use schema::MIGRATIONS;
pub use snapshot::Snapshot;
pub use standing::{SERVERS_OWN, STANDING, StandingClient, StandingRole};

/// Who the history names when nobody asked for a change.
pub const SERVER: &str = "static/taskcluster/auth";

/// Why the directory cannot be used.
#[derive(Debug, ThisError)]
pub enum DirectoryError {
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] Error),
    /// A secret could not be sealed or opened.
    #[error("an access token cannot be read: {0}")]
    Seal(#[from] SealError),
}

/// The clients and roles of an installation.
#[derive(Debug)]
pub struct Directory {
    store: Store,
    sealer: Arc<Sealer>,
    open_to_all: bool,
    current: RwLock<Arc<Snapshot>>,
    catching_up: tokio::sync::Mutex<()>,
    /// Uses of clients still to be written down, with their times.
    used: Mutex<Vec<(String, i64)>>,
    some_used: Notify,
}

fn topic() -> Topic {
    Topic::new("access", "directory")
}

fn key() -> Key {
    Key::of("access")
}

impl Directory {
    /// Loads the directory. With `open_to_all` everybody may do everything, as development servers
    /// do.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn open(
        store: Store,
        sealer: Arc<Sealer>,
        open_to_all: bool,
    ) -> Result<Self, DirectoryError> {
        let directory = Directory {
            store,
            sealer,
            open_to_all,
            current: RwLock::default(),
            catching_up: tokio::sync::Mutex::default(),
            used: Mutex::default(),
            some_used: Notify::new(),
        };
        let roles = Arc::new(directory.compile(&BTreeMap::new()));
        *directory.current.write() = Arc::new(Snapshot::of(roles));
        directory.catch_up().await?;
        Ok(directory)
    }
}

fn parse_scopes(text: &str) -> Result<Vec<String>, Error> {
    serde_json::from_str(text).map_err(|error| Error::Statement(format!("stored scopes: {error}")))
}
