//! Databases of older releases.

use taskyard_engine::task::{self, NewTask, Worker};
use taskyard_engine::worker;
use taskyard_store::on_both_databases;
use taskyard_store::testing::Database;
use taskyard_store::{Key, Migration};

use crate::yard::{START, Yard, migrations, new_task};

/// Two groups with tasks and two whose tasks are gone, as they were stored before groups had
/// numbers.
const OLD_GROUPS: &[&str] = &[
    "INSERT INTO task_groups (task_group_id, scheduler_id, expires, sealed) VALUES \
     ('first', 'sched', 1900000000000000, NULL), ('second', 'sched', 1900000000000000, NULL), \
     ('left', 'sched', 1900000000000000, NULL), ('bereft', 'sched', 1900000000000000, NULL)",
    "INSERT INTO tasks (number, task_id, task_queue_id, scheduler_id, project_id, task_group_id, \
     priority, requires, retries, retries_left, deadline, expires, is_open, ever_resolved, runs) \
     VALUES \
     (101, 'z', 'prov/type', 'sched', 'p', 'first', 1, 'all-completed', 5, 5, \
      1890000000000000, 1895000000000000, 1, 0, '[]'), \
     (102, 'y', 'prov/type', 'sched', 'p', 'second', 1, 'all-completed', 5, 5, \
      1890000000000000, 1895000000000000, 1, 0, '[]'), \
     (103, 'x', 'prov/type', 'sched', 'p', 'first', 1, 'all-completed', 5, 5, \
      1890000000000000, 1895000000000000, 1, 0, '[]')",
];

/// Workers without a claim, with one and with two, as they were stored before their claims became a
/// line.
const OLD_WORKERS: &[&str] = &[
    "INSERT INTO workers (task_queue_id, worker_group, worker_id, first_claim, last_active, \
     expires, quarantine_until, recent) VALUES \
     ('prov/type', 'group', 'none', 1, 1, 1900000000000000, 0, '[]'), \
     ('prov/type', 'group', 'one', 1, 1, 1900000000000000, 0, '[{\"t\":\"a-_A\",\"r\":0}]'), \
     ('prov/type', 'group', 'two', 1, 1, 1900000000000000, 0, \
      '[{\"t\":\"a-_A\",\"r\":0},{\"t\":\"b\",\"r\":12}]')",
];

/// Every step before this one of what is known of task queues.
fn before(id: i64) -> Vec<Migration> {
    let mut steps = migrations();
    steps.retain(|step| step.component != "task-queues" || step.id < id);
    steps
}

/// A database as an older release left it.
async fn left(database: &Database, steps: &[Migration], rows: &'static [&'static str]) {
    let old = database.open(steps);
    let stored = old.write(Key::of("old"), move |tx| {
        rows.iter()
            .try_for_each(|sql| tx.execute(sql, &[]).map(drop))
    });
    stored.await.expect("the old tables take it");
}

on_both_databases! {
    async fn groups_older_than_their_numbers_keep_their_tasks_and_get_new_ones(kind) {
        let database = Database::new(kind);
        left(&database, &before(2), OLD_GROUPS).await;

        let yard = Yard::over(database);
        for group in ["second", "left", "bereft", "later"] {
            let group_id = group.to_owned();
            let scheduler_id = "sched".to_owned();
            yard.create(START, NewTask { group_id, scheduler_id, ..new_task(group) }).await;
        }
        for (group, members) in [
            ("first", vec!["z", "x"]),
            ("second", vec!["y", "second"]),
            ("left", vec!["left"]),
            ("bereft", vec!["bereft"]),
            ("later", vec!["later"]),
        ] {
            let cancelled = yard
                .write(move |tx| {
                    task::seal(tx, START, group)?.expect("a group");
                    let size = task::group_size(tx, group)?;
                    let members = task::cancel_members(tx, START, group, (false, 0), 10)?;
                    Ok((size, members.expect("a sealed group").changed))
                })
                .await;
            let mut ids: Vec<_> = cancelled.1.iter().map(|task| task.id.as_str()).collect();
            let mut members = members;
            ids.sort_unstable();
            members.sort_unstable();
            assert_eq!((cancelled.0, &ids), (members.len(), &members), "{group}");
        }
    }

    async fn workers_keep_the_claims_they_had_before_those_became_a_line(kind) {
        let database = Database::new(kind);
        left(&database, &before(3), OLD_WORKERS).await;
        let yard = Yard::over(database);
        for (id, claims) in [("none", vec![]), ("one", vec![("a-_A", 0)]), ("two", vec![("a-_A", 0), ("b", 12)])] {
            let worker = Worker { group: "group".to_owned(), id: id.to_owned() };
            let known = yard.write(move |tx| worker::worker(tx, START, "prov/type", &worker)).await;
            let (record, _) = known.expect("it is known");
            let recent: Vec<_> = record.recent.iter().map(|run| (run.task_id.as_str(), run.run_id)).collect();
            assert_eq!(recent, claims, "{id}");
        }
    }
}
