//! A fresh database of each kind for tests. Tests run on both; neither is skipped.

use crate::{Config, Error, Migration, PostgresConfig, SqliteConfig, Store};

/// Where `cargo xtask test` says a PostgreSQL server for tests listens.
pub const DATABASE_URL: &str = "TASKYARD_TEST_DATABASE_URL";

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An embedded file.
    Sqlite,
    /// The server named by [`DATABASE_URL`].
    Postgres,
}

/// An empty database that lasts as long as this value.
#[derive(Debug)]
pub struct Database {
    config: Config,
    _folder: Option<tempfile::TempDir>,
    dropped: Option<(String, String)>,
}

impl Database {
    /// Creates an empty database.
    ///
    /// # Panics
    /// If there is no server to create it on: a test that cannot run fails.
    #[expect(clippy::panic, clippy::expect_used, reason = "only tests call this")]
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::Sqlite => {
                let folder = tempfile::tempdir().expect("a temporary folder");
                let config = Config::Sqlite(SqliteConfig::new(folder.path().join("test.db")));
                Database {
                    config,
                    _folder: Some(folder),
                    dropped: None,
                }
            }
            Kind::Postgres => {
                let Ok(server) = std::env::var(DATABASE_URL) else {
                    panic!("{DATABASE_URL} is not set: run the tests with `cargo xtask test`");
                };
                let name = format!("test_{}", uuid::Uuid::new_v4().simple());
                administer(&server, &format!("CREATE DATABASE {name}"));
                let url = with_database(&server, &name);
                let config = Config::Postgres(PostgresConfig::new(url));
                Database {
                    config,
                    _folder: None,
                    dropped: Some((server, name)),
                }
            }
        }
    }

    /// The same without the slow poll: whoever waits hears of what was told and of nothing else.
    #[must_use]
    pub fn without_slow_poll(mut self) -> Self {
        if let Config::Postgres(config) = &mut self.config {
            config.slow_poll = std::time::Duration::from_hours(1);
        }
        self
    }

    /// How to open it; several stores may open the same PostgreSQL database.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Opens it, on a thread of its own as the caller may be async.
    ///
    /// # Panics
    /// If it cannot be opened.
    #[expect(clippy::expect_used, reason = "only tests call this")]
    pub fn open(&self, migrations: &[Migration]) -> Store {
        self.try_open(migrations).expect("the database opens")
    }

    /// Opens it, on a thread of its own as the caller may be async.
    ///
    /// # Errors
    /// As [`Store::open`].
    ///
    /// # Panics
    /// If opening panics.
    #[expect(clippy::expect_used, reason = "only tests call this")]
    pub fn try_open(&self, migrations: &[Migration]) -> Result<Store, Error> {
        std::thread::scope(|scope| {
            scope
                .spawn(|| Store::open(&self.config, migrations))
                .join()
                .expect("opening ends")
        })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some((server, name)) = self.dropped.take() {
            administer(&server, &format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }
}

/// `server` with its database replaced by `name`.
fn with_database(server: &str, name: &str) -> String {
    let (base, query) = server
        .split_once('?')
        .map_or((server, None), |(b, q)| (b, Some(q)));
    let authority_end = base.find("://").map_or(0, |at| at + 3);
    let end = base[authority_end..]
        .find('/')
        .map_or(base.len(), |at| authority_end + at);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{name}{query}", &base[..end])
}

/// Runs one statement on the server, on a thread of its own as the caller may be async.
#[expect(clippy::expect_used, reason = "only tests call this")]
fn administer(server: &str, sql: &str) {
    let (server, sql) = (server.to_owned(), sql.to_owned());
    std::thread::spawn(move || {
        postgres::Client::connect(&server, postgres::NoTls)
            .expect("the PostgreSQL server for tests answers")
            .batch_execute(&sql)
            .expect("the PostgreSQL server for tests creates and drops databases");
    })
    .join()
    .expect("the statement runs");
}

/// Writes each test once and runs it on both databases: `on_both_databases! { async fn name(kind)
/// { … } }` becomes `name::on_sqlite` and `name::on_postgres`.
#[macro_export]
macro_rules! on_both_databases {
    ($($(#[$attribute:meta])* async fn $name:ident($kind:ident) $body:block)*) => {$(
        #[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $(#[$attribute])*
            async fn check($kind: $crate::testing::Kind) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                check($crate::testing::Kind::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                check($crate::testing::Kind::Postgres).await;
            }
        }
    )*};
}
