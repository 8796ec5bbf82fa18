//! Workers of the client library against a real server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use taskyard_client::taskstore::{
    Available, Claim, Error, Listing, NewTask, Taskstore, Update, blocking,
};
use tokio_util::sync::CancellationToken;

use super::mapreduce::count_words;
use super::{start, start_alone};
use crate::server::soon;

const HELD: Listing = Listing {
    limit: 0,
    with_held: true,
    after: None,
};

/// Waits until the only task of a group is held for longer than until `before`; until when it is.
async fn renewed(store: &Taskstore, group: &str, before: i64) -> i64 {
    let renewal = async {
        loop {
            let until = store.group(group, HELD).await.unwrap()[0].available_at;
            if until > before {
                return until;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon(renewal).await
}

#[tokio::test]
async fn words_are_counted_right_though_a_worker_breaks_down() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let texts: Vec<String> = (0..12)
        .map(|n| format!("each text has {n} and word{}", n % 4))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut expected = BTreeMap::new();
    for word in texts.iter().flat_map(|text| text.split(' ')) {
        *expected.entry(word.to_owned()).or_insert(0) += 1;
    }
    let counts = count_words(&server.options(), "job", &texts).await.unwrap();
    assert_eq!(counts, expected);
    assert_eq!(
        Taskstore::new(server.options())
            .unwrap()
            .groups()
            .await
            .unwrap(),
        [""; 0]
    );
}

#[tokio::test]
async fn a_worker_keeps_its_task_for_as_long_as_the_handler_takes() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let store = Taskstore::new(server.options()).unwrap();
    store
        .update(Update::new().add_task(NewTask::new("in", "x")))
        .await
        .unwrap();
    // It is renewed after a third of this; what is left is enough for a machine that stands still
    // for seconds.
    let lease = Duration::from_secs(15);
    let other = Taskstore::new(server.options()).unwrap();
    let worker = store.worker("in").lease(lease).until_empty();
    let begun = AtomicUsize::new(0);
    worker
        .run(async |task: taskyard_client::taskstore::Task| {
            begun.fetch_add(1, Ordering::SeqCst);
            // The second time is under the id that the first one gave.
            let first = renewed(&other, "in", task.available_at).await;
            renewed(&other, "in", first).await;
            // Whoever looks meanwhile finds nothing.
            let claim = Claim::new("in", lease);
            assert_eq!(other.claim(&claim).await.unwrap(), []);
            Ok(Update::new()
                .add_task(NewTask::new("out", task.data))
                .depend(task.id))
        })
        .await
        .unwrap();
    assert_eq!(begun.load(Ordering::SeqCst), 1);
    let out = store.group("out", HELD).await.unwrap();
    assert_eq!((out.len(), out[0].text()), (1, Some("x")));
    assert_eq!(store.group("in", HELD).await.unwrap(), []);
}

#[tokio::test]
async fn a_handler_that_fails_gets_its_task_again_until_it_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let store = Taskstore::new(server.options()).unwrap();
    store
        .update(Update::new().add_task(NewTask::new("in", "x")))
        .await
        .unwrap();
    let attempts = AtomicUsize::new(0);
    let worker = store
        .worker("in")
        .retry_after(Duration::ZERO)
        .give_up_after(3, "err");
    worker
        .until_empty()
        .run(async |_| {
            attempts.fetch_add(1, Ordering::SeqCst);
            Err("it does not work".into())
        })
        .await
        .unwrap();
    assert_eq!(attempts.load(Ordering::SeqCst), 3);
    assert_eq!(store.groups().await.unwrap(), ["err"]);
}

#[tokio::test]
async fn a_worker_stops_when_it_is_told_to_and_waits_for_tasks_until_then() {
    let folder = tempfile::tempdir().unwrap();
    let (server, alone) = start_alone(folder.path()).await;
    let store = Taskstore::at(&alone, server.options()).unwrap();
    let stop = CancellationToken::new();
    let worker = store.worker("in").or("in2").until(stop.clone());
    let working = worker.run(async |task: taskyard_client::taskstore::Task| {
        stop.cancel();
        Ok(Update::new().change(task.id, "seen", Available::Now))
    });
    let adding = store.update(Update::new().add_task(NewTask::new("in2", vec![0xff, 0])));
    let (worked, added) = tokio::join!(working, adding);
    worked.unwrap();
    assert_eq!(added.unwrap()[0].data, [0xff, 0]);
    assert_eq!(
        store.group("in2", HELD).await.unwrap()[0].text(),
        Some("seen")
    );
}

#[tokio::test]
async fn refusals_carry_what_stood_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let store = Taskstore::new(server.options()).unwrap();
    let other = store.with_id(store.id() ^ 1);
    store
        .update(Update::new().add_task(NewTask::new("a/b c", "x")))
        .await
        .unwrap();
    let held = store
        .claim(&Claim::new("a/b c", Duration::from_mins(1)))
        .await
        .unwrap();
    let id = held[0].id;
    let refused = other
        .update(Update::new().delete(id).delete(99).depend(98))
        .await;
    let Err(Error::Refused(refusal)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(
        (refusal.owned, refusal.deletes, refusal.depends),
        (vec![id], vec![99], vec![98])
    );
    let refused = store.update(Update::new()).await;
    let Err(Error::Refused(refusal)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(refusal.bugs, ["empty update requested"]);
    let refused = other
        .claim(&Claim::new("x", Duration::ZERO).depend(97))
        .await;
    assert_eq!(refused.unwrap_err().refusal().unwrap().depends, [97]);
    assert_eq!(store.task(id).await.unwrap().unwrap(), held[0]);
    let tasks = store.tasks(&[id, 1]).await.unwrap();
    assert_eq!(tasks, [Some(held[0].clone()), None]);
    assert_eq!(store.group_stats("a/b c").await.unwrap().claimed, 1);
}

#[test]
fn the_blocking_client_works_without_a_runtime_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(start(folder.path()));
    let store = blocking::Taskstore::new(server.options()).unwrap();
    let adds = (0..5).fold(Update::new(), |update, n| {
        update.add_task(NewTask::new("in", n.to_string()))
    });
    assert_eq!(store.update(adds).unwrap().len(), 5);
    assert_eq!(store.groups().unwrap(), ["in"]);
    let handled = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&handled);
    store
        .run(&store.worker("in").until_empty(), move |_| {
            counting.fetch_add(1, Ordering::SeqCst);
            Ok(Update::new())
        })
        .unwrap();
    assert_eq!(handled.load(Ordering::SeqCst), 5);
    assert_eq!(store.stats().unwrap(), []);
    runtime.block_on(server.kill());
}
