//! Nothing is skipped, and events of one subject keep their order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use taskyard_events::{Frontier, outbox};
use taskyard_store::testing::Kind;
use taskyard_store::{Error, Key, on_both_databases};
use tokio::time::timeout;

use crate::yard::{SOON, Yard};

/// Reads until `count` events are there.
async fn read_all(yard: &Yard, mut frontier: Frontier, count: usize) -> Vec<(String, i64)> {
    let mut changes = yard.store.wait_for(outbox::topic());
    let mut seen = Vec::new();
    while seen.len() < count {
        let portion = yard.read(move |tx| frontier.read(tx, 7)).await;
        frontier = portion.frontier;
        let none = portion.events.is_empty();
        seen.extend(
            portion
                .events
                .into_iter()
                .map(|event| (event.subject, event.created)),
        );
        if none && !portion.waiting {
            timeout(SOON, changes.woken()).await.expect("there is more");
        }
    }
    seen
}

on_both_databases! {
    async fn many_writers_on_two_nodes_and_one_reader_lose_nothing(kind) {
        const SUBJECTS: usize = 8;
        const EACH: usize = 60;
        let yard = Arc::new(Yard::new(kind));
        let other = match kind {
            Kind::Sqlite => yard.store.clone(),
            Kind::Postgres => yard.database.open(taskyard_events::MIGRATIONS),
        };
        let mut writers = Vec::new();
        for subject in 0..SUBJECTS {
            let store = if subject % 2 == 0 { yard.store.clone() } else { other.clone() };
            writers.push(tokio::spawn(async move {
                for at in 0..EACH {
                    let name = format!("s{subject}");
                    let append = move |tx: &mut taskyard_store::Tx<'_>| {
                        outbox::append(tx, at as i64, "said", &name, "{}")?;
                        // Some transactions leave a gap, because they are undone after they took a
                        // number.
                        if at % 10 == 3 && at > 0 {
                            return Err(Error::Statement("on purpose".to_owned()));
                        }
                        Ok(())
                    };
                    // Each batch goes to the writer of its key.
                    let done = store.write(Key::of((subject, at)), append).await;
                    assert_eq!(done.is_err(), at % 10 == 3);
                }
            }));
        }
        let lasting = EACH - EACH / 10;
        let seen = timeout(SOON, read_all(&yard, Frontier::after(0), SUBJECTS * lasting));
        let seen = seen.await.expect("everything is read");
        for writer in writers {
            writer.await.expect("it ends");
        }
        for subject in 0..SUBJECTS {
            let name = format!("s{subject}");
            let times: Vec<i64> = seen
                .iter()
                .filter(|(subject, _)| *subject == name)
                .map(|(_, at)| *at)
                .collect();
            let expected: Vec<i64> = (0..EACH as i64).filter(|at| at % 10 != 3).collect();
            assert_eq!(times, expected, "{name}");
        }
    }

    async fn an_end_of_the_log_is_settled_once_nothing_can_appear_before_it(kind) {
        let yard = Yard::new(kind);
        for at in 0..3 {
            yard.append(at, "a").await;
        }
        let mut frontier = yard.read(Frontier::at_end).await;
        let end = frontier.position;
        while !frontier.is_settled() {
            frontier = yard.read(move |tx| frontier.settle(tx)).await;
        }
        yard.append(9, "b").await;
        let seen = read_all(&yard, Frontier::after(end), 1).await;
        assert_eq!(seen, vec![("b".to_owned(), 9)]);
    }
}

/// Lets a transaction go on when the test ends, however that is.
struct Release(Arc<AtomicBool>);

impl Drop for Release {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A transaction that is open keeps a reader before the gap it will fill; its neighbours' events
/// wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_waits_for_a_transaction_that_is_under_way() {
    let yard = Yard::new(Kind::Postgres);
    // The writers of the first store may be the ones that are busy.
    let other = yard.database.open(taskyard_events::MIGRATIONS);
    let held = Arc::new(AtomicBool::new(false));
    let release = Release(Arc::new(AtomicBool::new(false)));
    let slow = tokio::spawn({
        let (store, held) = (yard.store.clone(), Arc::clone(&held));
        let go = Arc::clone(&release.0);
        async move {
            let append = move |tx: &mut taskyard_store::Tx<'_>| {
                // However long it takes, this is not to begin anew.
                tx.execute("SET LOCAL idle_in_transaction_session_timeout = 0", &[])?;
                outbox::append(tx, 1, "said", "slow", "{}")?;
                held.store(true, Ordering::SeqCst);
                while !go.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
                Ok(())
            };
            store.write(Key::of("slow"), append).await
        }
    });
    while !held.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    let quick = |tx: &mut taskyard_store::Tx<'_>| outbox::append(tx, 2, "said", "quick", "{}");
    let done = other.write(Key::of("quick"), quick).await;
    done.expect("it is not held up");

    let mut frontier = Frontier::after(0);
    for _ in 0..5 {
        let portion = yard.read(move |tx| frontier.read(tx, 10)).await;
        assert!(portion.events.is_empty() && portion.waiting, "{portion:?}");
        frontier = portion.frontier;
    }
    drop(release);
    slow.await.expect("it ends").expect("it is appended");
    let seen = timeout(SOON, read_all(&yard, frontier, 2)).await;
    let expected = vec![("slow".to_owned(), 1), ("quick".to_owned(), 2)];
    assert_eq!(seen.expect("both are read"), expected);
}
