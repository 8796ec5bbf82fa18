//! Schemas move forward, once, and never from a database that is not ours to change.

use taskyard_store::testing::{Database, Kind};
use taskyard_store::{Config, Error, Migration, Store, on_both_databases};

use crate::ledger::{MIGRATIONS, NUMBERS, enter, entries, key, open};
use crate::process::{Ending, again, told};
use crate::terminations::Session;

const SECOND: Migration = Migration {
    component: "ledger",
    id: 2,
    name: "notes",
    sql: "CREATE TABLE notes (id {int} PRIMARY KEY) {strict}; {sequence note_ids};",
};

fn with_second() -> Vec<Migration> {
    [MIGRATIONS, &[SECOND]].concat()
}

/// Why the store did not open.
fn refusal(result: Result<Store, Error>) -> String {
    match result {
        Err(Error::Open(text)) => text,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

on_both_databases! {
    async fn a_database_opened_again_keeps_what_it_holds(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        store.write(key(), |tx| enter(tx, 1)).await.expect("committed");
        drop(store);
        let store = open(&database);
        assert_eq!(entries(&store).await, [1]);
    }

    async fn a_newer_release_adds_its_steps_to_what_is_there(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        store.write(key(), |tx| enter(tx, 1)).await.expect("committed");
        drop(store);
        let store = database.open(&with_second());
        assert_eq!(entries(&store).await, [1]);
        let ids = store.write(key(), |tx| {
            tx.execute("INSERT INTO notes (id) VALUES (1)", &[])?;
            tx.next_ids(NUMBERS, 1)
        });
        assert_eq!(ids.await.expect("committed"), [1]);
    }

    async fn a_database_of_a_newer_release_is_refused_with_advice(kind) {
        let database = Database::new(kind);
        drop(database.open(&with_second()));
        let text = refusal(database.try_open(MIGRATIONS));
        assert!(text.contains("schema version 2"), "{text}");
        assert!(text.contains("Use a release at least as new"), "{text}");
        drop(database.open(&with_second()));
    }

    async fn a_step_that_was_changed_after_it_was_applied_is_refused_with_advice(kind) {
        let database = Database::new(kind);
        drop(database.open(&with_second()));
        let changed = Migration { sql: "CREATE TABLE notes (id {int}) {strict};", ..SECOND };
        let text = refusal(database.try_open(&[MIGRATIONS, &[changed]].concat()));
        assert!(text.contains("schema version 2 of ledger (notes)"), "{text}");
        assert!(text.contains("start with an empty database"), "{text}");
    }

    async fn a_step_that_fails_leaves_nothing_behind(kind) {
        let database = Database::new(kind);
        drop(open(&database));
        let broken = Migration { sql: "CREATE TABLE notes (id {int}); CREATE NONSENSE;", ..SECOND };
        refusal(database.try_open(&[MIGRATIONS, &[broken]].concat()));
        let store = database.open(&with_second());
        let written = store.write(key(), |tx| tx.execute("INSERT INTO notes (id) VALUES (1)", &[]));
        assert_eq!(written.await.expect("committed"), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_migrate_once() {
    let database = Database::new(Kind::Postgres);
    let stores: Vec<Store> = std::thread::scope(|scope| {
        let opening: Vec<_> = (0..4).map(|_| scope.spawn(|| open(&database))).collect();
        opening
            .into_iter()
            .map(|thread| thread.join().expect("it opens"))
            .collect()
    });
    for (id, store) in (0..).zip(&stores) {
        store
            .write(key(), move |tx| enter(tx, id))
            .await
            .expect("committed");
    }
    assert_eq!(entries(&stores[0]).await, [0, 1, 2, 3]);
}

/// A database in which a node has made an entry, and the node.
async fn in_use() -> (Database, Store) {
    let database = Database::new(Kind::Postgres);
    let store = open(&database);
    let entered = store.write(key(), |tx| enter(tx, 1)).await;
    entered.expect("committed");
    (database, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_release_waits_for_the_nodes_of_an_older_one_to_be_stopped() {
    let (database, older) = in_use().await;
    let text = refusal(database.try_open(&with_second()));
    assert!(text.contains("nodes of an older release"), "{text}");
    older
        .write(key(), |tx| enter(tx, 2))
        .await
        .expect("it goes on as before");
    drop(older);
    let newer = database.open(&with_second());
    assert_eq!(entries(&newer).await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_while_a_newer_release_came_is_not_let_in_again() {
    let (database, older) = in_use().await;
    std::thread::scope(|scope| {
        scope
            .spawn(|| Session::of(&database).terminate_all())
            .join()
    })
    .expect("connections ended");
    let newer = database.open(&with_second());
    let told = [
        older.write(key(), |tx| enter(tx, 2)).await,
        older.read(|_| Ok(())).await,
    ];
    for told in told {
        let Err(Error::Unavailable(text)) = told else {
            panic!("it was let in: {told:?}")
        };
        assert!(text.contains("a newer release has changed"), "{text}");
    }
    newer
        .write(key(), |tx| enter(tx, 3))
        .await
        .expect("committed");
    assert_eq!(entries(&newer).await, [1, 3]);
}

#[test]
fn a_database_server_that_is_not_there_is_named_with_advice() {
    let url = "postgres://nobody@127.0.0.1:1/nothing";
    let config = Config::Postgres(taskyard_store::PostgresConfig::new(url));
    let text = refusal(Store::open(&config, MIGRATIONS));
    assert!(text.contains("Check the database URL"), "{text}");
}

#[test]
fn a_folder_that_does_not_exist_is_named_with_advice() {
    let config = Config::Sqlite(taskyard_store::SqliteConfig::new(
        "/nonexistent/folder/taskyard.db",
    ));
    let text = refusal(Store::open(&config, MIGRATIONS));
    assert!(text.contains("/nonexistent/folder"), "{text}");
    assert!(text.contains("exists and is writable"), "{text}");
}

#[test]
fn a_file_that_is_open_is_refused_with_advice_until_it_is_closed() {
    let database = Database::new(Kind::Sqlite);
    let store = open(&database);
    let text = refusal(database.try_open(MIGRATIONS));
    assert!(text.contains("another process uses"), "{text}");
    assert!(
        text.contains("give this one a data folder of its own"),
        "{text}"
    );
    drop(store);
    drop(open(&database));
}

#[test]
fn a_file_that_another_process_has_open_is_refused_with_advice() {
    if let Some(path) = told() {
        let config = Config::Sqlite(taskyard_store::SqliteConfig::new(path));
        crate::process::say(&refusal(Store::open(&config, MIGRATIONS)));
        return;
    }
    let database = Database::new(Kind::Sqlite);
    let Config::Sqlite(config) = database.config() else {
        panic!("an SQLite database")
    };
    let _store = open(&database);
    let said = again(
        "migrations::a_file_that_another_process_has_open_is_refused_with_advice",
        config.path.as_os_str(),
        Ending::ByItself,
    );
    assert!(
        said.iter()
            .any(|line| line.contains("another process uses")),
        "{said:?}"
    );
}
