//! Rate and concurrency hold, over time and across nodes.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use taskyard_engine::cloud::dispatch::{self, Next};
use taskyard_engine::cloud::record::{Conduct, Report};
use taskyard_engine::cloud::{Origin, Outcome, queue, stats};
use taskyard_store::testing::Kind;
use taskyard_store::{Key, on_both_databases};

use crate::yard::{QUEUE, START, Yard, after, limited, open, unnamed};

/// Times at which tasks are claimed when somebody claims whenever it is told to.
async fn sent(yard: &Yard, count: usize) -> Vec<u64> {
    let (mut now, mut times) = (START, Vec::new());
    while times.len() < count {
        let claim = yard.claim(now, 100).await;
        let at = now.since(START).as_millis() as u64;
        times.extend(claim.dispatches.iter().map(|_| at));
        now = match claim.next {
            Next::At(at) => at,
            Next::Now => now,
            next => panic!("{next:?} after {}", times.len()),
        };
    }
    times
}

on_both_databases! {
    async fn a_queue_begins_with_its_burst_and_goes_on_at_its_rate(kind) {
        let yard = Yard::with(kind, limited(0.5, 3, 1000)).await;
        for _ in 0..7 {
            yard.create(START, unnamed()).await.expect("created");
        }
        assert_eq!(sent(&yard, 6).await, [0, 0, 0, 2000, 4000, 6000]);
    }

    async fn a_restart_gives_no_tokens_away(kind) {
        let mut yard = Yard::with(kind, limited(1.0, 2, 1000)).await;
        for _ in 0..5 {
            yard.create(START, unnamed()).await.expect("created");
        }
        assert_eq!(yard.claim(START, 10).await.dispatches.len(), 2);
        let Yard { store, database } = yard;
        drop(store);
        yard = Yard { store: open(&database), database };
        assert!(yard.claim(after(999), 10).await.dispatches.is_empty());
        assert_eq!(yard.claim(after(1000), 10).await.dispatches.len(), 1);
    }

    async fn a_new_rate_holds_from_the_moment_it_is_set(kind) {
        let yard = Yard::with(kind, limited(1.0, 1, 1000)).await;
        for _ in 0..9 {
            yard.create(START, unnamed()).await.expect("created");
        }
        assert_eq!(yard.claim(START, 10).await.dispatches.len(), 1);
        // Half a token was earned at the old rate.
        yard.write(|tx| {
            queue::update(tx, after(500), QUEUE, Origin::Api, |_| Ok::<_, ()>(limited(10.0, 5, 1000)))
        })
        .await
        .expect("asked")
        .expect("changed");
        assert!(yard.claim(after(549), 10).await.dispatches.is_empty());
        assert_eq!(yard.claim(after(550), 10).await.dispatches.len(), 1);
        assert_eq!(yard.claim(after(850), 10).await.dispatches.len(), 3);
    }

    async fn no_more_attempts_are_under_way_than_may_be(kind) {
        let yard = Yard::with(kind, limited(500.0, 100, 3)).await;
        for _ in 0..5 {
            yard.create(START, unnamed()).await.expect("created");
        }
        let claim = yard.claim(START, 10).await;
        assert_eq!((claim.dispatches.len(), claim.next), (3, Next::WhenOneEnds));
        assert_eq!(yard.claim(START, 10).await.next, Next::WhenOneEnds);
        yard.end(&claim.dispatches[0], after(1), Outcome::Status(500)).await;
        assert_eq!(yard.claim(after(1), 10).await.dispatches.len(), 1);
        let look = yard.look().await;
        let stats = yard.read(move |tx| stats::of(tx, after(1), &look)).await;
        assert_eq!((stats.tasks, stats.under_way, stats.executed_last_minute), (5, 3, 1));
        assert_eq!(stats.earliest, Some(START));
    }

    async fn overwhelmed_handlers_are_sent_less_if_that_is_wanted(kind) {
        let yard = Yard::with(kind, limited(10.0, 1, 1000)).await;
        for _ in 0..9 {
            yard.create(START, unnamed()).await.expect("created");
        }
        let first = yard.claim_one(START).await;
        let conduct = Conduct { slow_down: true, ..Conduct::default() };
        let report = Report::new(&first, START, Outcome::Status(429));
        yard.report_under(conduct, vec![report]).await;
        let look = yard.look().await;
        let stats = yard.read(move |tx| stats::of(tx, START, &look)).await;
        assert!((stats.rate - 5.0).abs() < 1e-9, "{stats:?}");
        assert!(yard.claim(after(150), 10).await.dispatches.is_empty());
        assert_eq!(yard.claim(after(200), 10).await.dispatches.len(), 1);
    }
}

/// Two nodes claim and report as fast as they can, under one clock that steps on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_together_never_exceed_rate_or_concurrency() {
    const RATE: usize = 100;
    const BURST: usize = 10;
    const CONCURRENT: usize = 6;
    let yard = Yard::with(
        Kind::Postgres,
        limited(RATE as f64, BURST as i32, CONCURRENT as i32),
    )
    .await;
    for _ in 0..200 {
        yard.create(START, unnamed()).await.expect("created");
    }
    let number = yard.look().await.number;
    let under_way = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (mut total, mut pending) = (0, Vec::new());
    let nodes = [yard.store.clone(), open(&yard.database)];
    for step in 0..60_u64 {
        let now = after(step * 10);
        let mut claims = tokio::task::JoinSet::new();
        for (at, store) in nodes.iter().cycle().take(4).enumerate() {
            let (store, under_way, most) =
                (store.clone(), Arc::clone(&under_way), Arc::clone(&most));
            claims.spawn(async move {
                let holder = format!("node-{}", at % 2);
                let claim = store
                    .write(Key::of(at), move |tx| {
                        dispatch::claim(tx, now, number, &holder, 5)
                    })
                    .await
                    .expect("claimed")
                    .expect("the queue is there");
                let count = claim.dispatches.len();
                let flying = under_way.fetch_add(count, SeqCst) + count;
                most.fetch_max(flying, SeqCst);
                claim.dispatches
            });
        }
        let claimed: Vec<_> = claims.join_all().await.into_iter().flatten().collect();
        total += claimed.len();
        let allowed = BURST + RATE * step as usize / 100;
        assert!(total <= allowed, "{total} of {allowed} at step {step}");
        // Attempts last a step, and every seventh step two.
        pending.extend(claimed);
        if step % 7 != 0 {
            let ended = pending
                .drain(..)
                .map(|dispatch| Report::new(&dispatch, now, Outcome::Status(200)));
            let ended: Vec<Report> = ended.collect();
            under_way.fetch_sub(ended.len(), SeqCst);
            yard.report(ended).await;
        }
    }
    let most = most.load(SeqCst);
    assert!(total > 60, "the rate was used: {total}");
    assert_eq!(most, CONCURRENT, "the concurrency was used");
}
