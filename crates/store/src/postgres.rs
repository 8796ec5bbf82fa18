//! PostgreSQL: any number of nodes, each with a few connections.

use std::collections::HashMap;
use std::time::Duration;

use postgres::error::{Severity, SqlState};
use postgres::types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked};
use postgres::{Client, NoTls, Statement};

use crate::driver::{Connected, Driver};
use crate::error::Error;
use crate::horizon::Horizon;
use crate::migrate;
use crate::value::{Row, Source, Value};

pub(crate) struct Postgres {
    config: postgres::Config,
    /// How many steps the schema has.
    steps: usize,
    connection: Option<Connection>,
    sequences: HashMap<&'static str, String>,
}

struct Connection {
    client: Client,
    statements: HashMap<(usize, usize), Statement>,
}

impl Postgres {
    pub(crate) fn new(config: postgres::Config, steps: usize) -> Self {
        Postgres {
            config,
            steps,
            connection: None,
            sequences: HashMap::new(),
        }
    }

    /// The live connection, made anew if the last one was lost.
    fn connection(&mut self) -> Result<&mut Connection, Error> {
        if self
            .connection
            .as_ref()
            .is_some_and(|connection| connection.client.is_closed())
        {
            self.connection = None;
        }
        match &mut self.connection {
            Some(connection) => Ok(connection),
            slot => {
                let mut client = connect(&self.config)?;
                migrate::enter(&mut client, self.steps)?;
                Ok(slot.insert(Connection {
                    client,
                    statements: HashMap::new(),
                }))
            }
        }
    }

    /// The connection of the transaction under way: unlike [`Self::connection`] never a new one,
    /// in which the transaction's earlier statements would be missing.
    fn current(&mut self) -> Result<&mut Connection, Error> {
        self.connection
            .as_mut()
            .filter(|connection| !connection.client.is_closed())
            .ok_or_else(|| Error::Lost("the connection was closed".to_owned()))
    }

    fn run(&mut self, sql: &str) -> Result<(), Error> {
        self.current()?.run(sql)
    }
}

impl Connection {
    fn run(&mut self, sql: &str) -> Result<(), Error> {
        self.client
            .batch_execute(sql)
            .map_err(|error| self.explain(&error))
    }

    /// What an error of this connection means for the caller.
    fn explain(&self, error: &postgres::Error) -> Error {
        match classify(error) {
            Error::Statement(text) if self.client.is_closed() => Error::Lost(text),
            meaning => meaning,
        }
    }

    /// The statement `sql`, prepared once and kept under the address of the static text `name`.
    fn prepared(&mut self, name: &'static str, sql: &str) -> Result<Statement, Error> {
        let key = (name.as_ptr() as usize, name.len());
        if let Some(statement) = self.statements.get(&key) {
            return Ok(statement.clone());
        }
        let statement = self
            .client
            .prepare(sql)
            .map_err(|error| self.explain(&error))?;
        self.statements.insert(key, statement.clone());
        Ok(statement)
    }

    fn query(
        &mut self,
        statement: &Statement,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<postgres::Row>, Error> {
        self.client
            .query(statement, params)
            .map_err(|error| self.explain(&error))
    }
}

/// How long a connection may stay silent, or our data unacknowledged, before the server is asked
/// for a sign of life.
const UNANSWERED_FOR: Duration = Duration::from_secs(30);

/// Opens a connection with the settings every connection of ours has.
pub(crate) fn connect(config: &postgres::Config) -> Result<Client, Error> {
    let mut config = config.clone();
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(5));
    }
    // A server that vanished without a word is noticed within a minute, not after hours.
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(UNANSWERED_FOR);
    }
    if config.get_keepalives_idle() > UNANSWERED_FOR {
        config.keepalives_idle(UNANSWERED_FOR);
    }
    let mut client = config
        .connect(NoTls)
        .map_err(|error| Error::Unavailable(format!("connecting to PostgreSQL: {error}")))?;
    // A statement that hangs must not hold its batch for ever. A transaction whose client vanished
    // without a word must not hold its locks, and keep us in doubt about its COMMIT, for long;
    // closures do nothing between their statements that takes time. Locks are held for
    // milliseconds: who waits longer is most likely in a deadlock, which the server itself would
    // only look for after a second.
    client
        .batch_execute(
            "SET default_transaction_isolation = 'read committed'; \
             SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '10s'; \
             SET lock_timeout = '200ms'",
        )
        .map_err(|error| classify(&error))?;
    Ok(client)
}

/// What an error of the driver means for the caller.
pub(crate) fn classify(error: &postgres::Error) -> Error {
    let Some(db) = error.as_db_error() else {
        return if error.is_closed() || std::error::Error::source(error).is_some_and(is_io) {
            Error::Lost(error.to_string())
        } else {
            Error::Statement(error.to_string())
        };
    };
    let text = format!("{} ({})", db.message(), db.code().code());
    // The server closes the connection after these, whatever their code.
    if matches!(
        db.parsed_severity(),
        Some(Severity::Fatal | Severity::Panic)
    ) {
        return Error::Lost(text);
    }
    match db.code() {
        &SqlState::T_R_SERIALIZATION_FAILURE
        | &SqlState::T_R_DEADLOCK_DETECTED
        | &SqlState::LOCK_NOT_AVAILABLE => Error::Contended(text),
        // 57014: a statement ran into its time limit, usually behind somebody's lock.
        &SqlState::QUERY_CANCELED => Error::Unavailable(text),
        code if code.code().starts_with("08") || code.code().starts_with("57P") => {
            Error::Lost(text)
        }
        // 53: out of disk, memory or connections; 25006: a standby that takes no writes.
        code if code.code().starts_with("53") || code.code() == "25006" => Error::Unavailable(text),
        code if code.code().starts_with("58") => Error::Unavailable(text),
        _ => Error::Statement(text),
    }
}

fn is_io(source: &(dyn std::error::Error + 'static)) -> bool {
    source.is::<std::io::Error>()
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match *self {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(value) => match *ty {
                Type::INT2 => i16::try_from(value)?.to_sql(ty, out),
                Type::INT4 => i32::try_from(value)?.to_sql(ty, out),
                Type::INT8 => value.to_sql(ty, out),
                _ => Err(format!("an integer is bound where {ty} is expected").into()),
            },
            // Bytes of the wrong kind would be read as if they were of the right one.
            Value::Text(value) if <&str as ToSql>::accepts(ty) => value.to_sql(ty, out),
            Value::Text(_) => Err(format!("text is bound where {ty} is expected").into()),
            Value::Blob(value) if *ty == Type::BYTEA => value.to_sql(ty, out),
            Value::Blob(_) => Err(format!("bytes are bound where {ty} is expected").into()),
        }
    }

    fn accepts(_ty: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn dynamic<'a>(params: &'a [Value<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    params
        .iter()
        .map(|value| value as &(dyn ToSql + Sync))
        .collect()
}

impl Connected for Postgres {
    fn drive(mut self, work: impl FnOnce(&mut dyn Driver)) {
        work(&mut self);
    }
}

impl Driver for Postgres {
    fn begin(&mut self, marker: &str) -> Result<(), Error> {
        // One round trip. The marker is a UUID of ours, so it needs no quoting.
        self.connection()?.run(&format!(
            "BEGIN; INSERT INTO commit_markers (marker) VALUES ('{marker}')"
        ))
    }

    fn commit(&mut self) -> Result<(), Error> {
        // A COMMIT of a failed transaction is answered as ROLLBACK without an error; a failed
        // closure is rolled back before it gets here.
        self.run("COMMIT")
    }

    fn rollback(&mut self) {
        if self.connection.is_some()
            && let Err(error) = self.run("ROLLBACK")
        {
            // The server undoes what a closed connection had open.
            tracing::debug!(%error, "closing a connection that could not roll back");
            self.connection = None;
        }
    }

    fn was_committed(&mut self, marker: &str) -> Result<bool, Error> {
        self.connection = None;
        let connection = self.connection()?;
        // If the transaction is still being committed, the insert waits for its outcome at the
        // unique index. If it was committed, the row is there and nothing is inserted. If it was
        // not, the inserted row keeps it from ever being committed later.
        //
        // The answer to this insert may be lost too; so the row tells who wrote it.
        connection
            .client
            .execute(
                "INSERT INTO commit_markers (marker, undone) VALUES ($1, TRUE) \
                 ON CONFLICT DO NOTHING",
                &[&marker],
            )
            .map_err(|error| classify(&error))?;
        let row = connection
            .client
            .query_one(
                "SELECT undone FROM commit_markers WHERE marker = $1",
                &[&marker],
            )
            .map_err(|error| classify(&error))?;
        Ok(!row.get::<_, bool>(0))
    }

    fn begin_read(&mut self) -> Result<(), Error> {
        self.connection()?
            .run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    }

    fn end_read(&mut self) {
        self.rollback();
    }

    fn execute(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, Error> {
        let connection = self.current()?;
        let statement = connection.prepared(sql, sql)?;
        connection
            .client
            .execute(&statement, &dynamic(params))
            .map_err(|error| connection.explain(&error))
    }

    fn query(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let connection = self.current()?;
        let statement = connection.prepared(sql, sql)?;
        let rows = connection.query(&statement, &dynamic(params))?;
        rows.iter()
            .try_for_each(|row| each(&Row(Source::Postgres(row))))
    }

    fn next_ids(&mut self, sequence: &'static str, count: usize) -> Result<Vec<i64>, Error> {
        let sql = self
            .sequences
            .entry(sequence)
            .or_insert_with(|| {
                format!("SELECT nextval('{sequence}') FROM generate_series(1, $1::bigint)")
            })
            .clone();
        let connection = self.current()?;
        let statement = connection.prepared(sequence, &sql)?;
        let rows = connection.query(&statement, &[&(count as i64)])?;
        let mut ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    fn horizon(&mut self) -> Result<Horizon, Error> {
        // Our own number is newer than that of every transaction that has done anything yet: each
        // of ours gets its number with the marker, before it takes one from a sequence.
        const NOW: &str = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, \
             pg_current_xact_id()::text::bigint";
        let connection = self.current()?;
        let statement = connection.prepared(NOW, NOW)?;
        let rows = connection.query(&statement, &[])?;
        let row = rows
            .first()
            .ok_or_else(|| Error::Statement("the horizon cannot be seen".to_owned()))?;
        Ok(Horizon {
            begun: row.get(1),
            ended: row.get(0),
        })
    }
}
