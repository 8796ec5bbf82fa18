//! A task comes into being once.

use taskyard_engine::Timestamp;
use taskyard_engine::task::{self, NewTask, Refusal, Requires, State, Task};
use taskyard_store::testing::Kind;
use taskyard_store::{Key, Store, on_both_databases};

use crate::yard::{START, Yard, dependent_task, new_task, secs};

/// The stores of several nodes on one database; on SQLite there is only one node.
pub(crate) fn nodes(yard: &Yard, kind: Kind) -> Vec<Store> {
    match kind {
        Kind::Sqlite => vec![yard.store.clone(), yard.store.clone()],
        Kind::Postgres => vec![
            yard.store.clone(),
            yard.database.open(&crate::yard::migrations()),
        ],
    }
}

/// Creates all at once, spread over nodes and writers.
async fn create_at_once(nodes: &[Store], all: Vec<NewTask>) -> Vec<Result<Task, Refusal>> {
    let calls: Vec<_> = all
        .into_iter()
        .enumerate()
        .map(|(at, new)| {
            let store = nodes[at % nodes.len()].clone();
            tokio::spawn(async move {
                store
                    .write(Key::of(at), move |tx| task::create(tx, START, &new))
                    .await
            })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.expect("no panic").expect("the write succeeds"));
    }
    answers
}

async fn create(yard: &Yard, now: Timestamp, new: NewTask) -> Result<Task, Refusal> {
    yard.write(move |tx| task::create(tx, now, &new)).await
}

async fn count(yard: &Yard, sql: &'static str) -> i64 {
    yard.read(move |tx| tx.query_opt(sql, &[], |row| row.get(0)))
        .await
        .unwrap_or(-1)
}

on_both_databases! {
    /// I20
    async fn the_same_task_created_many_times_at_once_is_one_task(kind) {
        let yard = Yard::new(kind);
        let nodes = nodes(&yard, kind);
        for round in 0..5 {
            let new = new_task(&format!("task-{round}"));
            let answers = create_at_once(&nodes, vec![new; 24]).await;
            let first = answers[0].clone().expect("it is created");
            assert_eq!((first.state(), first.runs.len()), (State::Pending, 1));
            for answer in answers {
                assert_eq!(answer.as_ref(), Ok(&first));
            }
        }
        assert_eq!(count(&yard, "SELECT count(*) FROM tasks").await, 5);
        assert_eq!(count(&yard, "SELECT count(*) FROM leases").await, 5);
    }

    /// I21
    async fn another_definition_under_the_same_id_is_refused_and_changes_nothing(kind) {
        let yard = Yard::new(kind);
        let nodes = nodes(&yard, kind);
        let variants: Vec<NewTask> = (0..12)
            .map(|variant| NewTask {
                definition: format!(r#"{{"variant":{variant}}}"#),
                ..new_task("task")
            })
            .collect();
        let answers = create_at_once(&nodes, variants.clone()).await;
        let created: Vec<usize> = (0..12).filter(|at| answers[*at].is_ok()).collect();
        assert_eq!(created.len(), 1, "{answers:?}");
        for answer in answers.iter().filter(|answer| answer.is_err()) {
            assert_eq!(answer, &Err(Refusal::Different("task".to_owned())));
        }
        let known = yard.read(|tx| task::load_definition(tx, "task")).await;
        assert_eq!(known.as_ref(), Some(&variants[created[0]].definition));
        assert_eq!(count(&yard, "SELECT count(*) FROM leases").await, 1);
    }

    /// I20: definitions are compared by what they say.
    async fn a_replay_may_write_its_definition_differently(kind) {
        let yard = Yard::new(kind);
        let defined =
            |definition: &str| NewTask { definition: definition.to_owned(), ..new_task("task") };
        let first = create(&yard, START, defined(r#"{"a":1,"b":{"c":[1,2.0],"d":null}}"#)).await;
        let replay = defined(r#"{"b":{"d":null,"c":[1.0,2]}, "a":1e0}"#);
        assert_eq!(create(&yard, START.plus(secs(9)), replay).await, first);
        assert!(first.is_ok());
        let other = defined(r#"{"b":{"d":null,"c":[2,1]},"a":1}"#);
        let refused = create(&yard, START, other).await;
        assert_eq!(refused, Err(Refusal::Different("task".to_owned())));
    }

    /// I22
    async fn missing_dependencies_leave_no_task_behind(kind) {
        let yard = Yard::new(kind);
        yard.create(START, new_task("known")).await;
        let new = dependent_task("task", &["gone-2", "known", "task", "gone-1"]);
        let refused = create(&yard, START, new).await;
        let Err(Refusal::Dependencies { missing, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(missing, ["gone-1", "gone-2"]);
        assert!(yard.task("task").await.is_none());
        assert_eq!(count(&yard, "SELECT count(*) FROM task_dependencies").await, 0);
        assert_eq!(count(&yard, "SELECT count(*) FROM task_definitions").await, 1);
        // The id can be used by another.
        let task = create(&yard, START, new_task("task")).await.expect("the id is free");
        assert_eq!(task.state(), State::Pending);
    }

    /// I22
    async fn a_dependency_that_expires_before_the_deadline_is_refused(kind) {
        let yard = Yard::new(kind);
        let mut required = new_task("required");
        required.expires = required.deadline;
        yard.create(START, required).await;
        let mut new = dependent_task("task", &["required"]);
        new.deadline = new.deadline.plus(secs(1));
        let refused = create(&yard, START, new.clone()).await;
        let Err(Refusal::Dependencies { missing, expiring }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((missing.len(), expiring), (0, vec!["required".to_owned()]));
        new.deadline = new_task("task").deadline;
        assert!(create(&yard, START, new).await.is_ok());
    }

    /// I28
    async fn a_group_gets_one_scheduler_however_many_ask_at_once(kind) {
        let yard = Yard::new(kind);
        let nodes = nodes(&yard, kind);
        for round in 0..5 {
            let all = (0..16).map(|at| NewTask {
                scheduler_id: format!("scheduler-{}", at % 2),
                group_id: format!("group-{round}"),
                ..new_task(&format!("task-{round}-{at}"))
            });
            let answers = create_at_once(&nodes, all.collect()).await;
            let id = format!("group-{round}");
            let members = yard
                .read(move |tx| {
                    let mut members = Vec::new();
                    task::group_members(tx, &id, 0..=i64::MAX, |task, _| {
                        members.push(task);
                        Ok(())
                    })?;
                    Ok(members)
                })
                .await;
            let id = format!("group-{round}");
            let group = yard.read(move |tx| task::group(tx, &id)).await.expect("it exists");
            assert_eq!(members.len(), 8);
            assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 8);
            for member in members {
                assert_eq!(member.scheduler_id, group.scheduler_id);
            }
        }
    }

    /// I29
    async fn a_sealed_group_takes_no_new_task_but_knows_its_old_ones(kind) {
        let yard = Yard::new(kind);
        let member = |id: &str| NewTask { group_id: "group".to_owned(), ..new_task(id) };
        yard.create(START, member("old")).await;
        yard.write(|tx| tx.execute("UPDATE task_groups SET sealed = 1", &[])).await;
        let refused = create(&yard, START, member("new")).await;
        assert_eq!(refused, Err(Refusal::Sealed("group".to_owned())));
        assert!(yard.task("new").await.is_none());
        assert!(create(&yard, START, member("old")).await.is_ok());
    }

    async fn a_group_outlives_its_longest_living_task_by_an_hour(kind) {
        let yard = Yard::new(kind);
        let expiry_with = async |id: &str, seconds: u64| {
            let expires = START.plus(secs(seconds));
            let new = NewTask { group_id: "group".to_owned(), expires, ..new_task(id) };
            yard.create(START, new).await;
            let group = yard.read(|tx| task::group(tx, "group")).await.expect("it exists");
            group.expires.since(START)
        };
        assert_eq!(expiry_with("a", 10_000).await, secs(13_600));
        // Later than before, but not later than the group.
        assert_eq!(expiry_with("b", 12_000).await, secs(13_600));
        assert_eq!(expiry_with("c", 20_000).await, secs(23_600));
        assert_eq!(expiry_with("d", 5_000).await, secs(23_600));
    }

    async fn satisfied_dependencies_make_a_task_pending_at_once(kind) {
        let yard = Yard::new(kind);
        for (id, resolved) in [("completed", task::Resolved::Completed),
            ("failed", task::Resolved::Failed)]
        {
            yard.create(START, new_task(id)).await;
            yard.claim(START, "w", 1).await;
            yard.write(move |tx| task::report(tx, START, id, 0, resolved)).await.expect("is taken");
        }
        let mut all_resolved = dependent_task("resolved", &["completed", "failed"]);
        all_resolved.requires = Requires::AllResolved;
        assert_eq!(yard.create(START, all_resolved).await.state(), State::Pending);
        let all_completed = dependent_task("all", &["completed", "failed"]);
        assert_eq!(yard.create(START, all_completed).await.state(), State::Unscheduled);
        let completed = dependent_task("one", &["completed"]);
        assert_eq!(yard.create(START, completed).await.state(), State::Pending);
    }
}
