//! Secrets that an installation keeps for its clients: JSON under a name, sealed in the store until
//! it expires. Each change is written down in the history, which knows names and no values.

use std::sync::Arc;

use taskyard_store::{Error, Key, Migration, Store, Tx, params};
use thiserror::Error as ThisError;

use crate::directory::history::{self, Action, Deed};
use crate::seal::{Place, SealError, Sealer};

/// The table of secrets. Times are milliseconds since 1970.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "secrets",
    id: 1,
    name: "secrets",
    sql: "
CREATE TABLE secrets (
  name {text} PRIMARY KEY,
  sealed {text} NOT NULL,
  expires {int} NOT NULL
) {strict};
CREATE INDEX secrets_by_expiry ON secrets (expires);
",
}];

/// Who the history names when a secret has expired.
pub const SERVER: &str = "static/taskcluster/secrets";

/// What the history calls a secret.
const KIND: &str = "secret";
/// Secrets that are removed at once.
const PORTION: usize = 256;

/// Why secrets cannot be used.
#[derive(Debug, ThisError)]
pub enum SecretsError {
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] Error),
    /// A secret could not be sealed or opened.
    #[error("a secret cannot be read: {0}")]
    Seal(#[from] SealError),
}

/// A secret, opened. Its text must not be shown to anybody but who asked for it.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenSecret {
    /// JSON text.
    pub text: String,
    /// From then on nobody is told, in milliseconds since 1970.
    pub expires_ms: i64,
}

impl std::fmt::Debug for OpenSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenSecret")
            .field("expires_ms", &self.expires_ms)
            .finish_non_exhaustive()
    }
}

/// The secrets of an installation.
#[derive(Debug, Clone)]
pub struct Secrets {
    store: Store,
    sealer: Arc<Sealer>,
}

fn place(name: &str) -> Place<'_> {
    Place {
        table: "secrets",
        row: name,
        column: "sealed",
    }
}

fn key(name: &str) -> Key {
    Key::of(("secret", name))
}

const LOCK: &str = "SELECT 1 FROM secrets WHERE name = $1 FOR UPDATE";
const SET: &str = "INSERT INTO secrets (name, sealed, expires) VALUES ($1, $2, $3) \
     ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, expires = excluded.expires";
const GET: &str = "SELECT sealed, expires FROM secrets WHERE name = $1";
const REMOVE: &str = "DELETE FROM secrets WHERE name = $1";
const LIST: &str =
    "SELECT name FROM secrets WHERE name > $1 AND expires > $2 ORDER BY name LIMIT $3";
const EXPIRED: &str = "SELECT name FROM secrets WHERE expires < $1 ORDER BY expires LIMIT $2 \
     FOR UPDATE SKIP LOCKED";

impl Secrets {
    /// Secrets kept in `store`, sealed by `sealer`.
    pub fn new(store: Store, sealer: Arc<Sealer>) -> Self {
        Secrets { store, sealer }
    }

    /// Keeps a secret, in place of one of the same name.
    ///
    /// # Errors
    /// See [`SecretsError`].
    pub async fn set(
        &self,
        name: &str,
        secret: &OpenSecret,
        deed: Deed<'_>,
    ) -> Result<(), SecretsError> {
        let sealed = self.sealer.seal(&place(name), secret.text.as_bytes())?;
        let writer = key(name);
        let (name, expires) = (name.to_owned(), secret.expires_ms);
        let (actor, now_ms) = (deed.actor.to_owned(), deed.now_ms);
        let set = move |tx: &mut Tx<'_>| {
            let actor = actor.as_str();
            let known = tx.query_opt(LOCK, params![&name], |row| row.get::<i64>(0))?;
            let action = match known {
                Some(_) => Action::Updated,
                None => Action::Created,
            };
            tx.execute(SET, params![&name, &sealed, expires])?;
            history::note(tx, KIND, &name, action, Deed { actor, now_ms }).map(drop)
        };
        Ok(self.store.write(writer, set).await?)
    }

    /// The secret of this name, expired or not.
    ///
    /// # Errors
    /// See [`SecretsError`].
    pub async fn get(&self, name: &str) -> Result<Option<OpenSecret>, SecretsError> {
        let wanted = name.to_owned();
        let get = move |tx: &mut Tx<'_>| {
            tx.query_opt(GET, params![&wanted], |row| {
                Ok((row.get::<String>(0)?, row.get::<i64>(1)?))
            })
        };
        let Some((sealed, expires_ms)) = self.store.read(get).await? else {
            return Ok(None);
        };
        let bytes = self.sealer.open(&place(name), &sealed)?;
        let text = String::from_utf8(bytes).map_err(|_| SealError::Altered)?;
        Ok(Some(OpenSecret { text, expires_ms }))
    }

    /// Removes a secret; none being there is fine.
    ///
    /// # Errors
    /// See [`SecretsError`].
    pub async fn remove(&self, name: &str, deed: Deed<'_>) -> Result<(), SecretsError> {
        let (writer, name) = (key(name), name.to_owned());
        let (actor, now_ms) = (deed.actor.to_owned(), deed.now_ms);
        let remove = move |tx: &mut Tx<'_>| {
            let actor = actor.as_str();
            if tx.execute(REMOVE, params![&name])? == 0 {
                return Ok(());
            }
            history::note(tx, KIND, &name, Action::Deleted, Deed { actor, now_ms }).map(drop)
        };
        Ok(self.store.write(writer, remove).await?)
    }

    /// Up to `limit` names of secrets that have not expired, in order, beginning behind `after`.
    ///
    /// # Errors
    /// See [`SecretsError`].
    pub async fn names(
        &self,
        now_ms: i64,
        after: String,
        limit: usize,
    ) -> Result<Vec<String>, SecretsError> {
        let list = move |tx: &mut Tx<'_>| {
            tx.query(LIST, params![&after, now_ms, limit as i64], |row| {
                row.get(0)
            })
        };
        Ok(self.store.read(list).await?)
    }

    /// Removes every secret that expired before `by_ms`; returns how many there were.
    ///
    /// # Errors
    /// See [`SecretsError`].
    pub async fn expire(&self, by_ms: i64, now_ms: i64) -> Result<usize, SecretsError> {
        let mut removed = 0;
        loop {
            let expire = move |tx: &mut Tx<'_>| {
                let names: Vec<String> =
                    tx.query(EXPIRED, params![by_ms, PORTION as i64], |row| row.get(0))?;
                for name in &names {
                    tx.execute(REMOVE, params![name])?;
                    let actor = SERVER;
                    history::note(tx, KIND, name, Action::Expired, Deed { actor, now_ms })?;
                }
                Ok(names.len())
            };
            let portion = self.store.write(Key::of("secrets-expiry"), expire).await?;
            removed += portion;
            if portion < PORTION {
                return Ok(removed);
            }
        }
    }
}
