//! Databases of older releases.

use taskyard_engine::task::{self, NewTask};
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

/// Every step but the one that numbers groups.
fn before_group_numbers() -> Vec<Migration> {
    let mut steps = migrations();
    let all = steps.len();
    steps.retain(|step| (step.component, step.id) != ("task-queues", 2));
    assert_eq!(steps.len(), all - 1);
    steps
}

on_both_databases! {
    async fn groups_older_than_their_numbers_keep_their_tasks_and_get_new_ones(kind) {
        let database = Database::new(kind);
        let old = database.open(&before_group_numbers());
        let stored = old.write(Key::of("old"), |tx| {
            OLD_GROUPS.iter().try_for_each(|sql| tx.execute(sql, &[]).map(drop))
        });
        stored.await.expect("the old tables take it");
        drop(old);

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
}
