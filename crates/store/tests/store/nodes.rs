//! Several nodes on one PostgreSQL.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use taskyard_store::testing::{Database, Kind};
use taskyard_store::{Error, Store, Topic, Tx, Waiter, params};

use crate::conversation::{hand_in, stop};
use crate::ledger::{add, enter, entries, key, open, value};
use crate::terminations::Session;

/// Two nodes of which each hears what the other tells and nothing else.
fn two_nodes() -> (Database, Store, Store) {
    let database = Database::new(Kind::Postgres).without_slow_poll();
    let (here, there) = (open(&database), open(&database));
    (database, here, there)
}

fn topic() -> Topic {
    Topic::new("queue", "a")
}

/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(1);

async fn woken_in_time(waiter: &mut Waiter) {
    tokio::time::timeout(PATIENCE, waiter.woken())
        .await
        .expect("it is woken in time");
}

/// Waits until every node of `database` listens for wake-ups.
fn await_listeners(database: &Database, nodes: i64) {
    const LISTENERS: &str = "SELECT COUNT(*) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN %' AND state = 'idle'";
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut session = Session::of(database);
            while session.number(LISTENERS) < nodes {}
        });
    });
}

/// Commits, on `node`, something that wakes `count` waiters.
async fn wake(node: &Store, id: i64, count: usize) {
    node.write(key(), move |tx| {
        for _ in 0..count {
            tx.wake(topic());
        }
        enter(tx, id)
    })
    .await
    .expect("committed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wake_ups_travel_to_waiters_on_other_nodes() {
    let (_database, here, there) = two_nodes();
    for id in 0..5 {
        let mut waiter = there.wait_for(topic());
        wake(&here, id, 1).await;
        woken_in_time(&mut waiter).await;
        assert!(entries(&there).await.contains(&id));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_wake_ups_and_those_for_all_travel_too() {
    let (_database, here, there) = two_nodes();
    let mut waiters: Vec<_> = (0..3).map(|_| there.wait_for(topic())).collect();
    wake(&here, 1, 3).await;
    for waiter in &mut waiters {
        woken_in_time(waiter).await;
    }
    here.write(key(), |tx| {
        tx.wake_all(topic());
        enter(tx, 2)
    })
    .await
    .expect("committed");
    for waiter in &mut waiters {
        woken_in_time(waiter).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_closes_tells_the_others_what_it_committed_last() {
    let (_database, here, there) = two_nodes();
    let mut waiter = there.wait_for(topic());
    let (stop, mut stopped) = stop();
    let call = hand_in(&here, move |tx| {
        stop.here();
        tx.wake(topic());
        enter(tx, 1)
    })
    .await;
    stopped.reached().await;
    drop(call);
    let closing = tokio::task::spawn_blocking(move || drop(here));
    stopped.go_on();
    closing.await.expect("it closes");
    woken_in_time(&mut waiter).await;
    assert_eq!(entries(&there).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_whose_connection_ended_listens_again() {
    let (database, here, there) = two_nodes();
    await_listeners(&database, 2);
    std::thread::scope(|scope| {
        scope
            .spawn(|| Session::of(&database).terminate_all())
            .join()
    })
    .expect("connections ended");
    await_listeners(&database, 2);
    let mut waiter = there.wait_for(topic());
    wake(&here, 1, 1).await;
    woken_in_time(&mut waiter).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_hint_is_made_good_by_the_slow_poll() {
    let database = Database::new(Kind::Postgres);
    let node = open(&database);
    let mut waiter = node.wait_for(topic());
    // Committed by somebody who sends no hints.
    std::thread::scope(|scope| {
        scope.spawn(|| Session::of(&database).run("INSERT INTO entries (id) VALUES (1)"));
    });
    let looking = async {
        while entries(&node).await.is_empty() {
            waiter.woken().await;
        }
        waiter.woken().await;
    };
    tokio::time::timeout(PATIENCE, looking)
        .await
        .expect("the slow poll comes");
}

/// Locks two counters one after the other and adds to both. In the run `meets_in` it meets the
/// other between its locks; before that it gives way without a lock.
fn add_to_both(
    [first, second]: [&'static str; 2],
    meet: Arc<Barrier>,
    meets_in: usize,
    runs: Arc<AtomicUsize>,
) -> impl Fn(&mut Tx<'_>) -> Result<(), Error> + Send {
    const LOCK: &str = "SELECT value FROM counters WHERE name = $1 FOR UPDATE";
    move |tx| {
        let run = runs.fetch_add(1, Ordering::SeqCst);
        if run < meets_in {
            return Err(tx.overtaken("not yet"));
        }
        tx.query(LOCK, params![first], |row| row.get::<i64>(0))?;
        if run == meets_in {
            meet.wait();
        }
        tx.query(LOCK, params![second], |row| row.get::<i64>(0))?;
        add(tx, first, 1)?;
        add(tx, second, 1)
    }
}

async fn check_opposite_order(meets_in: usize) {
    let (_database, here, there) = two_nodes();
    here.write(key(), |tx| {
        add(tx, "a", 0)?;
        add(tx, "b", 0)
    })
    .await
    .expect("committed");
    let meet = Arc::new(Barrier::new(2));
    let (one, two) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (first, second) = tokio::join!(
        here.write(
            key(),
            add_to_both(["a", "b"], Arc::clone(&meet), meets_in, Arc::clone(&one)),
        ),
        there.write(
            key(),
            add_to_both(["b", "a"], meet, meets_in, Arc::clone(&two))
        ),
    );
    first.expect("committed");
    second.expect("committed");
    let runs = one.load(Ordering::SeqCst) + two.load(Ordering::SeqCst);
    assert!(
        runs > 2 * (meets_in + 1),
        "one of them had to give way in {runs} runs"
    );
    assert_eq!(value(&here, "a").await, 2);
    assert_eq!(value(&here, "b").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_that_lock_the_same_rows_in_opposite_order_are_both_committed() {
    check_opposite_order(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closures_alone_that_lock_the_same_rows_in_opposite_order_are_both_committed() {
    check_opposite_order(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closure_whose_guard_finds_that_another_node_was_faster_is_run_again() {
    let (_database, here, there) = two_nodes();
    here.write(key(), |tx| add(tx, "a", 10))
        .await
        .expect("committed");
    let runs = Arc::new(AtomicUsize::new(0));
    let (counted, faster) = (Arc::clone(&runs), there.clone());
    let runtime = tokio::runtime::Handle::current();
    let seen = here
        .write(key(), move |tx| {
            const LOOK: &str = "SELECT value FROM counters WHERE name = 'a'";
            const DOUBLE: &str =
                "UPDATE counters SET value = value * 2 WHERE name = 'a' AND value = $1";
            let seen = tx
                .query_opt(LOOK, &[], |row| row.get::<i64>(0))?
                .unwrap_or(0);
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                runtime.block_on(faster.write(key(), |tx| add(tx, "a", 5)))?;
            }
            if tx.execute(DOUBLE, params![seen])? == 0 {
                return Err(tx.overtaken("counter a"));
            }
            Ok(seen)
        })
        .await
        .expect("committed");
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    assert_eq!(seen, 15);
    assert_eq!(value(&there, "a").await, 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_from_two_nodes_are_all_counted() {
    let (_database, here, there) = two_nodes();
    let tasks: Vec<_> = (0..100)
        .map(|id| {
            let node = if id % 2 == 0 {
                here.clone()
            } else {
                there.clone()
            };
            tokio::spawn(async move {
                node.write(key(), move |tx| {
                    add(tx, "a", 1)?;
                    enter(tx, id)
                })
                .await
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("it ends").expect("committed");
    }
    assert_eq!(value(&here, "a").await, 100);
}
