//! What was acknowledged survives kill -9.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use taskyard_store::testing::{Database, Kind};
use taskyard_store::{Config, SqliteConfig, Store};
use tokio::task::JoinSet;

use crate::ledger::{MIGRATIONS, add, enter, entries, key, open, value};
use crate::process::{Ending, again, say, told};

/// Writes numbers from several callers for ever and says each that is acknowledged.
async fn write_for_ever(config: SqliteConfig) {
    let store = Store::open(&Config::Sqlite(config), MIGRATIONS).expect("the database opens");
    let next = Arc::new(AtomicI64::new(
        entries(&store).await.last().map_or(1, |last| last + 1),
    ));
    let mut callers = JoinSet::new();
    for _ in 0..16 {
        let (store, next) = (store.clone(), Arc::clone(&next));
        callers.spawn(async move {
            loop {
                let id = next.fetch_add(1, Ordering::Relaxed);
                let written = store.write(key(), move |tx| {
                    enter(tx, id)?;
                    add(tx, "entries", 1)
                });
                written.await.expect("committed");
                say(&id.to_string());
            }
        });
    }
    let ended: Option<Result<(), _>> = callers.join_next().await;
    panic!("a caller ended: {ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_numbers_are_in_the_file_after_kill_nine() {
    if let Some(path) = told() {
        write_for_ever(SqliteConfig::new(path)).await;
    }
    let database = Database::new(Kind::Sqlite);
    let Config::Sqlite(config) = database.config() else {
        panic!("an SQLite database")
    };
    let mut acknowledged = Vec::new();
    for _ in 0..10 {
        let said = again(
            "kill::acknowledged_numbers_are_in_the_file_after_kill_nine",
            config.path.as_os_str(),
            Ending::Killed(Duration::from_millis(
                5 + u64::from(uuid::Uuid::new_v4().as_bytes()[0]),
            )),
        );
        acknowledged.extend(said.iter().map(|id| id.parse::<i64>().expect("a number")));
        let store = open(&database);
        let present = entries(&store).await;
        for id in &acknowledged {
            assert!(
                present.binary_search(id).is_ok(),
                "{id} was acknowledged and is lost"
            );
        }
        assert_eq!(
            value(&store, "entries").await,
            present.len() as i64,
            "a closure is there whole or not at all"
        );
    }
    assert!(
        acknowledged.len() >= 10,
        "something was written in each round"
    );
}
