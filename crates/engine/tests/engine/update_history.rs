//! Random histories of updates and claims against a model of taskstore.

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;
use taskyard_engine::group::{self, Count};
use taskyard_engine::lease;
use taskyard_engine::update::{self, Add, Change, Refusal, Update};
use taskyard_engine::{Nanos, Timestamp};
use taskyard_store::testing::Kind;
use taskyard_store::{on_both_databases, params};
use tokio::runtime::Handle;

use crate::history::for_all;
use crate::invariants::must;
use crate::yard::{START, Yard};

/// One live entry of the model. Times are nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    group: String,
    owner: String,
    at: i64,
    data: Vec<u8>,
}

#[derive(Debug, Default)]
struct Model {
    items: BTreeMap<i64, Item>,
    /// The largest id ever given.
    last: i64,
}

/// An id as it is generated: one that is live, one that was once, or one that never was.
#[derive(Debug, Clone, Copy)]
enum Pick {
    Live(usize),
    Past(usize),
    Never,
}

#[derive(Debug, Clone)]
enum Step {
    Update {
        owner: &'static str,
        adds: Vec<(&'static str, i64)>,
        changes: Vec<(Pick, i64)>,
        deletes: Vec<Pick>,
        depends: Vec<Pick>,
    },
    Claim {
        owner: &'static str,
        group: &'static str,
        nanos: i64,
    },
    /// Nanoseconds; the clock has microseconds.
    Wait(i64),
    Sweep,
    Restart,
}

const GROUPS: [&str; 3] = ["one", "two", "three"];
const SECOND: i64 = 1_000_000_000;

fn step() -> impl Strategy<Value = Step> {
    let pick = || {
        prop_oneof![
            14 => (0..100_usize).prop_map(Pick::Live),
            1 => (0..100_usize).prop_map(Pick::Past),
            1 => Just(Pick::Never),
        ]
    };
    let owner = || select(vec!["a", "b"]);
    // From now on: mostly free, sometimes held, sometimes long past.
    let after = || {
        prop_oneof![
            4 => Just(0), 2 => Just(SECOND), 1 => Just(500), 1 => Just(20 * SECOND),
            1 => Just(-30 * SECOND),
        ]
    };
    let group = prop_oneof![1 => Just(""), 40 => select(GROUPS.to_vec())];
    let update = (
        owner(),
        prop::collection::vec((group, after()), 0..3),
        prop::collection::vec((pick(), after()), 0..3),
        prop::collection::vec(pick(), 0..2),
        prop::collection::vec(pick(), 0..2),
    );
    prop_oneof![
        60 => update.prop_map(|(owner, adds, changes, deletes, depends)| {
            Step::Update { owner, adds, changes, deletes, depends }
        }),
        30 => (owner(), select(GROUPS.to_vec()), select(vec![0, 500, SECOND, 5 * SECOND]))
            .prop_map(|(owner, group, nanos)| Step::Claim { owner, group, nanos }),
        20 => select(vec![1000, SECOND, 6 * SECOND]).prop_map(Step::Wait),
        8 => Just(Step::Sweep),
        1 => Just(Step::Restart),
    ]
}

impl Model {
    fn is_held_by_other(&self, now: i64, id: i64, owner: &str) -> bool {
        self.items
            .get(&id)
            .is_some_and(|item| item.at > now && item.owner != owner)
    }

    /// What the update answers, by the evaluation order of section 2.1; the ids are exact.
    fn update(&mut self, now: i64, update: &Update) -> Result<Vec<(i64, Item)>, Refusal> {
        let mut refusal = Refusal::default();
        if update.adds.is_empty() && update.changes.is_empty() && update.deletes.is_empty() {
            refusal.bugs.push(String::new());
            return Err(refusal);
        }
        let is_gone = |id: &i64| !self.items.contains_key(id);
        refusal.depends = update.depends.iter().copied().filter(is_gone).collect();
        refusal.deletes = update.deletes.iter().copied().filter(is_gone).collect();
        let changes = || update.changes.iter().map(|change| change.id);
        refusal.changes = changes().filter(is_gone).collect();
        let named = update.deletes.iter().copied().chain(changes());
        refusal.owned = named
            .filter(|id| self.is_held_by_other(now, *id, &update.owner))
            .collect();
        let unnamed = update.adds.iter().filter(|add| add.group.is_empty());
        refusal.bugs = unnamed.map(|_| String::new()).collect();
        if refusal != Refusal::default() {
            return Err(refusal);
        }
        let mut results = Vec::new();
        for add in &update.adds {
            results.push(Item {
                group: add.group.clone(),
                owner: update.owner.clone(),
                at: add.available_at.0,
                data: add.data.clone(),
            });
        }
        for change in &update.changes {
            results.push(Item {
                group: self.items[&change.id].group.clone(),
                owner: update.owner.clone(),
                at: change.available_at.0,
                data: change.data.clone(),
            });
        }
        for id in update.deletes.iter().copied().chain(changes()) {
            self.items.remove(&id);
        }
        let numbered: Vec<(i64, Item)> = (self.last + 1..).zip(results).collect();
        self.last += numbered.len() as i64;
        self.items.extend(numbered.iter().cloned());
        Ok(numbered)
    }
}

struct Walk {
    yard: Yard,
    model: Model,
    now: Timestamp,
    past: Vec<i64>,
}

impl Walk {
    fn nanos(&self) -> i64 {
        Nanos::from(self.now).0
    }

    fn id(&self, pick: Pick) -> i64 {
        let nth = |ids: &[i64], at: usize| ids.get(at % ids.len().max(1)).copied().unwrap_or(0);
        match pick {
            Pick::Live(at) => nth(&self.model.items.keys().copied().collect::<Vec<_>>(), at),
            Pick::Past(at) => nth(&self.past, at),
            Pick::Never => self.model.last + 1000,
        }
    }

    async fn take(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Update {
                owner,
                adds,
                changes,
                deletes,
                depends,
            } => {
                let bytes = |at: usize| format!("{}-{at}", self.model.last).into_bytes();
                let adds = adds.iter().enumerate().map(|(at, (group, after))| Add {
                    group: (*group).to_owned(),
                    data: bytes(at),
                    available_at: Nanos(self.nanos() + after),
                });
                let changes = changes
                    .iter()
                    .enumerate()
                    .map(|(at, (pick, after))| Change {
                        id: self.id(*pick),
                        data: bytes(at + 10),
                        available_at: Nanos(self.nanos() + after),
                    });
                let update = Update {
                    owner: (*owner).to_owned(),
                    adds: adds.collect(),
                    changes: changes.collect(),
                    deletes: deletes.iter().map(|pick| self.id(*pick)).collect(),
                    depends: depends.iter().map(|pick| self.id(*pick)).collect(),
                };
                self.update(update).await
            }
            Step::Claim {
                owner,
                group,
                nanos,
            } => self.claim(owner, group, *nanos).await,
            Step::Wait(nanos) => {
                self.now = Timestamp(self.now.0 + nanos / 1000);
                Ok(())
            }
            Step::Sweep => {
                let next = self.yard.sweep(self.now).await;
                must!(next > self.now, "the sweep left something to do");
                Ok(())
            }
            Step::Restart => Ok(()),
        }
    }

    async fn update(&mut self, update: Update) -> Result<(), String> {
        let (now, asked) = (self.now, update.clone());
        let mut answer = self
            .yard
            .write(move |tx| update::apply(tx, now, &asked))
            .await;
        if let Err(refusal) = &mut answer {
            // What the texts say is not for the model to know.
            refusal.bugs.iter_mut().for_each(String::clear);
        }
        let answer = answer.map(|entries| {
            let item = |entry: lease::Entry| {
                let group = entry.queue.as_str().trim_start_matches("group:").to_owned();
                let (at, data) = (entry.available_at.0, entry.data);
                (
                    entry.id,
                    Item {
                        group,
                        owner: entry.owner,
                        at,
                        data,
                    },
                )
            };
            entries.into_iter().map(item).collect::<Vec<_>>()
        });
        self.past.extend(self.model.items.keys());
        let expected = self.model.update(self.nanos(), &update);
        must!(
            answer == expected,
            "{update:?} answered {answer:#?} instead of {expected:#?}"
        );
        Ok(())
    }

    async fn claim(&mut self, owner: &str, group: &str, nanos: i64) -> Result<(), String> {
        let (now, until) = (self.now, Nanos(self.nanos() + nanos));
        let claim = group::Claim {
            owner: owner.to_owned(),
            groups: vec![group.to_owned()],
            count: 1,
            until,
            depends: Vec::new(),
            give_up: None,
        };
        let claimed = self
            .yard
            .write(move |tx| group::claim(tx, now, &claim, until.0 as u64))
            .await
            .expect("it depends on nothing")
            .entries;
        let nanos = self.nanos();
        let free = |item: &Item| item.group == group && item.at <= nanos;
        let Some(claimed) = claimed.first() else {
            let missed = self.model.items.values().find(|item| free(item));
            must!(
                missed.is_none(),
                "nothing was claimed though there is {missed:?}"
            );
            return Ok(());
        };
        // Any of the free ones will do; its bytes tell which it was.
        let known = self
            .model
            .items
            .iter()
            .find(|(_, item)| free(item) && item.data == claimed.data);
        let Some(id) = known.map(|(id, _)| *id) else {
            return Err(format!("{claimed:?} was not free"));
        };
        let mut item = self.model.items.remove(&id).expect("it was found");
        self.past.push(id);
        self.model.last += 1;
        must!(
            claimed.id == self.model.last,
            "the claim got id {}",
            claimed.id
        );
        (item.owner, item.at) = (owner.to_owned(), until.0);
        must!(
            claimed.owner == item.owner && claimed.available_at.0 == item.at,
            "{claimed:?} instead of {item:?}"
        );
        self.model.items.insert(claimed.id, item);
        Ok(())
    }

    async fn check(&self) -> Result<(), String> {
        let sql = "SELECT id, queue, owner, available_at, data FROM leases ORDER BY id";
        let now = self.now;
        let (rows, counts) = self
            .yard
            .read(move |tx| {
                let rows: Vec<(i64, Item)> = tx.query(sql, &[], |row| {
                    let queue: String = row.get(1)?;
                    let group = queue.trim_start_matches("group:").to_owned();
                    let (owner, at) = (row.get(2)?, row.get(3)?);
                    Ok((
                        row.get(0)?,
                        Item {
                            group,
                            owner,
                            at,
                            data: row.get(4)?,
                        },
                    ))
                })?;
                Ok((rows, group::counts(tx, now, None)?))
            })
            .await;
        let expected: Vec<(i64, Item)> = self
            .model
            .items
            .iter()
            .map(|(id, item)| (*id, item.clone()))
            .collect();
        must!(
            rows == expected,
            "there is {rows:#?} instead of {expected:#?}"
        );
        let mut groups: Vec<&str> = self.model.items.values().map(|item| &*item.group).collect();
        groups.sort_unstable();
        groups.dedup();
        let expected: Vec<Count> = groups
            .into_iter()
            .map(|group| {
                let items = || self.model.items.values().filter(|item| item.group == group);
                Count {
                    group: group.to_owned(),
                    available: items().filter(|item| item.at <= self.nanos()).count() as i64,
                    total: items().count() as i64,
                }
            })
            .collect();
        must!(
            counts == expected,
            "the groups count {counts:?} instead of {expected:?}"
        );
        Ok(())
    }
}

/// Puts an entry, with the id that none has had before.
async fn put(yard: &Yard, now: Timestamp) -> i64 {
    let add = Update {
        owner: "a".to_owned(),
        adds: vec![Add {
            group: "one".to_owned(),
            data: Vec::new(),
            available_at: Nanos(0),
        }],
        ..Update::default()
    };
    let added = yard.write(move |tx| update::apply(tx, now, &add)).await;
    added.expect("it depends on nothing")[0].id
}

async fn walk(yard: Yard, steps: &[Step]) -> (Yard, Result<(), String>) {
    yard.write(|tx| tx.execute("DELETE FROM leases", &[])).await;
    // The next id is known exactly: ids are never given twice, and none is wasted but by a restart.
    let first = put(&yard, START).await;
    let item = Item {
        group: "one".to_owned(),
        owner: "a".to_owned(),
        at: 0,
        data: Vec::new(),
    };
    let model = Model {
        last: first,
        items: BTreeMap::from([(first, item)]),
    };
    let mut walk = Walk {
        yard,
        model,
        now: START,
        past: Vec::new(),
    };
    for (at, step) in steps.iter().enumerate() {
        let mut outcome = walk.take(step).await;
        if matches!(step, Step::Restart) {
            walk.yard = walk.yard.restarted();
            let next = put(&walk.yard, walk.now).await;
            assert!(next > walk.model.last, "{next} was given before");
            walk.yard
                .write(move |tx| tx.execute("DELETE FROM leases WHERE id = $1", params![next]))
                .await;
            walk.past.push(next);
            walk.model.last = next;
        }
        if outcome.is_ok() {
            outcome = walk.check().await;
        }
        if let Err(text) = outcome {
            let text = format!("step {at}, {step:?}, at {:?}: {text}", walk.now);
            return (walk.yard, Err(text));
        }
    }
    (walk.yard, Ok(()))
}

on_both_databases! {
    /// T1, T2, T3, T7, T8 and T9; of T4 to T6 what concerns the entries themselves.
    async fn entries_change_as_specified_in_any_history(kind) {
        let cases = match kind {
            Kind::Sqlite => 150,
            Kind::Postgres => 30,
        };
        let kept = Cell::new(Some(Yard::new(kind)));
        let handle = Handle::current();
        for_all(cases, prop::collection::vec(step(), 5..60), |steps| {
            let yard = kept.take().unwrap_or_else(|| Yard::new(kind));
            let (yard, outcome) = handle.block_on(walk(yard, &steps));
            kept.set(Some(yard));
            outcome
        });
    }
}
