//! Dependents follow, however many there are and whatever happens meanwhile.

use std::collections::BTreeSet;

use taskyard_engine::task::{self, NewTask, Requires, Resolved, State};
use taskyard_store::testing::Kind;
use taskyard_store::{Key, on_both_databases};

use crate::creation::nodes;
use crate::yard::{START, Yard, dependent_task, new_task};

async fn pending(yard: &Yard) -> i64 {
    let sql = "SELECT count(*) FROM leases WHERE ready = 1";
    yard.read(move |tx| tx.query_opt(sql, &[], |row| row.get(0)))
        .await
        .unwrap_or(-1)
}

async fn state(yard: &Yard, id: &str) -> State {
    yard.task(id).await.expect("the task exists").state()
}

/// Lets a worker of its own queue claim and resolve the last run of `id`.
async fn resolve(yard: &Yard, id: &'static str, resolved: Resolved) {
    let worker = crate::yard::named("w");
    let until = START.plus(crate::yard::secs(1200));
    let run_id = yard.task(id).await.expect("the task exists").runs.len() - 1;
    yard.write(move |tx| task::claim_run(tx, START, id, run_id, &worker, until))
        .await
        .expect("it is pending");
    yard.write(move |tx| task::report(tx, START, id, run_id, resolved))
        .await
        .expect("is taken");
}

fn many_dependents(count: usize) -> Vec<NewTask> {
    (0..count)
        .map(|at| dependent_task(&format!("dependent-{at:05}"), &["required"]))
        .collect()
}

on_both_databases! {
    /// I24, I25, and I4 across a crash: the timer that goes on is another one each time.
    async fn thousands_of_dependents_all_become_pending(kind) {
        // As many as a task may have dependencies; fewer where each statement is a round trip.
        let many = if kind == Kind::Sqlite { 10_000 } else { 4_000 };
        let mut yard = Yard::new(kind);
        yard.create(START, new_task("required")).await;
        yard.create_all(START, many_dependents(many)).await;
        resolve(&yard, "required", Resolved::Completed).await;
        // The call itself does not grow with their number.
        assert_eq!(pending(&yard).await, 200);
        for round in 1..=3 {
            let next = yard.timer().sweep(START).await.expect("the sweep succeeds");
            assert_eq!(next, START, "there is more to do");
            assert_eq!(pending(&yard).await, 200 * (round + 1));
            yard = yard.restarted();
        }
        yard.sweep(START).await;
        assert_eq!(pending(&yard).await, many as i64);
        let unfinished = yard.read(|tx| task::unfinished_resolutions(tx, 10)).await;
        assert!(unfinished.is_empty());
    }

    /// I24, I25: it did complete once, so its dependents follow, though it fails now.
    async fn a_task_that_is_resolved_again_meanwhile_keeps_its_first_promise(kind) {
        let yard = Yard::new(kind);
        yard.create(START, new_task("required")).await;
        yard.create_all(START, many_dependents(700)).await;
        resolve(&yard, "required", Resolved::Completed).await;
        yard.write(|tx| task::rerun(tx, START, "required")).await.expect("can be rerun");
        resolve(&yard, "required", Resolved::Failed).await;
        yard.sweep(START).await;
        assert_eq!(pending(&yard).await, 700);
    }

    /// I25
    async fn dependents_that_require_differently_do_not_stop_each_other(kind) {
        let yard = Yard::new(kind);
        yard.create(START, new_task("required")).await;
        let mut all = many_dependents(450);
        for (at, new) in all.iter_mut().enumerate() {
            if at % 3 == 0 {
                new.requires = Requires::AllResolved;
            }
        }
        yard.create_all(START, all).await;
        resolve(&yard, "required", Resolved::Failed).await;
        yard.sweep(START).await;
        assert_eq!(pending(&yard).await, 150);
        yard.write(|tx| task::rerun(tx, START, "required")).await.expect("can be rerun");
        resolve(&yard, "required", Resolved::Completed).await;
        yard.sweep(START).await;
        assert_eq!(pending(&yard).await, 450);
    }

    /// I26
    async fn a_task_that_depends_on_itself_waits_for_somebody_to_schedule_it(kind) {
        let yard = Yard::new(kind);
        yard.create(START, new_task("required")).await;
        yard.create(START, dependent_task("own", &["own", "required"])).await;
        resolve(&yard, "required", Resolved::Completed).await;
        yard.sweep(START).await;
        assert_eq!(state(&yard, "own").await, State::Unscheduled);
        yard.write(|tx| task::schedule(tx, START, "own")).await.expect("is scheduled");
        assert_eq!(state(&yard, "own").await, State::Pending);
    }

    /// I24: an exception is final only when no retry follows.
    async fn dependents_do_not_follow_a_run_that_is_retried(kind) {
        let yard = Yard::new(kind);
        let mut required = new_task("required");
        required.retries = 1;
        yard.create(START, required).await;
        let mut dependent = dependent_task("dependent", &["required"]);
        dependent.requires = Requires::AllResolved;
        yard.create(START, dependent).await;
        let shutdown = Resolved::Exception(task::Exception::WorkerShutdown);
        resolve(&yard, "required", shutdown).await;
        assert_eq!(state(&yard, "dependent").await, State::Unscheduled);
        resolve(&yard, "required", shutdown).await;
        assert_eq!(state(&yard, "dependent").await, State::Pending);
    }

    /// I24: each sees what the other satisfied, so that one of them schedules the dependent, once.
    async fn required_tasks_resolved_at_once_schedule_their_dependents(kind) {
        let yard = Yard::new(kind);
        let nodes = nodes(&yard, kind);
        let rounds = if kind == Kind::Sqlite { 40 } else { 6 };
        for round in 0..rounds {
            let required: Vec<String> = (0..4).map(|at| format!("r{round}-{at}")).collect();
            for id in &required {
                yard.create(START, new_task(id)).await;
                yard.claim(START, "w", 1).await;
            }
            let names: Vec<&str> = required.iter().map(String::as_str).collect();
            let dependents: Vec<NewTask> =
                (0..3).map(|at| dependent_task(&format!("d{round}-{at}"), &names)).collect();
            // Some dependents come at the same moment as the reports.
            yard.create(START, dependents[0].clone()).await;
            let reports = required.iter().enumerate().map(|(at, id)| {
                let (store, id) = (nodes[at % 2].clone(), id.clone());
                tokio::spawn(async move {
                    let report = store.write(Key::of(at), move |tx| {
                        task::report(tx, START, &id, 0, Resolved::Completed)
                    });
                    report.await.expect("the write succeeds").expect("is taken");
                })
            });
            let creations = dependents[1..].iter().enumerate().map(|(at, new)| {
                let (store, new) = (nodes[at % 2].clone(), new.clone());
                tokio::spawn(async move {
                    let creation =
                        store.write(Key::of(at + 10), move |tx| task::create(tx, START, &new));
                    creation.await.expect("the write succeeds").expect("is created");
                })
            });
            for call in reports.chain(creations).collect::<Vec<_>>() {
                call.await.expect("no panic");
            }
            for dependent in &dependents {
                let task = yard.task(&dependent.id).await.expect("it exists");
                assert_eq!((task.state(), task.runs.len()), (State::Pending, 1));
            }
            yard.claim(START, "w", 3).await;
        }
    }

    async fn dependents_are_listed_page_by_page_satisfied_or_not(kind) {
        let yard = Yard::new(kind);
        yard.create(START, new_task("required")).await;
        yard.create(START, new_task("other")).await;
        for id in ["c", "a", "b"] {
            yard.create(START, dependent_task(id, &["required", "other"])).await;
        }
        resolve(&yard, "required", Resolved::Completed).await;
        let page = async |after: &'static str| -> BTreeSet<String> {
            let listed =
                yard.read(move |tx| task::dependents(tx, START, "required", after, 2)).await;
            listed.into_iter().map(|listed| listed.task.id).collect()
        };
        assert_eq!(page("").await, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
        assert_eq!(page("b").await, BTreeSet::from(["c".to_owned()]));
        let expires = new_task("a").expires;
        let gone = yard.read(move |tx| task::dependents(tx, expires, "required", "", 9)).await;
        assert!(gone.is_empty());
    }
}
