//! Closures that panic, swallow errors or are overtaken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use taskyard_store::testing::Database;
use taskyard_store::{Error, on_both_databases};

use crate::conversation::{hand_in, hold};
use crate::ledger::{blunder, complaint, enter, entries, key, open};

on_both_databases! {
    async fn a_closure_that_panics_before_it_writes_harms_nobody(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let held = hold(&store).await;
        let first = hand_in(&store, |tx| enter(tx, 1)).await;
        let panicking = hand_in::<(), _>(&store, |_| panic!("on purpose")).await;
        let last = hand_in(&store, |tx| enter(tx, 2)).await;
        held.release().await;
        first.await.expect("committed");
        assert!(matches!(panicking.await, Err(Error::Panicked)));
        last.await.expect("committed");
        assert_eq!(entries(&store).await, [1, 2]);
    }

    async fn a_closure_that_panics_after_it_wrote_is_undone_and_harms_nobody(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let held = hold(&store).await;
        let first = hand_in(&store, |tx| enter(tx, 1)).await;
        let panicking = hand_in::<(), _>(&store, |tx| {
            enter(tx, 2)?;
            panic!("on purpose")
        })
        .await;
        let last = hand_in(&store, |tx| enter(tx, 3)).await;
        held.release().await;
        first.await.expect("committed");
        assert!(matches!(panicking.await, Err(Error::Panicked)));
        last.await.expect("committed");
        assert_eq!(entries(&store).await, [1, 3]);
        store.write(key(), |tx| enter(tx, 4)).await.expect("the writer lives on");
    }

    async fn a_closure_that_panics_while_it_reads_a_row_is_undone(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let panicking = store
            .write(key(), |tx| {
                enter(tx, 1)?;
                tx.query::<i64>("SELECT id FROM entries", &[], |_| panic!("on purpose"))
            })
            .await;
        assert!(matches!(panicking, Err(Error::Panicked)));
        assert!(entries(&store).await.is_empty());
    }

    async fn a_swallowed_sql_error_does_not_commit(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let held = hold(&store).await;
        let neighbour = hand_in(&store, |tx| enter(tx, 1)).await;
        let swallowed = hand_in(&store, |tx| {
            enter(tx, 2)?;
            drop(blunder(tx));
            Ok("as if nothing had happened")
        })
        .await;
        held.release().await;
        neighbour.await.expect("committed");
        assert!(matches!(swallowed.await, Err(Error::Statement(_))));
        assert_eq!(entries(&store).await, [1]);
    }

    async fn after_an_sql_error_every_later_statement_fails_too(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let answer = store
            .write(key(), |tx| {
                let first = blunder(tx).expect_err("refused").to_string();
                let second = enter(tx, 1).expect_err("refused as well").to_string();
                assert_eq!(first, second);
                Ok(())
            })
            .await;
        assert!(matches!(answer, Err(Error::Statement(_))), "{answer:?}");
    }

    async fn an_overtaken_closure_is_run_again(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        for wrote in [false, true] {
            let runs = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&runs);
            let held = hold(&store).await;
            let neighbour = hand_in(&store, move |tx| enter(tx, i64::from(wrote))).await;
            let overtaken = hand_in(&store, move |tx| {
                if wrote {
                    enter(tx, 10)?;
                }
                if counted.fetch_add(1, Ordering::Relaxed) < 2 {
                    return Err(tx.overtaken("the task was changed"));
                }
                enter(tx, 20 + i64::from(wrote))
            })
            .await;
            held.release().await;
            neighbour.await.expect("committed");
            overtaken.await.expect("committed at last");
            assert_eq!(runs.load(Ordering::Relaxed), 3);
        }
        assert_eq!(entries(&store).await, [0, 1, 10, 20, 21]);
    }

    async fn a_closure_that_is_overtaken_for_ever_is_told_so(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let answer = store.write::<(), _>(key(), |tx| Err(tx.overtaken("again"))).await;
        assert!(matches!(&answer, Err(Error::Contended(what)) if what == "again"), "{answer:?}");
        assert!(answer.is_err_and(|error| error.is_temporary()));
    }

    async fn an_error_is_answered_after_it_undid_a_batch_with_many_others(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let held = hold(&store).await;
        let mut good = Vec::new();
        let mut bad = Vec::new();
        for id in 0..30 {
            good.push(hand_in(&store, move |tx| enter(tx, id)).await);
            if id % 3 == 0 {
                bad.push(
                    hand_in::<(), _>(&store, move |tx| {
                        enter(tx, 100 + id)?;
                        Err(complaint())
                    })
                    .await,
                );
            }
        }
        held.release().await;
        for call in good {
            call.await.expect("committed");
        }
        for call in bad {
            assert!(matches!(call.await, Err(Error::Statement(_))));
        }
        assert_eq!(entries(&store).await, (0..30).collect::<Vec<_>>());
    }
}
