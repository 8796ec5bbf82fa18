//! Many at once on one queue: nothing is handed out twice, resolved twice, or lost.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use taskyard_engine::clock::Clock;
use taskyard_engine::lease::{self, Depth, Queue};
use taskyard_engine::task::{self, Claimed, Exception, NewTask, Refusal, Resolved, Task, Worker};
use taskyard_engine::timer::Timer;
use taskyard_store::testing::Kind;
use taskyard_store::{Key, Store, on_both_databases};
use tokio::sync::Notify;

use crate::creation::nodes;
use crate::invariants::Snapshot;
use crate::operation::View;
use crate::yard::{Bytes, QUEUE, SOON, Yard, named, new_task, secs};

/// A run: its task and its number.
type RunKey = (String, usize);

/// What everybody was told.
#[derive(Debug, Default)]
struct Told {
    /// Who was handed which run.
    claims: HashMap<RunKey, Worker>,
    /// How runs ended, according to those who ended them.
    resolutions: HashMap<RunKey, &'static str>,
}

/// A small source of numbers that are the same at each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // SplitMix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (number ^ (number >> 31)) % sides
    }
}

/// One of those who work on the queue.
#[derive(Clone)]
struct Party {
    store: Store,
    clock: Clock,
    told: Arc<Mutex<Told>>,
    over: Arc<AtomicBool>,
    number: usize,
}

impl Party {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn key(&self) -> Key {
        Key::of(self.number)
    }

    /// Claims and reports until all is over.
    async fn work(self) {
        let worker = named(&format!("w{}", self.number));
        let mut dice = Dice(self.number as u64);
        while !self.is_over() {
            let mut waiter = self.store.wait_for(Queue::runs(QUEUE).topic());
            let claimed = self.claim(&worker, 1 + dice.roll(3) as usize).await;
            if claimed.is_empty() {
                // Looks again now and then, as the end wakes nobody.
                drop(tokio::time::timeout(Duration::from_millis(50), waiter.woken()).await);
            }
            for claim in claimed {
                self.finish(&claim, &mut dice).await;
            }
        }
    }

    async fn claim(&self, worker: &Worker, count: usize) -> Vec<Claimed> {
        let now = self.clock.now();
        let owned = worker.clone();
        let claimed = self
            .store
            .write(self.key(), move |tx| {
                task::claim_work(tx, now, QUEUE, &owned, count, now.plus(secs(30)))
            })
            .await
            .expect("the claim is answered")
            .expect("nobody is quarantined");
        assert!(claimed.len() <= count);
        let mut told = self.told.lock().expect("nobody panics");
        for claim in &claimed {
            let run = (claim.task.id.clone(), claim.run_id);
            let other = told.claims.insert(run, worker.clone());
            assert_eq!(other, None, "a run was handed out twice: {claim:?}");
        }
        claimed
    }

    async fn finish(&self, claim: &Claimed, dice: &mut Dice) {
        let resolved = match dice.roll(10) {
            // Falls silent; the claim expires.
            0 => return,
            1 => Resolved::Failed,
            2 => Resolved::Exception(Exception::WorkerShutdown),
            3 => Resolved::Exception(Exception::InternalError),
            4 => {
                self.reclaim(claim).await;
                Resolved::Completed
            }
            _ => Resolved::Completed,
        };
        self.report(claim, resolved).await;
    }

    async fn reclaim(&self, claim: &Claimed) {
        let (now, id, run_id) = (self.clock.now(), claim.task.id.clone(), claim.run_id);
        let answer = self
            .store
            .write(self.key(), move |tx| {
                task::reclaim(tx, now, &id, run_id, now.plus(secs(30)))
            })
            .await
            .expect("the reclaim is answered");
        if let Err(refusal) = answer {
            must_be_overtaken(&refusal);
        }
    }

    async fn report(&self, claim: &Claimed, resolved: Resolved) {
        let (now, id, run_id) = (self.clock.now(), claim.task.id.clone(), claim.run_id);
        let answer = self
            .store
            .write(self.key(), move |tx| {
                task::report(tx, now, &id, run_id, resolved)
            })
            .await
            .expect("the report is answered");
        match answer {
            Ok(task) => self.note(&task, run_id),
            Err(refusal) => must_be_overtaken(&refusal),
        }
    }

    /// Remembers how a run ended; everybody must be told the same.
    fn note(&self, task: &Task, run_id: usize) {
        let reason = task.runs[run_id]
            .reason_resolved()
            .expect("the run is resolved");
        let mut told = self.told.lock().expect("nobody panics");
        let known = *told
            .resolutions
            .entry((task.id.clone(), run_id))
            .or_insert(reason);
        assert_eq!(known, reason, "run {run_id} of {} ended twice", task.id);
    }

    /// Cancels here and there until all is over.
    async fn meddle(self, tasks: usize) {
        let mut dice = Dice(self.number as u64);
        while !self.is_over() {
            let id = task_name(dice.roll(tasks as u64) as usize);
            let now = self.clock.now();
            if dice.roll(3) > 0 {
                let answer = self
                    .store
                    .write(self.key(), move |tx| task::cancel(tx, now, &id))
                    .await
                    .expect("the cancel is answered");
                match answer {
                    Ok(task) => self.note(&task, task.runs.len() - 1),
                    Err(refusal) => must_be_overtaken(&refusal),
                }
            } else {
                let answer = self
                    .store
                    .write(self.key(), move |tx| task::schedule(tx, now, &id))
                    .await
                    .expect("the schedule is answered");
                if let Err(refusal) = answer {
                    must_be_overtaken(&refusal);
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Lets time pass quickly until every task is resolved.
    async fn hurry(self) {
        let open = "SELECT count(*) FROM tasks WHERE is_open = 1";
        let started = Instant::now();
        while !self.is_over() {
            tokio::time::sleep(Duration::from_millis(25)).await;
            self.clock.move_by(secs(5).as_micros() as i64);
            let left = self
                .store
                .read(move |tx| tx.query_opt(open, &[], |row| row.get::<i64>(0)))
                .await
                .expect("the read succeeds");
            if left == Some(0) {
                self.over.store(true, Ordering::SeqCst);
            }
            if started.elapsed() > 3 * SOON {
                // The others end with it.
                self.over.store(true, Ordering::SeqCst);
                panic!("{left:?} tasks are not resolved");
            }
        }
    }
}

/// Nobody is refused but those who come too late.
fn must_be_overtaken(refusal: &Refusal) {
    let is_late = matches!(
        refusal,
        Refusal::WrongState { .. } | Refusal::DeadlinePassed(_)
    );
    assert!(is_late, "{refusal:?}");
}

fn task_name(at: usize) -> String {
    format!("task-{at:04}")
}

on_both_databases! {
    /// I1, I2, I3, I6, I7, I8, I9, I14, I16 and I17, with two nodes and a timer on each.
    async fn nothing_is_handed_out_twice_resolved_twice_or_lost(kind) {
        const TASKS: usize = 200;
        let yard = Yard::new(kind);
        let nodes = nodes(&yard, kind);
        let clock = Clock::default();
        let now = clock.now();
        // A few are overtaken by their deadlines.
        let tasks = (0..TASKS).map(|at| NewTask {
            retries: (at % 3) as u32,
            deadline: now.plus(secs(if at % 10 == 0 { 60 } else { 86_400 })),
            expires: now.plus(secs(900_000)),
            ..new_task(&task_name(at))
        });
        yard.create_all(now, tasks.collect()).await;

        let told = Arc::new(Mutex::new(Told::default()));
        let over = Arc::new(AtomicBool::new(false));
        let party = |number: usize| Party {
            store: nodes[number % 2].clone(),
            clock: clock.clone(),
            told: Arc::clone(&told),
            over: Arc::clone(&over),
            number,
        };
        let stop = Arc::new(Notify::new());
        let timers: Vec<_> = nodes
            .iter()
            .map(|store| {
                let bytes = Arc::new(Bytes::default());
                let timer = Timer::new(store.clone(), clock.clone(), bytes);
                tokio::spawn(timer.run(Arc::clone(&stop)))
            })
            .collect();
        let mut parties: Vec<_> = (0..8).map(|at| tokio::spawn(party(at).work())).collect();
        parties.extend((8..11).map(|at| tokio::spawn(party(at).meddle(TASKS))));
        parties.push(tokio::spawn(party(11).hurry()));
        for done in parties {
            if let Err(failure) = done.await {
                over.store(true, Ordering::SeqCst);
                panic!("{failure}");
            }
        }
        for _ in &timers {
            stop.notify_one();
        }
        for timer in timers {
            timer.await.expect("the timer ends well");
        }

        let now = clock.now();
        let (snapshot, depth) = yard
            .read(move |tx| {
                Ok((Snapshot::read(tx)?, lease::depth(tx, &Queue::runs(QUEUE), now)?))
            })
            .await;
        snapshot.check(now).expect("everything is in order");
        assert_eq!((snapshot.tasks.len(), snapshot.leases.len()), (TASKS, 0));
        assert_eq!(depth, Depth::default());
        let mut told = told.lock().expect("nobody panics");
        for task in snapshot.tasks.values() {
            assert!(!task.is_open() && task.ever_resolved, "{task:?}");
            for (run_id, run) in task.runs.iter().enumerate() {
                let key = (task.id.clone(), run_id);
                // Whoever was told that it has a run, or has ended one, is on record with it.
                assert_eq!(told.claims.remove(&key), run.worker, "{:?}", View::from(task));
                if let Some(reason) = told.resolutions.remove(&key) {
                    assert_eq!(run.reason_resolved(), Some(reason), "{:?}", View::from(task));
                }
            }
        }
        assert!(told.claims.is_empty() && told.resolutions.is_empty(), "{told:?}");
    }

    /// Calls of two nodes that lock tasks in different orders are all answered in the end.
    async fn cancels_in_all_orders_at_once_are_all_answered(kind) {
        let yard = Yard::new(kind);
        let nodes = nodes(&yard, kind);
        let now = crate::yard::START;
        yard.create_all(now, (0..12).map(|at| new_task(&task_name(at))).collect()).await;
        let calls = if kind == Kind::Sqlite { 600 } else { 80 };
        let mut dice = Dice(7);
        let calls: Vec<_> = (0..calls)
            .map(|at: usize| {
                let (store, id) = (nodes[at % 2].clone(), task_name(dice.roll(12) as usize));
                tokio::spawn(async move {
                    store.write(Key::of(at), move |tx| task::cancel(tx, now, &id)).await
                })
            })
            .collect();
        for call in calls {
            let answer = call.await.expect("no panic").expect("the write succeeds");
            assert!(!answer.expect("the deadline has not passed").is_open());
        }
    }
}
