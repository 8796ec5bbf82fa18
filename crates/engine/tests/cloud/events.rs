//! What happens to tasks stands in the event log, in order.

use serde_json::{Value, json};
use taskyard_engine::cloud::pull::{self, TagFilter};
use taskyard_engine::cloud::{NewTask, Outcome, Settings, node, remove, sweep};
use taskyard_store::{on_both_databases, params};

use crate::yard::{QUEUE, START, Yard, after, message, named, pull as pull_queue, secs};

const LOG: &str = "SELECT kind, body FROM events WHERE subject = $1 ORDER BY id";

/// What happened to a task, and what was said of it.
async fn log(yard: &Yard, id: &str) -> Vec<(String, Value)> {
    let subject = format!("{QUEUE}/tasks/{id}");
    let read = move |row: &taskyard_store::Row<'_>| {
        let body: String = row.get(1)?;
        Ok((row.get(0)?, serde_json::from_str(&body).expect("JSON")))
    };
    yard.read(move |tx| tx.query(LOG, params![&subject], read))
        .await
}

fn kinds(log: &[(String, Value)]) -> Vec<&str> {
    log.iter().map(|(kind, _)| kind.as_str()).collect()
}

fn retrying(attempts: i32) -> Settings {
    let mut settings = Settings::default();
    settings.retry.max_attempts = attempts;
    settings.retry.min_backoff = secs(1);
    settings
}

on_both_databases! {
    async fn a_task_that_fails_is_retried_and_then_done(kind) {
        let yard = Yard::with(kind, retrying(5)).await;
        let later = NewTask { schedule_time: Some(after(500)), ..named("a") };
        yard.create(START, later).await.expect("created");
        let first = yard.claim_one(after(500)).await;
        yard.end(&first, after(600), Outcome::Status(503)).await;
        let second = yard.claim_one(after(1600)).await;
        yard.end(&second, after(1700), Outcome::Status(200)).await;
        let log = log(&yard, "a").await;
        assert_eq!(
            kinds(&log),
            [
                "cloud-task-created",
                "cloud-task-dispatched",
                "cloud-task-retried",
                "cloud-task-dispatched",
                "cloud-task-completed"
            ]
        );
        assert_eq!(log[0].1["scheduleTime"], json!(after(500)));
        let retried = &log[2].1;
        assert_eq!(retried["scheduleTime"], json!(after(1600)), "when it is next tried");
        assert_eq!((&retried["dispatches"], &retried["responses"]), (&json!(1), &json!(1)));
        assert_eq!(retried["outcome"], json!({"Status": 503}));
        assert_eq!(log[4].1["outcome"], json!({"Status": 200}));
    }

    async fn a_task_that_is_given_up_or_whose_server_is_lost_is_told_of(kind) {
        let yard = Yard::with(kind, retrying(1)).await;
        yard.create(START, named("up")).await.expect("created");
        let only = yard.claim_one(START).await;
        yard.end(&only, after(1), Outcome::Status(500)).await;
        assert_eq!(
            kinds(&log(&yard, "up").await)[1..],
            ["cloud-task-dispatched", "cloud-task-failed"]
        );

        yard.create(START, named("lost")).await.expect("created");
        yard.claim_one(START).await;
        yard.write(|tx| node::leave(tx, after(1), "node")).await;
        let log = log(&yard, "lost").await;
        assert_eq!(kinds(&log)[1..], ["cloud-task-dispatched", "cloud-task-retried"]);
        assert_eq!(log[2].1["outcome"], "TimedOut");
    }

    async fn a_leased_task_that_is_acknowledged_is_done(kind) {
        let yard = Yard::with(kind, pull_queue()).await;
        yard.create(START, message("a", "")).await.expect("created");
        let lent = yard.write(|tx| pull::lease(tx, START, QUEUE, 1, secs(10), &TagFilter::None));
        let until = lent.await.expect("lent")[0].schedule_time;
        let done = yard.write(move |tx| pull::acknowledge(tx, START, QUEUE, "a", until));
        done.await.expect("acknowledged");
        let log = log(&yard, "a").await;
        assert_eq!(kinds(&log), ["cloud-task-created", "cloud-task-completed"]);
    }

    async fn a_task_that_is_deleted_or_outlives_its_time_is_told_of(kind) {
        let yard = Yard::with(kind, Settings::default()).await;
        for id in ["deleted", "swept", "late"] {
            yard.create(START, named(id)).await.expect("created");
        }
        let deleted = yard.write(|tx| remove::delete(tx, after(1), QUEUE, "deleted"));
        deleted.await.expect("deleted");
        let end = START.plus(Settings::default().task_ttl);
        yard.write(move |tx| sweep::expire(tx, end, QUEUE, 1)).await;
        assert!(yard.claim(end, 10).await.dispatches.is_empty());
        for (id, last) in [
            ("deleted", "cloud-task-deleted"),
            ("swept", "cloud-task-expired"),
            ("late", "cloud-task-expired"),
        ] {
            assert_eq!(kinds(&log(&yard, id).await), ["cloud-task-created", last], "{id}");
        }
    }

    async fn a_task_that_was_leased_too_often_or_too_late_is_told_of(kind) {
        let mut settings = pull_queue();
        settings.retry.max_attempts = 1;
        let ttl = settings.task_ttl;
        let yard = Yard::with(kind, settings).await;
        let lease = |now| {
            let lent = yard.write(move |tx| {
                pull::lease(tx, now, QUEUE, 10, secs(10), &TagFilter::None)
            });
            async { lent.await.expect("lent").len() }
        };
        yard.create(START, message("often", "")).await.expect("created");
        assert_eq!(lease(START).await, 1);
        yard.create(after(1), message("late", "")).await.expect("created");
        assert_eq!(lease(after(1).plus(ttl)).await, 0);
        assert_eq!(kinds(&log(&yard, "often").await)[1..], ["cloud-task-expired"]);
        assert_eq!(kinds(&log(&yard, "late").await)[1..], ["cloud-task-expired"]);

        yard.create(START.plus(ttl), message("again", "")).await.expect("created");
        assert_eq!(lease(START.plus(ttl)).await, 1);
        assert_eq!(lease(START.plus(ttl).plus(secs(10))).await, 0);
        assert_eq!(kinds(&log(&yard, "again").await)[1..], ["cloud-task-failed"]);
    }
}
