//! The key that tokens for handlers are signed with: one for all nodes, sealed by whoever keeps it.

use taskyard_store::{Error, Tx, params};

use crate::timestamp::Timestamp;

/// A signing key as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// Its name.
    pub key_id: String,
    /// The key itself, encrypted.
    pub sealed: String,
}

const GET: &str = "SELECT key_id, sealed FROM cloud_signing_keys WHERE slot = 1";
const PUT: &str = "INSERT INTO cloud_signing_keys (slot, key_id, sealed, created_at) \
     VALUES (1, $1, $2, $3) ON CONFLICT (slot) DO NOTHING";

/// The key, if there is one.
pub fn get(tx: &mut Tx<'_>) -> Result<Option<SigningKey>, Error> {
    tx.query_opt(GET, &[], |row| {
        Ok(SigningKey {
            key_id: row.get(0)?,
            sealed: row.get(1)?,
        })
    })
}

/// Stores a key unless there is one already: look again for the one to use.
pub fn put(tx: &mut Tx<'_>, now: Timestamp, key: &SigningKey) -> Result<(), Error> {
    tx.execute(PUT, params![&key.key_id, &key.sealed, now])
        .map(drop)
}
