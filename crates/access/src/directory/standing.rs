//! Clients and roles of the server's configuration: there while they stand in it, changed and
//! removed with it, and by nobody else.

use taskyard_store::Tx;

use super::history::{Action, Kind, lock, record};
use super::roles::{self, RoleRecord};
use super::{Deed, Directory, DirectoryError, SERVER, key};
use crate::client::Secret;
use crate::role::Role;
use crate::role_check::{RoleError, check};

/// What the ids of clients and roles of the configuration begin with.
pub const STANDING: &str = "static/";

/// What the ids of clients begin with that the server makes for itself.
pub const SERVERS_OWN: &str = "static/taskcluster/";

/// Stands at the end of every description.
const NOTE: &str = "Stands in the server's configuration; change it there.";

/// A client of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingClient {
    /// Its name, which begins with [`STANDING`].
    pub client_id: String,
    /// The key of its signatures.
    pub access_token: Secret,
    /// For people, in Markdown.
    pub description: String,
    /// What it may do.
    pub scopes: Vec<String>,
}

/// A role of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingRole {
    /// Its name, which begins with [`STANDING`].
    pub role_id: String,
    /// For people, in Markdown.
    pub description: String,
    /// What it grants.
    pub scopes: Vec<String>,
}

impl Directory {
    /// Makes the clients and roles of the configuration what they are there, and removes those that
    /// are not there any more. What is as it should be is left alone.
    ///
    /// # Errors
    /// See [`DirectoryError`]; a refusal says which roles lead back to themselves or are none, and
    /// nothing is changed then.
    pub async fn apply_standing(
        &self,
        now_ms: i64,
        clients: &[StandingClient],
        roles: &[StandingRole],
    ) -> Result<Result<(), RoleError>, DirectoryError> {
        if let Err(error) = self.apply_roles(now_ms, roles).await? {
            return Ok(Err(error));
        }
        for client in clients {
            let scopes: Vec<&str> = client.scopes.iter().map(String::as_str).collect();
            let (id, token) = (&client.client_id, &client.access_token);
            let description = noted(&client.description);
            self.ensure_client(now_ms, id, &scopes, &description, Some(token))
                .await?;
        }
        let deed = Deed {
            actor: SERVER,
            now_ms,
        };
        let gone: Vec<String> = self
            .snapshot()
            .client_ids()
            .filter(|id| id.starts_with(STANDING) && !id.starts_with(SERVERS_OWN))
            .filter(|id| clients.iter().all(|client| client.client_id != *id))
            .map(str::to_owned)
            .collect();
        for client_id in gone {
            self.delete_client(deed, &client_id).await?;
        }
        Ok(Ok(()))
    }

    async fn apply_roles(
        &self,
        now_ms: i64,
        wanted: &[StandingRole],
    ) -> Result<Result<(), RoleError>, DirectoryError> {
        let wanted: Vec<RoleRecord> = wanted
            .iter()
            .map(|role| RoleRecord {
                role_id: role.role_id.clone(),
                description: noted(&role.description),
                scopes: role.scopes.clone(),
                created_ms: now_ms,
                last_modified_ms: now_ms,
            })
            .collect();
        let apply = move |tx: &mut Tx<'_>| {
            lock(tx, Kind::Role)?;
            let known = roles::load_all(tx)?;
            let mut others: Vec<&RoleRecord> = Vec::new();
            let mut gone: Vec<&RoleRecord> = Vec::new();
            for role in &known {
                if !role.role_id.starts_with(STANDING) {
                    others.push(role);
                } else if wanted.iter().all(|it| it.role_id != role.role_id) {
                    gone.push(role);
                }
            }
            let whole: Vec<Role> = others
                .into_iter()
                .chain(&wanted)
                .map(RoleRecord::role)
                .collect();
            if let Err(error) = check(&whole) {
                return Ok(Err(error));
            }
            let deed = Deed {
                actor: SERVER,
                now_ms,
            };
            for role in &wanted {
                let old = known.iter().find(|old| old.role_id == role.role_id);
                let action = match old {
                    None => Action::Created,
                    Some(old)
                        if old.description == role.description && old.scopes == role.scopes =>
                    {
                        continue;
                    }
                    Some(_) => Action::Updated,
                };
                roles::write(tx, role, action)?;
                record(tx, Kind::Role, &role.role_id, action, deed)?;
            }
            for role in gone {
                roles::remove(tx, &role.role_id)?;
                record(tx, Kind::Role, &role.role_id, Action::Deleted, deed)?;
            }
            Ok(Ok(()))
        };
        let applied = self.store.write(key(), apply).await?;
        self.catch_up().await?;
        Ok(applied)
    }
}

fn noted(description: &str) -> String {
    if description.is_empty() {
        NOTE.to_owned()
    } else {
        format!("{description}\n\n{NOTE}")
    }
}
