//! Random histories: whatever happens in whatever order, no task is lost, none is sent by two at
//! once without being asked to, and nothing is left behind.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use taskyard_engine::Timestamp;
use taskyard_engine::cloud::dispatch::Dispatch;
use taskyard_engine::cloud::law::{self, Verdict};
use taskyard_engine::cloud::record::Report;
use taskyard_engine::cloud::{NewTask, Outcome, Settings, lookup, node, queue, remove, sweep};
use taskyard_store::testing::Kind;

use crate::yard::{QUEUE, START, Yard, limited, named};

/// Counts what must be gone in the end.
const LEFT: [&str; 7] = [
    "SELECT count(*) FROM leases",
    "SELECT count(*) FROM cloud_tasks",
    "SELECT count(*) FROM cloud_requests",
    "SELECT count(*) FROM cloud_tombstones",
    "SELECT count(*) FROM cloud_graves",
    "SELECT count(*) FROM cloud_failures",
    "SELECT count(*) FROM cloud_attempts",
];

/// A step of a history; times are in milliseconds.
#[derive(Debug, Clone)]
enum Step {
    Create { id: u8, after: u64 },
    Claim { most: usize },
    End { which: usize, status: u16 },
    Run { id: u8 },
    Delete { id: u8 },
    Lose,
    Pause,
    Resume,
    Purge,
    Pass { millis: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let status = prop_oneof![Just(200_u16), Just(500), Just(404)];
    prop_oneof![
        4 => (0..12_u8, 0..3000_u64).prop_map(|(id, after)| Step::Create { id, after }),
        4 => (1..5_usize).prop_map(|most| Step::Claim { most }),
        5 => (0..8_usize, status).prop_map(|(which, status)| Step::End { which, status }),
        1 => (0..12_u8).prop_map(|id| Step::Run { id }),
        1 => (0..12_u8).prop_map(|id| Step::Delete { id }),
        1 => Just(Step::Lose),
        1 => Just(Step::Pause),
        1 => Just(Step::Resume),
        1 => Just(Step::Purge),
        5 => (1..2000_u64).prop_map(|millis| Step::Pass { millis }),
    ]
}

/// What a task should be like.
#[derive(Debug, Clone)]
struct Model {
    due: Timestamp,
    dispatches: i64,
    first: Option<Timestamp>,
    /// The attempt that decides, while it is under way.
    current: Option<i64>,
}

/// What a history has come to.
struct World {
    yard: Yard,
    settings: Settings,
    now: Timestamp,
    running: bool,
    tasks: BTreeMap<String, Model>,
    /// Attempts under way, and whether their node was lost.
    flying: Vec<(Dispatch, bool)>,
}

impl World {
    async fn new(kind: Kind) -> Self {
        let mut settings = limited(5.0, 4, 3);
        settings.retry.max_attempts = 3;
        settings.retry.min_backoff = Duration::from_millis(200);
        settings.tombstone_ttl = Duration::from_millis(500);
        World {
            yard: Yard::with(kind, settings.clone()).await,
            settings,
            now: START,
            running: true,
            tasks: BTreeMap::new(),
            flying: Vec::new(),
        }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Create { id, after } => self.create(id, after).await,
            Step::Claim { most } => self.claim(most).await,
            Step::End { which, status } => self.end(which, status).await,
            Step::Run { id } => self.run(id).await,
            Step::Delete { id } => self.delete(id).await,
            Step::Lose => self.lose().await,
            Step::Pause => {
                self.running = false;
                self.yard
                    .write(|tx| queue::pause(tx, QUEUE))
                    .await
                    .expect("paused");
            }
            Step::Resume => {
                self.running = true;
                self.yard
                    .write(|tx| queue::resume(tx, QUEUE))
                    .await
                    .expect("resumed");
            }
            Step::Purge => {
                let now = self.now;
                self.yard
                    .write(move |tx| queue::purge(tx, now, QUEUE))
                    .await
                    .expect("purged");
                self.tasks.clear();
            }
            Step::Pass { millis } => self.now = self.now.plus(Duration::from_millis(millis)),
        }
    }

    async fn create(&mut self, id: u8, after: u64) {
        let id = format!("t{id}");
        let due = self.now.plus(Duration::from_millis(after));
        let new = NewTask {
            schedule_time: Some(due),
            ..named(&id)
        };
        let made = self.yard.create(self.now, new).await;
        match self.tasks.entry(id) {
            Entry::Occupied(known) => assert!(made.is_err(), "{} is there already", known.key()),
            Entry::Vacant(place) if made.is_ok() => {
                place.insert(Model {
                    due,
                    dispatches: 0,
                    first: None,
                    current: None,
                });
            }
            Entry::Vacant(_) => {}
        }
    }

    fn begin(&mut self, dispatch: Dispatch) {
        let task = self
            .tasks
            .get_mut(&dispatch.task.id)
            .expect("only live tasks are sent");
        task.dispatches += 1;
        task.first.get_or_insert(self.now);
        task.current = Some(dispatch.attempt);
        assert_eq!(dispatch.attempt, task.dispatches);
        self.flying.push((dispatch, false));
    }

    async fn claim(&mut self, most: usize) {
        let claim = self.yard.claim(self.now, most).await;
        assert!(
            self.running || claim.dispatches.is_empty(),
            "a paused queue sends nothing"
        );
        assert!(claim.dispatches.len() <= most);
        for dispatch in claim.dispatches {
            let task = &self.tasks[&dispatch.task.id];
            assert_eq!(task.current, None, "it is under way already");
            assert!(task.due <= self.now, "it is early");
            self.begin(dispatch);
        }
    }

    async fn run(&mut self, id: u8) {
        let id = format!("t{id}");
        let taken = self.yard.run(self.now, &id).await;
        assert_eq!(taken.is_ok(), self.tasks.contains_key(&id));
        if let Ok(dispatch) = taken {
            self.begin(dispatch);
        }
    }

    async fn delete(&mut self, id: u8) {
        let (id, now) = (format!("t{id}"), self.now);
        let known = self.tasks.remove(&id).is_some();
        let deleted = self
            .yard
            .write(move |tx| remove::delete(tx, now, QUEUE, &id))
            .await;
        assert_eq!(deleted.is_ok(), known);
    }

    async fn end(&mut self, which: usize, status: u16) {
        if self.flying.is_empty() {
            return;
        }
        let (dispatch, _) = self.flying.remove(which % self.flying.len());
        let outcome = Outcome::Status(status);
        let report = Report::new(&dispatch, self.now, outcome);
        let verdict = self.yard.report(vec![report]).await.remove(0);
        let id = &dispatch.task.id;
        // A task of the same name may have come since.
        let number = self.yard.get(self.now, id).await.map(|task| task.number);
        let Some(task) = self.tasks.get_mut(id) else {
            assert_eq!(verdict, None, "{id} is gone");
            return;
        };
        if number.is_ok_and(|number| number != dispatch.task.number) {
            assert_eq!(verdict, None, "{id} is another one");
            return;
        }
        let expected = if outcome.is_success() {
            Some(Verdict::Done)
        } else if task.current == Some(dispatch.attempt) {
            let config = &self.settings.retry;
            let first = task.first.expect("it was sent");
            if law::is_exhausted(config, dispatch.attempt, first, self.now) {
                Some(Verdict::GivenUp)
            } else {
                let from = if dispatch.is_forced {
                    dispatch.dispatched_at
                } else {
                    self.now
                };
                Some(Verdict::Retry(
                    from.plus(law::backoff(config, dispatch.attempt as u32)),
                ))
            }
        } else {
            None
        };
        assert_eq!(verdict, expected, "{id}");
        match verdict {
            Some(Verdict::Done | Verdict::GivenUp) => drop(self.tasks.remove(id)),
            Some(Verdict::Retry(due)) => (task.due, task.current) = (due, None),
            None => {}
        }
    }

    /// All attempts under way are of a node that nobody hears of any more.
    async fn lose(&mut self) {
        let now = self.now;
        self.yard.write(move |tx| node::take_over(tx, now)).await;
        for (_, lost) in &mut self.flying {
            *lost = true;
        }
        for task in self.tasks.values_mut() {
            if task.current.take().is_some() {
                task.due = now;
            }
        }
    }

    async fn compare(&self) {
        let page = self
            .yard
            .read(|tx| lookup::list(tx, QUEUE, None, 100, false))
            .await;
        let found = page.expect("the queue is there").items;
        let ids: Vec<&str> = found.iter().map(|task| task.id.as_str()).collect();
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        let expected: Vec<&str> = self.tasks.keys().map(String::as_str).collect();
        assert_eq!(sorted, expected);
        for task in found {
            let model = &self.tasks[&task.id];
            assert_eq!(task.dispatch_count, model.dispatches);
            assert_eq!(task.first_dispatch_time, model.first);
            if model.current.is_none() {
                assert_eq!(task.schedule_time, model.due, "{}", task.id);
            }
        }
    }

    /// Lets everything end well; nothing may be left then.
    async fn finish(mut self) {
        self.take(Step::Resume).await;
        for _ in 0..200 {
            while !self.flying.is_empty() {
                self.end(0, 200).await;
            }
            if self.tasks.is_empty() {
                break;
            }
            self.now = self.now.plus(Duration::from_secs(2));
            self.claim(10).await;
        }
        assert!(self.tasks.is_empty(), "left over: {:?}", self.tasks);
        let now = self.now;
        while self.yard.write(move |tx| sweep::bury(tx, now, 100)).await {}
        let later = now.plus(Duration::from_hours(24 * 30));
        let retention = sweep::Retention::default();
        while self
            .yard
            .write(move |tx| sweep::forget(tx, later, &retention, 100))
            .await
        {}
        for sql in LEFT {
            let left: Option<i64> = self
                .yard
                .read(move |tx| tx.query_opt(sql, &[], |row| row.get(0)))
                .await;
            assert_eq!(left, Some(0), "{sql}");
        }
    }
}

fn check(kind: Kind, cases: u32) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config = Config {
        cases,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let histories = prop::collection::vec(step(), 1..80);
    TestRunner::new(config)
        .run(&histories, |steps| {
            runtime.block_on(async {
                let mut world = World::new(kind).await;
                for step in steps {
                    world.take(step).await;
                    world.compare().await;
                }
                world.finish().await;
            });
            Ok(())
        })
        .expect("every history holds");
}

#[test]
fn every_history_agrees_with_the_model_on_sqlite() {
    check(Kind::Sqlite, 40);
}

#[test]
fn every_history_agrees_with_the_model_on_postgres() {
    check(Kind::Postgres, 8);
}
