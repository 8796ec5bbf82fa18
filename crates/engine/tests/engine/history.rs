//! Random histories, run against the engine and against the model, step by step.

use std::cell::Cell;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use taskyard_engine::Timestamp;
use taskyard_engine::lease::{self, Queue};
use taskyard_store::testing::Kind;
use taskyard_store::{Key, on_both_databases};
use tokio::runtime::Handle;

use crate::group_news::{GroupNews, Timing};
use crate::invariants::{Snapshot, check_step, must};
use crate::model::Model;
use crate::operation::{Operation, Outcome, View, perform};
use crate::spec::{QUEUES, Spec, place, queue_id};
use crate::steps::{Aim, Call, History, Step, Wait, history};
use crate::yard::{START, Yard, secs};

/// Histories end before anything is forgotten: half an hour after it has expired.
const END: i64 = START.0 + secs(29 * 60).as_micros() as i64;

struct Walk {
    yard: Yard,
    specs: Arc<Vec<Spec>>,
    model: Model,
    now: Timestamp,
    news: GroupNews,
}

impl Walk {
    /// Fills in which claim the timer would have found.
    async fn prepare(&self, calls: &[Call]) -> Vec<Operation> {
        let mut operations = Vec::new();
        for call in calls {
            let mut operation = call.operation(&self.model, self.now);
            if let Operation::ExpireClaim {
                task,
                lease,
                taken_until,
                ..
            } = &mut operation
                && let Some(known) = self.yard.task(&crate::spec::task_id(*task)).await
                && known.state().as_str() == "running"
            {
                *lease = known.lease_id;
                let last = known.runs.last().filter(|_| known.lease_id.is_some());
                *taken_until = last.and_then(|run| run.taken_until).map(|until| until.0);
            }
            operations.push(operation);
        }
        operations
    }

    async fn perform(&self, key: Key, operation: Operation) -> Result<Outcome, String> {
        let (store, specs) = (self.yard.store.clone(), Arc::clone(&self.specs));
        perform(store, key, self.now, specs, operation)
            .await
            .map_err(|error| error.to_string())
    }

    async fn call(&mut self, call: &Call) -> Result<(), String> {
        for operation in self.prepare(std::slice::from_ref(call)).await {
            let observed = self.perform(self.yard.any_key(), operation.clone()).await?;
            let expected = self.model.apply(self.now.0, &operation, &observed, true);
            must!(
                expected.as_ref() == Some(&observed),
                "{operation:?} answered {observed:#?} instead of {expected:#?}"
            );
        }
        Ok(())
    }

    /// Calls at the same time have some order in which, one after the other, they would have
    /// answered the same and left the same.
    async fn call_together(&mut self, calls: &[Call]) -> Result<(), String> {
        let operations = self.prepare(calls).await;
        let handles: Vec<_> = operations
            .iter()
            .map(|operation| {
                let (store, specs) = (self.yard.store.clone(), Arc::clone(&self.specs));
                let (key, now) = (self.yard.any_key(), self.now);
                tokio::spawn(perform(store, key, now, specs, operation.clone()))
            })
            .collect();
        let mut done = Vec::new();
        for (operation, handle) in operations.into_iter().zip(handles) {
            let outcome = handle.await.expect("no call panics");
            done.push((operation, outcome.map_err(|error| error.to_string())?));
        }
        let left: Vec<(usize, View)> = self.views().await;
        match self.explain(&self.model, &done, &left) {
            Some(model) => self.model = model,
            None => {
                return Err(format!("no order explains {done:#?}, which left {left:#?}"));
            }
        }
        Ok(())
    }

    async fn views(&self) -> Vec<(usize, View)> {
        let snapshot = self.yard.read(Snapshot::read).await;
        snapshot
            .tasks
            .values()
            .map(|task| (place(&task.id), View::from(task)))
            .collect()
    }

    fn explain(
        &self,
        model: &Model,
        done: &[(Operation, Outcome)],
        left: &[(usize, View)],
    ) -> Option<Model> {
        if done.is_empty() {
            let same = model.tasks.iter().map(|(place, task)| (*place, &task.view));
            return same
                .eq(left.iter().map(|(place, view)| (*place, view)))
                .then(|| model.clone());
        }
        (0..done.len()).find_map(|at| {
            let mut rest = done.to_vec();
            let (operation, observed) = rest.remove(at);
            let mut next = model.clone();
            let expected = next.apply(self.now.0, &operation, &observed, false)?;
            if expected != observed {
                return None;
            }
            self.explain(&next, &rest, left)
        })
    }

    fn wait(&mut self, wait: &Wait) {
        let until = wait.until(&self.model, &self.specs, self.now);
        if let Some(until) = until.filter(|until| *until <= END) {
            self.now = self.now.max(Timestamp(until));
        }
    }

    async fn sweep(&mut self) -> Result<(), String> {
        let next = self.yard.sweep(self.now).await;
        self.model.sweep(self.now.0);
        // I4: the timer knows when it has to look again.
        let forget = self.now.plus(secs(600));
        let expected = self
            .model
            .next_due()
            .map(Timestamp)
            .map_or(forget, |due| forget.min(due));
        let soonest = self.now.plus(std::time::Duration::from_millis(50));
        must!(
            next == expected.max(soonest),
            "the timer looks again at {next:?} instead of {expected:?}"
        );
        Ok(())
    }

    /// Compares all there is with the model, and checks what must hold at every moment.
    async fn check(&self, before: &Model) -> Result<(), String> {
        let now = self.now;
        let (snapshot, depths) = self
            .yard
            .read(move |tx| {
                let depth = |queue| Queue::runs(&queue_id(queue));
                let depths = (0..QUEUES)
                    .map(|queue| lease::depth(tx, &depth(queue), now))
                    .collect::<Result<Vec<_>, _>>()?;
                Ok((Snapshot::read(tx)?, depths))
            })
            .await;
        snapshot.check(self.now)?;
        let tasks: Vec<(usize, View)> = snapshot
            .tasks
            .values()
            .map(|task| (place(&task.id), View::from(task)))
            .collect();
        let expected: Vec<(usize, View)> = self
            .model
            .tasks
            .iter()
            .map(|(place, task)| (*place, task.view.clone()))
            .collect();
        must!(
            tasks == expected,
            "there is {tasks:#?} instead of {expected:#?}"
        );
        for (place, view) in &tasks {
            if let Some(task) = before.tasks.get(place) {
                check_step(&task.view, view).map_err(|text| format!("task {place} {text}"))?;
            }
        }
        // I39
        for (queue, depth) in depths.into_iter().enumerate() {
            let counted = (depth.ready as usize, depth.held as usize);
            let expected = (
                self.model.available(now.0, queue).len(),
                self.model.claimed(queue),
            );
            must!(
                counted == expected,
                "queue {queue} counts {counted:?} instead of {expected:?}"
            );
        }
        Ok(())
    }
}

const CLEAR: [&str; 14] = [
    "DELETE FROM leases",
    "DELETE FROM task_definitions",
    "DELETE FROM tasks",
    "DELETE FROM task_groups",
    "DELETE FROM task_dependencies",
    "DELETE FROM resolutions",
    "DELETE FROM artifacts",
    "DELETE FROM contents",
    "DELETE FROM discarded_contents",
    "DELETE FROM objects",
    "DELETE FROM group_looks",
    "DELETE FROM provisioners",
    "DELETE FROM task_queues",
    "DELETE FROM workers",
];

/// Walks through a history; also returns the yard for the next one.
async fn walk(yard: Yard, history: &History) -> (Yard, Result<(), String>) {
    yard.write(|tx| {
        CLEAR
            .iter()
            .try_for_each(|sql| tx.execute(sql, &[]).map(drop))
    })
    .await;
    let news = GroupNews::from_now_on(&yard).await;
    let specs = Arc::new(history.specs.clone());
    let model = Model::new(Arc::clone(&specs));
    let mut walk = Walk {
        yard,
        specs,
        model,
        now: START,
        news,
    };
    let create = |task| {
        Step::Call(Call::Create {
            task: Aim::Any(task),
            altered: false,
        })
    };
    let steps = (0..history.created)
        .map(create)
        .chain(history.steps.iter().cloned());
    for (at, step) in steps.enumerate() {
        let before = walk.model.clone();
        let outcome = match &step {
            Step::Call(call) => walk.call(call).await,
            Step::Together(calls) => walk.call_together(calls).await,
            Step::Wait(wait) => {
                walk.wait(wait);
                Ok(())
            }
            Step::WaitAndSweep(wait) => {
                walk.wait(wait);
                walk.sweep().await
            }
            Step::Sweep => walk.sweep().await,
            Step::Restart => {
                walk.yard = walk.yard.restarted();
                Ok(())
            }
        };
        let outcome = match outcome {
            Ok(()) => walk.check(&before).await,
            Err(text) => Err(text),
        };
        let timing = match &step {
            Step::Call(_) => Timing::AtOnce,
            Step::Together(_) => Timing::BySweep,
            Step::WaitAndSweep(_) | Step::Sweep => Timing::Swept,
            Step::Wait(_) | Step::Restart => Timing::Never,
        };
        let (models, specs) = ((&before, &walk.model), Arc::clone(&walk.specs));
        let heard = walk.news.check(&walk.yard, models, &specs, timing).await;
        let outcome = outcome.and(heard);
        if let Err(text) = outcome {
            let text = format!("step {at}, {step:?}, at {:?}: {text}", walk.now);
            return (walk.yard, Err(text));
        }
    }
    // I8: after all deadlines everything is resolved.
    walk.now = Timestamp(END);
    let outcome = walk.sweep().await;
    let open = walk
        .views()
        .await
        .into_iter()
        .find(|(_, view)| view.runs.last().is_none_or(|run| run.resolved.is_none()));
    let outcome = match open {
        Some(open) => outcome.and(Err(format!("{open:?} is not resolved after its deadline"))),
        None => outcome,
    };
    (walk.yard, outcome)
}

/// Runs `test` with random values, the same ones at each run unless `PROPTEST_RNG_SEED` says
/// otherwise; `PROPTEST_CASES` overrides how many.
pub(crate) fn for_all<S: Strategy>(
    cases: u32,
    strategy: S,
    test: impl Fn(S::Value) -> Result<(), String>,
) {
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(0x7a5c_4a2d);
    }
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    config.max_shrink_iters = 3000;
    let outcome = tokio::task::block_in_place(|| {
        TestRunner::new(config).run(&strategy, |value| test(value).map_err(TestCaseError::fail))
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

on_both_databases! {
    /// I1 to I8, I13, I14, I16 to I22, I24 to I29 and I39; I9 and I10 for calls one at
    /// a time, and I9 and I16 for calls at once.
    async fn tasks_move_as_specified_in_any_history(kind) {
        let cases = match kind {
            Kind::Sqlite => 200,
            Kind::Postgres => 30,
        };
        let kept = Cell::new(Some(Yard::new(kind)));
        let handle = Handle::current();
        for_all(cases, history(), |history| {
            let yard = kept.take().unwrap_or_else(|| Yard::new(kind));
            let (yard, outcome) = handle.block_on(walk(yard, &history));
            kept.set(Some(yard));
            outcome
        });
    }
}
