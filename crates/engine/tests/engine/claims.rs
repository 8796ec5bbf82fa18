//! Which run a claim gets.

use std::sync::mpsc;

use taskyard_engine::Timestamp;
use taskyard_engine::lease::{self, Depth, NewEntry, Queue};
use taskyard_engine::task::{self, Claimed, NewTask, Priority, State};
use taskyard_store::testing::Kind;
use taskyard_store::{Key, on_both_databases, params};

use crate::yard::{QUEUE, START, Yard, named, new_task, secs};

fn ids(claimed: &[Claimed]) -> Vec<&str> {
    claimed
        .iter()
        .map(|claimed| claimed.task.id.as_str())
        .collect()
}

async fn ready_rows(yard: &Yard) -> i64 {
    let count = "SELECT count(*) FROM leases WHERE ready = 1";
    yard.read(move |tx| tx.query_opt(count, &[], |row| row.get(0)))
        .await
        .unwrap_or(0)
}

async fn depth(yard: &Yard, now: Timestamp) -> Depth {
    yard.read(move |tx| lease::depth(tx, &Queue::runs(QUEUE), now))
        .await
}

on_both_databases! {
    /// I10
    async fn the_highest_priority_is_claimed_first_and_then_the_oldest(kind) {
        let yard = Yard::new(kind);
        let order = [
            ("low-1", Priority::Low),
            ("high-1", Priority::High),
            ("lowest", Priority::Lowest),
            ("high-2", Priority::High),
            ("highest", Priority::Highest),
            ("low-2", Priority::Low),
        ];
        for (at, (id, priority)) in order.into_iter().enumerate() {
            let mut new = new_task(id);
            new.priority = priority;
            yard.create(START.plus(secs(at as u64)), new).await;
        }
        let now = START.plus(secs(10));
        assert_eq!(ids(&yard.claim(now, "w", 2).await), ["highest", "high-1"]);
        assert_eq!(ids(&yard.claim(now, "w", 9).await), ["high-2", "low-1", "low-2", "lowest"]);
        assert!(yard.claim(now, "w", 9).await.is_empty());
    }

    /// I10
    async fn runs_of_one_moment_are_claimed_in_the_order_in_which_they_came(kind) {
        let yard = Yard::new(kind);
        for id in ["c", "a", "b"] {
            yard.create(START, new_task(id)).await;
        }
        assert_eq!(ids(&yard.claim(START, "w", 3).await), ["c", "a", "b"]);
    }

    async fn a_retry_goes_to_the_back_of_its_priority(kind) {
        let yard = Yard::new(kind);
        for (at, id) in ["first", "second"].into_iter().enumerate() {
            yard.create(START.plus(secs(at as u64)), new_task(id)).await;
        }
        let now = START.plus(secs(5));
        assert_eq!(ids(&yard.claim(now, "w", 1).await), ["first"]);
        let exception = task::Resolved::Exception(task::Exception::WorkerShutdown);
        yard.write(move |tx| task::report(tx, now, "first", 0, exception)).await.expect("is taken");
        assert_eq!(ids(&yard.claim(now, "w", 2).await), ["second", "first"]);
    }

    async fn a_run_that_changes_its_priority_keeps_its_age(kind) {
        let yard = Yard::new(kind);
        let mut medium = new_task("medium");
        medium.priority = Priority::Medium;
        let older = yard.create(START, new_task("older")).await;
        yard.create(START.plus(secs(1)), medium).await;
        let lease_id = older.lease_id.expect("it is pending");
        let medium = Priority::Medium as i64;
        assert!(yard.write(move |tx| lease::set_priority(tx, lease_id, medium)).await);
        assert_eq!(ids(&yard.claim(START.plus(secs(2)), "w", 2).await), ["older", "medium"]);
    }

    /// I3, I10: the deadline is a bound that is not handed out itself.
    async fn a_run_past_its_deadline_is_never_handed_out(kind) {
        let yard = Yard::new(kind);
        let task = yard.create(START, new_task("late")).await;
        let just_before = Timestamp(task.deadline.0 - 1);
        assert_eq!(depth(&yard, just_before).await, Depth { ready: 1, held: 0 });
        assert!(yard.claim(task.deadline, "w", 1).await.is_empty());
        assert_eq!(depth(&yard, task.deadline).await, Depth::default());
        let refused = yard
            .write(move |tx| {
                task::claim_run(tx, task.deadline, "late", 0, &named("w"), Timestamp(i64::MAX))
            })
            .await;
        assert!(matches!(refused, Err(task::Refusal::DeadlinePassed(_))), "{refused:?}");
    }

    /// I10: they are put out of the way a thousand at a time, so that claims are not slowed by
    /// them, and what waits behind them is still found at once.
    async fn thousands_of_expired_runs_stand_in_nobodys_way(kind) {
        let yard = Yard::new(kind);
        let expired = START.plus(secs(10));
        yard.write(move |tx| {
            let queue = Queue::runs(QUEUE);
            let entry = NewEntry {
                priority: Priority::Highest as i64,
                expires_at: Some(expired),
                ..NewEntry::ready(&queue, START)
            };
            lease::put(tx, START, &vec![entry; 2500]).map(drop)
        })
        .await;
        for id in ["a", "b", "c", "d"] {
            yard.create(START.plus(secs(1)), new_task(id)).await;
        }
        assert_eq!(depth(&yard, expired).await, Depth { ready: 4, held: 0 });
        assert_eq!(ids(&yard.claim(expired, "w", 1).await), ["a"]);
        assert_eq!(ready_rows(&yard).await, 1503);
        assert_eq!(ids(&yard.claim(expired, "w", 1).await), ["b"]);
        assert_eq!(ids(&yard.claim(expired, "w", 1).await), ["c"]);
        assert_eq!(ready_rows(&yard).await, 1);
        assert_eq!(ids(&yard.claim(expired, "w", 1).await), ["d"]);
        assert_eq!(depth(&yard, expired).await, Depth { ready: 0, held: 4 });
    }

    /// I39: until the timer ends the claim the run is running.
    async fn a_run_whose_claim_is_due_still_counts_as_claimed(kind) {
        let yard = Yard::new(kind);
        yard.create(START, new_task("task")).await;
        yard.claim(START, "w", 1).await;
        let due = START.plus(secs(1200));
        assert_eq!(depth(&yard, due).await, Depth { ready: 0, held: 1 });
        yard.sweep(due).await;
        assert_eq!(depth(&yard, due).await, Depth { ready: 1, held: 0 });
    }

    /// A claim that has ended before it began is due at once; it must not make the run claimable
    /// while it is running.
    async fn a_claim_that_ends_at_once_does_not_leave_its_run_in_the_queue(kind) {
        let yard = Yard::new(kind);
        yard.create(START, new_task("task")).await;
        let claimed = yard
            .write(|tx| task::claim_work(tx, START, QUEUE, &named("w"), 1, START))
            .await
            .expect("nobody is quarantined");
        assert_eq!(claimed.len(), 1);
        assert!(yard.claim(START, "v", 1).await.is_empty());
        yard.sweep(START).await;
        let claimed = yard.claim(START, "v", 1).await;
        assert_eq!(claimed.iter().map(|claimed| claimed.run_id).collect::<Vec<_>>(), [1]);
    }

    /// I10, I11: somebody else's lock on the best task hides that task, not those behind it.
    async fn a_task_that_is_locked_by_others_is_passed_over(kind) {
        let yard = Yard::new(kind);
        for id in ["locked-1", "locked-2", "free-1", "free-2", "free-3"] {
            yard.create(START, new_task(id)).await;
        }
        // On SQLite there are no others.
        if kind == Kind::Sqlite {
            return;
        }
        let other = yard.database.open(&crate::yard::migrations());
        let (locked, is_locked) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let released = std::sync::Mutex::new(released);
        let holder = tokio::spawn(async move {
            other
                .write(Key::of("holder"), move |tx| {
                    for id in ["locked-1", "locked-2"] {
                        // Changes nothing, as it is pending already.
                        task::schedule(tx, START, id)?.expect("its deadline has not passed");
                    }
                    locked.send(()).expect("the test waits");
                    released.lock().expect("nobody else locks it").recv().expect("it is told");
                    Ok(())
                })
                .await
        });
        tokio::task::block_in_place(|| is_locked.recv()).expect("the tasks are locked");
        assert_eq!(ids(&yard.claim(START, "w", 2).await), ["free-1", "free-2"]);
        release.send(()).expect("the holder waits");
        holder.await.expect("no panic").expect("the holder is answered");
        assert_eq!(ids(&yard.claim(START, "w", 9).await), ["locked-1", "locked-2", "free-3"]);
    }

    async fn a_claim_looks_into_its_own_queue_only(kind) {
        let yard = Yard::new(kind);
        let elsewhere =
            NewTask { task_queue_id: "prov/other".to_owned(), ..new_task("elsewhere") };
        yard.create(START, elsewhere).await;
        // A taskstore group of the same name is another queue.
        yard.write(|tx| {
            lease::put(tx, START, &[NewEntry::ready(&Queue::group(QUEUE), START)]).map(drop)
        })
        .await;
        assert!(yard.claim(START, "w", 9).await.is_empty());
        assert_eq!(yard.task("elsewhere").await.map(|task| task.state()), Some(State::Pending));
    }

    /// The tables of pending and claimed runs tell the same as the tasks do.
    async fn listings_show_pending_and_claimed_runs_page_by_page(kind) {
        let yard = Yard::new(kind);
        for at in 0..5_u64 {
            yard.create(START.plus(secs(at)), new_task(&format!("task-{at}"))).await;
        }
        let now = START.plus(secs(10));
        yard.claim(now, "w", 2).await;
        let pending = yard
            .read(move |tx| task::pending_runs(tx, now, QUEUE, (Timestamp(0), 0), 2))
            .await;
        let page: Vec<&str> = pending.iter().map(|run| run.listed.task.id.as_str()).collect();
        assert_eq!(page, ["task-2", "task-3"]);
        let last = pending.last().expect("two are listed");
        let place = (last.since, last.number);
        let rest = yard.read(move |tx| task::pending_runs(tx, now, QUEUE, place, 2)).await;
        assert_eq!(rest.len(), 1);
        let claimed = yard
            .read(move |tx| task::claimed_runs(tx, QUEUE, &(Timestamp(0), String::new()), 9))
            .await;
        let claimed: Vec<&str> = claimed.iter().map(|listed| listed.task.id.as_str()).collect();
        assert_eq!(claimed, ["task-0", "task-1"]);
    }

    async fn polling_an_empty_queue_commits_nothing(kind) {
        let yard = Yard::new(kind);
        let before = yard.store.commits();
        assert!(yard.claim(START, "w", 1).await.is_empty());
        let claimed = yard
            .write(|tx| {
                let until = START.plus(secs(60)).into();
                lease::claim(tx, &Queue::of("other", "queue"), START, "w", until, 1)
            })
            .await;
        assert!(claimed.is_empty());
        assert_eq!(yard.store.commits(), before);
        let rows = "SELECT count(*) FROM leases WHERE queue = $1";
        let count = yard
            .read(move |tx| tx.query_opt(rows, params![QUEUE], |row| row.get::<i64>(0)))
            .await;
        assert_eq!(count, Some(0));
    }
}
