//! The server ends connections, for instance because it is restarted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use taskyard_store::testing::{Database, Kind};
use taskyard_store::{Config, Error, Key, Tx};

use crate::ledger::{add, enter, entries, key, open, value};

/// A session of our own in the database of a test.
pub(crate) struct Session(postgres::Client);

impl Session {
    /// To be used on a thread that is not async.
    pub(crate) fn of(database: &Database) -> Self {
        let Config::Postgres(config) = database.config() else {
            panic!("{:?}", Kind::Postgres)
        };
        let client = postgres::Client::connect(&config.url, postgres::NoTls);
        Session(client.expect("the server answers"))
    }

    /// Runs statements of the test.
    pub(crate) fn run(&mut self, sql: &str) {
        self.0.batch_execute(sql).expect("the statement runs");
    }

    /// The number that a query of the test answers.
    pub(crate) fn number(&mut self, sql: &str) -> i64 {
        self.0
            .query_one(sql, &[])
            .expect("the query answers")
            .get(0)
    }

    /// Ends every connection to the database that is not ours.
    pub(crate) fn terminate_all(&mut self) {
        self.terminate(i64::MAX);
    }

    /// Ends some connections to the database that are not ours; returns how many.
    fn terminate(&mut self, at_most: i64) -> usize {
        const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM (
            SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
            ORDER BY random() LIMIT $1) AS chosen";
        self.0
            .query(TERMINATE, &[&at_most])
            .expect("terminated")
            .len()
    }
}

/// Ends connections, at random moments, until told to stop; counts them.
fn havoc(database: &Database, ended: &Arc<AtomicUsize>, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let mut session = Session::of(database);
    let (ended, stop) = (Arc::clone(ended), Arc::clone(stop));
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            ended.fetch_add(session.terminate(1), Ordering::Relaxed);
            // The moments are to be random; there is nothing to await.
            let pause = u64::from(uuid::Uuid::new_v4().as_bytes()[0]) % 25;
            std::thread::sleep(Duration::from_millis(pause));
        }
    })
}

fn count(name: &'static str, id: i64) -> impl Fn(&mut Tx<'_>) -> Result<(), Error> + Send {
    move |tx| {
        add(tx, name, 1)?;
        enter(tx, id)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_acknowledged_increment_is_there_once_though_connections_end_at_random() {
    const COUNTERS: [&str; 3] = ["a", "b", "c"];
    const CALLERS: i64 = 24;
    /// Increments of each caller, and connections that are ended, at least.
    const EACH: usize = 50;
    const ENDED: usize = 10;
    let database = Database::new(Kind::Postgres);
    let store = open(&database);
    let (ended, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
    let havoc = std::thread::scope(|scope| {
        scope
            .spawn(|| havoc(&database, &ended, &stop))
            .join()
            .expect("a session")
    });
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (store, ended) = (store.clone(), Arc::clone(&ended));
            let name = COUNTERS[caller as usize % COUNTERS.len()];
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                let ids = (0..10_000).map(|at| at * CALLERS + caller);
                for id in ids {
                    let is_enough = ended.load(Ordering::Relaxed) >= ENDED;
                    if is_enough && acknowledged.len() >= EACH {
                        break;
                    }
                    match store.write(Key::of(name), count(name, id)).await {
                        Ok(()) => acknowledged.push(id),
                        // It says that nothing was changed; that is checked below.
                        Err(Error::Unavailable(_)) => {
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                (name, acknowledged)
            })
        })
        .collect();
    let mut sums = [0; COUNTERS.len()];
    let mut ids = Vec::new();
    for caller in callers {
        let (name, acknowledged) = caller.await.expect("the caller ends");
        assert!(acknowledged.len() >= EACH, "only {}", acknowledged.len());
        let at = COUNTERS
            .iter()
            .position(|known| *known == name)
            .expect("one of them");
        sums[at] += acknowledged.len() as i64;
        ids.extend(acknowledged);
    }
    stop.store(true, Ordering::Relaxed);
    havoc.join().expect("it stops");
    ids.sort_unstable();
    assert_eq!(entries(&store).await, ids);
    for (name, sum) in COUNTERS.into_iter().zip(sums) {
        assert_eq!(value(&store, name).await, sum, "counter {name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_ended_while_idle_are_replaced_without_a_word() {
    let database = Database::new(Kind::Postgres);
    let store = open(&database);
    for id in 1..=5 {
        store.write(key(), count("a", id)).await.expect("committed");
        assert_eq!(value(&store, "a").await, id);
        end_all(&database);
    }
    store.write(key(), count("a", 6)).await.expect("committed");
    assert_eq!(entries(&store).await, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closure_whose_connection_ends_between_its_statements_is_run_again() {
    let database = Arc::new(Database::new(Kind::Postgres));
    let store = open(&database);
    let ended = Arc::new(AtomicBool::new(false));
    let (server, once) = (Arc::clone(&database), Arc::clone(&ended));
    store
        .write(key(), move |tx| {
            enter(tx, 1)?;
            if !once.swap(true, Ordering::Relaxed) {
                end_all(&server);
            }
            add(tx, "a", 1)
        })
        .await
        .expect("committed");
    assert!(ended.load(Ordering::Relaxed));
    assert_eq!(entries(&store).await, [1]);
    assert_eq!(value(&store, "a").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_whose_connection_ends_while_it_runs_is_run_again() {
    let database = Arc::new(Database::new(Kind::Postgres));
    let store = open(&database);
    let runs = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (server, counted) = (Arc::clone(&database), Arc::clone(&runs));
    store
        .write(key(), move |tx| {
            enter(tx, 1)?;
            if counted.fetch_add(1, Ordering::Relaxed) == 0 {
                // Ends the connection once it is seen to sleep.
                let server = Arc::clone(&server);
                std::thread::spawn(move || end_the_sleeper(&server));
                tx.query("SELECT 1 FROM pg_sleep(29)", &[], |_| Ok(()))?;
            }
            Ok(())
        })
        .await
        .expect("committed");
    assert_eq!(runs.load(Ordering::Relaxed), 2);
    assert_eq!(entries(&store).await, [1]);
}

/// Ends every connection to the database.
fn end_all(database: &Database) {
    std::thread::scope(|scope| {
        scope
            .spawn(|| Session::of(database).terminate_all())
            .join()
            .expect("ended");
    });
}

/// Waits until a connection is in `pg_sleep` and ends it.
fn end_the_sleeper(database: &Database) {
    const SLEEPER: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event = 'PgSleep'";
    let mut session = Session::of(database);
    while session.0.query(SLEEPER, &[]).expect("looked").is_empty() {}
}
