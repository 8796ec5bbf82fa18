//! A PostgreSQL server that goes away, and comes back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use taskyard_client::{Error, slugid};
use taskyard_store::Config;
use taskyard_store::testing::{DATABASE_URL, Database, Kind};

use crate::caller::Caller;
use crate::process::{Ground, PATIENCE, Server, soon};

/// Runs statements on the tests' PostgreSQL server.
async fn administer(sql: String) {
    let server = std::env::var(DATABASE_URL).unwrap();
    let run = move || {
        postgres::Client::connect(&server, postgres::NoTls)
            .unwrap()
            .batch_execute(&sql)
    };
    tokio::task::spawn_blocking(run).await.unwrap().unwrap();
}

/// A database, and the settings of a server on it.
pub(crate) struct Remote {
    database: Database,
    pub(crate) url: String,
    name: String,
}

impl Remote {
    pub(crate) async fn new() -> Self {
        let database = tokio::task::spawn_blocking(|| Database::new(Kind::Postgres))
            .await
            .unwrap();
        let Config::Postgres(config) = database.config() else {
            panic!("{database:?}")
        };
        let url = config.url.clone();
        let name = url
            .split('?')
            .next()
            .unwrap()
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned();
        Self {
            database,
            url,
            name,
        }
    }

    async fn go_away(&self) {
        let name = &self.name;
        // One after the other: within one transaction, whoever is cut off could come back before
        // the first takes effect.
        administer(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
        administer(format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        ))
        .await;
    }

    async fn come_back(&self) {
        administer(format!(
            "ALTER DATABASE {} ALLOW_CONNECTIONS true",
            self.name
        ))
        .await;
    }

    /// The text that a statement finds in this database.
    pub(crate) async fn text(&self, sql: &'static str) -> String {
        let url = self.url.clone();
        let query = move || {
            let mut client = postgres::Client::connect(&url, postgres::NoTls).unwrap();
            client.query_one(sql, &[]).unwrap().get(0)
        };
        tokio::task::spawn_blocking(query).await.unwrap()
    }

    /// Removes it, which waits for nobody.
    pub(crate) async fn end(self) {
        tokio::task::spawn_blocking(move || drop(self.database))
            .await
            .unwrap();
    }
}

/// Tries again as long as the answer is 503.
async fn at_last<T>(mut attempt: impl AsyncFnMut() -> Result<T, Error>) -> T {
    let began = Instant::now();
    loop {
        match attempt().await {
            Err(error) if error.status() == Some(503) && began.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            outcome => return outcome.unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_database_is_told_as_503_and_found_again_without_a_restart() {
    let remote = Remote::new().await;
    let ground = Ground::on_postgres(&remote.url);
    let server = ground.serve(&["--log-level", "error"]).await;
    let caller = Caller::root(&server.url);
    let id = slugid::nice();
    caller.create(&id, json!({})).await.unwrap();
    let before = caller.status(&id).await.unwrap();
    let other = json!({"taskQueueId": "prov/other"});
    for _ in 0..2 {
        remote.go_away().await;
        let new = slugid::nice();
        // All at once, as each of them waits a few seconds for the database.
        let (status, create, claim) = tokio::join!(
            caller.status(&id),
            caller.create(&new, other.clone()),
            caller.claim("worker", 1),
        );
        for error in [status.unwrap_err(), create.unwrap_err(), claim.unwrap_err()] {
            assert_eq!(error.status(), Some(503), "{error}");
            assert!(!error.to_string().contains(&remote.url), "{error}");
        }
        assert_eq!(
            server.get("/healthz").await.0,
            200,
            "the server itself is well"
        );
        assert_eq!(server.get("/readyz").await.0, 503);
        remote.come_back().await;
        let after: Value = at_last(async || caller.status(&id).await).await;
        assert_eq!(after, before, "nothing has happened meanwhile");
        at_last(async || caller.create(&new, other.clone()).await).await;
        let began = Instant::now();
        while server.get("/readyz").await.0 != 200 {
            assert!(began.elapsed() < PATIENCE, "it does not become ready again");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let claims = at_last(async || caller.claim("worker", 1).await).await;
    assert_eq!(claims.len(), 1);
    at_last(async || caller.complete(&id, 0).await).await;
    server.signal("TERM").await;
    assert!(server.ended().await.status.success());
    remote.end().await;
}

/// Two servers, one database: what one takes in, the other gives out, and a claim that waits at one
/// is woken by the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_on_one_database_are_one() {
    let remote = Remote::new().await;
    let grounds = [(); 2].map(|()| Ground::on_postgres(&remote.url));
    // They share the key that tokens are sealed with.
    let key = grounds[0].path().join("shared.key");
    let mut servers = Vec::new();
    for ground in &grounds {
        let mut command = ground.command(&["--log-level", "error"]);
        command.env("TASKYARD_SECRET_KEY_FILE", &key);
        servers.push(Server::spawn(command).await);
    }
    let [one, two] = [0, 1].map(|at| Caller::root(&servers[at].url));
    let waiting = {
        let two = two.clone();
        tokio::spawn(async move { two.claim("worker", 1).await })
    };
    let id = slugid::nice();
    one.create(&id, json!({})).await.unwrap();
    let claims = soon(waiting).await.unwrap().unwrap();
    assert_eq!(claims[0]["status"]["taskId"], id.as_str());
    two.complete(&id, 0).await.unwrap();
    assert_eq!(one.status(&id).await.unwrap()["state"], "completed");
    // When one of them dies, the other goes on.
    servers.remove(0).kill().await;
    two.create(&slugid::nice(), json!({})).await.unwrap();
    drop(servers);
    remote.end().await;
}
