//! Reads see what was acknowledged, one snapshot at a time, and change nothing.

use taskyard_store::testing::Database;
use taskyard_store::{Error, Health, on_both_databases};

use crate::conversation::{is_pending, stop};
use crate::ledger::{NUMBERS, add, enter, entries, key, open, value};

/// Looks like a query and is none.
const RETURNING: &str = "INSERT INTO entries (id) VALUES (1) RETURNING id";

on_both_databases! {
    async fn a_write_is_visible_to_a_read_after_it_is_acknowledged(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        for round in 1..=50 {
            store.write(key(), |tx| add(tx, "a", 1)).await.expect("committed");
            assert_eq!(value(&store, "a").await, round);
        }
    }

    async fn a_read_sees_one_snapshot_from_its_first_look_to_its_last(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        store.write(key(), |tx| enter(tx, 1)).await.expect("committed");
        let (stop, mut stopped) = stop();
        let mut reading = Box::pin(store.read(move |tx| {
            const COUNT: &str = "SELECT COUNT(*) FROM entries";
            let first = tx.query_opt(COUNT, &[], |row| row.get::<i64>(0))?;
            stop.here();
            let second = tx.query_opt(COUNT, &[], |row| row.get::<i64>(0))?;
            Ok((first, second))
        }));
        assert!(is_pending(&mut reading).await);
        stopped.reached().await;
        store.write(key(), |tx| enter(tx, 2)).await.expect("a read does not hold up a write");
        stopped.go_on();
        assert_eq!(reading.await.expect("read"), (Some(1), Some(1)));
        assert_eq!(entries(&store).await, [1, 2]);
    }

    async fn a_read_does_not_see_what_is_not_committed(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let (stop, mut stopped) = stop();
        let mut writing = Box::pin(store.write(key(), move |tx| {
            enter(tx, 1)?;
            stop.here();
            Ok(())
        }));
        assert!(is_pending(&mut writing).await);
        stopped.reached().await;
        assert!(entries(&store).await.is_empty());
        stopped.go_on();
        writing.await.expect("committed");
        assert_eq!(entries(&store).await, [1]);
    }

    async fn a_read_cannot_change_anything(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let executed = store.read(|tx| enter(tx, 1)).await;
        assert!(matches!(executed, Err(Error::Statement(_))), "{executed:?}");
        let drawn = store.read(|tx| tx.next_ids(NUMBERS, 1)).await;
        assert!(matches!(drawn, Err(Error::Statement(_))), "{drawn:?}");
        let returned = store.read(|tx| tx.returning(RETURNING, &[], |row| row.get::<i64>(0))).await;
        assert!(matches!(returned, Err(Error::Statement(_))), "{returned:?}");
        let disguised = store.read(|tx| tx.query(RETURNING, &[], |row| row.get::<i64>(0))).await;
        assert!(disguised.is_err(), "the database itself refuses it");
        assert!(entries(&store).await.is_empty());
    }

    async fn a_read_that_panics_is_answered_and_the_readers_live_on(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        for _ in 0..10 {
            let answer = store.read::<(), _>(|_| panic!("on purpose")).await;
            assert!(matches!(answer, Err(Error::Panicked)), "{answer:?}");
        }
        assert_eq!(store.health().await, Health::Up);
    }

    async fn a_failed_read_does_not_spoil_the_next_one(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        for _ in 0..10 {
            let answer =
                store.read(|tx| tx.query("SELECT nothing", &[], |row| row.get::<i64>(0))).await;
            assert!(matches!(answer, Err(Error::Statement(_))), "{answer:?}");
            assert!(entries(&store).await.is_empty());
        }
    }
}
