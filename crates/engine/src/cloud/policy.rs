//! Who may do what with a queue: a document of the API's own, with a version that guards it
//! against being overwritten unread.

use taskyard_store::{Error, Tx, params};

use super::queue;
use super::refusal::Refusal;

/// A queue's policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Names this version of it.
    pub etag: Vec<u8>,
    /// What it says, in the API's own words.
    pub document: String,
}

const GET: &str = "SELECT p.version, p.document FROM cloud_policies p \
     JOIN cloud_queues q ON q.number = p.queue WHERE q.name = $1";

/// The policy of a queue; `None` if it was never set. Costs one look.
pub fn get(tx: &mut Tx<'_>, queue: &str) -> Result<Result<Option<Policy>, Refusal>, Error> {
    let found = tx.query_opt(GET, params![queue], |row| {
        Ok(Policy {
            etag: etag(row.get(0)?),
            document: row.get(1)?,
        })
    })?;
    if found.is_none()
        && let Err(refusal) = queue::get(tx, queue)?
    {
        return Ok(Err(refusal));
    }
    Ok(Ok(found))
}

/// The etag of a queue without a policy, as clients know it.
pub const EMPTY_ETAG: [u8; 3] = [0x00, 0x20, 0x01];

fn etag(version: i64) -> Vec<u8> {
    version.to_be_bytes().to_vec()
}

const LOCK: &str = "SELECT version FROM cloud_policies WHERE queue = $1 FOR UPDATE";
const SET: &str = "INSERT INTO cloud_policies (queue, version, document) VALUES ($1, $2, $3) \
     ON CONFLICT (queue) DO UPDATE SET version = excluded.version, document = excluded.document";

/// Replaces the policy of a queue. With an `expected` etag, only if that is still the policy's.
pub fn set(
    tx: &mut Tx<'_>,
    queue: &str,
    expected: Option<&[u8]>,
    document: &str,
) -> Result<Result<Policy, Refusal>, Error> {
    // Locked, since a first policy has no row that could be.
    let queue = match queue::get_locked(tx, queue)? {
        Ok(queue) => queue,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let version = tx.query_opt(LOCK, params![queue.number], |row| row.get::<i64>(0))?;
    let current = version.map_or(EMPTY_ETAG.to_vec(), etag);
    if expected.is_some_and(|expected| expected != current) {
        return Ok(Err(Refusal::EtagMismatch));
    }
    let version = version.unwrap_or(0) + 1;
    tx.execute(SET, params![queue.number, version, document])?;
    Ok(Ok(Policy {
        etag: etag(version),
        document: document.to_owned(),
    }))
}
