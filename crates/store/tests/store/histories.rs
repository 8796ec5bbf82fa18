//! Random histories of closures end as a model says they must.

use std::cell::Cell;
use std::collections::HashSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use taskyard_store::testing::{Database, Kind};
use taskyard_store::{Error, Key, Store, Tx, params};

use crate::ledger::{NUMBERS, add, blunder, complaint, open};

/// What a closure of a history does.
#[derive(Debug, Clone, Copy)]
enum Step {
    Add { counter: usize, by: i64 },
    Look { counter: usize },
    Number { count: usize },
    Refuse,
    FailBeforeWriting,
    FailAfterWriting { counter: usize },
    PanicBeforeWriting,
    PanicAfterWriting { counter: usize },
    SwallowAnError { counter: usize },
    BeOvertakenOnce { counter: usize },
}

const COUNTERS: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    let counter = || 0..COUNTERS;
    prop_oneof![
        8 => (counter(), -5..=5_i64).prop_map(|(counter, by)| Step::Add { counter, by }),
        2 => counter().prop_map(|counter| Step::Look { counter }),
        2 => (1..5_usize).prop_map(|count| Step::Number { count }),
        1 => Just(Step::Refuse),
        1 => Just(Step::FailBeforeWriting),
        1 => counter().prop_map(|counter| Step::FailAfterWriting { counter }),
        1 => Just(Step::PanicBeforeWriting),
        1 => counter().prop_map(|counter| Step::PanicAfterWriting { counter }),
        1 => counter().prop_map(|counter| Step::SwallowAnError { counter }),
        1 => counter().prop_map(|counter| Step::BeOvertakenOnce { counter }),
    ]
}

/// The value of a step's closure.
#[derive(Debug, PartialEq)]
enum Answer {
    Done,
    Refused,
    Numbers(Vec<i64>),
}

fn play(step: Step, names: &[String], first: bool, tx: &mut Tx<'_>) -> Result<Answer, Error> {
    match step {
        Step::Add { counter, by } => add(tx, &names[counter], by)?,
        Step::Look { counter } => {
            const LOOK: &str = "SELECT value FROM counters WHERE name = $1 FOR UPDATE";
            tx.query(LOOK, params![&names[counter]], |row| row.get::<i64>(0))?;
        }
        Step::Number { count } => return tx.next_ids(NUMBERS, count).map(Answer::Numbers),
        Step::Refuse => return Ok(Answer::Refused),
        Step::FailBeforeWriting => return Err(complaint()),
        Step::FailAfterWriting { counter } => {
            add(tx, &names[counter], 1000)?;
            return Err(complaint());
        }
        Step::PanicBeforeWriting => panic!("on purpose"),
        Step::PanicAfterWriting { counter } => {
            add(tx, &names[counter], 1000)?;
            panic!("on purpose");
        }
        Step::SwallowAnError { counter } => {
            add(tx, &names[counter], 1000)?;
            drop(blunder(tx));
        }
        Step::BeOvertakenOnce { counter } => {
            add(tx, &names[counter], 1)?;
            if first {
                return Err(tx.overtaken("on purpose"));
            }
        }
    }
    Ok(Answer::Done)
}

/// Hands in all steps at once and checks each answer and what is left in the end.
async fn check(
    store: &Store,
    history: &[Step],
    names: Vec<String>,
    seen: &mut HashSet<i64>,
) -> Result<(), TestCaseError> {
    let calls: Vec<_> = history
        .iter()
        .map(|&step| {
            let (store, names) = (store.clone(), names.clone());
            tokio::spawn(async move {
                let first = std::sync::atomic::AtomicBool::new(true);
                // One writer for each counter would hide them from each other.
                let key = Key::of(&names[0]);
                store
                    .write(key, move |tx| {
                        let first = first.swap(false, std::sync::atomic::Ordering::Relaxed);
                        play(step, &names, first, tx)
                    })
                    .await
            })
        })
        .collect();
    let mut model = [0; COUNTERS];
    for (&step, call) in history.iter().zip(calls) {
        let answer = call.await.expect("the task ends");
        match (step, answer) {
            (Step::Add { counter, by }, Ok(Answer::Done)) => model[counter] += by,
            (Step::BeOvertakenOnce { counter }, Ok(Answer::Done)) => model[counter] += 1,
            (Step::Number { count }, Ok(Answer::Numbers(numbers))) => {
                prop_assert_eq!(numbers.len(), count);
                prop_assert!(numbers.is_sorted());
                for number in numbers {
                    prop_assert!(seen.insert(number), "{} was given twice", number);
                }
            }
            (Step::Look { .. }, Ok(Answer::Done))
            | (Step::Refuse, Ok(Answer::Refused))
            | (
                Step::FailBeforeWriting
                | Step::FailAfterWriting { .. }
                | Step::SwallowAnError { .. },
                Err(Error::Statement(_)),
            )
            | (Step::PanicBeforeWriting | Step::PanicAfterWriting { .. }, Err(Error::Panicked)) => {
            }
            (step, answer) => prop_assert!(false, "{:?} was answered {:?}", step, answer),
        }
    }
    for (name, expected) in names.into_iter().zip(model) {
        const VALUE: &str = "SELECT value FROM counters WHERE name = $1";
        let value = store
            .read(move |tx| tx.query_opt(VALUE, params![&name], |row| row.get::<i64>(0)))
            .await
            .expect("read");
        prop_assert_eq!(value.unwrap_or(0), expected);
    }
    Ok(())
}

fn check_random_histories(kind: Kind) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let database = Database::new(kind);
    let store = open(&database);
    let seen = Cell::new(HashSet::new());
    let case = Cell::new(0);
    let mut runner = TestRunner::new(Config {
        cases: 48,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&prop::collection::vec(step(), 1..50), |history| {
        // Counters of its own, so that a history that failed does not spoil the next.
        case.set(case.get() + 1);
        let names = (0..COUNTERS)
            .map(|at| format!("{}/{at}", case.get()))
            .collect();
        let mut numbers = seen.take();
        let outcome = runtime.block_on(check(&store, &history, names, &mut numbers));
        seen.set(numbers);
        outcome
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn random_histories_end_as_the_model_says_on_sqlite() {
    check_random_histories(Kind::Sqlite);
}

#[test]
fn random_histories_end_as_the_model_says_on_postgres() {
    check_random_histories(Kind::Postgres);
}
