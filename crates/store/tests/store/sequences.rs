//! Numbers grow and are never given to two.

use std::collections::HashSet;

use taskyard_store::testing::{Database, Kind};
use taskyard_store::{Error, Key, Sequence, on_both_databases};

use crate::ledger::{NUMBERS, complaint, enter, key, open};

on_both_databases! {
    async fn numbers_ascend_within_a_call_and_from_call_to_call(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let mut last = 0;
        for count in [1, 5, 1, 100] {
            let ids = store.write(key(), move |tx| tx.next_ids(NUMBERS, count)).await;
            for id in ids.expect("committed") {
                assert!(id > last, "{id} after {last}");
                last = id;
            }
        }
    }

    async fn no_numbers_are_drawn_when_none_are_asked_for(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let none = store.write(key(), |tx| tx.next_ids(NUMBERS, 0)).await;
        assert!(none.expect("answered").is_empty());
        assert_eq!(store.commits(), 0);
    }

    async fn concurrent_closures_never_get_the_same_number(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let draws: Vec<_> = (0..100_usize)
            .map(|at| {
                let store = store.clone();
                tokio::spawn(async move {
                    store.write(Key::of(at), move |tx| tx.next_ids(NUMBERS, 1 + at % 7)).await
                })
            })
            .collect();
        let mut seen = HashSet::new();
        for draw in draws {
            for id in draw.await.expect("the task ends").expect("committed") {
                assert!(seen.insert(id), "{id} was given twice");
            }
        }
    }

    async fn numbers_drawn_beside_an_undone_closure_are_not_given_again(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let mut seen = HashSet::new();
        for round in 0..10 {
            let undone = store.write::<(), _>(key(), |tx| {
                tx.next_ids(NUMBERS, 3)?;
                Err(complaint())
            });
            let kept = store.write(key(), move |tx| {
                enter(tx, round)?;
                tx.next_ids(NUMBERS, 2)
            });
            let (undone, kept) = tokio::join!(undone, kept);
            undone.expect_err("undone");
            for id in kept.expect("committed") {
                assert!(seen.insert(id), "{id} was given twice");
            }
        }
    }

    async fn numbers_go_on_growing_after_the_store_was_opened_again(kind) {
        let database = Database::new(kind);
        let mut last = 0;
        for _ in 0..3 {
            let store = open(&database);
            // More than are reserved at once, in steps that meet the end of what is reserved.
            for count in [4, 250, 5, 600, 1] {
                let ids = store.write(key(), move |tx| tx.next_ids(NUMBERS, count)).await;
                let ids = ids.expect("committed");
                assert!(ids.iter().all(|id| *id > last), "{ids:?} after {last}");
                last = ids.last().copied().expect("some of them");
            }
        }
    }

    async fn a_sequence_that_does_not_exist_is_refused(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let answer = store.write(key(), |tx| tx.next_ids(Sequence("unknown"), 1)).await;
        assert!(matches!(answer, Err(Error::Statement(_))), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_never_draw_the_same_number() {
    let database = Database::new(Kind::Postgres);
    let nodes = [open(&database), open(&database)];
    let mut seen = HashSet::new();
    for _ in 0..20 {
        let (one, two) = tokio::join!(
            nodes[0].write(key(), |tx| tx.next_ids(NUMBERS, 10)),
            nodes[1].write(key(), |tx| tx.next_ids(NUMBERS, 10)),
        );
        for id in one
            .expect("committed")
            .into_iter()
            .chain(two.expect("committed"))
        {
            assert!(seen.insert(id), "{id} was given twice");
        }
    }
}
