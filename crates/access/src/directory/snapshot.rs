//! The copy in memory that every request is checked against, and how it keeps up.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use taskyard_store::{Error, Tx, params};

use super::clients::{self, ClientRecord};
use super::history::Kind;
use super::roles::{self, RoleRecord};
use super::{Directory, DirectoryError, topic};
use crate::client::Client;
use crate::role::{Role, Roles};

/// With more changes than this, everything is loaded anew.
const MANY: usize = 500;

/// A client's use is written down at most this often: 6 hours, in milliseconds.
const USE_MS: i64 = 6 * 3_600_000;

/// All clients and roles, as of one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    clients: HashMap<Arc<str>, Known>,
    records: Arc<BTreeMap<String, Arc<RoleRecord>>>,
    /// The compiled roles.
    pub roles: Arc<Roles>,
    clients_version: i64,
    pub(super) roles_version: i64,
}

#[derive(Debug, Clone)]
struct Known {
    client: Arc<Client>,
    /// Shared by all snapshots, in milliseconds since 1970.
    last_used: Arc<AtomicI64>,
}

/// What must be done to a snapshot to bring it up to date.
struct News {
    clients_version: i64,
    roles_version: i64,
    /// Instead of what there was, or in addition to it.
    everything: bool,
    clients: Vec<(String, Option<ClientRecord>)>,
    roles: Vec<(String, Option<RoleRecord>)>,
}

// === impl Snapshot ===

impl Snapshot {
    /// Nobody, and these roles.
    pub(super) fn of(roles: Arc<Roles>) -> Self {
        Snapshot {
            roles,
            ..Snapshot::default()
        }
    }

    /// The client of this id.
    pub fn client(&self, client_id: &str) -> Option<Arc<Client>> {
        self.clients
            .get(client_id)
            .map(|known| Arc::clone(&known.client))
    }

    /// The ids of all clients, in no order.
    pub fn client_ids(&self) -> impl Iterator<Item = &str> {
        self.clients.keys().map(AsRef::as_ref)
    }

    /// The role of this id.
    pub fn role(&self, role_id: &str) -> Option<&Arc<RoleRecord>> {
        self.records.get(role_id)
    }

    /// All roles, by id.
    pub fn role_records(&self) -> impl ExactSizeIterator<Item = &Arc<RoleRecord>> {
        self.records.values()
    }

    /// All roles as a change to one of them would leave them.
    pub(super) fn roles_with(&self, role_id: &str, scopes: &[String]) -> Vec<Role> {
        let others = self.records.values().filter(|role| role.role_id != role_id);
        let mut roles: Vec<Role> = others.map(|role| role.role()).collect();
        roles.push(Role {
            role_id: role_id.to_owned(),
            scopes: scopes.to_vec(),
        });
        roles
    }
}

// === impl Directory ===

const VERSION: &str = "SELECT version FROM directory_versions WHERE entity_type = $1";
const CHANGED: &str = "SELECT DISTINCT entity_id FROM history WHERE entity_type = $1 AND id > $2 \
     LIMIT 501";
const USED: &str = "UPDATE clients SET last_date_used = $2 WHERE client_id = $1 AND \
     last_date_used < $2";

impl Directory {
    /// What requests are checked against now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read())
    }

    /// Keeps the snapshot up to date whenever something was changed, here or on another node, and
    /// writes down which clients are in use.
    pub async fn follow(&self) {
        let mut changes = self.store.wait_for(topic());
        loop {
            let done = tokio::select! {
                () = changes.woken() => self.catch_up().await.map(drop),
                () = self.some_used.notified() => self.write_uses().await,
            };
            if let Err(error) = done {
                tracing::warn!(%error, "clients and roles are not up to date; trying again");
            }
        }
    }

    /// Brings the snapshot up to date with all that was committed until now, and returns it.
    ///
    /// # Errors
    /// See [`DirectoryError`]; the old snapshot stays then.
    pub async fn catch_up(&self) -> Result<Arc<Snapshot>, DirectoryError> {
        // One at a time, so that no older state replaces a newer one.
        let _turn = self.catching_up.lock().await;
        let old = self.snapshot();
        let (known_clients, known_roles) = (old.clients_version, old.roles_version);
        let news = self
            .store
            .read(move |tx| news(tx, known_clients, known_roles))
            .await?;
        let Some(news) = news else { return Ok(old) };
        let new = Arc::new(self.apply(&old, news)?);
        *self.current.write() = Arc::clone(&new);
        Ok(new)
    }

    fn apply(&self, old: &Snapshot, news: News) -> Result<Snapshot, DirectoryError> {
        let mut clients = if news.everything {
            HashMap::new()
        } else {
            old.clients.clone()
        };
        for (client_id, record) in news.clients {
            let Some(record) = record else {
                clients.remove(client_id.as_str());
                continue;
            };
            let used = old.clients.get(client_id.as_str());
            let last_used = used.map_or_else(
                || Arc::new(AtomicI64::new(record.last_used_ms)),
                |known| Arc::clone(&known.last_used),
            );
            let client = Arc::new(self.open_client(&record)?);
            clients.insert(client_id.into(), Known { client, last_used });
        }
        let (records, roles) = if news.roles.is_empty() && !news.everything {
            // What roles expand to is remembered with them.
            (Arc::clone(&old.records), Arc::clone(&old.roles))
        } else {
            let mut records = if news.everything {
                BTreeMap::new()
            } else {
                BTreeMap::clone(&old.records)
            };
            for (role_id, record) in news.roles {
                match record {
                    Some(record) => drop(records.insert(role_id, Arc::new(record))),
                    None => drop(records.remove(&role_id)),
                }
            }
            let roles = self.compile(&records);
            (Arc::new(records), Arc::new(roles))
        };
        let News {
            clients_version,
            roles_version,
            ..
        } = news;
        Ok(Snapshot {
            clients,
            records,
            roles,
            clients_version,
            roles_version,
        })
    }

    pub(super) fn compile(&self, records: &BTreeMap<String, Arc<RoleRecord>>) -> Roles {
        let mut roles: Vec<Role> = records.values().map(|record| record.role()).collect();
        if self.open_to_all {
            roles.retain(|role| role.role_id != "anonymous");
            roles.push(Role {
                role_id: "anonymous".to_owned(),
                scopes: vec!["*".to_owned()],
            });
        }
        Roles::new(&roles)
    }

    /// Notes that a client has signed a request.
    pub fn note_use(&self, client_id: &str, now_ms: i64) {
        let snapshot = self.snapshot();
        let Some(known) = snapshot.clients.get(client_id) else {
            return;
        };
        let last = known.last_used.load(Ordering::Relaxed);
        if now_ms - last <= USE_MS {
            return;
        }
        let swap =
            known
                .last_used
                .compare_exchange(last, now_ms, Ordering::Relaxed, Ordering::Relaxed);
        if swap.is_ok() {
            self.used.lock().push((client_id.to_owned(), now_ms));
            self.some_used.notify_one();
        }
    }

    async fn write_uses(&self) -> Result<(), DirectoryError> {
        let used = std::mem::take(&mut *self.used.lock());
        let writing = used.clone();
        let write = move |tx: &mut Tx<'_>| {
            for (client_id, at) in &writing {
                tx.execute(USED, params![client_id, *at])?;
            }
            Ok(())
        };
        let written = self.store.write(super::key(), write).await;
        if written.is_err() {
            // They go with the next ones.
            self.used.lock().extend(used);
        }
        Ok(written?)
    }
}

fn version(tx: &mut Tx<'_>, kind: Kind) -> Result<i64, Error> {
    Ok(tx
        .query_opt(VERSION, params![kind.as_str()], |row| row.get(0))?
        .unwrap_or_default())
}

fn changed(tx: &mut Tx<'_>, kind: Kind, since: i64) -> Result<Vec<String>, Error> {
    tx.query(CHANGED, params![kind.as_str(), since], |row| row.get(0))
}

/// What was changed since two versions; everything if that is much, or the first time.
fn news(tx: &mut Tx<'_>, clients_since: i64, roles_since: i64) -> Result<Option<News>, Error> {
    let (clients_version, roles_version) = (version(tx, Kind::Client)?, version(tx, Kind::Role)?);
    if (clients_version, roles_version) == (clients_since, roles_since) {
        return Ok(None);
    }
    let is_first = (clients_since, roles_since) == (0, 0);
    let mut ids = (Vec::new(), Vec::new());
    if !is_first {
        ids = (
            changed(tx, Kind::Client, clients_since)?,
            changed(tx, Kind::Role, roles_since)?,
        );
    }
    let everything = is_first || ids.0.len() > MANY || ids.1.len() > MANY;
    let (clients, roles) = if everything {
        let clients = clients::load_all(tx)?.into_iter();
        let roles = roles::load_all(tx)?.into_iter();
        (
            clients
                .map(|client| (client.client_id.clone(), Some(client)))
                .collect(),
            roles
                .map(|role| (role.role_id.clone(), Some(role)))
                .collect(),
        )
    } else {
        let mut clients = Vec::with_capacity(ids.0.len());
        for id in ids.0 {
            let client = clients::load(tx, &id)?;
            clients.push((id, client));
        }
        let mut roles = Vec::with_capacity(ids.1.len());
        for id in ids.1 {
            let role = roles::load(tx, &id)?;
            roles.push((id, role));
        }
        (clients, roles)
    };
    Ok(Some(News {
        clients_version,
        roles_version,
        everything,
        clients,
        roles,
    }))
}
