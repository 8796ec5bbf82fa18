//! Random histories of one client after the other, with jumps of the clock, against the model.

use std::cell::RefCell;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::Value;
use taskyard_store::testing::Kind;

use crate::model::{Claim, Given, Model, Outcome, Task, Update, label};
use crate::yard::Yard;

/// Histories each database is put through; more with `TASKYARD_TEST_HISTORIES`.
const HISTORIES: u32 = 60;
/// Seconds. Leases end half-way between jumps, so that the time a test takes does not matter.
const JUMP: i64 = 1000;

const GROUPS: [&str; 3] = ["a", "b/c", "é"];

/// A task named by chance: one of those that live, or of those that once did, or never did.
type Pick = u16;

#[derive(Debug, Clone)]
enum Step {
    Update {
        owner: i32,
        adds: Vec<(u8, u8)>,
        changes: Vec<(Pick, u8)>,
        deletes: Vec<Pick>,
        depends: Vec<Pick>,
    },
    Claim {
        owner: i32,
        group: u8,
        lease: u8,
        depends: Vec<Pick>,
    },
    Jump(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let few = |most: usize| vec(any::<Pick>(), 0..most);
    let update = (
        0..3,
        // The fourth group is the one without a name.
        vec((prop_oneof![9 => 0..3_u8, 1 => Just(3)], 0..3_u8), 0..4),
        vec((any::<Pick>(), 0..3_u8), 0..3),
        few(3),
        few(3),
    )
        .prop_map(|(owner, adds, changes, deletes, depends)| Step::Update {
            owner,
            adds,
            changes,
            deletes,
            depends,
        });
    let add = (0..3, vec((0..3_u8, 0..3_u8), 1..5)).prop_map(|(owner, adds)| Step::Update {
        owner,
        adds,
        changes: Vec::new(),
        deletes: Vec::new(),
        depends: Vec::new(),
    });
    let claim = (
        0..3,
        0..3_u8,
        0..3_u8,
        prop_oneof![3 => Just(Vec::new()), 1 => few(3)],
    )
        .prop_map(|(owner, group, lease, depends)| Step::Claim {
            owner,
            group,
            lease,
            depends,
        });
    prop_oneof![2 => add, 4 => update, 4 => claim, 1 => (1..3_u8).prop_map(Step::Jump)]
}

/// A history under way.
struct Run<'a> {
    yard: &'a Yard,
    model: Model,
    /// All ids of this history, the living and the dead.
    ids: Vec<i64>,
    greatest: &'a mut i64,
    now: i64,
    labels: u64,
}

fn off(lease: u8) -> i64 {
    match lease {
        0 => 0,
        lease => i64::from(lease) * JUMP - JUMP / 2,
    }
}

impl Run<'_> {
    fn pick(&self, pick: Pick) -> i64 {
        let pick = usize::from(pick);
        // Mostly those that live, so that updates succeed.
        if pick % 8 > 0 && !self.model.tasks.is_empty() {
            let nth = (pick / 8) % self.model.tasks.len();
            return self
                .model
                .tasks
                .keys()
                .nth(nth)
                .copied()
                .expect("a living task");
        }
        self.ids
            .get((pick / 8) % (self.ids.len() + 1))
            .copied()
            .unwrap_or(i64::MAX)
    }

    fn picks(&self, picks: &[Pick]) -> Vec<i64> {
        picks.iter().map(|pick| self.pick(*pick)).collect()
    }

    fn given(&mut self, lease: u8) -> Given {
        self.labels += 1;
        Given {
            label: self.labels,
            after: off(lease),
        }
    }

    /// New ids grow, over all histories.
    fn note(&mut self, ids: &[i64]) {
        for id in ids {
            assert!(*id > *self.greatest, "{id} after {}", self.greatest);
            *self.greatest = *id;
        }
        self.ids.extend(ids);
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Jump(jumps) => {
                let seconds = i64::from(*jumps) * JUMP;
                self.now += seconds;
                self.yard
                    .advance(Duration::from_secs(seconds.unsigned_abs()));
            }
            Step::Update {
                owner,
                adds,
                changes,
                deletes,
                depends,
            } => {
                let group = |at: u8| GROUPS.get(usize::from(at)).copied().unwrap_or_default();
                let update = Update {
                    owner: *owner,
                    adds: adds
                        .iter()
                        .map(|(at, lease)| (group(*at), self.given(*lease)))
                        .collect(),
                    changes: changes
                        .iter()
                        .map(|(pick, lease)| (self.pick(*pick), self.given(*lease)))
                        .collect(),
                    deletes: self.picks(deletes),
                    depends: self.picks(depends),
                };
                self.update(&update).await;
            }
            Step::Claim {
                owner,
                group,
                lease,
                depends,
            } => {
                let claim = Claim {
                    owner: *owner,
                    group: GROUPS[usize::from(*group)],
                    seconds: off(*lease),
                    depends: self.picks(depends),
                };
                self.claim(&claim).await;
            }
        }
    }

    async fn update(&mut self, update: &Update) {
        let outcome = Outcome::read(&self.yard.update(&update.json()).await);
        if let Some(refusal) = self.model.judge(self.now, update) {
            assert_eq!(outcome, Outcome::Refused(refusal), "{update:?}");
            return;
        }
        let Outcome::Done(tasks) = outcome else {
            panic!("{outcome:?} for {update:?}")
        };
        let (ids, labels): (Vec<i64>, Vec<u64>) = tasks.into_iter().unzip();
        let given = update.adds.iter().map(|(_, given)| given);
        let given = given.chain(update.changes.iter().map(|(_, given)| given));
        assert_eq!(labels, given.map(|given| given.label).collect::<Vec<_>>());
        self.note(&ids);
        self.model.apply(self.now, update, &ids);
    }

    async fn claim(&mut self, claim: &Claim) {
        let outcome = Outcome::read(&self.yard.claim(&claim.json()).await);
        let gone = self.model.gone(claim);
        match outcome {
            Outcome::Refused(refusal) => {
                assert!(!gone.is_empty());
                assert_eq!(refusal.depends, gone);
            }
            Outcome::Nothing => {
                assert!(gone.is_empty());
                assert_eq!(self.model.available(self.now, claim.group), [0_i64; 0]);
            }
            Outcome::Done(tasks) => {
                assert!(gone.is_empty() && tasks.len() == 1);
                let (id, label) = tasks[0];
                self.note(&[id]);
                assert!(
                    self.model.claim(self.now, claim, label, id),
                    "{claim:?} got {label}"
                );
            }
        }
    }

    /// Everything that can be read is as the model says.
    async fn compare(&self) {
        let mut expected: Vec<&str> = self.model.tasks.values().map(|task| task.group).collect();
        expected.sort_unstable();
        expected.dedup();
        assert_eq!(
            self.yard.get("/groups").await.json(),
            serde_json::json!(expected)
        );
        let mut found = Model::default();
        for group in GROUPS {
            let listed = self
                .yard
                .get(&format!("/group/{group}?owned=1"))
                .await
                .json();
            let listed = listed.as_array().expect("a list");
            for task in listed {
                found
                    .tasks
                    .insert(task["id"].as_i64().expect("an id"), self.read(group, task));
            }
            let free = self.yard.get(&format!("/group/{group}")).await.json();
            let mut free = crate::yard::ids(&serde_json::json!({"tasks": free}));
            free.sort_unstable();
            assert_eq!(free, self.model.available(self.now, group));
        }
        assert_eq!(found, self.model);
        let all: Vec<String> = self.ids.iter().map(ToString::to_string).collect();
        let tasks = self
            .yard
            .get(&format!("/tasks/{}", all.join(",")))
            .await
            .json();
        for (id, task) in self.ids.iter().zip(tasks.as_array().expect("a list")) {
            let expected = self.model.tasks.get(id).map(|task| task.label);
            assert_eq!((!task.is_null()).then(|| label(task)), expected, "{id}");
        }
    }

    /// A task of an answer, its time rounded to what the model knows.
    fn read(&self, group: &'static str, task: &Value) -> Task {
        let now = self.yard.now().0 / 1_000_000 - self.now;
        let at = task["at"].as_i64().expect("a time") / 1_000_000_000 - now;
        let rounded = (at + JUMP / 4).div_euclid(JUMP / 2) * (JUMP / 2);
        Task {
            group,
            owner: i32::try_from(task["ownerid"].as_i64().expect("an owner")).expect("small"),
            at: rounded,
            label: label(task),
        }
    }

    async fn clean_up(&self) {
        let deletes: Vec<i64> = self.model.tasks.keys().copied().collect();
        if !deletes.is_empty() {
            self.yard
                .advance(Duration::from_secs(10 * JUMP.unsigned_abs()));
            let update = Update {
                owner: 9,
                deletes,
                ..Update::default()
            };
            let outcome = Outcome::read(&self.yard.update(&update.json()).await);
            assert_eq!(outcome, Outcome::Done(Vec::new()));
        }
    }
}

fn histories_agree_with_the_model(kind: Kind) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let yard = runtime.block_on(Yard::new(kind));
    let greatest = RefCell::new(0);
    let cases = std::env::var("TASKYARD_TEST_HISTORIES");
    let cases = cases.map_or(HISTORIES, |cases| cases.parse().expect("a number"));
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&vec(step(), 1..40), |steps| {
        let mut greatest = greatest.borrow_mut();
        let run = std::panic::AssertUnwindSafe(|| {
            runtime.block_on(async {
                let mut run = Run {
                    yard: &yard,
                    model: Model::default(),
                    ids: Vec::new(),
                    greatest: &mut greatest,
                    now: 0,
                    labels: 0,
                };
                for step in &steps {
                    run.take(step).await;
                }
                run.compare().await;
                run.clean_up().await;
            });
        });
        run();
        Ok::<(), TestCaseError>(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    // The store's threads are joined here, not on the runtime's.
    drop(yard);
}

#[test]
fn random_histories_agree_with_the_model_on_sqlite() {
    histories_agree_with_the_model(Kind::Sqlite);
}

#[test]
fn random_histories_agree_with_the_model_on_postgres() {
    histories_agree_with_the_model(Kind::Postgres);
}
