//! Tasks are sent, answered, tried again and given up.

use std::time::Duration;

use taskyard_engine::Timestamp;
use taskyard_engine::cloud::dispatch::Next;
use taskyard_engine::cloud::law::Verdict;
use taskyard_engine::cloud::record::{Conduct, Report};
use taskyard_engine::cloud::{
    NewTask, Outcome, Refusal, RetryConfig, Settings, attempt, failure, queue, remove,
};
use taskyard_store::on_both_databases;

use crate::yard::{QUEUE, START, Yard, after, limited, named, request, secs, unnamed};

fn retrying(least: u64, most: u64, doublings: i32) -> Settings {
    let mut settings = Settings::default();
    settings.retry.min_backoff = secs(least);
    settings.retry.max_backoff = secs(most);
    settings.retry.max_doublings = doublings;
    settings
}

on_both_databases! {
    async fn a_task_is_sent_with_everything_it_was_created_with_and_then_is_done(kind) {
        let yard = Yard::with(kind, Settings::default()).await;
        let made = yard.create(START, named("a")).await.expect("created");
        let sent = yard.claim_one(START).await;
        assert_eq!(sent.task.payload, request());
        assert_eq!((sent.attempt, sent.schedule_time, sent.previous), (1, START, None));
        assert_eq!(sent.deadline(), secs(600));
        let seen = yard.get(START, "a").await.expect("it is there");
        assert_eq!(seen.dispatch_count, 1);
        assert_eq!(seen.last_attempt, sent.task.last_attempt);
        assert_eq!(seen.create_time, made.create_time);
        assert!(yard.claim(START, 10).await.dispatches.is_empty(), "it is under way");
        let verdict = yard.end(&sent, after(7), Outcome::Status(204)).await;
        assert_eq!(verdict, Some(Verdict::Done));
        assert_eq!(yard.get(START, "a").await, Err(Refusal::TaskGone));
        let log = yard.read(|tx| attempt::of_task(tx, QUEUE, "a", None, 10)).await;
        let log = log.expect("the queue is there").items;
        assert_eq!(log.len(), 1);
        assert_eq!((log[0].dispatch, log[0].ended_at), (1, after(7)));
    }

    async fn a_task_waits_for_its_time(kind) {
        let yard = Yard::with(kind, Settings::default()).await;
        let later = NewTask { schedule_time: Some(after(5000)), ..named("later") };
        let past = NewTask { schedule_time: Some(Timestamp(START.0 - 1)), ..named("past") };
        assert_eq!(yard.create(START, later).await.expect("created").schedule_time, after(5000));
        assert_eq!(yard.create(START, past).await.expect("created").schedule_time, START);
        assert_eq!(yard.claim_one(after(4999)).await.task.id, "past");
        assert_eq!(yard.claim_one(after(5000)).await.task.id, "later");
    }

    async fn failed_attempts_follow_the_law_of_retries_under_a_clock_of_the_tests_own(kind) {
        let yard = Yard::with(kind, retrying(10, 300, 3)).await;
        yard.create(START, named("a")).await.expect("created");
        let mut now = START;
        for (at, pause) in [10, 20, 40, 80, 160, 240, 300, 300].into_iter().enumerate() {
            let sent = yard.claim_one(now).await;
            assert_eq!(sent.attempt, at as i64 + 1);
            assert_eq!(sent.schedule_time, now);
            let ended = now.plus(secs(2));
            let due = ended.plus(secs(pause));
            let verdict = yard.end(&sent, ended, Outcome::Status(500)).await;
            assert_eq!(verdict, Some(Verdict::Retry(due)));
            let early = Timestamp(due.0 - 1);
            assert!(yard.claim(early, 10).await.dispatches.is_empty());
            assert_eq!(yard.get(now, "a").await.expect("there").schedule_time, due);
            now = due;
        }
    }

    async fn what_handlers_answered_is_counted_as_they_are_told(kind) {
        let yard = Yard::with(kind, Settings::default()).await;
        yard.create(START, named("a")).await.expect("created");
        // The recorded sequence of the original.
        let replies = [503, 404, 429, 500, 302, 200];
        let executions = [0, 0, 1, 2, 2, 3];
        let mut now = START;
        for (at, reply) in replies.into_iter().enumerate() {
            let sent = yard.claim_one(now).await;
            let previous = at.checked_sub(1).map(|at| Outcome::Status(replies[at]));
            assert_eq!(sent.task.dispatch_count - 1, at as i64);
            assert_eq!(sent.task.response_count, at as i64);
            assert_eq!(sent.task.execution_count, executions[at]);
            assert_eq!(sent.previous, previous);
            match yard.end(&sent, now, Outcome::Status(reply)).await {
                Some(Verdict::Retry(due)) => {
                    let seen = yard.get(now, "a").await.expect("there");
                    let last = seen.last_attempt.expect("one was made");
                    assert_eq!(last.response, Some((now, Outcome::Status(reply))));
                    now = due;
                }
                verdict => assert_eq!((verdict, at), (Some(Verdict::Done), 5)),
            }
        }
    }

    async fn an_attempt_without_an_answer_counts_as_sent_only(kind) {
        let yard = Yard::with(kind, Settings::default()).await;
        yard.create(START, named("a")).await.expect("created");
        let sent = yard.claim_one(START).await;
        yard.end(&sent, after(600_000), Outcome::TimedOut).await;
        let seen = yard.get(START, "a").await.expect("there");
        assert_eq!((seen.dispatch_count, seen.response_count), (1, 0));
        assert_eq!(seen.previous_outcome, Some(Outcome::TimedOut));
        assert_eq!(seen.first_dispatch_time, Some(START));
    }

    async fn an_exhausted_task_is_gone_its_name_taken_and_the_rest_kept_for_inspection(kind) {
        let mut settings = Settings::default();
        settings.retry.max_attempts = 2;
        let yard = Yard::with(kind, settings).await;
        yard.create(START, named("a")).await.expect("created");
        let first = yard.claim_one(START).await;
        let Some(Verdict::Retry(due)) = yard.end(&first, START, Outcome::Status(500)).await else {
            panic!("one attempt is left");
        };
        let second = yard.claim_one(due).await;
        let verdict = yard.end(&second, due, Outcome::Status(404)).await;
        assert_eq!(verdict, Some(Verdict::GivenUp));
        assert_eq!(yard.get(due, "a").await, Err(Refusal::TaskGone));
        assert_eq!(yard.create(due, named("a")).await, Err(Refusal::TaskTombstoned));
        let kept = yard.read(|tx| failure::list(tx, QUEUE, None, 10, true)).await.expect("listed");
        assert_eq!(kept.items.len(), 1);
        let failed = &kept.items[0];
        assert_eq!(failed.task.payload, request());
        assert_eq!(failed.task.dispatch_count, 2);
        assert_eq!(failed.task.previous_outcome, Some(Outcome::Status(404)));
        assert_eq!(failed.failed_at, due);
    }

    async fn a_task_with_a_law_of_its_own_follows_that(kind) {
        let yard = Yard::with(kind, retrying(100, 100, 0)).await;
        let own = RetryConfig { max_attempts: 1, ..RetryConfig::default() };
        yard.create(START, NewTask { retry: Some(own), ..named("a") }).await.expect("created");
        let sent = yard.claim_one(START).await;
        let conduct = Conduct { keep_failures: Duration::ZERO, ..Conduct::default() };
        let report = Report::new(&sent, START, Outcome::Unreachable);
        let verdicts = yard.report_under(conduct, vec![report]).await;
        assert_eq!(verdicts, [Some(Verdict::GivenUp)]);
        let kept = yard.read(|tx| failure::list(tx, QUEUE, None, 10, true)).await.expect("listed");
        assert!(kept.items.is_empty());
    }

    async fn running_a_task_ignores_pause_rate_and_concurrency(kind) {
        let yard = Yard::with(kind, limited(1.0, 1, 1)).await;
        for id in ["a", "b", "c"] {
            yard.create(START, named(id)).await.expect("created");
        }
        assert_eq!(yard.claim(START, 10).await.dispatches.len(), 1);
        yard.write(|tx| queue::pause(tx, QUEUE)).await.expect("paused");
        for id in ["b", "c"] {
            let sent = yard.run(after(3), id).await.expect("run");
            assert_eq!((sent.attempt, sent.is_forced), (1, true));
            assert_eq!(sent.task.last_attempt.expect("begun").response, None);
        }
        assert_eq!(yard.run(START, "none").await, Err(Refusal::TaskMissing));
    }

    async fn a_forced_failure_is_tried_again_from_the_time_of_the_call_and_once(kind) {
        let yard = Yard::with(kind, retrying(10, 10, 0)).await;
        let later = NewTask { schedule_time: Some(after(1000)), ..named("a") };
        yard.create(START, later).await.expect("created");
        let sent = yard.run(after(500), "a").await.expect("run");
        // Its scheduled time comes and goes while it is under way.
        assert!(yard.claim(after(1500), 10).await.dispatches.is_empty());
        let verdict = yard.end(&sent, after(2000), Outcome::Status(500)).await;
        assert_eq!(verdict, Some(Verdict::Retry(after(10_500))));
        assert!(yard.claim(after(10_499), 10).await.dispatches.is_empty());
        assert_eq!(yard.claim_one(after(10_500)).await.attempt, 2);
    }

    async fn of_two_attempts_at_once_the_later_decides_unless_the_earlier_succeeds(kind) {
        let yard = Yard::with(kind, retrying(10, 10, 0)).await;
        for id in ["a", "b"] {
            yard.create(START, named(id)).await.expect("created");
        }
        let scheduled = yard.claim(START, 10).await.dispatches;
        let forced = [
            yard.run(after(1), "a").await.expect("run"),
            yard.run(after(1), "b").await.expect("run"),
        ];
        // The earlier attempt at a fails: nothing follows yet.
        assert_eq!(yard.end(&scheduled[0], after(2), Outcome::Status(500)).await, None);
        assert!(yard.claim(after(30_000), 10).await.dispatches.is_empty());
        let seen = yard.get(START, "a").await.expect("there");
        assert_eq!((seen.dispatch_count, seen.response_count), (2, 1));
        let verdict = yard.end(&forced[0], after(5), Outcome::Status(500)).await;
        // Both attempts count.
        assert_eq!(verdict, Some(Verdict::Retry(after(10_001))));
        // The earlier attempt at b succeeds: it is done, and the other no longer matters.
        let verdict = yard.end(&scheduled[1], after(2), Outcome::Status(200)).await;
        assert_eq!(verdict, Some(Verdict::Done));
        assert_eq!(yard.end(&forced[1], after(3), Outcome::Status(500)).await, None);
        assert_eq!(yard.get(START, "b").await, Err(Refusal::TaskGone));
    }

    async fn a_task_deleted_under_way_is_not_tried_again_and_counts_until_it_ends(kind) {
        let yard = Yard::with(kind, limited(500.0, 100, 1)).await;
        yard.create(START, named("a")).await.expect("created");
        yard.create(START, named("b")).await.expect("created");
        let sent = yard.claim_one(START).await;
        let id = sent.task.id.clone();
        yard.write(move |tx| remove::delete(tx, START, QUEUE, &id)).await.expect("deleted");
        assert_eq!(yard.claim(START, 10).await.next, Next::WhenOneEnds);
        assert_eq!(yard.end(&sent, after(5), Outcome::Status(500)).await, None);
        assert_eq!(yard.claim_one(after(5)).await.task.id, "b");
    }

    async fn many_reports_are_recorded_together(kind) {
        let yard = Yard::with(kind, limited(500.0, 500, 1000)).await;
        for _ in 0..150 {
            yard.create(START, unnamed()).await.expect("created");
        }
        let dispatches = yard.claim(START, 1000).await.dispatches;
        assert_eq!(dispatches.len(), 150);
        let reports = dispatches.iter().enumerate().map(|(at, dispatch)| {
            let status = if at % 3 == 0 { 500 } else { 200 };
            Report::new(dispatch, after(1), Outcome::Status(status))
        });
        let verdicts = yard.report(reports.collect()).await;
        let done = verdicts.iter().filter(|verdict| **verdict == Some(Verdict::Done));
        assert_eq!(done.count(), 100);
        assert_eq!(yard.claim(after(102), 1000).await.dispatches.len(), 50);
    }
}
