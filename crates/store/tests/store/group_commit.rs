//! Those who wait share a commit, and nobody is harmed by a neighbour.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use taskyard_store::testing::Database;
use taskyard_store::{Error, Key, on_both_databases};

use crate::conversation::{hand_in, hold, is_pending, stop};
use crate::ledger::{add, complaint, enter, entries, key, open, value};

on_both_databases! {
    async fn writes_that_wait_together_share_commits(kind) {
        const WRITES: i64 = 400;
        /// Closures that share a commit at most, and milliseconds that one grows.
        const BATCH: (u64, u64) = (64, 5);
        let database = Database::new(kind);
        let store = open(&database);
        let before = store.commits();
        let held = hold(&store).await;
        let mut calls = Vec::new();
        for id in 0..WRITES {
            calls.push(hand_in(&store, move |tx| enter(tx, id)).await);
        }
        let begun = Instant::now();
        held.release().await;
        for call in calls {
            call.await.expect("committed");
        }
        let millis = begun.elapsed().as_millis() as u64;
        let commits = store.commits() - before;
        // What held them up, the full ones, those whose time was up, and the last.
        let most = 2 + WRITES as u64 / BATCH.0 + millis / BATCH.1;
        assert!(commits <= most, "{commits} commits for {WRITES} writes in {millis} ms");
        assert_eq!(entries(&store).await, (0..WRITES).collect::<Vec<_>>());
    }

    async fn writes_under_many_keys_are_all_committed(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let writes: Vec<_> = (0..200)
            .map(|id| {
                let store = store.clone();
                tokio::spawn(async move { store.write(Key::of(id), move |tx| enter(tx, id)).await })
            })
            .collect();
        for write in writes {
            write.await.expect("the task ends").expect("committed");
        }
        assert_eq!(entries(&store).await, (0..200).collect::<Vec<_>>());
    }

    async fn closures_of_one_key_see_what_those_before_them_did(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let held = hold(&store).await;
        let mut calls = Vec::new();
        for _ in 0..20 {
            calls.push(
                hand_in(&store, |tx| {
                    add(tx, "a", 1)?;
                    let value =
                        tx.query_opt("SELECT value FROM counters", &[], |row| row.get::<i64>(0))?;
                    Ok(value.unwrap_or(0))
                })
                .await,
            );
        }
        held.release().await;
        for (at, call) in (1..).zip(calls) {
            assert_eq!(call.await.expect("committed"), at);
        }
    }

    async fn a_refusal_is_a_value_and_leaves_its_neighbours_alone(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let held = hold(&store).await;
        let first = hand_in(&store, |tx| enter(tx, 1)).await;
        let refused = hand_in(&store, |_| Ok(Err::<(), _>("not found"))).await;
        let last = hand_in(&store, |tx| enter(tx, 2)).await;
        held.release().await;
        first.await.expect("committed");
        assert_eq!(refused.await.expect("a value"), Err("not found"));
        last.await.expect("committed");
        assert_eq!(entries(&store).await, [1, 2]);
    }

    async fn closures_that_write_nothing_cost_no_commit(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        for _ in 0..20 {
            let looked =
                store.write(key(), |tx| tx.query("SELECT 1", &[], |row| row.get::<i64>(0))).await;
            assert_eq!(looked.expect("answered"), [1]);
        }
        assert_eq!(store.commits(), 0);
        store.write(key(), |tx| enter(tx, 1)).await.expect("committed");
        assert_eq!(store.commits(), 1);
    }

    async fn an_error_before_any_write_does_not_run_its_neighbours_again(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let held = hold(&store).await;
        let neighbour = hand_in(&store, move |tx| {
            counted.fetch_add(1, Ordering::Relaxed);
            enter(tx, 1)
        })
        .await;
        let failed = hand_in::<(), _>(&store, |_| Err(complaint())).await;
        held.release().await;
        assert!(matches!(failed.await, Err(Error::Statement(_))));
        neighbour.await.expect("committed");
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        assert_eq!(entries(&store).await, [1]);
    }

    async fn an_error_after_a_write_undoes_that_closure_and_no_other(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let held = hold(&store).await;
        let first = hand_in(&store, |tx| enter(tx, 1)).await;
        let failed = hand_in::<(), _>(&store, |tx| {
            enter(tx, 2)?;
            add(tx, "a", 1)?;
            Err(complaint())
        })
        .await;
        let last = hand_in(&store, |tx| enter(tx, 3)).await;
        held.release().await;
        first.await.expect("committed");
        assert!(matches!(failed.await, Err(Error::Statement(_))));
        last.await.expect("committed");
        assert_eq!(entries(&store).await, [1, 3]);
        assert_eq!(value(&store, "a").await, 0);
    }

    async fn a_violated_constraint_undoes_that_closure_and_no_other(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let held = hold(&store).await;
        let first = hand_in(&store, |tx| enter(tx, 1)).await;
        let doubled = hand_in(&store, |tx| {
            enter(tx, 2)?;
            enter(tx, 1)
        })
        .await;
        let last = hand_in(&store, |tx| enter(tx, 3)).await;
        held.release().await;
        first.await.expect("committed");
        assert!(matches!(doubled.await, Err(Error::Statement(_))));
        last.await.expect("committed");
        assert_eq!(entries(&store).await, [1, 3]);
    }

    async fn an_abandoned_closure_that_has_not_begun_is_not_begun(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let held = hold(&store).await;
        let abandoned = hand_in(&store, |tx| enter(tx, 1)).await;
        let awaited = hand_in(&store, |tx| enter(tx, 2)).await;
        drop(abandoned);
        held.release().await;
        awaited.await.expect("committed");
        assert_eq!(entries(&store).await, [2]);
    }

    async fn a_store_that_is_dropped_commits_what_it_had_begun(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let (stop, mut stopped) = stop();
        let mut call = Box::pin(store.write(key(), move |tx| {
            enter(tx, 1)?;
            stop.here();
            enter(tx, 2)
        }));
        assert!(is_pending(&mut call).await);
        stopped.reached().await;
        drop(call);
        let dropping = tokio::task::spawn_blocking(move || drop(store));
        stopped.go_on();
        dropping.await.expect("the store closes");
        let store = open(&database);
        assert_eq!(entries(&store).await, [1, 2]);
    }

    async fn a_store_dropped_by_its_last_closure_closes_by_itself(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let (closed, is_closed) = tokio::sync::oneshot::channel::<()>();
        let (stop, mut stopped) = stop();
        let own = Mutex::new((store.clone(), closed));
        let mut call = Box::pin(store.write(key(), move |_| {
            let _held = own.lock();
            stop.here();
            Ok(())
        }));
        assert!(is_pending(&mut call).await);
        stopped.reached().await;
        drop(call);
        drop(store);
        stopped.go_on();
        is_closed.await.expect_err("dropped with the closure, on the writer's own thread");
    }
}
