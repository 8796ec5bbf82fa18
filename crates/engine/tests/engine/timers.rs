//! The timer sleeps until something is due, and is woken when that comes nearer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use taskyard_engine::clock::Clock;
use taskyard_engine::lease::{self, NewEntry, Queue};
use taskyard_engine::task::{self, NewTask, State};
use taskyard_engine::timer::Timer;
use taskyard_engine::{Nanos, Timestamp};
use taskyard_store::{Topic, on_both_databases};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::creation::nodes;
use crate::yard::{Bytes, QUEUE, SOON, START, Yard, new_task, secs};

/// A timer that runs by itself.
struct Running {
    stop: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(yard: &Yard, clock: &Clock) -> Self {
        let timer = Timer::new(
            yard.store.clone(),
            clock.clone(),
            Arc::new(Bytes::default()),
        );
        let stop = Arc::new(Notify::new());
        Running {
            stop: Arc::clone(&stop),
            task: tokio::spawn(timer.run(stop)),
        }
    }

    async fn stop(self) {
        self.stop.notify_one();
        tokio::time::timeout(SOON, self.task)
            .await
            .expect("it stops")
            .expect("it did not panic");
    }
}

/// A task of now, whatever the clock shows.
fn current_task(clock: &Clock, id: &str) -> NewTask {
    let now = clock.now();
    NewTask {
        deadline: now.plus(secs(7200)),
        expires: now.plus(secs(90_000)),
        ..new_task(id)
    }
}

/// Waits until `id` is in `state`, looking whenever `topic` is woken.
async fn becomes(yard: &Yard, id: &str, state: State, topic: Topic) {
    let mut waiter = yard.store.wait_for(topic);
    let wait = async {
        while yard.task(id).await.map(|task| task.state()) != Some(state) {
            waiter.woken().await;
        }
    };
    tokio::time::timeout(SOON, wait)
        .await
        .expect("it happens soon");
}

/// Puts an entry that is held until `at`.
async fn put_held(yard: &Yard, now: Timestamp, at: Timestamp) {
    yard.write(move |tx| {
        let queue = Queue::group("group");
        let entry = NewEntry {
            available_at: Nanos::from(at),
            ..NewEntry::ready(&queue, now)
        };
        lease::put(tx, now, &[entry])
    })
    .await;
}

on_both_databases! {
    /// I4
    async fn a_claim_ends_when_the_clock_says_so(kind) {
        let yard = Yard::new(kind);
        let clock = Clock::default();
        let timer = Running::start(&yard, &clock);
        yard.create(clock.now(), current_task(&clock, "task")).await;
        assert_eq!(yard.claim(clock.now(), "w", 1).await.len(), 1);
        clock.move_by(secs(1201).as_micros() as i64);
        becomes(&yard, "task", State::Pending, Queue::runs(QUEUE).topic()).await;
        timer.stop().await;
    }

    /// The timer sleeps up to five seconds; the alarm wakes it earlier.
    async fn an_alarm_wakes_the_timer_for_what_is_due_before_it_meant_to_look(kind) {
        let yard = Yard::new(kind);
        let clock = Clock::default();
        let topic = Queue::group("group").topic();
        let mut waiter = yard.store.wait_for(topic);
        // It was due before the timer began, so it is found by its first look.
        let now = clock.now();
        put_held(&yard, Timestamp(now.0 - 10), Timestamp(now.0 - 5)).await;
        let timer = Running::start(&yard, &clock);
        tokio::time::timeout(SOON, waiter.woken()).await.expect("the timer looks");

        // Without the alarm each of them would have to wait for five seconds.
        let mut all = Vec::new();
        for _ in 0..10 {
            let started = Instant::now();
            let now = clock.now();
            put_held(&yard, now, now.plus(Duration::from_millis(300))).await;
            tokio::time::timeout(SOON, waiter.woken()).await.expect("the entry comes back");
            let took = started.elapsed();
            if took >= Duration::from_millis(250) && took < Duration::from_secs(3) {
                return timer.stop().await;
            }
            all.push(took);
        }
        panic!("entries came back after {all:?}");
    }

    async fn a_timer_that_is_told_to_stop_stops(kind) {
        let yard = Yard::new(kind);
        let timer = Running::start(&yard, &Clock::default());
        timer.stop().await;
    }

    /// I16: a step that is taken twice changes nothing.
    async fn timers_of_two_nodes_do_everything_once(kind) {
        let yard = Yard::new(kind);
        let nodes = nodes(&yard, kind);
        let all: Vec<NewTask> = (0..120).map(|at| new_task(&format!("task-{at:03}"))).collect();
        yard.create_all(START, all).await;
        let claimed: BTreeSet<String> =
            yard.claim(START, "w", 60).await.into_iter().map(|claim| claim.task.id).collect();
        assert_eq!(claimed.len(), 60);
        let sweeps = async |now: Timestamp| {
            let sweeps = nodes.iter().map(|store| {
                let bytes = Arc::new(Bytes::default());
                let mut timer = Timer::new(store.clone(), Clock::default(), bytes);
                tokio::spawn(async move { timer.sweep(now).await.map(drop) })
            });
            for sweep in sweeps.collect::<Vec<_>>() {
                sweep.await.expect("no panic").expect("the sweep succeeds");
            }
        };
        sweeps(START.plus(secs(1200))).await;
        for at in 0..120 {
            let task = yard.task(&format!("task-{at:03}")).await.expect("it exists");
            let expected = if claimed.contains(&task.id) { (2, 4) } else { (1, 5) };
            assert_eq!((task.runs.len(), task.retries_left), expected);
        }
        sweeps(START.plus(secs(3660))).await;
        for at in 0..120 {
            let task = yard.task(&format!("task-{at:03}")).await.expect("it exists");
            assert_eq!(task.state(), State::Exception);
            assert_eq!(task.runs.len(), if claimed.contains(&task.id) { 2 } else { 1 });
        }
    }

    /// I8
    async fn a_duty_that_fails_does_not_keep_the_others_from_being_done(kind) {
        let yard = Yard::new(kind);
        yard.create(START, new_task("broken")).await;
        yard.claim(START, "w", 1).await;
        yard.create(START, new_task("sound")).await;
        yard.write(|tx| tx.execute("UPDATE tasks SET runs = '?' WHERE task_id = 'broken'", &[]))
            .await;
        let late = START.plus(secs(3660));
        assert!(yard.timer().sweep(late).await.is_err());
        let sound = yard.task("sound").await.expect("it exists");
        assert_eq!(sound.runs[0].exception, Some(task::Exception::DeadlineExceeded));
    }

    /// I4
    async fn a_sweep_tells_when_to_look_again(kind) {
        let yard = Yard::new(kind);
        // Nothing is due: what has expired is looked for every ten minutes.
        assert_eq!(yard.sweep(START).await, START.plus(secs(600)));
        let mut new = new_task("task");
        new.deadline = START.plus(secs(200));
        yard.create(START, new).await;
        assert_eq!(yard.sweep(START).await, START.plus(secs(260)));
        put_held(&yard, START, START.plus(secs(100))).await;
        assert_eq!(yard.sweep(START).await, START.plus(secs(100)));
    }
}
