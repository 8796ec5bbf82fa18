//! Stacks: they list the jobs of a queue, reserve them, and start something that runs them.

use taskyard_store::{Error, Row, Tx, params};

use crate::timestamp::Timestamp;

/// What a stack starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Pods.
    Kubernetes,
    /// Machines of a cloud.
    Elastic,
    /// Anything else.
    Custom,
}

impl Kind {
    /// The name of this kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Kubernetes => "kubernetes",
            Kind::Elastic => "elastic",
            Kind::Custom => "custom",
        }
    }

    /// The kind of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Kind::Kubernetes, Kind::Elastic, Kind::Custom]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// A stack that registered once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// The name it chose.
    pub key: String,
    /// A UUID that stays the same for its key.
    pub id: String,
    /// What it starts.
    pub kind: Kind,
    /// The queue it registered for.
    pub queue_key: String,
    /// What it says of itself, as a JSON object.
    pub metadata: String,
    /// Whether it has not said goodbye since it was last heard of.
    pub is_connected: bool,
    /// When it was last heard of, with the precision of [`touch`].
    pub last_connected_at: Timestamp,
}

/// What a stack registers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewStack {
    /// The name it chose.
    pub key: String,
    /// A UUID for it, in case it is new.
    pub id: String,
    /// What it starts.
    pub kind: Kind,
    /// The queue it wants to serve.
    pub queue_key: String,
    /// What it says of itself, as a JSON object.
    pub metadata: String,
}

fn read(row: &Row<'_>) -> Result<Stack, Error> {
    let kind: String = row.get(2)?;
    Ok(Stack {
        key: row.get(0)?,
        id: row.get(1)?,
        kind: Kind::parse(&kind).unwrap_or(Kind::Custom),
        queue_key: row.get(3)?,
        metadata: row.get(4)?,
        is_connected: row.get(5)?,
        last_connected_at: row.get(6)?,
    })
}

const LOAD: &str = "SELECT stack_key, id, kind, queue_key, metadata, is_connected, \
     last_connected_at FROM stacks WHERE stack_key = $1";
const LOCK: &str = "SELECT stack_key, id, kind, queue_key, metadata, is_connected, \
     last_connected_at FROM stacks WHERE stack_key = $1 FOR UPDATE";
const INSERT: &str = "INSERT INTO stacks (stack_key, id, kind, queue_key, metadata, is_connected, \
     last_connected_at) VALUES ($1, $2, $3, $4, $5, 1, $6) ON CONFLICT (stack_key) DO NOTHING";
const UPDATE: &str = "UPDATE stacks SET kind = $2, queue_key = $3, metadata = $4, \
     is_connected = 1, last_connected_at = $5 WHERE stack_key = $1";
const CONNECTED: &str = "SELECT count(*) FROM stacks WHERE is_connected = 1 \
     AND last_connected_at > $1";
const TOUCH: &str = "UPDATE stacks SET is_connected = 1, last_connected_at = $2 \
     WHERE stack_key = $1 AND (is_connected = 0 OR last_connected_at < $2)";
const DISCONNECT: &str = "UPDATE stacks SET is_connected = 0 WHERE stack_key = $1";

/// The stack of this key, if one ever registered.
pub fn stack(tx: &mut Tx<'_>, key: &str) -> Result<Option<Stack>, Error> {
    tx.query_opt(LOAD, params![key], read)
}

/// Stacks that are connected and were heard of after `since`.
pub fn count_connected(tx: &mut Tx<'_>, since: Timestamp) -> Result<i64, Error> {
    Ok(tx
        .query_opt(CONNECTED, params![since], |row| row.get(0))?
        .unwrap_or(0))
}

/// Registers a stack, or registers it again under its id; tells whether it is new. `None` if it is
/// new and there are `at_most` connected ones that were heard of after `since`.
pub fn register(
    tx: &mut Tx<'_>,
    now: Timestamp,
    new: &NewStack,
    (at_most, since): (i64, Timestamp),
) -> Result<Option<(Stack, bool)>, Error> {
    let known = tx.query_opt(LOCK, params![&new.key], read)?;
    let is_new = known.is_none();
    let id = if let Some(known) = known {
        tx.execute(
            UPDATE,
            params![
                &new.key,
                new.kind.as_str(),
                &new.queue_key,
                &new.metadata,
                now
            ],
        )?;
        known.id
    } else {
        if count_connected(tx, since)? >= at_most {
            return Ok(None);
        }
        let inserted = tx.execute(
            INSERT,
            params![
                &new.key,
                &new.id,
                new.kind.as_str(),
                &new.queue_key,
                &new.metadata,
                now
            ],
        )?;
        if inserted == 0 {
            return Err(tx.overtaken("the same stack registered at the same time"));
        }
        new.id.clone()
    };
    let stack = Stack {
        key: new.key.clone(),
        id,
        kind: new.kind,
        queue_key: new.queue_key.clone(),
        metadata: new.metadata.clone(),
        is_connected: true,
        last_connected_at: now,
    };
    Ok(Some((stack, is_new)))
}

/// Notes that a stack was heard of. Call it now and then, not for every request.
pub fn touch(tx: &mut Tx<'_>, now: Timestamp, key: &str) -> Result<(), Error> {
    tx.execute(TOUCH, params![key, now])?;
    Ok(())
}

/// A stack says goodbye; `false` if there is none of this key. What it has reserved stays so until
/// its time.
pub fn deregister(tx: &mut Tx<'_>, key: &str) -> Result<bool, Error> {
    Ok(tx.execute(DISCONNECT, params![key])? > 0)
}
