//! Who did what to which client or role.

use taskyard_events::outbox;
use taskyard_store::{Error, Sequence, Tx, params};

use super::{Directory, DirectoryError, topic};

/// How long an entry is kept: 30 days, in milliseconds.
const KEPT_MS: i64 = 30 * 86_400_000;

/// What an entry is about. Other kinds belong to other services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Client,
    Role,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::Client => "client",
            Kind::Role => "role",
        }
    }
}

/// Something that was done, and who did it when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deed<'a> {
    /// The client that did it.
    pub actor: &'a str,
    /// When, in milliseconds since 1970.
    pub now_ms: i64,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Made.
    Created,
    /// Changed.
    Updated,
    /// Removed because somebody asked for it.
    Deleted,
    /// May be used again.
    Enabled,
    /// May not be used.
    Disabled,
    /// Has another access token.
    TokenReset,
    /// Removed because its time was over.
    Expired,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Action::Created => "created",
            Action::Updated => "updated",
            Action::Deleted => "deleted",
            Action::Enabled => "client enabled",
            Action::Disabled => "client disabled",
            Action::TokenReset => "access token reset",
            Action::Expired => "expired",
        }
    }
}

/// One entry of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Grows with time.
    pub id: i64,
    /// `client`, `role`, or a kind of another service.
    pub entity_type: String,
    /// What it was done to.
    pub entity_id: String,
    /// Who did it.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// When, in milliseconds since 1970.
    pub created_ms: i64,
}

const LOCK: &str = "SELECT version FROM directory_versions WHERE entity_type = $1 FOR UPDATE";
const ADVANCE: &str = "UPDATE directory_versions SET version = $2 WHERE entity_type = $1";
const INSERT: &str = "INSERT INTO history (id, entity_type, entity_id, actor, action, created) \
     VALUES ($1, $2, $3, $4, $5, $6)";
const OF_ENTITY: &str = "SELECT id, entity_type, entity_id, actor, action, created FROM history \
     WHERE entity_type = $1 AND entity_id = $2 AND id > $3 ORDER BY id LIMIT $4";
const OF_ACTOR: &str = "SELECT id, entity_type, entity_id, actor, action, created FROM history \
     WHERE actor = $1 AND id > $2 ORDER BY id LIMIT $3";
const DELETE_OLD: &str = "DELETE FROM history WHERE created < $1";

/// Locks all clients or all roles against other changes and returns the version they are at.
pub(super) fn lock(tx: &mut Tx<'_>, kind: Kind) -> Result<i64, Error> {
    let version = tx.query_opt(LOCK, params![kind.as_str()], |row| row.get(0))?;
    version.ok_or_else(|| Error::Statement("the directory has lost its versions".to_owned()))
}

/// Writes down what was done, in the transaction that does it; the kind must be locked. All that
/// is told to others about a change begins here. Returns the version the kind is at now.
pub(super) fn record(
    tx: &mut Tx<'_>,
    kind: Kind,
    entity_id: &str,
    action: Action,
    deed: Deed<'_>,
) -> Result<i64, Error> {
    let name = kind.as_str();
    let id = note(tx, name, entity_id, action, deed)?;
    tx.execute(ADVANCE, params![name, id])?;
    tx.wake_all(topic());
    tell(tx, kind, entity_id, action, deed)?;
    Ok(id)
}

/// Writes down what was done to something of this type, in the transaction that does it; the entry's
/// id.
///
/// # Errors
/// As [`Tx::execute`].
pub fn note(
    tx: &mut Tx<'_>,
    entity_type: &str,
    entity_id: &str,
    action: Action,
    deed: Deed<'_>,
) -> Result<i64, Error> {
    let ids = tx.next_ids(Sequence("history_ids"), 1)?;
    let id = ids.first().copied().unwrap_or_default();
    tx.execute(
        INSERT,
        params![
            id,
            entity_type,
            entity_id,
            deed.actor,
            action.as_str(),
            deed.now_ms
        ],
    )?;
    Ok(id)
}

/// Appends what was done to the event log; also what is done again without changing anything. The
/// kind must be locked.
pub(super) fn tell(
    tx: &mut Tx<'_>,
    kind: Kind,
    entity_id: &str,
    action: Action,
    deed: Deed<'_>,
) -> Result<(), Error> {
    let event = match (kind, action) {
        (Kind::Client, Action::Created) => "client-created",
        (Kind::Client, Action::Deleted | Action::Expired) => "client-deleted",
        (
            Kind::Client,
            Action::Updated | Action::Enabled | Action::Disabled | Action::TokenReset,
        ) => "client-updated",
        (Kind::Role, Action::Created) => "role-created",
        (Kind::Role, Action::Deleted | Action::Expired) => "role-deleted",
        (Kind::Role, Action::Updated | Action::Enabled | Action::Disabled | Action::TokenReset) => {
            "role-updated"
        }
    };
    let now = deed.now_ms.saturating_mul(1000);
    outbox::append(tx, now, event, entity_id, "{}")
}

impl Directory {
    /// What was done to one client, role, or entity of another service, oldest first, beginning
    /// after the entry `after`.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn entity_history(
        &self,
        entity_type: &str,
        entity_id: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, DirectoryError> {
        let (kind, id) = (entity_type.to_owned(), entity_id.to_owned());
        let read = move |tx: &mut Tx<'_>| {
            tx.query(OF_ENTITY, params![&kind, &id, after, limit as i64], entry)
        };
        Ok(self.store.read(read).await?)
    }

    /// What one client did, oldest first, beginning after the entry `after`.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn actor_history(
        &self,
        actor: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, DirectoryError> {
        let actor = actor.to_owned();
        let read =
            move |tx: &mut Tx<'_>| tx.query(OF_ACTOR, params![&actor, after, limit as i64], entry);
        Ok(self.store.read(read).await?)
    }

    /// Forgets entries that are older than 30 days.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn forget_old_history(&self, now_ms: i64) -> Result<u64, DirectoryError> {
        let before = now_ms.saturating_sub(KEPT_MS);
        let delete = move |tx: &mut Tx<'_>| tx.execute(DELETE_OLD, params![before]);
        Ok(self.store.write(super::key(), delete).await?)
    }
}

fn entry(row: &taskyard_store::Row<'_>) -> Result<HistoryEntry, Error> {
    Ok(HistoryEntry {
        id: row.get(0)?,
        entity_type: row.get(1)?,
        entity_id: row.get(2)?,
        actor: row.get(3)?,
        action: row.get(4)?,
        created_ms: row.get(5)?,
    })
}
