//! What has expired is forgotten, half an hour later.

use std::sync::{Arc, mpsc};

use taskyard_engine::Timestamp;
use taskyard_engine::artifact::{self, Artifact, StorageType};
use taskyard_engine::clock::Clock;
use taskyard_engine::content;
use taskyard_engine::task::{self, NewTask};
use taskyard_engine::timer::Timer;
use taskyard_events::retention::{self, Retention};
use taskyard_store::testing::Kind;
use taskyard_store::{Key, on_both_databases};

use crate::contents::stored;
use crate::yard::{Bytes, START, Yard, dependent_task, new_task, secs};

const DELAY: u64 = 30 * 60;

async fn count(yard: &Yard, sql: &'static str) -> i64 {
    yard.read(move |tx| tx.query_opt(sql, &[], |row| row.get(0)))
        .await
        .unwrap_or(-1)
}

async fn add_artifact(yard: &Yard, name: &'static str, expires: Timestamp) {
    yard.write(move |tx| {
        let new = Artifact {
            task_id: "task".to_owned(),
            run_id: 0,
            name: name.to_owned(),
            storage_type: StorageType::S3,
            content_type: "text/plain".to_owned(),
            details: "{}".to_owned(),
            expires,
            content_length: None,
            present: true,
        };
        artifact::create(tx, START, &new)
    })
    .await
    .expect("the run is running");
}

on_both_databases! {
    async fn a_task_is_forgotten_with_all_that_belongs_to_it(kind) {
        let yard = Yard::new(kind);
        yard.create(START, new_task("task")).await;
        let mut dependent = dependent_task("dependent", &["task"]);
        dependent.expires = START.plus(secs(90_000));
        yard.create(START, dependent).await;
        let expires = new_task("task").expires;
        yard.sweep(expires.plus(secs(DELAY))).await;
        assert_eq!(count(&yard, "SELECT count(*) FROM tasks").await, 2);

        yard.sweep(Timestamp(expires.plus(secs(DELAY)).0 + 1)).await;
        assert!(yard.task("task").await.is_none());
        // What another task says about it stays as long as that one.
        assert_eq!(count(&yard, "SELECT count(*) FROM task_dependencies").await, 1);
        yard.sweep(START.plus(secs(90_000 + DELAY + 1))).await;
        // Definitions stay for those who read the event log, until the log has forgotten the tasks.
        assert_eq!(count(&yard, "SELECT count(*) FROM task_definitions").await, 2);
        let late = START.plus(secs(400_000)).0;
        yard.write(move |tx| retention::sweep(tx, late, &Retention::default())).await;
        let now = START.plus(secs(90_000 + 2 * DELAY));
        yard.sweep(now).await;
        for sql in [
            "SELECT count(*) FROM tasks",
            "SELECT count(*) FROM task_definitions",
            "SELECT count(*) FROM task_dependencies",
            "SELECT count(*) FROM leases",
            "SELECT count(*) FROM resolutions",
        ] {
            assert_eq!(count(&yard, sql).await, 0, "{sql}");
        }
        // A group outlives its tasks by an hour.
        assert_eq!(count(&yard, "SELECT count(*) FROM task_groups").await, 1);
        yard.sweep(START.plus(secs(90_000 + 3600 + DELAY + 1))).await;
        assert_eq!(count(&yard, "SELECT count(*) FROM task_groups").await, 0);
        // The id can be used again.
        let again = NewTask { definition: "{}".to_owned(), ..new_task("task") };
        assert_eq!(yard.create(START, again).await.runs.len(), 1);
    }

    /// I8: a server that was away for long still resolves before it forgets.
    async fn a_task_that_is_not_resolved_is_not_forgotten(kind) {
        let yard = Yard::new(kind);
        yard.create(START, new_task("task")).await;
        let late = START.plus(secs(10_000_000));
        let expired = yard.write(move |tx| task::expire_tasks(tx, late, 10)).await;
        assert_eq!((expired.removed, expired.more), (0, false));
        yard.write(move |tx| task::exceed_deadline(tx, late, "task")).await.expect("it is late");
        let expired = yard.write(move |tx| task::expire_tasks(tx, late, 10)).await;
        assert_eq!(expired.removed, 1);
    }

    /// More than one portion at a time, and no claim waits for the rest.
    async fn a_backlog_of_expired_tasks_is_forgotten_in_portions(kind) {
        let yard = Yard::new(kind);
        let all: Vec<NewTask> = (0..600).map(|at| new_task(&format!("task-{at}"))).collect();
        yard.create_all(START, all).await;
        let deadline = START.plus(secs(3660));
        yard.sweep(deadline).await;
        let late = START.plus(secs(100_000));
        let mut timer = yard.timer();
        let next = timer.sweep(late).await.expect("the sweep succeeds");
        assert_eq!(next, late, "there is more to do");
        let left = count(&yard, "SELECT count(*) FROM tasks").await;
        assert!((1..600).contains(&left), "{left}");
        yard.sweep(late).await;
        assert_eq!(count(&yard, "SELECT count(*) FROM tasks").await, 0);
    }

    /// The record goes, and who cannot be rid of the bytes tries again until they are gone.
    async fn the_bytes_of_an_artifact_go_with_its_record(kind) {
        let yard = Yard::new(kind);
        yard.create(START, new_task("task")).await;
        yard.claim(START, "w", 1).await;
        let expires = START.plus(secs(1000));
        for (name, later) in [("gone", 0), ("stuck", 0), ("kept", 1), ("empty", 0)] {
            add_artifact(&yard, name, expires.plus(secs(later))).await;
            if name != "empty" {
                let stored = stored(name);
                yard.write(move |tx| artifact::receive(tx, START, ("task", 0, name), 0, &stored))
                    .await
                    .expect("it is taken");
            }
        }
        let bytes = Arc::new(Bytes::default());
        let mut timer = Timer::new(yard.store.clone(), Clock::default(), bytes.clone());
        let now = expires.plus(secs(DELAY + 1));
        let next = timer.sweep(now).await.expect("the sweep succeeds");
        assert!(next > now, "what is stuck does not keep the timer busy");
        let left = yard.read(|tx| artifact::list(tx, "task", 0, "", 9)).await;
        let left: Vec<&str> = left.iter().map(|artifact| artifact.name.as_str()).collect();
        assert_eq!(left, ["kept"]);
        assert_eq!(*bytes.removed.lock().expect("nobody panics"), ["gone"]);
        assert_eq!(count(&yard, "SELECT count(*) FROM contents").await, 1);
        // What is stuck is tried again, and does not keep others from their turn.
        let mut due = yard.read(move |tx| content::due(tx, now, 9)).await;
        assert_eq!(due, []);
        due = yard.read(move |tx| content::due(tx, now.plus(secs(600)), 9)).await;
        assert_eq!(due.iter().map(|due| due.key.as_str()).collect::<Vec<_>>(), ["stuck"]);
    }

    async fn an_artifact_whose_expiry_was_moved_stays(kind) {
        let yard = Yard::new(kind);
        yard.create(START, new_task("task")).await;
        yard.claim(START, "w", 1).await;
        let expires = START.plus(secs(1000));
        add_artifact(&yard, "name", expires).await;
        add_artifact(&yard, "name", expires.plus(secs(60))).await;
        let by = expires.plus(secs(1));
        let expired = yard.write(move |tx| artifact::expire(tx, by, by, 9)).await;
        assert_eq!(expired, 0);
        assert_eq!(count(&yard, "SELECT count(*) FROM artifacts").await, 1);
    }

    /// I28: the group of a task created at the moment of its expiry stays.
    async fn a_group_that_is_extended_at_the_moment_of_its_expiry_stays(kind) {
        let yard = Yard::new(kind);
        let member = |id: &str, seconds: u64| NewTask {
            group_id: "group".to_owned(),
            expires: START.plus(secs(seconds)),
            ..new_task(id)
        };
        yard.create(START, member("old", 4000)).await;
        let expired = START.plus(secs(4000 + 3600 + 1));
        // On SQLite one waits for the other altogether.
        let other = match kind {
            Kind::Sqlite => yard.store.clone(),
            Kind::Postgres => yard.database.open(&crate::yard::migrations()),
        };
        let (extended, is_extended) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let released = std::sync::Mutex::new(released);
        let new = member("new", 90_000);
        let creation = tokio::spawn(async move {
            other
                .write(Key::of("creation"), move |tx| {
                    task::create(tx, expired, &new)?.expect("it is created");
                    extended.send(()).expect("the test waits");
                    released.lock().expect("nobody else locks it").recv().expect("it is told");
                    Ok(())
                })
                .await
        });
        tokio::task::block_in_place(|| is_extended.recv()).expect("the group is extended");
        let store = yard.store.clone();
        let expiry = tokio::spawn(async move {
            store.write(Key::of("expiry"), move |tx| task::expire_groups(tx, expired, 9)).await
        });
        if kind == Kind::Postgres {
            let waiting = "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND wait_event_type = 'Lock'";
            while count(&yard, waiting).await == 0 && !expiry.is_finished() {
                tokio::task::yield_now().await;
            }
        }
        release.send(()).expect("the creation waits");
        creation.await.expect("no panic").expect("the write succeeds");
        let expired = expiry.await.expect("no panic").expect("the write succeeds");
        assert_eq!(expired.removed, 0);
        assert!(yard.read(|tx| task::group(tx, "group")).await.is_some());
    }
}
