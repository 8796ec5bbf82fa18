//! What the jobs of a build tell each other: values under names, for the whole task group.

use taskyard_store::{Error, Tx, params};

use crate::timestamp::Timestamp;

const GET: &str = "SELECT value FROM build_meta_data WHERE task_group_id = $1 AND name = $2";
const KEYS: &str = "SELECT name FROM build_meta_data WHERE task_group_id = $1 AND name > $2 \
     ORDER BY name LIMIT $3";
const SET: &str = "INSERT INTO build_meta_data (task_group_id, name, value, expires_at) \
     VALUES ($1, $2, $3, $4) ON CONFLICT (task_group_id, name) DO UPDATE \
     SET value = excluded.value, expires_at = excluded.expires_at";

/// The value of this name.
pub fn get_meta_data(tx: &mut Tx<'_>, group_id: &str, name: &str) -> Result<Option<String>, Error> {
    tx.query_opt(GET, params![group_id, name], |row| row.get(0))
}

/// The names behind `after` (empty for the first page), in order.
pub fn meta_data_keys(
    tx: &mut Tx<'_>,
    group_id: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<String>, Error> {
    tx.query(KEYS, params![group_id, after, limit as i64], |row| {
        row.get(0)
    })
}

/// Gives a name a value, instead of the one it may have.
pub fn set_meta_data(
    tx: &mut Tx<'_>,
    group_id: &str,
    (name, value): (&str, &str),
    expires_at: Timestamp,
) -> Result<(), Error> {
    tx.execute(SET, params![group_id, name, value, expires_at])?;
    Ok(())
}
