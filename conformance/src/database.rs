//! The database a server under test keeps its tasks in.

use anyhow::{Context, Result};
use postgres::{Client, NoTls};

use crate::surrounding;

/// A database nobody else uses. Dropping it removes it.
#[derive(Debug)]
pub struct Database {
    postgres: Option<Postgres>,
}

#[derive(Debug)]
struct Postgres {
    server_url: String,
    name: String,
}

impl Database {
    /// A SQLite file in the server's own data folder.
    pub fn sqlite() -> Self {
        Self { postgres: None }
    }

    /// A new database on the PostgreSQL server of `TASKYARD_TEST_DATABASE_URL`.
    pub fn postgres() -> Result<Self> {
        let server_url = surrounding("TASKYARD_TEST_DATABASE_URL")?;
        let name = format!("conformance_{}", uuid::Uuid::new_v4().simple());
        let made = Postgres { server_url, name };
        made.execute(&format!("CREATE DATABASE {}", made.name))?;
        Ok(Self {
            postgres: Some(made),
        })
    }

    /// What the server's `--database-url` says; absent for SQLite.
    pub fn url(&self) -> Option<String> {
        let postgres = self.postgres.as_ref()?;
        let (server, query) = match postgres.server_url.split_once('?') {
            Some((server, query)) => (server, format!("?{query}")),
            None => (postgres.server_url.as_str(), String::new()),
        };
        // The last segment of the path names the database.
        let (server, _) = server.rsplit_once('/')?;
        Some(format!("{server}/{}{query}", postgres.name))
    }
}

impl Postgres {
    fn execute(&self, statement: &str) -> Result<()> {
        let mut client = Client::connect(&self.server_url, NoTls)
            .with_context(|| format!("could not connect to {}", self.server_url))?;
        client
            .batch_execute(statement)
            .with_context(|| format!("`{statement}` failed"))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(postgres) = &self.postgres {
            let dropped =
                postgres.execute(&format!("DROP DATABASE {} WITH (FORCE)", postgres.name));
            if let Err(error) = dropped {
                eprintln!("warning: a test's database was left behind: {error:#}");
            }
        }
    }
}
