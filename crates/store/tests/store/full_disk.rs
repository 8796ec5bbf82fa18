//! A disk without room refuses all writers, loses nothing, and recovers without a restart.

use std::path::Path;

use taskyard_store::testing::{Database, Kind};
use taskyard_store::{Config, Error, SqliteConfig, Store, params};

use crate::ledger::{MIGRATIONS, entries, key, open};
use crate::process::{again_with_own_mounts, told};

/// Adds an entry that needs room.
async fn fill(store: &Store, id: i64) -> Result<(), Error> {
    store
        .write(key(), move |tx| {
            const FILL: &str = "INSERT INTO entries (id, bulk) VALUES ($1, $2)";
            tx.execute(FILL, params![id, &vec![7_u8; 20_000]]).map(drop)
        })
        .await
}

/// Fills the disk, finds all writers refused and all reads answered, then makes room.
async fn check(store: &Store, make_room: impl AsyncFnOnce()) {
    let mut acknowledged = Vec::new();
    let refusal = loop {
        let id = acknowledged.len() as i64;
        match fill(store, id).await {
            Ok(()) => acknowledged.push(id),
            Err(error) => break error,
        }
        assert!(id < 10_000, "the disk does not get full");
    };
    assert!(matches!(refusal, Error::Unavailable(_)), "{refusal:?}");
    for round in 0..5 {
        let writers: Vec<_> = (0..20)
            .map(|id| {
                let store = store.clone();
                tokio::spawn(async move { fill(&store, 100_000 + round * 100 + id).await })
            })
            .collect();
        for writer in writers {
            let answer = writer.await.expect("it ends");
            assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
        }
        assert_eq!(
            entries(store).await,
            acknowledged,
            "reads are answered, nothing is lost"
        );
    }
    make_room().await;
    for id in 200_000..200_010 {
        fill(store, id).await.expect("there is room again");
        acknowledged.push(id);
    }
    assert_eq!(entries(store).await, acknowledged);
}

async fn limit_pages(store: &Store, pragma: &'static str) {
    let pages = store
        .write(key(), move |tx| {
            tx.query(pragma, &[], |row| row.get::<i64>(0))
        })
        .await;
    assert_eq!(pages.expect("the limit is set").len(), 1);
}

/// Fills a database file that may not grow beyond a number of pages.
async fn check_with_limited_file() {
    let database = Database::new(Kind::Sqlite);
    let store = open(&database);
    limit_pages(&store, "PRAGMA max_page_count = 400").await;
    check(&store, async || {
        limit_pages(&store, "PRAGMA max_page_count = 1000000").await;
    })
    .await;
    drop(store);
    assert!(
        !entries(&open(&database)).await.is_empty(),
        "it opens again"
    );
}

/// Fills a real file system in memory.
async fn check_on_small_disk(folder: &Path) {
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
        .arg(folder)
        .status();
    assert!(
        mounted.is_ok_and(|status| status.success()),
        "a small disk is mounted"
    );
    let ballast = folder.join("ballast");
    std::fs::write(&ballast, vec![0; 1 << 21]).expect("there is room for it");
    let config = Config::Sqlite(SqliteConfig::new(folder.join("test.db")));
    let store = Store::open(&config, MIGRATIONS).expect("the database opens");
    check(&store, async || {
        std::fs::remove_file(&ballast).expect("it is removed");
    })
    .await;
    let expected = entries(&store).await;
    drop(store);
    let store = Store::open(&config, MIGRATIONS).expect("the database opens again");
    assert_eq!(entries(&store).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_may_not_grow_refuses_all_writers_and_recovers() {
    check_with_limited_file().await;
}

/// Where no file system can be mounted, a database file that may not grow takes its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_all_writers_and_recovers() {
    if let Some(folder) = told() {
        check_on_small_disk(Path::new(&folder)).await;
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let test = "full_disk::a_full_disk_refuses_all_writers_and_recovers";
    if again_with_own_mounts(test, folder.path().as_os_str()).is_none() {
        check_with_limited_file().await;
    }
}
