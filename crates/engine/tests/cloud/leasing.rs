//! Pull queues lend their tasks.

use taskyard_engine::Timestamp;
use taskyard_engine::cloud::pull::{self, TagFilter};
use taskyard_engine::cloud::{Refusal, Settings, Task, queue};
use taskyard_store::on_both_databases;

use crate::yard::{QUEUE, START, Yard, after, message, pull as pull_queue, secs, unnamed};

async fn lease(
    yard: &Yard,
    now: Timestamp,
    count: usize,
    filter: TagFilter,
) -> Result<Vec<Task>, Refusal> {
    yard.write(move |tx| pull::lease(tx, now, QUEUE, count, secs(10), &filter))
        .await
}

fn ids(tasks: &[Task]) -> Vec<&str> {
    tasks.iter().map(|task| task.id.as_str()).collect()
}

on_both_databases! {
    async fn a_lent_task_comes_back_when_its_time_is_over(kind) {
        let yard = Yard::with(kind, pull_queue()).await;
        yard.create(START, message("a", "")).await.expect("created");
        let lent = lease(&yard, START, 10, TagFilter::None).await.expect("lent");
        assert_eq!(ids(&lent), ["a"]);
        assert_eq!(lent[0].schedule_time, after(10_000));
        assert_eq!(lent[0].dispatch_count, 1);
        assert_eq!(lent[0].payload.body(), b"a");
        assert_eq!(lease(&yard, after(9_999), 10, TagFilter::None).await, Ok(vec![]));
        let again = lease(&yard, after(10_000), 10, TagFilter::None).await.expect("lent");
        assert_eq!(again[0].dispatch_count, 2);
    }

    async fn only_the_exact_time_of_a_loan_that_lasts_proves_it(kind) {
        let yard = Yard::with(kind, pull_queue()).await;
        yard.create(START, message("a", "")).await.expect("created");
        let until = lease(&yard, START, 1, TagFilter::None).await.expect("lent")[0].schedule_time;
        let acknowledge = |now, at| {
            yard.write(move |tx| pull::acknowledge(tx, now, QUEUE, "a", at))
        };
        assert_eq!(
            acknowledge(START, Timestamp(until.0 + 1)).await,
            Err(Refusal::LeaseMismatch)
        );
        assert_eq!(acknowledge(until, until).await, Err(Refusal::LeaseMismatch));
        let renewed = yard
            .write(move |tx| pull::renew(tx, after(5000), QUEUE, "a", until, secs(20)))
            .await
            .expect("renewed");
        assert_eq!(renewed.schedule_time, after(25_000));
        assert_eq!(acknowledge(after(6000), until).await, Err(Refusal::LeaseMismatch));
        let cancelled = yard
            .write(|tx| pull::cancel(tx, after(7000), QUEUE, "a", after(25_000)))
            .await
            .expect("cancelled");
        assert_eq!(cancelled.schedule_time, after(7000));
        let until = lease(&yard, after(7000), 1, TagFilter::None).await.expect("lent")[0].schedule_time;
        assert_eq!(acknowledge(after(8000), until).await, Ok(()));
        assert_eq!(acknowledge(after(8000), until).await, Err(Refusal::TaskMissing));
        assert_eq!(yard.get(after(8000), "a").await, Err(Refusal::TaskGone));
    }

    async fn tasks_are_lent_by_tag(kind) {
        let yard = Yard::with(kind, pull_queue()).await;
        for (at, (id, tag)) in [("1", "x"), ("2", "y"), ("3", "x"), ("4", "")].iter().enumerate() {
            yard.create(after(at as u64), message(id, tag)).await.expect("created");
        }
        let now = after(100);
        let tag = |tag: &str| TagFilter::Tag(tag.to_owned());
        assert_eq!(ids(&lease(&yard, now, 9, tag("y")).await.expect("lent")), ["2"]);
        assert_eq!(ids(&lease(&yard, now, 9, tag("")).await.expect("lent")), ["4"]);
        assert_eq!(ids(&lease(&yard, now, 9, TagFilter::Oldest).await.expect("lent")), ["1", "3"]);
        assert_eq!(lease(&yard, now, 9, TagFilter::Oldest).await, Ok(vec![]));
    }

    async fn a_task_lent_as_often_as_it_may_be_is_removed(kind) {
        let mut settings = pull_queue();
        settings.retry.max_attempts = 2;
        let yard = Yard::with(kind, settings).await;
        yard.create(START, message("a", "")).await.expect("created");
        yard.create(after(1), message("b", "")).await.expect("created");
        for round in 0..2 {
            let lent = lease(&yard, after(10_000 * round), 1, TagFilter::Tag(String::new())).await;
            assert_eq!(ids(&lent.expect("lent")), [if round == 0 { "a" } else { "b" }]);
        }
        let lent = lease(&yard, after(20_000), 9, TagFilter::None).await.expect("lent");
        assert_eq!(ids(&lent), ["a", "b"]);
        let lent = lease(&yard, after(30_000), 9, TagFilter::None).await.expect("lent");
        assert_eq!(lent, []);
        assert_eq!(yard.get(after(30_000), "a").await, Err(Refusal::TaskGone));
    }

    async fn only_running_pull_queues_lend_and_take_messages(kind) {
        let yard = Yard::with(kind, pull_queue()).await;
        assert_eq!(yard.create(START, unnamed()).await, Err(Refusal::NotPush));
        yard.create(START, message("a", "")).await.expect("created");
        assert_eq!(yard.run(START, "a").await, Err(Refusal::NotPush));
        assert!(yard.claim(START, 10).await.dispatches.is_empty());
        yard.write(|tx| queue::pause(tx, QUEUE)).await.expect("paused");
        assert_eq!(
            lease(&yard, START, 1, TagFilter::None).await,
            Err(Refusal::QueueNotRunning)
        );
        let push = Yard::with(kind, Settings::default()).await;
        assert_eq!(push.create(START, message("a", "")).await, Err(Refusal::NotPull));
        assert_eq!(lease(&push, START, 1, TagFilter::None).await, Err(Refusal::NotPull));
    }
}
