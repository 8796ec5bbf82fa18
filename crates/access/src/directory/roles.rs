//! Roles as they are stored, and the changes that can be made to them.

use taskyard_store::{Error, Row, Tx, params};

use super::history::{Action, Kind, lock, record, tell};
use super::snapshot::Snapshot;
use super::{Deed, Directory, DirectoryError, SERVER, key, parse_scopes};
use crate::role::Role;
use crate::role_check::{RoleError, check};

/// How often a change is tried that others overtake.
const TRIES: usize = 5;

/// A role as it is stored. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRecord {
    /// Its name.
    pub role_id: String,
    /// For people, in Markdown.
    pub description: String,
    /// What it grants, in the order in which it was written down.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_ms: i64,
    /// When it was last changed.
    pub last_modified_ms: i64,
}

/// What somebody wants a role to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleDefinition {
    /// For people, in Markdown.
    pub description: String,
    /// What it grants.
    pub scopes: Vec<String>,
}

/// Why a role is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleRefusal {
    /// There is none of this id.
    #[error("there is no role '{0}'")]
    NoSuchRole(String),
    /// There is one of this id, but it is another.
    #[error(
        "there is a role '{0}' already, with other scopes or another description; update it, or \
         choose another id"
    )]
    Exists(String),
    /// With it, the roles would not make sense.
    #[error(transparent)]
    Invalid(#[from] RoleError),
    /// Roles were changed since the decision was made.
    #[error("roles were changed by somebody else at the same time; try again")]
    Overtaken,
}

const SELECT: &str = "SELECT role_id, description, scopes, created, last_modified FROM roles \
     WHERE role_id = $1";
const SELECT_ALL: &str = "SELECT role_id, description, scopes, created, last_modified FROM roles";
const INSERT: &str = "INSERT INTO roles (role_id, description, scopes, created, last_modified) \
     VALUES ($1, $2, $3, $4, $5)";
const UPDATE: &str = "UPDATE roles SET description = $2, scopes = $3, last_modified = $4 \
     WHERE role_id = $1";
const DELETE: &str = "DELETE FROM roles WHERE role_id = $1";

impl Directory {
    /// Creates a role. One with the same definition is found again.
    ///
    /// # Errors
    /// See [`DirectoryError`]; refusals are [`RoleRefusal::Exists`], [`RoleRefusal::Invalid`] and,
    /// after some tries, [`RoleRefusal::Overtaken`].
    pub async fn create_role(
        &self,
        deed: Deed<'_>,
        role_id: &str,
        definition: &RoleDefinition,
    ) -> Result<Result<RoleRecord, RoleRefusal>, DirectoryError> {
        for _ in 0..TRIES {
            let snapshot = self.catch_up().await?;
            if let Some(old) = snapshot.role(role_id) {
                let is_same =
                    old.description == definition.description && old.scopes == definition.scopes;
                if !is_same {
                    return Ok(Err(RoleRefusal::Exists(role_id.to_owned())));
                }
                self.tell_again(deed, role_id).await?;
                return Ok(Ok(RoleRecord::clone(old)));
            }
            let new = RoleRecord {
                role_id: role_id.to_owned(),
                description: definition.description.clone(),
                scopes: definition.scopes.clone(),
                created_ms: deed.now_ms,
                last_modified_ms: deed.now_ms,
            };
            match self.put_role(deed, &snapshot, new, Action::Created).await? {
                Err(RoleRefusal::Overtaken) => {}
                decided => return Ok(decided),
            }
        }
        Ok(Err(RoleRefusal::Overtaken))
    }

    /// Whoever listens hears once more of a role that was created again.
    async fn tell_again(&self, deed: Deed<'_>, role_id: &str) -> Result<(), DirectoryError> {
        let (id, actor, now_ms) = (role_id.to_owned(), deed.actor.to_owned(), deed.now_ms);
        let again = move |tx: &mut Tx<'_>| {
            lock(tx, Kind::Role)?;
            let deed = Deed {
                actor: &actor,
                now_ms,
            };
            tell(tx, Kind::Role, &id, Action::Created, deed)
        };
        Ok(self.store.write(key(), again).await?)
    }

    /// Changes the role `role_id`. What allows it was decided on `snapshot`, so that must still
    /// hold.
    ///
    /// # Errors
    /// See [`DirectoryError`]; refusals are [`RoleRefusal::NoSuchRole`], [`RoleRefusal::Invalid`]
    /// and [`RoleRefusal::Overtaken`].
    pub async fn update_role(
        &self,
        deed: Deed<'_>,
        snapshot: &Snapshot,
        role_id: &str,
        definition: RoleDefinition,
    ) -> Result<Result<RoleRecord, RoleRefusal>, DirectoryError> {
        let Some(old) = snapshot.role(role_id) else {
            return Ok(Err(RoleRefusal::NoSuchRole(role_id.to_owned())));
        };
        let new = RoleRecord {
            role_id: role_id.to_owned(),
            description: definition.description,
            scopes: definition.scopes,
            created_ms: old.created_ms,
            last_modified_ms: deed.now_ms,
        };
        self.put_role(deed, snapshot, new, Action::Updated).await
    }

    /// Whether roles may lead to each other hangs on all of them, and is found out before the
    /// transaction, which then only makes sure that none has changed.
    async fn put_role(
        &self,
        deed: Deed<'_>,
        snapshot: &Snapshot,
        role: RoleRecord,
        action: Action,
    ) -> Result<Result<RoleRecord, RoleRefusal>, DirectoryError> {
        if let Err(error) = check(&snapshot.roles_with(&role.role_id, &role.scopes)) {
            return Ok(Err(error.into()));
        }
        let (actor, now_ms) = (deed.actor.to_owned(), deed.now_ms);
        let version = snapshot.roles_version;
        let put = move |tx: &mut Tx<'_>| {
            if lock(tx, Kind::Role)? != version {
                return Ok(Err(RoleRefusal::Overtaken));
            }
            write(tx, &role, action)?;
            record(
                tx,
                Kind::Role,
                &role.role_id,
                action,
                Deed {
                    actor: &actor,
                    now_ms,
                },
            )?;
            Ok(Ok(role.clone()))
        };
        let decided = self.store.write(key(), put).await?;
        self.catch_up().await?;
        Ok(decided)
    }

    /// Deletes a role, if there is one.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn delete_role(&self, deed: Deed<'_>, role_id: &str) -> Result<(), DirectoryError> {
        let (id, actor, now_ms) = (role_id.to_owned(), deed.actor.to_owned(), deed.now_ms);
        let delete = move |tx: &mut Tx<'_>| {
            lock(tx, Kind::Role)?;
            remove(tx, &id)?;
            record(
                tx,
                Kind::Role,
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
        let new = RoleRecord {
            role_id: role_id.to_owned(),
            description: description.to_owned(),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            created_ms: now_ms,
            last_modified_ms: now_ms,
        };
        let ensure = move |tx: &mut Tx<'_>| {
            lock(tx, Kind::Role)?;
            if load(tx, &new.role_id)?.is_none() {
                write(tx, &new, Action::Created)?;
                let deed = Deed {
                    actor: SERVER,
                    now_ms,
                };
                record(tx, Kind::Role, &new.role_id, Action::Created, deed)?;
            }
            Ok(())
        };
        self.store.write(key(), ensure).await?;
        self.catch_up().await?;
        Ok(())
    }
}

// === impl RoleRecord ===

impl RoleRecord {
    /// The part that expansion knows.
    pub(super) fn role(&self) -> Role {
        Role {
            role_id: self.role_id.clone(),
            scopes: self.scopes.clone(),
        }
    }
}

pub(super) fn load(tx: &mut Tx<'_>, role_id: &str) -> Result<Option<RoleRecord>, Error> {
    tx.query_opt(SELECT, params![role_id], read)
}

pub(super) fn load_all(tx: &mut Tx<'_>) -> Result<Vec<RoleRecord>, Error> {
    tx.query(SELECT_ALL, &[], read)
}

fn read(row: &Row<'_>) -> Result<RoleRecord, Error> {
    Ok(RoleRecord {
        role_id: row.get(0)?,
        description: row.get(1)?,
        scopes: parse_scopes(&row.get::<String>(2)?)?,
        created_ms: row.get(3)?,
        last_modified_ms: row.get(4)?,
    })
}

pub(super) fn remove(tx: &mut Tx<'_>, role_id: &str) -> Result<u64, Error> {
    tx.execute(DELETE, params![role_id])
}

pub(super) fn write(tx: &mut Tx<'_>, role: &RoleRecord, action: Action) -> Result<u64, Error> {
    let scopes = serde_json::Value::from(role.scopes.as_slice()).to_string();
    let (id, about, changed) = (&role.role_id, &role.description, role.last_modified_ms);
    if action == Action::Created {
        tx.execute(
            INSERT,
            params![id, about, &scopes, role.created_ms, changed],
        )
    } else {
        tx.execute(UPDATE, params![id, about, &scopes, changed])
    }
}
