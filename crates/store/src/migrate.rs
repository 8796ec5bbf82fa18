//! Forward-only migrations with a version table.

use postgres::SimpleQueryMessage;
use postgres::error::SqlState;

use crate::error::Error;
use crate::postgres::{classify, connect};
use crate::sql;
use crate::sqlite::Sqlite;

/// One step of a component's schema. A component's steps are numbered from 1 without gaps and never
/// change once released.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Whose tables these are.
    pub component: &'static str,
    /// The step's place in the component's order.
    pub id: i64,
    /// What it brings, in a few words.
    pub name: &'static str,
    /// DDL with `{int}`, `{text}`, `{blob}`, `{strict}`, `{hot}`, `{by_key}` and `{sequence NAME}`
    /// filled in for each database.
    pub sql: &'static str,
}

/// The store's own tables.
const OWN: &str = "
CREATE TABLE IF NOT EXISTS schema_migrations (
  component {text} NOT NULL,
  id {int} NOT NULL,
  name {text} NOT NULL,
  checksum {int} NOT NULL,
  PRIMARY KEY (component, id)
) {strict};
";
const OWN_SQLITE: &str = "
CREATE TABLE IF NOT EXISTS sequences (name TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT;
";
/// `undone` marks a transaction that was given up; it can no longer commit. `marked_at` is only for
/// cleaning up, so it may come from the database's clock.
const OWN_POSTGRES: &str = "
CREATE TABLE IF NOT EXISTS commit_markers (
  marker TEXT PRIMARY KEY,
  undone BOOLEAN NOT NULL DEFAULT FALSE,
  marked_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS commit_markers_by_age ON commit_markers (marked_at);
";
/// The lock of whoever looks what there is to do. Any number, as long as every release uses the
/// same.
const ADVISORY_LOCK: i64 = 0x7461_736b_7961_7264;
/// The lock that every connection shares on which a node reads or writes, and that whoever changes
/// the schema has alone: no node works on a schema that it does not know.
const IN_USE: i64 = ADVISORY_LOCK + 1;
/// How long nodes that are about to end are waited for.
const ENDING_FOR: &str = "SET LOCAL lock_timeout = '10s'";

fn checksum(sql: &str) -> i64 {
    let hash = sql.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash.cast_signed()
}

/// A step that a database has had: component, id, checksum.
type Applied = (String, i64, i64);

/// What is left to do for a database that has `applied`, or why it cannot be used.
fn pending<'a>(
    migrations: &'a [Migration],
    applied: &[Applied],
) -> Result<Vec<&'a Migration>, Error> {
    for (component, id, sum) in applied {
        let known = migrations
            .iter()
            .find(|known| known.component == component && known.id == *id)
            .ok_or_else(|| {
                Error::Open(format!(
                    "the database has schema version {id} of {component}, which this release does \
                     not know. Use a release at least as new as the one that wrote the database."
                ))
            })?;
        if checksum(known.sql) != *sum {
            return Err(Error::Open(format!(
                "schema version {id} of {component} ({}) in the database differs from this \
                 release's. It was written by a development build; start with an empty database.",
                known.name
            )));
        }
    }
    let is_applied = |step: &Migration| {
        applied
            .iter()
            .any(|(component, id, _)| component == step.component && *id == step.id)
    };
    Ok(migrations.iter().filter(|step| !is_applied(step)).collect())
}

const APPLIED: &str = "SELECT component, id, checksum FROM schema_migrations";

pub(crate) fn sqlite(database: &mut Sqlite, migrations: &[Migration]) -> Result<(), Error> {
    let failed = |error: rusqlite::Error| Error::Open(format!("migrating the database: {error}"));
    let connection = database.connection();
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)
        .map_err(failed)?;
    transaction
        .execute_batch(&sql::ddl_for_sqlite(OWN))
        .map_err(failed)?;
    transaction.execute_batch(OWN_SQLITE).map_err(failed)?;
    let applied = transaction
        .prepare(APPLIED)
        .and_then(|mut statement| {
            statement
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(failed)?;
    for step in pending(migrations, &applied)? {
        tracing::info!(step.component, step.id, step.name, "migrating the database");
        transaction
            .execute_batch(&sql::ddl_for_sqlite(step.sql))
            .map_err(failed)?;
        transaction
            .execute(
                "INSERT INTO schema_migrations (component, id, name, checksum) \
                 VALUES (?1, ?2, ?3, ?4)",
                (step.component, step.id, step.name, checksum(step.sql)),
            )
            .map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

pub(crate) fn postgres(config: &postgres::Config, migrations: &[Migration]) -> Result<(), Error> {
    let failed = |error: postgres::Error| {
        Error::Open(format!("migrating the database: {}", classify(&error)))
    };
    let mut client = connect(config).map_err(|error| {
        Error::Open(format!(
            "{error}. Check the database URL, that the server runs, and that the user may log in."
        ))
    })?;
    let version: i32 = client
        .query_one("SELECT current_setting('server_version_num')::int", &[])
        .map_err(failed)?
        .get(0);
    if version < 140_000 {
        return Err(Error::Open(format!(
            "PostgreSQL 14 or newer is needed; this server is version {}",
            version / 10_000
        )));
    }
    let encoding: String = client
        .query_one("SELECT current_setting('server_encoding')", &[])
        .map_err(failed)?
        .get(0);
    if encoding != "UTF8" {
        return Err(Error::Open(format!(
            "the database's encoding is {encoding}; create it with ENCODING 'UTF8'"
        )));
    }
    // A step may take long on a large database, and so may the wait for another node's.
    client
        .batch_execute("SET statement_timeout = 0; SET lock_timeout = 0")
        .map_err(failed)?;
    // One node at a time; the lock goes with the transaction.
    let mut transaction = client.transaction().map_err(failed)?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&ADVISORY_LOCK])
        .map_err(failed)?;
    transaction
        .batch_execute(&sql::ddl_for_postgres(OWN))
        .map_err(failed)?;
    transaction.batch_execute(OWN_POSTGRES).map_err(failed)?;
    let applied: Vec<Applied> = transaction
        .query(APPLIED, &[])
        .map_err(failed)?
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    let steps = pending(migrations, &applied)?;
    if !steps.is_empty() {
        transaction.batch_execute(ENDING_FOR).map_err(failed)?;
        transaction
            .execute("SELECT pg_advisory_xact_lock($1)", &[&IN_USE])
            .map_err(|error| match error.code() {
                Some(&SqlState::LOCK_NOT_AVAILABLE) => Error::Open(
                    "nodes of an older release work on this database. Stop all of them, then \
                     start this one."
                        .to_owned(),
                ),
                _ => failed(error),
            })?;
        transaction
            .batch_execute("SET LOCAL lock_timeout = 0")
            .map_err(failed)?;
    }
    for step in steps {
        tracing::info!(step.component, step.id, step.name, "migrating the database");
        transaction
            .batch_execute(&sql::ddl_for_postgres(step.sql))
            .map_err(failed)?;
        transaction
            .execute(
                "INSERT INTO schema_migrations (component, id, name, checksum) \
                 VALUES ($1, $2, $3, $4)",
                &[&step.component, &step.id, &step.name, &checksum(step.sql)],
            )
            .map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

/// Takes a connection into use, of a node whose release knows `steps` steps. For as long as the
/// connection lasts no further step is taken.
pub(crate) fn enter(client: &mut postgres::Client, steps: usize) -> Result<(), Error> {
    let refused = |text: &str| Err(Error::Unavailable(text.to_owned()));
    // Two statements: the second sees what was done before the first had the lock.
    let answers = client
        .simple_query(&format!(
            "SELECT pg_try_advisory_lock_shared({IN_USE}); SELECT count(*) FROM schema_migrations"
        ))
        .map_err(|error| classify(&error))?;
    let mut values = answers.iter().filter_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    if values.next() != Some("t") {
        return refused("a newer release is about to change the database");
    }
    if values.next() != Some(&steps.to_string()) {
        return refused("a newer release has changed the database. Start this node with it.");
    }
    Ok(())
}
