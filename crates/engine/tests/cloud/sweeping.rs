//! What goes by itself, and what is taken up when a node is lost.

use std::sync::Arc;
use std::time::Duration;

use taskyard_engine::clock::Clock;
use taskyard_engine::cloud::sweep::{self, Retention};
use taskyard_engine::cloud::{
    NewTask, Outcome, Refusal, Settings, attempt, failure, lookup, node, queue,
};
use taskyard_engine::timer::{ArtifactBytes, Timer};
use taskyard_store::on_both_databases;

use crate::yard::{QUEUE, START, Yard, after, limited, named, secs, unnamed};

/// Nothing has artifacts here.
struct NoBytes;

impl ArtifactBytes for NoBytes {
    fn remove<'a>(
        &'a self,
        _stored: &'a taskyard_engine::content::Stored,
    ) -> std::pin::Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + 'a>> {
        Box::pin(async { Ok(()) })
    }
}

async fn count(yard: &Yard, sql: &'static str) -> i64 {
    yard.read(move |tx| Ok(tx.query_opt(sql, &[], |row| row.get(0))?.unwrap_or(0)))
        .await
}

on_both_databases! {
    async fn what_a_lost_node_had_under_way_is_due_again(kind) {
        let yard = Yard::with(kind, Settings::default()).await;
        yard.create(START, named("a")).await.expect("created");
        yard.write(|tx| node::beat(tx, "node", after(10_000))).await;
        let sent = yard.claim_one(START).await;
        let take_over = |now| yard.write(move |tx| node::take_over(tx, now));
        assert_eq!(take_over(after(9_999)).await, 0);
        assert_eq!(take_over(after(10_000)).await, 1);
        let again = yard.claim_one(after(10_000)).await;
        assert_eq!((again.attempt, again.previous), (2, Some(Outcome::TimedOut)));
        // The lost node's late word changes nothing, unless the task was done.
        assert_eq!(yard.end(&sent, after(10_001), Outcome::Status(500)).await, None);
        assert_eq!(yard.get(START, "a").await.expect("there").schedule_time, after(10_000));
    }

    async fn an_attempt_nobody_reports_on_ends_after_its_deadline(kind) {
        let yard = Yard::with(kind, Settings::default()).await;
        let short = NewTask { dispatch_deadline: Some(secs(15)), ..named("a") };
        yard.create(START, short).await.expect("created");
        yard.claim_one(START).await;
        let mut timer = Timer::new(yard.store.clone(), Clock::default(), Arc::new(NoBytes));
        timer.sweep(after(44_999)).await.expect("swept");
        assert!(yard.claim(after(44_999), 10).await.dispatches.is_empty());
        timer.sweep(after(45_000)).await.expect("swept");
        assert_eq!(yard.claim_one(after(45_000)).await.attempt, 2);
    }

    async fn the_timer_readies_what_falls_due(kind) {
        let yard = Yard::with(kind, Settings::default()).await;
        let later = NewTask { schedule_time: Some(after(5000)), ..named("a") };
        yard.create(START, later).await.expect("created");
        let mut timer = Timer::new(yard.store.clone(), Clock::default(), Arc::new(NoBytes));
        let mut woken = yard.store.wait_for(yard.look().await.topic());
        while timer.sweep(START).await.expect("swept") <= START {}
        let next = timer.sweep(START).await.expect("swept");
        assert_eq!(next, after(5000));
        timer.sweep(after(5000)).await.expect("swept");
        tokio::time::timeout(secs(20), woken.woken()).await.expect("woken");
        assert_eq!(yard.claim_one(after(5000)).await.task.id, "a");
    }

    async fn a_task_that_outlived_its_time_is_removed_and_never_sent(kind) {
        let ttl = secs(864_000);
        let yard = Yard::with(kind, Settings { task_ttl: ttl, ..limited(500.0, 100, 10) }).await;
        yard.create(START, named("a")).await.expect("created");
        yard.create(after(5000), named("b")).await.expect("created");
        let end = START.plus(ttl);
        let expire = |now| yard.write(move |tx| sweep::expire(tx, now, QUEUE, 100));
        expire(taskyard_engine::Timestamp(end.0 - 1)).await;
        assert!(yard.get(START, "a").await.is_ok());
        expire(end).await;
        assert_eq!(yard.get(end, "a").await, Err(Refusal::TaskGone));
        assert!(yard.get(end, "b").await.is_ok());
        // The other expires before anybody sweeps.
        assert!(yard.claim(end.plus(secs(5)), 10).await.dispatches.is_empty());
        assert_eq!(yard.get(end.plus(secs(5)), "b").await, Err(Refusal::TaskGone));
    }

    async fn a_purge_is_swept_in_portions_until_nothing_is_left(kind) {
        let yard = Yard::with(kind, Settings::default()).await;
        for at in 0..5 {
            yard.create(START, named(&format!("n{at}"))).await.expect("created");
            yard.create(START, unnamed()).await.expect("created");
        }
        yard.claim(START, 3).await;
        yard.write(|tx| queue::purge(tx, START, QUEUE)).await.expect("purged");
        yard.create(START, named("stays")).await.expect("created");
        let mut rounds = 0;
        while yard.write(|tx| sweep::bury(tx, START, 4)).await {
            rounds += 1;
            let taken = yard.create(START, named("n1")).await;
            assert_eq!(taken, Err(Refusal::TaskTombstoned), "in round {rounds}");
        }
        assert!(rounds >= 3, "in portions: {rounds}");
        assert_eq!(count(&yard, "SELECT count(*) FROM cloud_tasks").await, 1);
        assert_eq!(count(&yard, "SELECT count(*) FROM cloud_requests").await, 1);
        assert_eq!(count(&yard, "SELECT count(*) FROM leases").await, 1);
        let left = yard.read(|tx| lookup::list(tx, QUEUE, None, 10, false)).await;
        assert_eq!(left.expect("listed").items[0].id, "stays");
    }

    async fn names_failures_and_attempts_are_forgotten_in_their_time(kind) {
        let mut settings = Settings::default();
        settings.retry.max_attempts = 1;
        let yard = Yard::with(kind, settings).await;
        for at in 0..6 {
            yard.create(START, named(&format!("n{at}"))).await.expect("created");
        }
        for dispatch in yard.claim(START, 10).await.dispatches {
            yard.end(&dispatch, after(1), Outcome::Status(500)).await;
        }
        let mut retention =
            Retention { attempts_for: Duration::from_hours(1), attempts: 4, failures: 6 };
        let forget = |now, retention| {
            let store = yard.store.clone();
            async move { while forget_a_portion(&store, now, retention).await {} }
        };
        let attempts = || async {
            let page = yard.read(|tx| attempt::of_queue(tx, QUEUE, None, 100)).await;
            page.expect("the queue is there").items.len()
        };
        let failures = || async {
            let page = yard.read(|tx| failure::list(tx, QUEUE, None, 100, true)).await;
            let ids = page.expect("read").items.into_iter().map(|failed| failed.task.id);
            ids.collect::<Vec<_>>()
        };
        forget(after(2), retention).await;
        assert_eq!((attempts().await, failures().await.len()), (4, 6));
        forget(after(3_600_002), retention).await;
        assert_eq!((attempts().await, failures().await.len()), (0, 6));
        assert_eq!(count(&yard, "SELECT count(*) FROM cloud_tombstones").await, 0);
        // One that is given up later takes the place of one of them.
        yard.create(after(3_600_002), named("late")).await.expect("created");
        let late = yard.claim_one(after(3_600_002)).await;
        yard.end(&late, after(3_600_003), Outcome::Status(500)).await;
        retention.failures = 3;
        forget(after(3_600_004), retention).await;
        assert_eq!(failures().await, ["n4", "n5", "late"]);
        forget(START.plus(Duration::from_hours(24 * 9)), retention).await;
        assert!(failures().await.is_empty());
        assert_eq!(count(&yard, "SELECT count(*) FROM cloud_requests").await, 0);
    }
}

async fn forget_a_portion(
    store: &taskyard_store::Store,
    now: taskyard_engine::Timestamp,
    retention: Retention,
) -> bool {
    let key = taskyard_store::Key::of("sweep");
    let forgotten = store.write(key, move |tx| sweep::forget(tx, now, &retention, 2));
    forgotten.await.expect("the write succeeds")
}
