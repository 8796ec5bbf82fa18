//! SQLite: one file, one writer, any number of readers.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::Arc;

use foldhash::fast::RandomState;
use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, PrepFlags, Statement};

use crate::checkpoint::Checkpoints;
use crate::driver::{Connected, Driver};
use crate::error::Error;
use crate::horizon::Horizon;
use crate::sql;
use crate::value::{Row, Source, Value};

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Writer,
    Reader,
    Checkpointer,
}

pub(crate) struct Sqlite {
    connection: Connection,
    /// Told how long the log is; only the writer lengthens it.
    checkpoints: Option<Arc<Checkpoints>>,
}

/// A connection in use, with its prepared statements.
struct Session<'c> {
    connection: &'c Connection,
    checkpoints: Option<&'c Checkpoints>,
    /// Found by the address of their text: to look for the text itself, as the connection's own
    /// cache does, costs as much as a small statement.
    statements: HashMap<(usize, usize), Statement<'c>, RandomState>,
    sequences: HashMap<&'static str, Sequence, RandomState>,
}

/// What is known of a sequence.
struct Sequence {
    /// The last number that was given.
    last: i64,
    /// Up to here numbers are reserved in the database, or will be by the commit to come.
    reserved: i64,
    /// Whether that is still to come.
    is_owed: bool,
}

/// Numbers that are reserved ahead, so that few commits have to write down how far a sequence has
/// come. Those that were not given when the process ends are never given.
const RESERVED: i64 = 256;

impl Sqlite {
    pub(crate) fn open(path: &Path, role: Role) -> Result<Self, Error> {
        let connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(|error| {
            Error::Open(format!(
                "cannot open the database file {}: {error}. Check that its folder exists and is \
                 writable.",
                path.display()
            ))
        })?;
        // A COMMIT need not wait for the disk: whoever is to be answered does, in `durability`.
        // page_size only counts before the first table and before WAL. The sizes of the caches
        // bound the process's memory; the file is not mapped, since mapped pages count as
        // resident memory. Checkpoints have a thread of their own.
        let common = "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; \
             PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON; \
             PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864; \
             PRAGMA temp_store = MEMORY;";
        let own = match role {
            Role::Writer => "PRAGMA cache_size = -16384;",
            // It reads the log past any cache.
            Role::Checkpointer => "PRAGMA cache_size = 0;",
            Role::Reader => "PRAGMA cache_size = -8192; PRAGMA query_only = ON;",
        };
        connection
            .execute_batch(common)
            .and_then(|()| connection.execute_batch(own))
            .map_err(|error| Error::Open(format!("cannot set up {}: {error}", path.display())))?;
        // Plans must not depend on what is bound: otherwise statements are planned anew whenever a
        // bound value changes.
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
            .map_err(|error| Error::Open(format!("cannot set up {}: {error}", path.display())))?;
        Ok(Sqlite {
            connection,
            checkpoints: None,
        })
    }

    /// Lets `checkpoints` know of every commit, and move the log's end.
    pub(crate) fn checkpoint_by(&mut self, checkpoints: Arc<Checkpoints>) -> Result<(), Error> {
        let told = Arc::clone(&checkpoints);
        let hook = move |_: &mut rusqlite::hooks::Wal, pages| {
            told.log_has(pages);
            Ok(())
        };
        self.connection.wal_hook(Some(hook)).map_err(classify)?;
        self.checkpoints = Some(checkpoints);
        Ok(())
    }

    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl Connected for Sqlite {
    fn drive(self, work: impl FnOnce(&mut dyn Driver)) {
        work(&mut Session {
            connection: &self.connection,
            checkpoints: self.checkpoints.as_deref(),
            statements: HashMap::default(),
            sequences: HashMap::default(),
        });
    }
}

impl<'c> Session<'c> {
    fn statement(&mut self, sql: &'static str) -> Result<&mut Statement<'c>, Error> {
        match self.statements.entry((sql.as_ptr() as usize, sql.len())) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(new) => {
                let text = sql::for_sqlite(sql);
                let lasting = PrepFlags::SQLITE_PREPARE_PERSISTENT;
                let statement = self.connection.prepare_with_flags(&text, lasting);
                Ok(new.insert(statement.map_err(classify)?))
            }
        }
    }

    fn run(&mut self, sql: &'static str) -> Result<(), Error> {
        let done = self.statement(sql)?.raw_execute();
        done.map(drop).map_err(classify)
    }

    fn stored_sequence(&mut self, name: &str) -> Result<Sequence, Error> {
        let statement = self.statement("SELECT last FROM sequences WHERE name = $1")?;
        let last = statement.query_row([name], |row| row.get(0));
        let last = last.map_err(classify)?;
        Ok(Sequence {
            last,
            reserved: last,
            is_owed: false,
        })
    }

    fn store_sequences(&mut self) -> Result<(), Error> {
        let owed = self.sequences.iter().filter(|(_, known)| known.is_owed);
        let owed: Vec<_> = owed.map(|(name, known)| (*name, known.reserved)).collect();
        for each in owed {
            self.statement("UPDATE sequences SET last = $2 WHERE name = $1")?
                .execute(each)
                .map_err(classify)?;
        }
        Ok(())
    }
}

/// The write-ahead log, as what has to reach the disk. SQLite holds no locks on this file, so that
/// a second handle on it harms nothing.
pub(crate) struct Log(std::fs::File);

impl Log {
    /// Opens the log of the database at `path`, which a connection has read already.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let mut name = path.as_os_str().to_owned();
        name.push("-wal");
        let log = std::fs::File::open(&name).map_err(|error| {
            let name = Path::new(&name).display();
            Error::Open(format!("cannot open the write-ahead log {name}: {error}"))
        })?;
        Ok(Log(log))
    }

    /// Returns once everything written to the log is on disk.
    pub(crate) fn sync(&mut self) -> std::io::Result<()> {
        self.0.sync_data()
    }
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Value::Null => ValueRef::Null,
            Value::Int(value) => ValueRef::Integer(value),
            // PostgreSQL cannot store it, so it is refused here as well.
            Value::Text(value) if value.contains('\0') => {
                return Err(rusqlite::Error::ToSqlConversionFailure(
                    "text must not contain NUL characters".into(),
                ));
            }
            Value::Text(value) => ValueRef::Text(value.as_bytes()),
            Value::Blob(value) => ValueRef::Blob(value),
        }))
    }
}

fn read(
    statement: &mut Statement<'_>,
    params: &[Value<'_>],
    each: &mut dyn FnMut(&Row<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let params = rusqlite::params_from_iter(params);
    let mut rows = statement.query(params).map_err(classify)?;
    while let Some(row) = rows.next().map_err(classify)? {
        each(&Row(Source::Sqlite(row)))?;
    }
    Ok(())
}

fn classify(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::OutOfMemory
            | ErrorCode::ReadOnly,
        ) => Error::Unavailable(error.to_string()),
        _ => Error::Statement(error.to_string()),
    }
}

impl Driver for Session<'_> {
    fn begin(&mut self, _marker: &str) -> Result<(), Error> {
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.move_tail(self.connection);
        }
        self.run("BEGIN IMMEDIATE")
    }

    fn commit(&mut self) -> Result<(), Error> {
        self.store_sequences()?;
        self.run("COMMIT")?;
        for known in self.sequences.values_mut() {
            known.is_owed = false;
        }
        Ok(())
    }

    fn rollback(&mut self) {
        self.sequences.retain(|_, known| !known.is_owed);
        // A full disk ends the transaction by itself; then there is nothing left to undo.
        if !self.connection.is_autocommit()
            && let Err(error) = self.run("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }

    fn was_committed(&mut self, _marker: &str) -> Result<bool, Error> {
        // A local COMMIT answers or the process is gone.
        Ok(false)
    }

    fn begin_read(&mut self) -> Result<(), Error> {
        self.run("BEGIN")
    }

    fn end_read(&mut self) {
        self.rollback();
    }

    fn execute(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, Error> {
        let statement = self.statement(sql)?;
        let changed = statement.execute(rusqlite::params_from_iter(params));
        // The statement stays, and what was bound may have megabytes.
        statement.clear_bindings();
        changed.map(|changed| changed as u64).map_err(classify)
    }

    fn query(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let statement = self.statement(sql)?;
        let done = read(statement, params, each);
        statement.clear_bindings();
        done
    }

    fn next_ids(&mut self, sequence: &'static str, count: usize) -> Result<Vec<i64>, Error> {
        let mut known = match self.sequences.remove(sequence) {
            Some(known) => known,
            None => self.stored_sequence(sequence)?,
        };
        let first = known.last + 1;
        known.last += count as i64;
        if known.last > known.reserved {
            known.reserved = known.last + RESERVED;
            known.is_owed = true;
        }
        let ids = (first..=known.last).collect();
        self.sequences.insert(sequence, known);
        Ok(ids)
    }

    fn horizon(&mut self) -> Result<Horizon, Error> {
        Ok(Horizon { begun: 0, ended: 0 })
    }
}
