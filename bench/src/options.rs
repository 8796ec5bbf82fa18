//! What every bench can be told.

use crate::postgres::Postgres;
use crate::report::{Level, Report, Target};
use anyhow::Result;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Options of every bench.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Length of each phase in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// The database behind the server. PostgreSQL is started for the run and its own CPU time is
    /// not counted as the server's.
    #[arg(long, value_enum, default_value_t = Database::Sqlite)]
    database: Database,
    /// Writes all figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Database {
    Sqlite,
    Postgres,
}

impl Common {
    /// The length of a phase.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Whether the database is within the server. Another process would take its part of the same
    /// processors.
    pub(crate) fn is_embedded(&self) -> bool {
        self.database == Database::Sqlite
    }

    /// Starts the database, if it is one of its own. It stands until it is dropped.
    ///
    /// # Errors
    /// PostgreSQL is not installed or does not start.
    pub(crate) fn start_database(&self) -> Result<Option<Postgres>> {
        match self.database {
            Database::Sqlite => Ok(None),
            Database::Postgres => Postgres::start().map(Some),
        }
    }

    /// Prints what was measured, and writes it where it is wanted.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn report(
        &self,
        bench: &'static str,
        levels: Vec<Level>,
        targets: Vec<Target>,
    ) -> Result<()> {
        let report = Report {
            bench,
            database: match self.database {
                Database::Sqlite => "SQLite",
                Database::Postgres => "PostgreSQL",
            },
            processors: std::thread::available_parallelism()?.get(),
            seconds: self.seconds,
            levels,
            targets,
        };
        report.print(&mut std::io::stdout().lock())?;
        if let Some(file) = &self.json {
            report.write_json(file)?;
        }
        Ok(())
    }
}
