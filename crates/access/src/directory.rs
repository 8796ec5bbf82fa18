//! The clients and roles of an installation: rows of the store, and a compiled copy in memory that
//! every request is checked against.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use taskyard_store::{Error, Key, Migration, Store, Topic, Tx, params};
use thiserror::Error as ThisError;

use crate::client::{Client, Secret, new_access_token};
use crate::role::{Role, Roles};
use crate::seal::{Place, SealError, Sealer};

/// The tables of clients and roles. Times are milliseconds since 1970.
pub const MIGRATIONS: &[Migration] = &[Migration {
    id: 1001,
    name: "clients and roles",
    sql: "
CREATE TABLE clients (
  client_id {text} PRIMARY KEY,
  description {text} NOT NULL,
  -- sealed
  access_token {text} NOT NULL,
  -- a JSON list
  scopes {text} NOT NULL,
  expires {int} NOT NULL,
  disabled {int} NOT NULL,
  created {int} NOT NULL,
  last_modified {int} NOT NULL
) {strict};
CREATE TABLE roles (
  role_id {text} PRIMARY KEY,
  description {text} NOT NULL,
  -- a JSON list
  scopes {text} NOT NULL,
  created {int} NOT NULL,
  last_modified {int} NOT NULL
) {strict};
",
}];

/// Static clients outlive everything.
const FOR_EVER_MS: i64 = 1000 * 365 * 86_400_000;

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

/// All clients and roles, as of one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    clients: HashMap<String, Arc<Client>>,
    /// The compiled roles.
    pub roles: Roles,
}

impl Snapshot {
    /// The client of this id.
    pub fn client(&self, client_id: &str) -> Option<Arc<Client>> {
        self.clients.get(client_id).cloned()
    }
}

/// The clients and roles of an installation.
#[derive(Debug)]
pub struct Directory {
    store: Store,
    sealer: Arc<Sealer>,
    open_to_all: bool,
    current: RwLock<Arc<Snapshot>>,
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
        let current = RwLock::default();
        let directory = Directory { store, sealer, open_to_all, current };
        directory.reload().await?;
        Ok(directory)
    }

    /// What requests are checked against now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read())
    }

    /// Loads everything anew whenever it was changed, here or on another node.
    pub async fn follow(&self) {
        let mut changes = self.store.wait_for(topic());
        loop {
            changes.woken().await;
            if let Err(error) = self.reload().await {
                tracing::warn!(%error, "clients and roles could not be loaded; the old ones stay");
            }
        }
    }

    /// Loads everything anew.
    ///
    /// # Errors
    /// See [`DirectoryError`]; the old snapshot stays then.
    pub async fn reload(&self) -> Result<(), DirectoryError> {
        let (clients, mut roles) =
            self.store.read(|tx| Ok((load_clients(tx)?, load_roles(tx)?))).await?;
        if self.open_to_all {
            roles.retain(|role| role.role_id != "anonymous");
            roles.push(Role { role_id: "anonymous".to_owned(), scopes: vec!["*".to_owned()] });
        }
        let clients = clients
            .into_iter()
            .map(|row| {
                let token = self.sealer.open(&place(&row.client_id), &row.sealed_token)?;
                let client = Client {
                    client_id: row.client_id.clone(),
                    access_token: Secret::new(String::from_utf8_lossy(&token).into_owned()),
                    expires_ms: row.expires_ms,
                    disabled: row.disabled,
                    scopes: row.scopes.into(),
                };
                Ok((row.client_id, Arc::new(client)))
            })
            .collect::<Result<HashMap<_, _>, SealError>>()?;
        *self.current.write() = Arc::new(Snapshot { clients, roles: Roles::new(&roles) });
        Ok(())
    }

    /// Makes sure that a client of the configuration exists with these scopes. With a `token` it
    /// has that one; without, it keeps the one it has or gets a new one. Returns its token, and
    /// whether it was made now.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn ensure_client(
        &self,
        now_ms: i64,
        client_id: &str,
        scopes: &[&str],
        description: &str,
        token: Option<&Secret>,
    ) -> Result<(Secret, bool), DirectoryError> {
        let known = self.snapshot().client(client_id);
        let wanted = match (token, &known) {
            (Some(token), _) => token.clone(),
            (None, Some(known)) => known.access_token.clone(),
            (None, None) => new_access_token(),
        };
        let sealed = self.sealer.seal(&place(client_id), wanted.expose().as_bytes())?;
        let (id, description) = (client_id.to_owned(), description.to_owned());
        let scopes = serde_json::Value::from(scopes).to_string();
        let keep_token = token.is_none();
        let expires = now_ms.saturating_add(FOR_EVER_MS);
        let inserted = self
            .store
            .write(key(), move |tx| {
                let inserted = tx.execute(
                    INSERT_CLIENT,
                    params![&id, &description, &sealed, &scopes, expires, now_ms],
                )?;
                if inserted == 0 {
                    tx.execute(UPDATE_CLIENT, params![&id, &description, &scopes, now_ms])?;
                    if !keep_token {
                        tx.execute(UPDATE_TOKEN, params![&id, &sealed])?;
                    }
                }
                tx.wake_all(topic());
                Ok(inserted > 0)
            })
            .await?;
        self.reload().await?;
        // Another node may have made it in the same moment, with another token.
        let token = self.snapshot().client(client_id).map_or(wanted, |c| c.access_token.clone());
        Ok((token, inserted))
    }

    /// Makes a role if there is none of this id; an existing one stays as its operator left it.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn ensure_role(
        &self,
        now_ms: i64,
        role_id: &str,
        scopes: &[&str],
        description: &str,
    ) -> Result<(), DirectoryError> {
        let (id, description) = (role_id.to_owned(), description.to_owned());
        let scopes = serde_json::Value::from(scopes).to_string();
        self.store
            .write(key(), move |tx| {
                tx.execute(INSERT_ROLE, params![&id, &description, &scopes, now_ms])?;
                tx.wake_all(topic());
                Ok(())
            })
            .await?;
        self.reload().await
    }
}

fn place(client_id: &str) -> Place<'_> {
    Place { table: "clients", row: client_id, column: "access_token" }
}

const INSERT_CLIENT: &str = "INSERT INTO clients (client_id, description, access_token, scopes, \
     expires, disabled, created, last_modified) VALUES ($1, $2, $3, $4, $5, 0, $6, $6) \
     ON CONFLICT (client_id) DO NOTHING";
const UPDATE_CLIENT: &str = "UPDATE clients SET description = $2, scopes = $3, disabled = 0, \
     last_modified = $4 WHERE client_id = $1";
const UPDATE_TOKEN: &str = "UPDATE clients SET access_token = $2 WHERE client_id = $1";
const INSERT_ROLE: &str = "INSERT INTO roles (role_id, description, scopes, created, last_modified) \
     VALUES ($1, $2, $3, $4, $4) ON CONFLICT (role_id) DO NOTHING";
const SELECT_CLIENTS: &str =
    "SELECT client_id, access_token, scopes, expires, disabled FROM clients";
const SELECT_ROLES: &str = "SELECT role_id, scopes FROM roles";

struct ClientRow {
    client_id: String,
    sealed_token: String,
    scopes: Vec<String>,
    expires_ms: i64,
    disabled: bool,
}

fn scopes_of(text: &str) -> Result<Vec<String>, Error> {
    serde_json::from_str(text).map_err(|error| Error::Statement(format!("stored scopes: {error}")))
}

fn load_clients(tx: &mut Tx<'_>) -> Result<Vec<ClientRow>, Error> {
    tx.query(SELECT_CLIENTS, &[], |row| {
        Ok(ClientRow {
            client_id: row.get(0)?,
            sealed_token: row.get(1)?,
            scopes: scopes_of(&row.get::<String>(2)?)?,
            expires_ms: row.get(3)?,
            disabled: row.get(4)?,
        })
    })
}

fn load_roles(tx: &mut Tx<'_>) -> Result<Vec<Role>, Error> {
    tx.query(SELECT_ROLES, &[], |row| {
        Ok(Role { role_id: row.get(0)?, scopes: scopes_of(&row.get::<String>(1)?)? })
    })
}
