//! Random histories of the index against a model.

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;
use taskyard_engine::Timestamp;
use taskyard_engine::index::{self, Entry, Namespace, Rank};
use taskyard_store::on_both_databases;
use taskyard_store::testing::Kind;
use tokio::runtime::Handle;

use crate::history::for_all;
use crate::invariants::must;
use crate::yard::{START, Yard, secs};

const PATHS: [&str; 9] = [
    "a",
    "b",
    "a.a",
    "a.b",
    "b.a",
    "a.a.a",
    "a.a.b",
    "a.b.a.a",
    "a.a.a.a.b",
];
const HOUR: u64 = 3600;

#[derive(Debug, Clone)]
enum Step {
    /// Places in the list of paths, so that several are put there in one transaction.
    Insert {
        paths: Vec<usize>,
        rank: i8,
        /// How long it stays, in hours; nothing at all is the past.
        hours: u64,
    },
    Remove(usize),
    Wait(u64),
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let path = || 0..PATHS.len();
    let insert = (
        prop::collection::vec(path(), 1..4),
        -2..3_i8,
        select(vec![0, 1, 5, 30, 100]),
    );
    prop_oneof![
        10 => insert.prop_map(|(paths, rank, hours)| Step::Insert { paths, rank, hours }),
        2 => path().prop_map(Step::Remove),
        4 => select(vec![1, 10, 24]).prop_map(Step::Wait),
        2 => Just(Step::Sweep),
    ]
}

struct Walk {
    yard: Yard,
    now: Timestamp,
    /// What was put at each path last, expired or not.
    model: BTreeMap<String, Entry>,
    /// Tells one task from another.
    count: usize,
}

impl Walk {
    fn found(&self, path: &str) -> Option<&Entry> {
        self.model
            .get(path)
            .filter(|entry| entry.expires > self.now)
    }

    async fn take(&mut self, step: &Step) -> Result<(), String> {
        let now = self.now;
        match step {
            Step::Insert { paths, rank, hours } => {
                self.count += 1;
                let new: Vec<Entry> = paths
                    .iter()
                    .map(|path| Entry {
                        path: PATHS[*path].to_owned(),
                        task_id: format!("task-{}", self.count),
                        rank: Rank::new(f64::from(*rank)).expect("a number"),
                        data: format!("[{}]", self.count),
                        expires: now.plus(secs(hours * HOUR)),
                    })
                    .collect();
                let asked = new.clone();
                let answer = self.yard.write(move |tx| {
                    let inserted = asked.iter().map(|new| index::insert(tx, now, new));
                    inserted.collect::<Result<Vec<_>, _>>()
                });
                let answer = answer.await;
                let mut expected = Vec::new();
                for new in new {
                    let there = self.found(&new.path).filter(|there| there.rank > new.rank);
                    let there = there.cloned().unwrap_or(new);
                    self.model.insert(there.path.clone(), there.clone());
                    expected.push(there);
                }
                must!(
                    answer == expected,
                    "answered {answer:?} instead of {expected:?}"
                );
            }
            Step::Remove(path) => {
                let path = PATHS[*path];
                self.yard.write(move |tx| index::remove(tx, path)).await;
                self.model.remove(path);
            }
            Step::Wait(hours) => self.now = now.plus(secs(hours * HOUR)),
            Step::Sweep => {
                let more = self.yard.write(move |tx| index::expire(tx, now, 100)).await;
                must!(!more, "a sweep left something to do");
            }
        }
        Ok(())
    }

    /// Lists everything below a namespace, two at a time.
    async fn listed(&self, namespace: &str) -> (Vec<Entry>, Vec<Namespace>) {
        let (now, asked) = (self.now, namespace.to_owned());
        let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
        self.yard
            .read(move |tx| {
                let (mut tasks, mut namespaces) = (Vec::new(), Vec::new());
                loop {
                    let after = tasks
                        .last()
                        .map_or(String::new(), |it: &Entry| last(&it.path));
                    let page = index::list(tx, now, &asked, &after, 2)?;
                    if page.is_empty() {
                        break;
                    }
                    tasks.extend(page);
                }
                loop {
                    let after = namespaces.last().map(|it: &Namespace| it.name.clone());
                    let page = index::namespaces(tx, now, &asked, &after.unwrap_or_default(), 2)?;
                    if page.is_empty() {
                        return Ok((tasks, namespaces));
                    }
                    namespaces.extend(page);
                }
            })
            .await
    }

    async fn check(&self) -> Result<(), String> {
        let now = self.now;
        for path in PATHS {
            let found = self.yard.read(move |tx| index::find(tx, now, path)).await;
            let expected = self.found(path);
            must!(
                found.as_ref() == expected,
                "{path} leads to {found:?}, not {expected:?}"
            );
        }
        // From the root down, everything that is found is listed once, in order, and every
        // namespace outlives what is in it.
        let (mut listed, mut open) = (Vec::new(), vec![(String::new(), Timestamp(i64::MAX))]);
        while let Some((namespace, until)) = open.pop() {
            let (tasks, namespaces) = self.listed(&namespace).await;
            must!(
                tasks.is_sorted_by(|a, b| a.path < b.path),
                "{tasks:?} are in no order"
            );
            must!(
                namespaces.is_sorted_by(|a, b| a.name < b.name),
                "{namespaces:?}"
            );
            for task in &tasks {
                must!(task.expires <= until, "{task:?} outlives {namespace}");
            }
            for inner in namespaces {
                must!(inner.expires <= until, "{inner:?} outlives {namespace}");
                open.push((inner.path, inner.expires));
            }
            listed.extend(tasks);
        }
        listed.sort_by(|a, b| a.path.cmp(&b.path));
        let found = PATHS.into_iter().filter_map(|path| self.found(path));
        let mut expected: Vec<Entry> = found.cloned().collect();
        expected.sort_by(|a, b| a.path.cmp(&b.path));
        must!(
            listed == expected,
            "listed are {listed:?}, not {expected:?}"
        );
        Ok(())
    }
}

async fn walk(yard: Yard, steps: &[Step]) -> (Yard, Result<(), String>) {
    yard.write(|tx| {
        tx.execute("DELETE FROM indexed_tasks", &[])?;
        tx.execute("DELETE FROM index_namespaces", &[]).map(drop)
    })
    .await;
    let mut walk = Walk {
        yard,
        now: START,
        model: BTreeMap::new(),
        count: 0,
    };
    for (at, step) in steps.iter().enumerate() {
        let mut outcome = walk.take(step).await;
        if outcome.is_ok() {
            outcome = walk.check().await;
        }
        if let Err(text) = outcome {
            return (walk.yard, Err(format!("step {at}: {text}")));
        }
    }
    (walk.yard, Ok(()))
}

on_both_databases! {
    async fn tasks_are_found_and_listed_as_specified_in_any_history(kind) {
        let cases = match kind {
            Kind::Sqlite => 60,
            Kind::Postgres => 15,
        };
        let kept = Cell::new(Some(Yard::new(kind)));
        let handle = Handle::current();
        for_all(cases, prop::collection::vec(step(), 5..40), |steps| {
            let yard = kept.take().unwrap_or_else(|| Yard::new(kind));
            let (yard, outcome) = handle.block_on(walk(yard, &steps));
            kept.set(Some(yard));
            outcome
        });
    }
}
