//! Histories of clients that call at the same time, recorded and checked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use taskyard_store::on_both_databases;

use crate::linear::{Asked, Call, is_linearizable};
use crate::model::{Claim, Given, Outcome, Update};
use crate::yard::Yard;

/// Clients that call at the same time.
const CLIENTS: i32 = 5;
/// Calls of each.
const CALLS: usize = 8;
/// Histories; more with `TASKYARD_TEST_HISTORIES`.
const HISTORIES: usize = 40;

/// What the clients of one history share.
struct Shared {
    yard: Arc<Yard>,
    clock: AtomicU64,
    labels: AtomicU64,
    /// Ids that have been seen, the last ones last.
    ids: Mutex<Vec<i64>>,
    calls: Mutex<Vec<Call>>,
}

/// Numbers that look random, from a seed (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

const GROUPS: [&str; 2] = ["a", "b"];

impl Shared {
    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn given(&self, dice: &mut Dice) -> Given {
        let label = self.labels.fetch_add(1, Ordering::SeqCst);
        // Held for an hour, or not at all: nothing falls due in between.
        Given {
            label,
            after: [0, 3600][dice.below(2)],
        }
    }

    /// One of the last ids, so that clients meet at it.
    fn id(&self, dice: &mut Dice) -> i64 {
        let ids = self.ids.lock().unwrap();
        let back = dice.below(4);
        ids.len()
            .checked_sub(1 + back)
            .and_then(|at| ids.get(at))
            .copied()
            .unwrap_or(1 << 40)
    }

    fn some_ids(&self, dice: &mut Dice, most: usize) -> Vec<i64> {
        (0..dice.below(most + 1)).map(|_| self.id(dice)).collect()
    }

    fn ask(&self, owner: i32, dice: &mut Dice) -> Asked {
        let group = GROUPS[dice.below(2)];
        if dice.below(2) == 0 {
            let seconds = [0, 3600][dice.below(2)];
            let depends = if dice.below(4) == 0 {
                self.some_ids(dice, 1)
            } else {
                Vec::new()
            };
            return Asked::Claim(Claim {
                owner,
                group,
                seconds,
                depends,
            });
        }
        Asked::Update(Update {
            owner,
            adds: (0..dice.below(3))
                .map(|_| (group, self.given(dice)))
                .collect(),
            changes: (0..dice.below(2))
                .map(|_| (self.id(dice), self.given(dice)))
                .collect(),
            deletes: self.some_ids(dice, 1),
            depends: self.some_ids(dice, 1),
        })
    }

    async fn client(self: Arc<Self>, owner: i32, seed: u64) {
        let mut dice = Dice(seed);
        for _ in 0..CALLS {
            let asked = self.ask(owner, &mut dice);
            let begin = self.tick();
            let answer = match &asked {
                Asked::Update(update) => self.yard.update(&update.json()).await,
                Asked::Claim(claim) => self.yard.claim(&claim.json()).await,
            };
            let end = self.tick();
            let outcome = Outcome::read(&answer);
            if let Outcome::Done(tasks) = &outcome {
                self.ids
                    .lock()
                    .unwrap()
                    .extend(tasks.iter().map(|(id, _)| id));
            }
            self.calls.lock().unwrap().push(Call {
                begin,
                end,
                asked,
                outcome,
            });
        }
    }

    /// Deletes all that is left.
    async fn clean_up(&self) {
        self.yard.advance(std::time::Duration::from_hours(2));
        let mut deletes = Vec::new();
        for group in GROUPS {
            let listed = self
                .yard
                .get(&format!("/group/{group}?owned=1"))
                .await
                .json();
            deletes.extend(crate::yard::ids(&serde_json::json!({ "tasks": listed })));
        }
        if !deletes.is_empty() {
            let update = Update {
                deletes,
                ..Update::default()
            };
            let outcome = Outcome::read(&self.yard.update(&update.json()).await);
            assert_eq!(outcome, Outcome::Done(Vec::new()));
        }
    }
}

on_both_databases! {
    async fn concurrent_calls_could_have_happened_one_after_the_other(kind) {
        let yard = Arc::new(Yard::with_peer(kind).await);
        let histories = std::env::var("TASKYARD_TEST_HISTORIES");
        let histories = histories.map_or(HISTORIES, |count| count.parse().expect("a number"));
        let mut refused = 0;
        for history in 0..histories as u64 {
            let shared = Arc::new(Shared {
                yard: Arc::clone(&yard),
                clock: AtomicU64::new(0),
                labels: AtomicU64::new(0),
                ids: Mutex::default(),
                calls: Mutex::default(),
            });
            let clients = (0..CLIENTS).map(|owner| {
                let seed = 1 + history * 1000 + u64::from(owner.unsigned_abs());
                tokio::spawn(Arc::clone(&shared).client(owner, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            });
            for client in clients.collect::<Vec<_>>() {
                client.await.expect("a client ends");
            }
            let calls = std::mem::take(&mut *shared.calls.lock().unwrap());
            refused += calls.iter().filter(|call| matches!(call.outcome, Outcome::Refused(_))).count();
            assert!(is_linearizable(&calls), "history {history}: {calls:#?}");
            shared.clean_up().await;
        }
        // The clients did get in each other's way.
        assert!(refused > histories);
    }
}
