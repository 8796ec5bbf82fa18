//! The network between the store and PostgreSQL breaks.

use std::time::{Duration, Instant};

use taskyard_store::testing::{Database, Kind};
use taskyard_store::{Config, Error, Store};

use crate::conversation::{Call, hand_in, hold, is_pending};
use crate::ledger::{MIGRATIONS, add, enter, entries, key, open, value};
use crate::proxy::{Breaks, COMMIT, EXECUTE, Fault, Proxy};

/// Long enough for anything that ends at all, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// A migrated database, the proxy before it, and a store that goes through the proxy.
fn behind_proxy() -> (Database, Proxy, Store) {
    let database = Database::new(Kind::Postgres);
    drop(open(&database));
    let (proxy, config) = Proxy::before(&database);
    let store = open_config(&config);
    (database, proxy, store)
}

fn open_config(config: &Config) -> Store {
    std::thread::scope(|scope| {
        scope
            .spawn(|| Store::open(config, MIGRATIONS))
            .join()
            .expect("opening ends")
    })
    .expect("the database opens")
}

/// A counter and an entry tell a closure that took effect twice from one that did once.
async fn count(store: &Store, id: i64) -> Result<(), Error> {
    store
        .write(key(), move |tx| {
            add(tx, "a", 1)?;
            enter(tx, id)
        })
        .await
}

async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it ends in time")
}

/// Returns when every injected fault has happened.
async fn until_done(proxy: &Proxy) {
    in_time(async {
        while !proxy.is_done() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Repeats a write as a caller does who is told to come back later.
async fn count_again_and_again(store: &Store, id: i64) {
    in_time(async {
        while let Err(error) = count(store, id).await {
            assert!(matches!(error, Error::Unavailable(_)), "{error}");
        }
    })
    .await;
}

async fn check_lost_commit(breaks: Breaks) {
    let (_database, proxy, store) = behind_proxy();
    count(&store, 0).await.expect("committed");
    for id in 1..=5 {
        proxy.inject(Fault {
            after: &[COMMIT],
            breaks,
        });
        in_time(count(&store, id)).await.expect("committed");
        assert!(proxy.is_done(), "the answer was lost");
    }
    assert_eq!(value(&store, "a").await, 6);
    assert_eq!(entries(&store).await, [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_took_effect_once() {
    check_lost_commit(Breaks::AnswerLost).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_lost_on_its_way_takes_effect_once() {
    check_lost_commit(Breaks::RequestLost).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_commit_is_settled_though_the_server_believes_its_client_to_be_there() {
    let (_database, proxy, store) = behind_proxy();
    proxy.inject(Fault {
        after: &[COMMIT],
        breaks: Breaks::Unnoticed,
    });
    in_time(count(&store, 1)).await.expect("committed");
    assert!(proxy.is_done());
    assert_eq!(value(&store, "a").await, 1);
}

async fn check_lost_batch(breaks: Breaks) {
    let (_database, proxy, store) = behind_proxy();
    let held = hold(&store).await;
    let mut calls: Vec<Call<'_, ()>> = Vec::new();
    for id in 0..40 {
        calls.push(
            hand_in(&store, move |tx| {
                add(tx, "a", 1)?;
                enter(tx, id)
            })
            .await,
        );
    }
    proxy.inject(Fault {
        after: &[COMMIT],
        breaks,
    });
    held.release().await;
    for call in calls {
        in_time(call).await.expect("committed");
    }
    assert!(proxy.is_done());
    assert_eq!(value(&store, "a").await, 40);
    assert_eq!(entries(&store).await, (0..40).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_commit_is_not_answered_took_effect_once() {
    check_lost_batch(Breaks::AnswerLost).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_commit_is_lost_on_its_way_takes_effect_once() {
    check_lost_batch(Breaks::RequestLost).await;
}

/// The question what became of a COMMIT, as it passes on the wire.
const QUESTION: &[&[u8]] = &[b"INSERT INTO commit_markers (marker, undone)", EXECUTE];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_to_the_question_what_became_of_a_commit_does_not_pass_for_a_yes() {
    let (_database, proxy, store) = behind_proxy();
    proxy.inject(Fault {
        after: &[COMMIT],
        breaks: Breaks::RequestLost,
    });
    proxy.inject(Fault {
        after: QUESTION,
        breaks: Breaks::AnswerLost,
    });
    proxy.inject(Fault {
        after: QUESTION,
        breaks: Breaks::RequestLost,
    });
    in_time(count(&store, 1)).await.expect("committed");
    assert!(proxy.is_done(), "the question was asked three times");
    assert_eq!(value(&store, "a").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_to_the_question_what_became_of_a_commit_does_not_pass_for_a_no() {
    let (_database, proxy, store) = behind_proxy();
    proxy.inject(Fault {
        after: &[COMMIT],
        breaks: Breaks::AnswerLost,
    });
    proxy.inject(Fault {
        after: QUESTION,
        breaks: Breaks::AnswerLost,
    });
    in_time(count(&store, 1)).await.expect("committed");
    assert!(proxy.is_done(), "the question was asked twice");
    assert_eq!(value(&store, "a").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lost_between_the_statements_of_a_closure_is_replaced() {
    let (_database, proxy, store) = behind_proxy();
    count(&store, 0).await.expect("committed");
    for (id, breaks) in [(1, Breaks::RequestLost), (2, Breaks::AnswerLost)] {
        // The second statement of the closure; its statements are prepared anew afterwards.
        proxy.inject(Fault {
            after: &[EXECUTE, EXECUTE],
            breaks,
        });
        in_time(count(&store, id)).await.expect("committed");
        assert!(proxy.is_done());
    }
    assert_eq!(value(&store, "a").await, 3);
    assert_eq!(entries(&store).await, [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_whose_connection_is_lost_is_answered_on_another() {
    let (_database, proxy, store) = behind_proxy();
    count(&store, 1).await.expect("committed");
    for breaks in [Breaks::RequestLost, Breaks::AnswerLost] {
        proxy.inject(Fault {
            after: &[EXECUTE],
            breaks,
        });
        assert_eq!(in_time(entries(&store)).await, [1]);
        assert!(proxy.is_done());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_away_callers_are_told_so_and_afterwards_served() {
    let (_database, proxy, store) = behind_proxy();
    count(&store, 0).await.expect("committed");
    proxy.goes_away();
    let mut answers = Vec::new();
    for id in 1..=20 {
        let store = store.clone();
        answers.push(tokio::spawn(async move { count(&store, id).await }));
    }
    for answer in answers {
        let answer = in_time(answer).await.expect("the task ends");
        assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
    }
    // Whoever waited would do so for five seconds, each time.
    let mut shortest = Duration::MAX;
    for _ in 0..10 {
        let asked = Instant::now();
        let late = count(&store, 21).await;
        assert!(matches!(late, Err(Error::Unavailable(_))), "{late:?}");
        shortest = shortest.min(asked.elapsed());
    }
    assert!(
        shortest < Duration::from_secs(2),
        "nobody waits for a server known to be away"
    );
    let read = in_time(store.read(|_| Ok(()))).await;
    assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");

    proxy.comes_back();
    count_again_and_again(&store, 100).await;
    assert_eq!(entries(&store).await, [0, 100]);
    assert_eq!(value(&store, "a").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_in_doubt_waits_for_the_server_and_those_behind_it_do_not() {
    let (_database, proxy, store) = behind_proxy();
    count(&store, 0).await.expect("committed");
    proxy.inject_and_go_away(Fault {
        after: &[COMMIT],
        breaks: Breaks::AnswerLost,
    });
    let mut in_doubt = Box::pin(count(&store, 1));
    assert!(is_pending(&mut in_doubt).await);
    until_done(&proxy).await;
    let behind = in_time(count(&store, 2)).await;
    assert!(matches!(behind, Err(Error::Unavailable(_))), "{behind:?}");
    assert!(
        is_pending(&mut in_doubt).await,
        "nobody knows what became of it"
    );
    proxy.comes_back();
    in_time(in_doubt).await.expect("it had been committed");
    assert_eq!(entries(&store).await, [0, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_closes_while_a_commit_is_in_doubt_does_not_do_it_again() {
    let (database, proxy, store) = behind_proxy();
    proxy.inject_and_go_away(Fault {
        after: &[COMMIT],
        breaks: Breaks::AnswerLost,
    });
    let mut in_doubt = Box::pin(store.write(key(), |tx| add(tx, "a", 1)));
    assert!(is_pending(&mut in_doubt).await);
    until_done(&proxy).await;
    drop(in_doubt);
    in_time(tokio::task::spawn_blocking(move || drop(store)))
        .await
        .expect("the store closes");
    assert_eq!(value(&open(&database), "a").await, 1);
}
