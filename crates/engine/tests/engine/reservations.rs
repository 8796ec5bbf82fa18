//! Pending runs are set aside for somebody, and come back.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use taskyard_engine::clock::Clock;
use taskyard_engine::lease::{self, Queue};
use taskyard_engine::stacks::{self, Finish, Outline, Position};
use taskyard_engine::task::{self, NewTask, Priority, Resolved, State};
use taskyard_engine::timer::Timer;
use taskyard_engine::{Timestamp, reservation};
use taskyard_store::on_both_databases;
use taskyard_store::testing::Kind;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::history::for_all;
use crate::yard::{Bytes, QUEUE, SOON, START, Yard, named, new_task, secs};

const ANY: fn(&str) -> bool = |_| true;

async fn reserve(
    yard: &Yard,
    now: Timestamp,
    owner: &str,
    ids: &[String],
    for_secs: u64,
) -> BTreeSet<String> {
    let (owner, ids) = (owner.to_owned(), ids.to_vec());
    let until = now.plus(secs(for_secs));
    let got = yard
        .write(move |tx| reservation::reserve(tx, now, &owner, &ids, until, &ANY))
        .await;
    got.into_iter().collect()
}

/// The ids of the listed jobs, in their order.
async fn listed(yard: &Yard) -> Vec<String> {
    let found = yard
        .read(|tx| stacks::pending(tx, QUEUE, Position::START, 1000))
        .await;
    assert!(found.is_sorted_by(|a, b| a.at < b.at));
    found.into_iter().map(|job| job.task_id).collect()
}

/// What may happen to a few jobs. Places are those of the jobs, owners are numbered.
#[derive(Debug, Clone)]
enum Step {
    Reserve(usize, Vec<usize>, u64),
    ClaimWork(usize),
    Finish(usize, usize),
    Cancel(usize),
    Wait(u64),
}

const JOBS: usize = 6;
const OWNERS: usize = 2;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..OWNERS, prop::collection::vec(0..JOBS + 1, 0..JOBS), 1..50_u64)
            .prop_map(|(owner, jobs, lasting)| Step::Reserve(owner, jobs, lasting)),
        1 => (1..JOBS).prop_map(Step::ClaimWork),
        1 => (0..OWNERS, 0..JOBS).prop_map(|(owner, job)| Step::Finish(owner, job)),
        1 => (0..JOBS).prop_map(Step::Cancel),
        3 => (1..30_u64).prop_map(Step::Wait),
    ]
}

/// What is known of each job that still waits: who has reserved it, until when.
type Model = BTreeMap<usize, Option<(usize, Timestamp)>>;

fn id(at: usize) -> String {
    format!("job-{at}")
}

fn owner(at: usize) -> String {
    format!("stack:{at}")
}

fn is_free(
    known: Option<&Option<(usize, Timestamp)>>,
    for_owner: Option<usize>,
    now: Timestamp,
) -> bool {
    match known {
        None => false,
        Some(None) => true,
        Some(Some((owner, until))) => for_owner == Some(*owner) || *until <= now,
    }
}

async fn perform(
    yard: &Yard,
    model: &mut Model,
    now: &mut Timestamp,
    step: &Step,
) -> Result<(), String> {
    let at = *now;
    match step {
        Step::Reserve(who, jobs, lasting) => {
            let ids: Vec<String> = jobs.iter().map(|job| id(*job)).collect();
            let got = reserve(yard, at, &owner(*who), &ids, *lasting).await;
            let mut expected = BTreeSet::new();
            for job in jobs {
                if is_free(model.get(job), Some(*who), at) {
                    expected.insert(id(*job));
                    model.insert(*job, Some((*who, at.plus(secs(*lasting)))));
                }
            }
            if got != expected {
                return Err(format!("reserved {got:?} instead of {expected:?}"));
            }
        }
        Step::ClaimWork(count) => {
            let claimed = yard.claim(at, "w", *count).await;
            // What has fallen due was returned after the step before.
            let free: BTreeSet<String> = model
                .iter()
                .filter(|(_, known)| known.is_none())
                .map(|(job, _)| id(*job))
                .collect();
            let got: BTreeSet<String> = claimed.into_iter().map(|claim| claim.task.id).collect();
            if !got.is_subset(&free) || got.len() != free.len().min(*count) {
                return Err(format!("claimed {got:?} of {free:?}"));
            }
            model.retain(|job, _| !got.contains(&id(*job)));
        }
        Step::Finish(who, job) => {
            let (task_id, own, worker) = (id(*job), owner(*who), stacks::worker("s"));
            let done = yard
                .write(move |tx| {
                    let what = Finish {
                        task_id: &task_id,
                        owner: &own,
                        worker: &worker,
                        resolved: Resolved::Completed,
                    };
                    let done = stacks::finish(tx, at, what)?;
                    Ok(done.map(|(task, is_repeated)| (task.state(), is_repeated)))
                })
                .await;
            let is_new = done == Ok((State::Completed, false));
            if is_new != is_free(model.get(job), Some(*who), at) {
                return Err(format!("the finish answered {done:?}"));
            }
            if is_new {
                model.remove(job);
            }
        }
        Step::Cancel(job) => {
            let task_id = id(*job);
            yard.write(move |tx| Ok(task::cancel(tx, at, &task_id)?.is_ok()))
                .await;
            model.remove(job);
        }
        Step::Wait(by) => {
            *now = at.plus(secs(*by));
            yard.sweep(*now).await;
            for known in model.values_mut() {
                if known.is_some_and(|(_, until)| until <= *now) {
                    *known = None;
                }
            }
        }
    }
    let found: BTreeSet<String> = listed(yard).await.into_iter().collect();
    let free = model.iter().filter(|(_, known)| known.is_none());
    let expected: BTreeSet<String> = free.map(|(job, _)| id(*job)).collect();
    if found != expected {
        return Err(format!("{found:?} is listed instead of {expected:?}"));
    }
    Ok(())
}

on_both_databases! {
    /// Every job is free, somebody's, or no longer waiting, and never two of these.
    async fn jobs_are_reserved_by_one_at_a_time_in_any_history(kind) {
        let cases = match kind {
            Kind::Sqlite => 60,
            Kind::Postgres => 12,
        };
        let handle = Handle::current();
        let history = prop::collection::vec(step(), 1..30);
        // One database for all: each history has left nothing that waits.
        let yard = Cell::new(Some(Yard::new(kind)));
        let begin = Cell::new(START);
        for_all(cases, history, |history| {
            let taken = yard.take().expect("one history at a time");
            let start = begin.get();
            let (taken, outcome, end) = handle.block_on(async {
                let jobs = (0..JOBS).map(|at| NewTask {
                    priority: Priority::ALL[at % 7],
                    deadline: start.plus(secs(10_000)),
                    expires: start.plus(secs(10_000)),
                    ..new_task(&id(at))
                });
                taken.create_all(start, jobs.collect()).await;
                let mut model: Model = (0..JOBS).map(|at| (at, None)).collect();
                let mut now = start;
                let mut outcome = Ok(());
                for step in &history {
                    outcome = perform(&taken, &mut model, &mut now, step).await;
                    if outcome.is_err() {
                        break;
                    }
                }
                // All of it is over, and forgotten, before the next begins.
                let end = start.plus(secs(20_000));
                taken.sweep(end).await;
                (taken, outcome, end)
            });
            yard.set(Some(taken));
            begin.set(end);
            outcome
        });
    }

    async fn a_timer_returns_what_was_reserved_and_wakes_who_waits_for_work(kind) {
        let yard = Yard::new(kind);
        let clock = Clock::default();
        let bytes = Arc::new(Bytes::default());
        let timer = Timer::new(yard.store.clone(), clock.clone(), bytes);
        let stop = Arc::new(Notify::new());
        let running = tokio::spawn(timer.run(Arc::clone(&stop)));
        let now = clock.now();
        let deadline = now.plus(secs(7200));
        yard.create(now, NewTask { deadline, expires: deadline, ..new_task("a") }).await;
        assert_eq!(reserve(&yard, now, "stack:a", &["a".to_owned()], 600).await.len(), 1);
        assert!(yard.claim(now, "w", 1).await.is_empty());
        let mut waiter = yard.store.wait_for(Queue::runs(QUEUE).topic());
        clock.move_by(secs(601).as_micros() as i64);
        tokio::time::timeout(SOON, waiter.woken()).await.expect("it is returned");
        assert_eq!(yard.claim(clock.now(), "w", 1).await.len(), 1);
        stop.notify_one();
        running.await.expect("the timer ends");
    }

    async fn a_reservation_outlasts_a_restart_and_counts_as_pending(kind) {
        let yard = Yard::new(kind);
        yard.create(START, new_task("a")).await;
        yard.create(START, new_task("b")).await;
        reserve(&yard, START, "stack:a", &["a".to_owned()], 600).await;
        let yard = yard.restarted();
        assert_eq!(listed(&yard).await, ["b"]);
        let depth = yard.read(|tx| lease::depth(tx, &Queue::runs(QUEUE), START)).await;
        assert_eq!((depth.ready, depth.held), (2, 0));
        let overview = yard.read(|tx| lease::overview(tx, 10)).await;
        assert_eq!((overview[0].depth.ready, overview[0].depth.held), (2, 0));
        yard.sweep(START.plus(secs(599))).await;
        assert_eq!(listed(&yard).await, ["b"]);
        // The timer means to look just then.
        assert_eq!(yard.sweep(START.plus(secs(1))).await, START.plus(secs(600)));
        yard.sweep(START.plus(secs(600))).await;
        assert_eq!(listed(&yard).await.len(), 2);
    }

    async fn a_listing_has_an_outline_of_each_job_even_of_those_that_were_kept_without_one(kind) {
        let yard = Yard::new(kind);
        let definition = json!({"projectId": "p", "metadata": {"name": "step"}});
        let outline = Outline::of(&definition).to_text().expect("a text");
        let old = NewTask { definition: definition.to_string(), ..new_task("old") };
        yard.create(START, old).await;
        // What is kept is told, whatever the definition says.
        let new = NewTask { outline: outline.clone(), group_id: "g".to_owned(), ..new_task("new") };
        yard.create(START, new).await;
        let found = yard.read(|tx| stacks::pending(tx, QUEUE, Position::START, 1000)).await;
        let told: Vec<_> = found.iter().map(|job| (&*job.task_id, &*job.group_id)).collect();
        assert_eq!(told, [("old", "old"), ("new", "g")]);
        assert!(found.iter().all(|job| job.outline == outline), "{found:?}");
    }

    async fn a_queue_that_the_stack_has_no_right_to_is_left_alone(kind) {
        let yard = Yard::new(kind);
        yard.create(START, new_task("a")).await;
        let other = NewTask { task_queue_id: "prov/other".to_owned(), ..new_task("b") };
        yard.create(START, other).await;
        let got = yard.write(|tx| {
            let ids = ["a".to_owned(), "b".to_owned()];
            let may = |queue: &str| queue == "prov/other";
            reservation::reserve(tx, START, "stack:a", &ids, START.plus(secs(60)), &may)
        }).await;
        assert_eq!(got, HashSet::from(["b".to_owned()]));
        assert_eq!(yard.claim(START, "w", 9).await.len(), 1);
    }

    /// Two stacks and two workers, all after the same jobs.
    async fn a_job_is_reserved_or_claimed_but_never_both(kind) {
        let yard = Arc::new(Yard::new(kind));
        let ids: Vec<String> = (0..200).map(|at| format!("job-{at:03}")).collect();
        yard.create_all(START, ids.iter().map(|id| new_task(id)).collect()).await;
        let mut takers = Vec::new();
        for owner in ["stack:a", "stack:b"] {
            let (yard, ids) = (Arc::clone(&yard), ids.clone());
            takers.push(tokio::spawn(async move {
                let mut got = Vec::new();
                for portion in ids.chunks(7) {
                    got.extend(reserve(&yard, START, owner, portion, 600).await);
                }
                got
            }));
        }
        for worker in ["v", "w"] {
            let yard = Arc::clone(&yard);
            takers.push(tokio::spawn(async move {
                let (worker, until) = (named(worker), START.plus(secs(1200)));
                let mut got = Vec::new();
                for _ in 0..20 {
                    let worker = worker.clone();
                    let claimed = yard.write(move |tx| {
                        task::claim_work(tx, START, QUEUE, &worker, 3, until)
                    }).await;
                    let claimed = claimed.expect("nobody is in quarantine");
                    got.extend(claimed.into_iter().map(|claim| claim.task.id));
                }
                got
            }));
        }
        let mut all = Vec::new();
        for taker in takers {
            all.extend(taker.await.expect("it ends"));
        }
        let distinct: HashSet<&String> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        // What a taker passed over because another had it locked is still there.
        let left = listed(&yard).await;
        assert_eq!(all.len() + left.len(), 200);
    }
}
