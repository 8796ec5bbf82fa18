//! The schema of these tests: counters that are added to, entries that exist once.

use taskyard_store::testing::Database;
use taskyard_store::{Error, Key, Migration, Sequence, Store, Tx, params};

/// All tables of the tests.
pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    component: "ledger",
    id: 1,
    name: "counters, entries and samples",
    sql: "
CREATE TABLE counters (name {text} PRIMARY KEY, value {int} NOT NULL) {hot};
CREATE TABLE entries (id {int} PRIMARY KEY, bulk {blob}) {strict};
CREATE TABLE samples (id {int} PRIMARY KEY, whole {int}, words {text}, bytes {blob}) {strict};
{sequence numbers};
",
}];

/// A sequence of the schema.
pub(crate) const NUMBERS: Sequence = Sequence("numbers");

/// Adds `by` to a counter, which begins at 0.
pub(crate) fn add(tx: &mut Tx<'_>, name: &str, by: i64) -> Result<(), Error> {
    const ADD: &str = "INSERT INTO counters (name, value) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET value = counters.value + excluded.value";
    tx.execute(ADD, params![name, by]).map(drop)
}

/// Adds an entry; its id must be new.
pub(crate) fn enter(tx: &mut Tx<'_>, id: i64) -> Result<(), Error> {
    tx.execute("INSERT INTO entries (id) VALUES ($1)", params![id])
        .map(drop)
}

/// A statement that no database accepts.
pub(crate) fn blunder(tx: &mut Tx<'_>) -> Result<(), Error> {
    tx.execute("INSERT INTO entries (id) VALUES (NULL, 1)", &[])
        .map(drop)
}

/// An error of a closure that has nothing to do with the database.
pub(crate) fn complaint() -> Error {
    Error::Statement("the closure does not want to".to_owned())
}

/// A database with the tests' schema.
pub(crate) fn open(database: &Database) -> Store {
    database.open(MIGRATIONS)
}

/// The committed value of a counter.
pub(crate) async fn value(store: &Store, name: &'static str) -> i64 {
    const VALUE: &str = "SELECT value FROM counters WHERE name = $1";
    let value = store
        .read(move |tx| tx.query_opt(VALUE, params![name], |row| row.get(0)))
        .await;
    value.expect("reads are answered").unwrap_or(0)
}

/// The ids of all committed entries, ascending.
pub(crate) async fn entries(store: &Store) -> Vec<i64> {
    let ids =
        store.read(|tx| tx.query("SELECT id FROM entries ORDER BY id", &[], |row| row.get(0)));
    ids.await.expect("reads are answered")
}

/// Everything these tests write under one key meets at one writer.
pub(crate) fn key() -> Key {
    Key::of("ledger")
}
