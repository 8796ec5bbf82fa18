//! Clients hammer updates while the server is killed, again and again.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use taskyard_client::Retry;
use taskyard_client::taskstore::{Available, Error, Listing, NewTask, Task, Taskstore, Update};

use super::start;
use crate::server::soon;

/// Kills; `TASKYARD_TEST_CRASHES` sets another number.
const CRASHES: usize = 10;
const CLIENTS: usize = 8;
/// Tasks that each client replaces in every update.
const TASKS: usize = 3;
/// Updates that are acknowledged between two kills at least, all clients together.
const UPDATES: u64 = 11;

/// What a client knows of its group.
#[derive(Debug, Default)]
struct Known {
    /// The last update that was acknowledged.
    generation: u64,
    /// What it left.
    tasks: Vec<Task>,
    /// Updates acknowledged.
    acknowledged: u64,
    /// All ids it was ever told.
    ids: Vec<i64>,
}

/// Replaces the client's tasks by those of the next generation until the server is gone. Two of
/// them are deleted and added anew, one is changed.
async fn hammer(store: Taskstore, group: String, known: Arc<Mutex<Known>>) {
    loop {
        let (generation, old) = {
            let known = known.lock().unwrap();
            (known.generation + 1, known.tasks.clone())
        };
        let data = generation.to_string();
        let mut update = Update::new();
        for (at, task) in old.iter().enumerate() {
            update = match at {
                0 => update.change(
                    task.id,
                    data.clone(),
                    Available::After(Duration::from_hours(1)),
                ),
                _ => update.delete(task.id),
            };
        }
        for _ in usize::from(!old.is_empty())..TASKS {
            update = update.add_task(NewTask::new(&group, data.clone()));
        }
        match store.update(update).await {
            Ok(tasks) => {
                assert_eq!(tasks.len(), TASKS);
                let mut known = known.lock().unwrap();
                known.generation = generation;
                known.ids.extend(tasks.iter().map(|task| task.id));
                known.tasks = in_order(tasks);
                known.acknowledged += 1;
            }
            Err(Error::Refused(refusal)) => panic!("{group}: {refusal}"),
            Err(_) => return,
        }
    }
}

/// Updates that were acknowledged so far, all clients together.
fn acknowledged(all: &[Arc<Mutex<Known>>]) -> u64 {
    all.iter()
        .map(|known| known.lock().unwrap().acknowledged)
        .sum()
}

/// The task that is held first: it is the one to be changed.
fn in_order(mut tasks: Vec<Task>) -> Vec<Task> {
    tasks.sort_by_key(|task| std::cmp::Reverse(task.available_at));
    tasks
}

/// Compares what is there after a restart with what was acknowledged, and goes on from there.
async fn check(store: &Taskstore, group: &str, known: &Mutex<Known>, ids: &mut HashSet<i64>) {
    let listing = Listing {
        with_held: true,
        ..Listing::default()
    };
    let found = store
        .group(group, listing)
        .await
        .expect("the server answers");
    let mut known = known.lock().unwrap();
    for id in std::mem::take(&mut known.ids) {
        assert!(ids.insert(id), "{group}: {id} was given twice");
    }
    let generations: HashSet<&str> = found.iter().filter_map(Task::text).collect();
    let generations: Vec<u64> = generations
        .into_iter()
        .map(|text| text.parse().expect("a generation"))
        .collect();
    match generations[..] {
        [] => assert_eq!(known.generation, 0, "{group}: everything is lost"),
        [generation] => {
            assert_eq!(found.len(), TASKS, "{group}: an update is half applied");
            if generation == known.generation {
                let sorted = |tasks: &[Task]| {
                    let mut ids: Vec<i64> = tasks.iter().map(|task| task.id).collect();
                    ids.sort_unstable();
                    ids
                };
                assert_eq!(sorted(&found), sorted(&known.tasks));
            } else {
                // It was committed, but its answer was cut off.
                assert_eq!(
                    generation,
                    known.generation + 1,
                    "{group}: an update is lost"
                );
                for task in &found {
                    assert!(ids.insert(task.id), "{group}: {} was given twice", task.id);
                }
            }
            known.generation = generation;
            known.tasks = in_order(found);
        }
        _ => panic!("{group}: an update is half applied: {found:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_every_kill_and_ids_never_repeat() {
    let crashes = std::env::var("TASKYARD_TEST_CRASHES");
    let crashes = crashes.map_or(CRASHES, |count| count.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let all: Vec<Arc<Mutex<Known>>> = (0..CLIENTS).map(|_| Arc::default()).collect();
    let group = |client: usize| format!("client-{client}");
    let mut ids = HashSet::new();
    let mut greatest = 0;
    for crash in 0..=crashes {
        let server = start(folder.path()).await;
        let options = server.options().with_retry(Retry {
            retries: 0,
            ..Retry::default()
        });
        // All of them hold under one id, so that each may go on where the one before was killed.
        let store = Taskstore::new(options).expect("a client").with_id(1);
        for (client, known) in all.iter().enumerate() {
            check(&store, &group(client), known, &mut ids).await;
        }
        let fresh = store
            .update(Update::new().add_task(NewTask::new("probe", "")))
            .await;
        let fresh = fresh.expect("an update")[0].id;
        assert!(
            ids.iter().all(|id| *id < fresh) && fresh > greatest,
            "ids go on growing"
        );
        greatest = fresh;
        if crash == crashes {
            break;
        }
        let before = acknowledged(&all);
        let clients: Vec<_> = all
            .iter()
            .enumerate()
            .map(|(client, known)| {
                tokio::spawn(hammer(store.clone(), group(client), Arc::clone(known)))
            })
            .collect();
        let under_load = async {
            while acknowledged(&all) < before + UPDATES {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        soon(under_load).await;
        // When the kill comes is what the test is about: there is nothing more to wait for.
        let (_, random) = uuid::Uuid::new_v4().as_u64_pair();
        tokio::time::sleep(Duration::from_millis(20 + random % 200)).await;
        server.kill().await;
        for client in clients {
            client.await.expect("only the kill ends a client");
        }
    }
    let acknowledged = acknowledged(&all);
    assert!(
        acknowledged >= crashes as u64 * UPDATES,
        "only {acknowledged} updates in all"
    );
}
