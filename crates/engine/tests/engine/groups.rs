//! Groups are sealed, cancelled, and resolved.

use std::sync::mpsc;

use taskyard_engine::Timestamp;
use taskyard_engine::task::event::{GROUP_RESOLVED, GROUP_SEALED};
use taskyard_engine::task::{self, NewTask, Priority, Refusal, Resolved, State};
use taskyard_store::testing::Kind;
use taskyard_store::{Key, on_both_databases, params};

use crate::yard::{QUEUE, START, Yard, migrations, named, new_task, secs};

fn member(id: &str) -> NewTask {
    NewTask {
        group_id: "group".to_owned(),
        ..new_task(id)
    }
}

async fn heard(yard: &Yard, kind: &'static str) -> i64 {
    let count = "SELECT count(*) FROM events WHERE kind = $1 AND subject = 'group'";
    yard.read(move |tx| tx.query_opt(count, params![kind], |row| row.get(0)))
        .await
        .unwrap_or(-1)
}

async fn resolve(yard: &Yard, id: &'static str) {
    let now = START.plus(secs(1));
    yard.write(move |tx| {
        let until = now.plus(secs(60));
        task::claim_run(tx, now, id, 0, &named("w"), until)?.expect("it is pending");
        task::report(tx, now, id, 0, Resolved::Completed)
    })
    .await
    .expect("it is running");
}

on_both_databases! {
    /// I29
    async fn a_sealed_group_takes_no_more_tasks_and_keeps_its_first_seal(kind) {
        let yard = Yard::new(kind);
        let refused = yard.write(|tx| task::seal(tx, START, "group")).await;
        assert_eq!(refused, Err(Refusal::NoSuchGroup("group".to_owned())));
        yard.create(START, member("task")).await;
        for later in [1, 5] {
            let now = START.plus(secs(later));
            let group = yard.write(move |tx| task::seal(tx, now, "group")).await.expect("a group");
            assert_eq!(group.sealed, Some(START.plus(secs(1))));
        }
        assert_eq!(heard(&yard, GROUP_SEALED).await, 2, "each call is told");
        let refused = yard.write(|tx| task::create(tx, START, &member("late"))).await;
        assert_eq!(refused, Err(Refusal::Sealed("group".to_owned())));
        assert!(yard.task("late").await.is_none());
        // The same request again finds what it made before the seal.
        yard.create(START, member("task")).await;
    }

    /// I29: whoever is adding a task while the group is sealed is in it, or is refused.
    async fn a_seal_waits_for_those_who_are_adding_tasks(kind) {
        let yard = Yard::new(kind);
        yard.create(START, member("first")).await;
        // On SQLite one waits for the other altogether.
        let other = match kind {
            Kind::Sqlite => yard.store.clone(),
            Kind::Postgres => yard.database.open(&migrations()),
        };
        let (added, is_added) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let released = std::sync::Mutex::new(released);
        let creation = tokio::spawn(async move {
            other
                .write(Key::of("creation"), move |tx| {
                    task::create(tx, START, &member("second"))?.expect("it is created");
                    added.send(()).expect("the test waits");
                    released.lock().expect("nobody else locks it").recv().expect("it is told");
                    Ok(())
                })
                .await
        });
        tokio::task::block_in_place(|| is_added.recv()).expect("the task is added");
        let store = yard.store.clone();
        let sealing = tokio::spawn(async move {
            store.write(Key::of("seal"), |tx| task::seal(tx, START, "group")).await
        });
        if kind == Kind::Postgres {
            let waiting = "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND wait_event_type = 'Lock'";
            let count = async || {
                yard.read(move |tx| tx.query_opt(waiting, &[], |row| row.get::<i64>(0))).await
            };
            while count().await == Some(0) && !sealing.is_finished() {
                tokio::task::yield_now().await;
            }
        }
        release.send(()).expect("the creation waits");
        creation.await.expect("no panic").expect("the write succeeds");
        sealing.await.expect("no panic").expect("the write succeeds").expect("a group");
        let size = yard.read(|tx| task::group_size(tx, "group")).await;
        assert_eq!(size, 2);
    }

    async fn a_group_is_cancelled_in_portions_that_leave_out_what_is_over(kind) {
        let yard = Yard::new(kind);
        let all = (0..25).map(|at| member(&format!("task-{at:02}"))).collect();
        yard.create_all(START, all).await;
        let late = NewTask { deadline: START.plus(secs(5)), ..member("past-deadline") };
        yard.create(START, late).await;
        yard.create(START, new_task("stranger")).await;
        resolve(&yard, "task-03").await;
        let now = START.plus(secs(10));
        let refused = yard
            .write(move |tx| task::cancel_members(tx, now, "group", (false, 0), 10))
            .await;
        assert_eq!(refused, Err(Refusal::NotSealed("group".to_owned())));
        yard.write(move |tx| task::seal(tx, now, "group")).await.expect("a group");
        let mut sizes = Vec::new();
        let mut after = Some((false, 0));
        while let Some(place) = after {
            let portion = yard
                .write(move |tx| task::cancel_members(tx, now, "group", place, 10))
                .await
                .expect("a sealed group");
            sizes.push(portion.changed.len());
            after = portion.next;
        }
        // 24 tasks and the one past its deadline, ten at a time.
        assert_eq!(sizes.iter().sum::<usize>(), 24);
        assert_eq!(sizes.len(), 3);
        for (id, state) in [
            ("task-00", State::Exception), ("task-24", State::Exception),
            ("task-03", State::Completed), ("past-deadline", State::Pending),
            ("stranger", State::Pending),
        ] {
            assert_eq!(yard.task(id).await.map(|task| task.state()), Some(state), "{id}");
        }
    }

    /// I27: what was resolved once does not hold the group open when it runs again.
    async fn a_group_is_resolved_when_its_last_task_is_and_again_after_each_rerun(kind) {
        let yard = Yard::new(kind);
        for id in ["one", "two"] {
            yard.create(START, member(id)).await;
        }
        resolve(&yard, "one").await;
        yard.sweep(START.plus(secs(1))).await;
        assert_eq!(heard(&yard, GROUP_RESOLVED).await, 0);
        resolve(&yard, "two").await;
        assert_eq!(heard(&yard, GROUP_RESOLVED).await, 1);
        yard.create(START, member("three")).await;
        let now = START.plus(secs(2));
        for id in ["two", "three"] {
            yard.write(move |tx| task::rerun(tx, now, id)).await.expect("it may run");
        }
        yard.write(move |tx| task::cancel(tx, now, "two")).await.expect("it is pending");
        assert_eq!(heard(&yard, GROUP_RESOLVED).await, 1, "the third never was");
        yard.write(move |tx| task::cancel(tx, now, "three")).await.expect("it is pending");
        assert_eq!(heard(&yard, GROUP_RESOLVED).await, 2);
        yard.write(move |tx| task::rerun(tx, now, "one")).await.expect("it may run");
        yard.write(move |tx| task::cancel(tx, now, "one")).await.expect("it is pending");
        assert_eq!(heard(&yard, GROUP_RESOLVED).await, 3);
    }

    /// I27: each of two transactions still sees the other's task open.
    async fn tasks_resolved_at_the_same_time_resolve_their_group(kind) {
        let yard = Yard::new(kind);
        for id in ["one", "two"] {
            yard.create(START, member(id)).await;
        }
        let cancel = |id: &'static str| move |tx: &mut taskyard_store::Tx<'_>| {
            task::cancel(tx, START, id).map(|task| drop(task.expect("it is pending")))
        };
        if kind == Kind::Sqlite {
            // One writer: there is no same time.
            yard.write(cancel("one")).await;
            yard.write(cancel("two")).await;
        } else {
            let other = yard.database.open(&migrations());
            let (done, is_done) = mpsc::channel();
            let (release, released) = mpsc::channel::<()>();
            let released = std::sync::Mutex::new(released);
            let first = tokio::spawn(async move {
                other
                    .write(Key::of("first"), move |tx| {
                        cancel("one")(tx)?;
                        done.send(()).expect("the test waits");
                        released.lock().expect("nobody else locks it").recv().expect("it is told");
                        Ok(())
                    })
                    .await
            });
            tokio::task::block_in_place(|| is_done.recv()).expect("the first is resolved");
            yard.write(cancel("two")).await;
            assert_eq!(heard(&yard, GROUP_RESOLVED).await, 0);
            release.send(()).expect("the first waits");
            first.await.expect("no panic").expect("the write succeeds");
            assert_eq!(heard(&yard, GROUP_RESOLVED).await, 0);
            yard.sweep(START).await;
        }
        assert_eq!(heard(&yard, GROUP_RESOLVED).await, 1);
        yard.sweep(START).await;
        assert_eq!(heard(&yard, GROUP_RESOLVED).await, 1, "nothing is left to look at");
    }

    async fn a_priority_reaches_the_definition_and_the_queue_but_no_running_run(kind) {
        #[expect(
            clippy::unnecessary_wraps,
            reason = "other definitions cannot always be read"
        )]
        fn redefine(text: &str, to: Priority) -> Result<String, taskyard_store::Error> {
            Ok(format!("{text} {}", to.as_str()))
        }
        let yard = Yard::new(kind);
        for (id, later) in [("first", 0), ("second", 1)] {
            let task = NewTask { definition: "x".to_owned(), ..member(id) };
            yard.create(START.plus(secs(later)), task).await;
        }
        let now = START.plus(secs(2));
        let change = |id: &'static str, to: Priority| {
            yard.write(move |tx| task::change_priority(tx, now, id, to, redefine))
        };
        let (task, before) = change("second", Priority::High).await.expect("it is open");
        assert_eq!((task.priority, before), (Priority::High, Priority::Lowest));
        change("second", Priority::High).await.expect("the same again changes nothing");
        let text = yard.read(|tx| task::load_definition(tx, "second")).await;
        assert_eq!(text.as_deref(), Some("x high"));
        let claimed = yard.claim(now, "w", 1).await;
        assert_eq!(claimed.first().map(|claim| claim.task.id.as_str()), Some("second"));
        // The retry waits where it is to wait now.
        change("second", Priority::Low).await.expect("it is open");
        yard.sweep(now.plus(secs(1200))).await;
        let now = now.plus(secs(1200));
        change("first", Priority::VeryLow).await.expect("it is open");
        let claimed = yard.claim(now, "w", 1).await;
        assert_eq!(claimed.first().map(|claim| claim.task.id.as_str()), Some("second"));
        let refused = yard
            .write(|tx| {
                let deadline = Timestamp(member("x").deadline.0);
                task::change_priority(tx, deadline, "first", Priority::High, redefine)
            })
            .await;
        assert_eq!(refused, Err(Refusal::DeadlinePassed("first".to_owned())));
        yard.write(move |tx| task::cancel(tx, now, "first")).await.expect("it is pending");
        assert_eq!(
            change("first", Priority::High).await,
            Err(Refusal::Resolved("first".to_owned()))
        );
        assert!(matches!(change("none", Priority::High).await, Err(Refusal::NoSuchTask(_))));
        assert!(yard.claim(now, "w", 1).await.is_empty(), "{QUEUE} is empty");
    }
}
