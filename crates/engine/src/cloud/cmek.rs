//! Which key of the customer's a location is told to encrypt with. It is kept and shown: what is
//! stored here is not encrypted by it.

use taskyard_store::{Error, Key, Migration, Tx, params};

/// The table of keys.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "cloud-cmek",
    id: 1,
    name: "keys of locations",
    sql: "
CREATE TABLE cloud_cmek (
  -- projects/P/locations/L
  location {text} PRIMARY KEY,
  kms_key {text} NOT NULL
) {strict};
",
}];

/// The key of what changes the setting of `location`.
pub fn key(location: &str) -> Key {
    Key::of(("cloud cmek", location))
}

const GET: &str = "SELECT kms_key FROM cloud_cmek WHERE location = $1";
const SET: &str = "INSERT INTO cloud_cmek (location, kms_key) VALUES ($1, $2) \
     ON CONFLICT (location) DO UPDATE SET kms_key = excluded.kms_key";

/// The key of a location; empty if there is none.
pub fn get(tx: &mut Tx<'_>, location: &str) -> Result<String, Error> {
    let found = tx.query_opt(GET, params![location], |row| row.get(0))?;
    Ok(found.unwrap_or_default())
}

/// Sets the key of a location; an empty one is none.
pub fn set(tx: &mut Tx<'_>, location: &str, kms_key: &str) -> Result<(), Error> {
    tx.execute(SET, params![location, kms_key])?;
    Ok(())
}
