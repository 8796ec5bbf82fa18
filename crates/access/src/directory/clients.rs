//! Clients as they are stored, and the changes that can be made to them.

use taskyard_store::{Error, Row, Tx, params};

use super::history::{Action, Kind, lock, record, tell};
use super::{Deed, Directory, DirectoryError, SERVER, key, parse_scopes};
use crate::client::{Client, Secret, new_access_token};
use crate::seal::Place;

/// Within this time a client can be created again with the same definition: 15 minutes, in
/// milliseconds.
const REPEATABLE_MS: i64 = 15 * 60_000;

/// Clients of the configuration outlive everything: a thousand years, in milliseconds.
const FOR_EVER_MS: i64 = 1000 * 365 * 86_400_000;

/// A client as it is stored. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRecord {
    /// Its name.
    pub client_id: String,
    /// For people, in Markdown.
    pub description: String,
    /// What it was given, in the order in which it was given.
    pub scopes: Vec<String>,
    /// From then on it is refused.
    pub expires_ms: i64,
    /// Whether it is deleted some time after it has expired.
    pub delete_on_expiration: bool,
    /// Whether somebody switched it off.
    pub disabled: bool,
    /// When it was made.
    pub created_ms: i64,
    /// When it was last changed.
    pub last_modified_ms: i64,
    /// When it last signed a request, to within six hours.
    pub last_used_ms: i64,
    /// When it last got a new access token.
    pub last_rotated_ms: i64,
    sealed_token: String,
}

/// What somebody wants a client to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientDefinition {
    /// For people, in Markdown.
    pub description: String,
    /// What it may do. `None` leaves an existing client with what it has.
    pub scopes: Option<Vec<String>>,
    /// When it is to expire, in milliseconds since 1970.
    pub expires_ms: i64,
    /// Whether it is deleted some time after that.
    pub delete_on_expiration: bool,
}

/// Why a client is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientRefusal {
    /// There is none of this id.
    #[error("there is no client '{0}'")]
    NoSuchClient(String),
    /// There is one of this id, but it is another.
    #[error(
        "there is a client '{0}' already, with another definition or for more than 15 minutes; \
         update it, or choose another id"
    )]
    Exists(String),
    /// Somebody else changed it at the same time.
    #[error("the client '{0}' was changed by somebody else at the same time; try again")]
    Overtaken(String),
}

const SELECT: &str = "SELECT client_id, description, scopes, expires, delete_on_expiration, \
     disabled, created, last_modified, last_date_used, last_rotated, access_token FROM clients \
     WHERE client_id = $1";
const SELECT_ALL: &str = "SELECT client_id, description, scopes, expires, delete_on_expiration, \
     disabled, created, last_modified, last_date_used, last_rotated, access_token FROM clients";
const SELECT_PAGE: &str = "SELECT client_id, description, scopes, expires, delete_on_expiration, \
     disabled, created, last_modified, last_date_used, last_rotated, access_token FROM clients \
     WHERE client_id > $1 AND client_id >= $2 AND client_id < $3 ORDER BY client_id LIMIT $4";
const SELECT_PASSED: &str = "SELECT client_id FROM clients WHERE delete_on_expiration = 1 AND \
     expires < $1 ORDER BY expires LIMIT 100";
const INSERT: &str = "INSERT INTO clients (client_id, description, access_token, scopes, expires, \
     delete_on_expiration, disabled, created, last_modified, last_date_used, last_rotated) \
     VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $7, $7, $7)";
const UPDATE: &str = "UPDATE clients SET description = $2, access_token = $3, scopes = $4, \
     expires = $5, delete_on_expiration = $6, disabled = $7, last_modified = $8, \
     last_rotated = $9 WHERE client_id = $1";
const DELETE: &str = "DELETE FROM clients WHERE client_id = $1";

impl Directory {
    /// A client as it is stored now.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn client(&self, client_id: &str) -> Result<Option<ClientRecord>, DirectoryError> {
        let id = client_id.to_owned();
        Ok(self.store.read(move |tx| load(tx, &id)).await?)
    }

    /// Clients whose ids begin with `prefix` and come after `after`, by id.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn list_clients(
        &self,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<ClientRecord>, DirectoryError> {
        // Ids are ASCII, so a DEL stands after everything with the prefix.
        let (prefix, end) = (prefix.to_owned(), format!("{prefix}\u{7f}"));
        let after = after.to_owned();
        let read = move |tx: &mut Tx<'_>| {
            tx.query(
                SELECT_PAGE,
                params![&after, &prefix, &end, limit as i64],
                read,
            )
        };
        Ok(self.store.read(read).await?)
    }

    /// The secret of a client.
    ///
    /// # Errors
    /// [`DirectoryError::Seal`] if it cannot be opened.
    pub fn access_token(&self, client: &ClientRecord) -> Result<Secret, DirectoryError> {
        let token = self
            .sealer
            .open(&place(&client.client_id), &client.sealed_token)?;
        Ok(Secret::new(String::from_utf8_lossy(&token).into_owned()))
    }

    pub(super) fn open_client(&self, record: &ClientRecord) -> Result<Client, DirectoryError> {
        Ok(Client {
            client_id: record.client_id.clone(),
            access_token: self.access_token(record)?,
            expires_ms: record.expires_ms,
            disabled: record.disabled,
            scopes: record.scopes.clone().into(),
        })
    }

    /// Creates a client with a new access token. One that was created with the same definition a
    /// short time ago is found again.
    ///
    /// # Errors
    /// See [`DirectoryError`]; a refusal is [`ClientRefusal::Exists`].
    pub async fn create_client(
        &self,
        deed: Deed<'_>,
        client_id: &str,
        definition: ClientDefinition,
    ) -> Result<Result<ClientRecord, ClientRefusal>, DirectoryError> {
        let sealed_token = self.seal(client_id, &new_access_token())?;
        let now = deed.now_ms;
        let new = ClientRecord {
            client_id: client_id.to_owned(),
            description: definition.description,
            scopes: definition.scopes.unwrap_or_default(),
            expires_ms: definition.expires_ms,
            delete_on_expiration: definition.delete_on_expiration,
            disabled: false,
            created_ms: now,
            last_modified_ms: now,
            last_used_ms: now,
            last_rotated_ms: now,
            sealed_token,
        };
        let actor = deed.actor.to_owned();
        let create = move |tx: &mut Tx<'_>| {
            let deed = Deed {
                actor: &actor,
                now_ms: now,
            };
            lock(tx, Kind::Client)?;
            if let Some(old) = load(tx, &new.client_id)? {
                if !old.is_repeated_by(&new) {
                    return Ok(Err(ClientRefusal::Exists(old.client_id)));
                }
                tell(tx, Kind::Client, &old.client_id, Action::Created, deed)?;
                return Ok(Ok(old));
            }
            insert(tx, &new)?;
            record(tx, Kind::Client, &new.client_id, Action::Created, deed)?;
            Ok(Ok(new.clone()))
        };
        let created = self.store.write(key(), create).await?;
        self.catch_up().await?;
        Ok(created)
    }

    /// Changes what `old` is, if it is still that.
    ///
    /// # Errors
    /// See [`DirectoryError`]; refusals are [`ClientRefusal::NoSuchClient`] and, if its scopes have
    /// changed since `old` was read, [`ClientRefusal::Overtaken`].
    pub async fn update_client(
        &self,
        deed: Deed<'_>,
        old: &ClientRecord,
        definition: ClientDefinition,
    ) -> Result<Result<ClientRecord, ClientRefusal>, DirectoryError> {
        let decided_on = old.scopes.clone();
        self.change(deed, &old.client_id, Action::Updated, move |client| {
            if client.scopes != decided_on {
                return Err(ClientRefusal::Overtaken(client.client_id.clone()));
            }
            client.description.clone_from(&definition.description);
            client.expires_ms = definition.expires_ms;
            client.delete_on_expiration = definition.delete_on_expiration;
            if let Some(scopes) = &definition.scopes {
                client.scopes.clone_from(scopes);
            }
            Ok(())
        })
        .await
    }

    /// Gives a client a new access token; the old one is worth nothing from then on.
    ///
    /// # Errors
    /// See [`DirectoryError`]; a refusal is [`ClientRefusal::NoSuchClient`].
    pub async fn reset_access_token(
        &self,
        deed: Deed<'_>,
        client_id: &str,
    ) -> Result<Result<ClientRecord, ClientRefusal>, DirectoryError> {
        let sealed = self.seal(client_id, &new_access_token())?;
        let now = deed.now_ms;
        self.change(deed, client_id, Action::TokenReset, move |client| {
            client.sealed_token.clone_from(&sealed);
            client.last_rotated_ms = now;
            Ok(())
        })
        .await
    }

    /// Switches a client off, or on again.
    ///
    /// # Errors
    /// See [`DirectoryError`]; a refusal is [`ClientRefusal::NoSuchClient`].
    pub async fn set_client_disabled(
        &self,
        deed: Deed<'_>,
        client_id: &str,
        disabled: bool,
    ) -> Result<Result<ClientRecord, ClientRefusal>, DirectoryError> {
        let action = if disabled {
            Action::Disabled
        } else {
            Action::Enabled
        };
        self.change(deed, client_id, action, move |client| {
            client.disabled = disabled;
            Ok(())
        })
        .await
    }

    async fn change(
        &self,
        deed: Deed<'_>,
        client_id: &str,
        action: Action,
        change: impl Fn(&mut ClientRecord) -> Result<(), ClientRefusal> + Send + 'static,
    ) -> Result<Result<ClientRecord, ClientRefusal>, DirectoryError> {
        let (id, actor, now_ms) = (client_id.to_owned(), deed.actor.to_owned(), deed.now_ms);
        let apply = move |tx: &mut Tx<'_>| {
            lock(tx, Kind::Client)?;
            let Some(mut client) = load(tx, &id)? else {
                return Ok(Err(ClientRefusal::NoSuchClient(id.clone())));
            };
            if let Err(refusal) = change(&mut client) {
                return Ok(Err(refusal));
            }
            client.last_modified_ms = now_ms;
            update(tx, &client)?;
            record(
                tx,
                Kind::Client,
                &id,
                action,
                Deed {
                    actor: &actor,
                    now_ms,
                },
            )?;
            Ok(Ok(client))
        };
        let changed = self.store.write(key(), apply).await?;
        self.catch_up().await?;
        Ok(changed)
    }

    /// Deletes a client, if there is one.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn delete_client(
        &self,
        deed: Deed<'_>,
        client_id: &str,
    ) -> Result<(), DirectoryError> {
        let (id, actor, now_ms) = (client_id.to_owned(), deed.actor.to_owned(), deed.now_ms);
        let delete = move |tx: &mut Tx<'_>| {
            lock(tx, Kind::Client)?;
            tx.execute(DELETE, params![&id])?;
            record(
                tx,
                Kind::Client,
                &id,
                Action::Deleted,
                Deed {
                    actor: &actor,
                    now_ms,
                },
            )?;
            Ok(())
        };
        self.store.write(key(), delete).await?;
        self.catch_up().await?;
        Ok(())
    }

    /// Deletes clients that have expired and are to be deleted then, a hundred at most. Returns how
    /// many there were.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn delete_expired_clients(&self, deed: Deed<'_>) -> Result<usize, DirectoryError> {
        let (actor, now_ms) = (deed.actor.to_owned(), deed.now_ms);
        let delete = move |tx: &mut Tx<'_>| {
            // Locked first, so that nobody is deleted who is given more time just now.
            lock(tx, Kind::Client)?;
            let passed: Vec<String> = tx.query(SELECT_PASSED, params![now_ms], |row| row.get(0))?;
            if passed.is_empty() {
                return Ok(0);
            }
            for id in &passed {
                tx.execute(DELETE, params![id])?;
                record(
                    tx,
                    Kind::Client,
                    id,
                    Action::Expired,
                    Deed {
                        actor: &actor,
                        now_ms,
                    },
                )?;
            }
            Ok(passed.len())
        };
        let deleted = self.store.write(key(), delete).await?;
        self.catch_up().await?;
        Ok(deleted)
    }

    /// Makes sure that a client of the configuration exists with these scopes, and is enabled. With
    /// a `token` it has that one; without, it keeps the one it has or gets a new one. Returns its
    /// token, and whether the client was made now.
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
        let known = self.catch_up().await?.client(client_id);
        let wanted = match (token, &known) {
            (Some(token), _) => token.clone(),
            (None, Some(known)) => known.access_token.clone(),
            (None, None) => new_access_token(),
        };
        let has_wanted = known.is_some_and(|known| known.access_token == wanted);
        let keep_token = token.is_none() || has_wanted;
        let sealed_token = self.seal(client_id, &wanted)?;
        let new = ClientRecord {
            client_id: client_id.to_owned(),
            description: description.to_owned(),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            expires_ms: now_ms.saturating_add(FOR_EVER_MS),
            delete_on_expiration: false,
            disabled: false,
            created_ms: now_ms,
            last_modified_ms: now_ms,
            last_used_ms: now_ms,
            last_rotated_ms: now_ms,
            sealed_token,
        };
        let ensure = move |tx: &mut Tx<'_>| {
            lock(tx, Kind::Client)?;
            let deed = Deed {
                actor: SERVER,
                now_ms,
            };
            let Some(old) = load(tx, &new.client_id)? else {
                insert(tx, &new)?;
                record(tx, Kind::Client, &new.client_id, Action::Created, deed)?;
                return Ok(true);
            };
            let mut changed = old.clone();
            changed.description.clone_from(&new.description);
            changed.scopes.clone_from(&new.scopes);
            changed.disabled = false;
            if !keep_token {
                changed.sealed_token.clone_from(&new.sealed_token);
                changed.last_rotated_ms = now_ms;
            }
            if changed != old {
                changed.last_modified_ms = now_ms;
                update(tx, &changed)?;
                record(tx, Kind::Client, &new.client_id, Action::Updated, deed)?;
            }
            Ok(false)
        };
        let inserted = self.store.write(key(), ensure).await?;
        let snapshot = self.catch_up().await?;
        // Another node may have made it in the same moment, with another token.
        let token = snapshot
            .client(client_id)
            .map_or(wanted, |known| known.access_token.clone());
        Ok((token, inserted))
    }

    fn seal(&self, client_id: &str, token: &Secret) -> Result<String, DirectoryError> {
        Ok(self
            .sealer
            .seal(&place(client_id), token.expose().as_bytes())?)
    }
}

// === impl ClientRecord ===

impl ClientRecord {
    /// Whether creating `new` now means this client, made a moment ago by the same request.
    fn is_repeated_by(&self, new: &ClientRecord) -> bool {
        !self.disabled
            && self.scopes == new.scopes
            && self.expires_ms == new.expires_ms
            && self.description == new.description
            && new.created_ms - self.created_ms < REPEATABLE_MS
    }
}

fn place(client_id: &str) -> Place<'_> {
    Place {
        table: "clients",
        row: client_id,
        column: "access_token",
    }
}

pub(super) fn load(tx: &mut Tx<'_>, client_id: &str) -> Result<Option<ClientRecord>, Error> {
    tx.query_opt(SELECT, params![client_id], read)
}

pub(super) fn load_all(tx: &mut Tx<'_>) -> Result<Vec<ClientRecord>, Error> {
    tx.query(SELECT_ALL, &[], read)
}

fn read(row: &Row<'_>) -> Result<ClientRecord, Error> {
    Ok(ClientRecord {
        client_id: row.get(0)?,
        description: row.get(1)?,
        scopes: parse_scopes(&row.get::<String>(2)?)?,
        expires_ms: row.get(3)?,
        delete_on_expiration: row.get(4)?,
        disabled: row.get(5)?,
        created_ms: row.get(6)?,
        last_modified_ms: row.get(7)?,
        last_used_ms: row.get(8)?,
        last_rotated_ms: row.get(9)?,
        sealed_token: row.get(10)?,
    })
}

fn insert(tx: &mut Tx<'_>, client: &ClientRecord) -> Result<u64, Error> {
    let scopes = serde_json::Value::from(client.scopes.as_slice()).to_string();
    tx.execute(
        INSERT,
        params![
            &client.client_id,
            &client.description,
            &client.sealed_token,
            &scopes,
            client.expires_ms,
            i64::from(client.delete_on_expiration),
            client.created_ms,
        ],
    )
}

fn update(tx: &mut Tx<'_>, client: &ClientRecord) -> Result<u64, Error> {
    let scopes = serde_json::Value::from(client.scopes.as_slice()).to_string();
    tx.execute(
        UPDATE,
        params![
            &client.client_id,
            &client.description,
            &client.sealed_token,
            &scopes,
            client.expires_ms,
            i64::from(client.delete_on_expiration),
            i64::from(client.disabled),
            client.last_modified_ms,
            client.last_rotated_ms,
        ],
    )
}
