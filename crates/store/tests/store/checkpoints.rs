//! The write-ahead log begins anew while there is load, instead of growing with it.

use taskyard_store::testing::{Database, Kind};
use taskyard_store::{Config, params};

use crate::ledger::{entries, key, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_stays_short_however_much_is_written() {
    /// A checkpoint begins at 16 MiB; as much again is written during it, or several times as
    /// much where its thread has to wait for a processor.
    const LONGEST: u64 = 6 * 16 * 1024 * 1024;
    const WRITERS: i64 = 8;
    const EACH: i64 = 500;
    let database = Database::new(Kind::Sqlite);
    let Config::Sqlite(config) = database.config() else {
        panic!("it was asked for SQLite")
    };
    let mut log = config.path.clone().into_os_string();
    log.push("-wal");
    let store = open(&database);
    let writers = (0..WRITERS).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for entry in 0..EACH {
                let id = writer * EACH + entry;
                let insert = "INSERT INTO entries (id, bulk) VALUES ($1, $2)";
                store
                    .write(key(), move |tx| {
                        tx.execute(insert, params![id, &vec![7_u8; 40_000]])
                    })
                    .await
                    .expect("it is stored");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("it ends well");
    }
    assert_eq!(entries(&store).await.len() as i64, WRITERS * EACH);
    let written = (WRITERS * EACH * 40_000) as u64;
    let longest = std::fs::metadata(&log).expect("there is a log").len();
    assert!(
        longest < LONGEST && LONGEST < written,
        "the log has {longest} bytes"
    );
}
