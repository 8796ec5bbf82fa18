//! What is known of workers, queues and provisioners, and who gets no work.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use proptest::sample::select;
use taskyard_engine::Timestamp;
use taskyard_engine::task::{self, Refusal};
use taskyard_engine::task_queue::{self, Declaration, Stability};
use taskyard_engine::worker::{self, Listing, Quarantine, Record};
use taskyard_store::testing::Kind;
use taskyard_store::{Key, on_both_databases};
use tokio::runtime::Handle;

use crate::history::for_all;
use crate::invariants::must;
use crate::yard::{QUEUE, START, Yard, migrations, named, new_task, secs};

const DAY: u64 = 86_400;
const WORKERS: [&str; 3] = ["w1", "w2", "w3"];

fn until(now: Timestamp, time: Timestamp) -> Quarantine {
    Quarantine {
        client_id: "somebody".to_owned(),
        updated_at: now,
        until: time,
        reason: "it smokes".to_owned(),
    }
}

async fn see(yard: &Yard, now: Timestamp, id: &'static str) {
    yard.write(move |tx| worker::seen(tx, now, QUEUE, &named(id)))
        .await;
}

async fn known(yard: &Yard, now: Timestamp, id: &'static str) -> Option<Record> {
    let found = yard
        .read(move |tx| worker::worker(tx, now, QUEUE, &named(id)))
        .await;
    found.map(|(record, _)| record)
}

#[derive(Debug, Clone)]
enum Step {
    Claim(usize, usize),
    Seen(usize),
    Declare(usize, u64),
    /// For so long; zero lets it go.
    Quarantine(usize, u64),
    Wait(u64),
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..WORKERS.len();
    prop_oneof![
        8 => (who(), 1..9_usize).prop_map(|(who, count)| Step::Claim(who, count)),
        3 => who().prop_map(Step::Seen),
        1 => (who(), select(vec![0, DAY, 9 * DAY])).prop_map(|(who, for_)| Step::Declare(who, for_)),
        2 => (who(), select(vec![0, 60, 10 * DAY]))
            .prop_map(|(who, for_)| Step::Quarantine(who, for_)),
        3 => select(vec![1, 60, 1800, DAY]).prop_map(Step::Wait),
        1 => Just(Step::Sweep),
    ]
}

/// A worker as it should be known.
#[derive(Debug, Clone, Default)]
struct Model {
    recent: Vec<String>,
    quarantine_until: i64,
    expires: i64,
    first: i64,
}

/// Walks through the steps; also returns the yard for the next ones.
async fn walk(yard: Yard, steps: &[Step]) -> (Yard, Result<(), String>) {
    yard.write(|tx| {
        for sql in [
            "DELETE FROM workers",
            "DELETE FROM quarantines",
            "DELETE FROM task_queues",
            "DELETE FROM leases",
            "DELETE FROM tasks",
            "DELETE FROM task_definitions",
            "DELETE FROM task_groups",
        ] {
            tx.execute(sql, &[])?;
        }
        Ok(())
    })
    .await;
    let mut models: BTreeMap<usize, Model> = BTreeMap::new();
    let mut now = START;
    let mut created = 0;
    for (at, step) in steps.iter().enumerate() {
        let outcome = take(&yard, &mut models, &mut now, &mut created, step).await;
        let outcome = match outcome {
            Ok(()) => check(&yard, &models, now).await,
            Err(text) => Err(text),
        };
        if let Err(text) = outcome {
            return (yard, Err(format!("step {at}, {step:?}: {text}")));
        }
    }
    (yard, Ok(()))
}

async fn take(
    yard: &Yard,
    models: &mut BTreeMap<usize, Model>,
    now: &mut Timestamp,
    created: &mut usize,
    step: &Step,
) -> Result<(), String> {
    let (at, day) = (*now, now.plus(secs(DAY)).0);
    let new = || Model {
        first: at.0,
        expires: day,
        ..Model::default()
    };
    match *step {
        Step::Claim(who, count) => {
            let all = (*created..*created + count).map(|id| {
                let mut new = new_task(&format!("task-{id:05}"));
                new.deadline = at.plus(secs(3600));
                new.expires = at.plus(secs(DAY));
                new
            });
            let ids: Vec<String> = all.clone().map(|task| task.id).collect();
            yard.create_all(at, all.collect()).await;
            *created += count;
            let claimed = yard
                .write(move |tx| {
                    let until = at.plus(secs(1200));
                    task::claim_work(tx, at, QUEUE, &named(WORKERS[who]), count, until)
                })
                .await;
            let is_quarantined = models
                .get(&who)
                .is_some_and(|model| model.quarantine_until > at.0);
            match claimed {
                // I12
                Err(Refusal::Quarantined { .. }) => must!(is_quarantined, "it is free"),
                Err(other) => return Err(other.to_string()),
                Ok(claimed) => {
                    must!(!is_quarantined, "it is quarantined and got {claimed:?}");
                    let model = models.entry(who).or_insert_with(new);
                    let mut got: Vec<String> =
                        claimed.iter().map(|claim| claim.task.id.clone()).collect();
                    model.recent.append(&mut got);
                }
            }
            // What is left would be claimed instead of what comes next.
            yard.write(move |tx| {
                for id in &ids {
                    drop(task::cancel(tx, at, id)?);
                }
                Ok(())
            })
            .await;
        }
        Step::Seen(who) => {
            see(yard, at, WORKERS[who]).await;
            let model = models.entry(who).or_insert_with(new);
            // Written down when the last time is half an hour ago, and never taken back.
            let record = known(yard, at, WORKERS[who]).await;
            let expires = record.map_or(0, |record| record.expires.0);
            must!(
                expires == day || expires == model.expires || model.expires > day,
                "it expires at {expires}"
            );
            must!(expires >= model.expires, "I38: it expires earlier");
            must!(
                expires + 1_800_000_000 > day,
                "it was not noted for more than half an hour"
            );
            model.expires = expires;
        }
        Step::Declare(who, for_) => {
            let expires = at.plus(secs(for_));
            yard.write(move |tx| worker::declare(tx, at, QUEUE, &named(WORKERS[who]), expires))
                .await;
            match models.get_mut(&who) {
                Some(model) => {
                    let record = known(yard, at, WORKERS[who]).await;
                    let told = record.map_or(model.expires, |record| record.expires.0);
                    must!(
                        told >= model.expires.max(expires.0),
                        "I38: it expires earlier"
                    );
                    model.expires = told;
                }
                None => {
                    models.insert(
                        who,
                        Model {
                            expires: expires.0,
                            ..new()
                        },
                    );
                }
            }
        }
        Step::Quarantine(who, for_) => {
            let time = at.plus(secs(for_));
            let done = yard
                .write(move |tx| {
                    worker::quarantine(tx, at, QUEUE, &named(WORKERS[who]), &until(at, time))
                })
                .await;
            let is_known = models
                .get(&who)
                .is_some_and(|model| model.expires > at.0 || model.quarantine_until > at.0);
            must!(done == is_known, "quarantining a worker answered {done}");
            if let Some(model) = models.get_mut(&who).filter(|_| is_known) {
                model.quarantine_until = time.0;
                model.expires = model.expires.max(day);
            }
        }
        Step::Wait(seconds) => *now = now.plus(secs(seconds)),
        Step::Sweep => {
            yard.sweep(at).await;
            let by = at.minus(secs(1800)).0;
            models.retain(|_, model| model.expires >= by || model.quarantine_until >= by);
        }
    }
    Ok(())
}

/// I37, I38, and that nothing is known that should not be.
async fn check(yard: &Yard, models: &BTreeMap<usize, Model>, now: Timestamp) -> Result<(), String> {
    for (who, name) in WORKERS.into_iter().enumerate() {
        let record = known(yard, now, name).await;
        let model = models
            .get(&who)
            .filter(|model| model.expires > now.0 || model.quarantine_until > now.0);
        let (Some(record), Some(model)) = (&record, model) else {
            must!(
                record.is_some() == model.is_some(),
                "{name} is known as {record:?}, and should be as {model:?}"
            );
            continue;
        };
        let recent: Vec<&str> = record
            .recent
            .iter()
            .map(|run| run.task_id.as_str())
            .collect();
        let expected: Vec<&str> = model
            .recent
            .iter()
            .rev()
            .take(20)
            .rev()
            .map(String::as_str)
            .collect();
        must!(
            recent == expected,
            "{name} remembers {recent:?} instead of {expected:?}"
        );
        must!(
            record.quarantine_until.0 == model.quarantine_until
                && record.expires.0 == model.expires
                && record.first_claim.0 == model.first,
            "{name} is known as {record:?}, and should be as {model:?}"
        );
    }
    Ok(())
}

on_both_databases! {
    /// I12, I37, I38
    async fn workers_are_remembered_as_they_showed_themselves(kind) {
        let cases = match kind {
            Kind::Sqlite => 60,
            Kind::Postgres => 12,
        };
        let kept = Cell::new(Some(Yard::new(kind)));
        let handle = Handle::current();
        for_all(cases, prop::collection::vec(step(), 1..40), |steps| {
            let yard = kept.take().unwrap_or_else(|| Yard::new(kind));
            let (yard, outcome) = handle.block_on(walk(yard, &steps));
            kept.set(Some(yard));
            outcome
        });
    }

    async fn a_sighting_within_half_an_hour_writes_nothing(kind) {
        let yard = Yard::new(kind);
        see(&yard, START, "w").await;
        let before = yard.store.commits();
        see(&yard, Timestamp(START.plus(secs(1800)).0 - 1), "w").await;
        assert_eq!(yard.store.commits(), before);
        see(&yard, START.plus(secs(1800)), "w").await;
        assert_eq!(yard.store.commits(), before + 1);
        let record = known(&yard, START, "w").await.expect("it is known");
        assert_eq!(record.first_claim, START);
        assert_eq!(record.last_active, START.plus(secs(1800)));
        assert_eq!(record.expires, START.plus(secs(1800 + DAY)));
        assert!(record.recent.is_empty() && !record.is_quarantined(START));
    }

    /// I12: whoever claims while the worker is being quarantined has claimed before, or gets nothing.
    async fn a_quarantine_that_is_answered_holds(kind) {
        let yard = Yard::new(kind);
        yard.create(START, new_task("task")).await;
        see(&yard, START, "w").await;
        let time = START.plus(secs(100));
        let done = yard
            .write(move |tx| worker::quarantine(tx, START, QUEUE, &named("w"), &until(START, time)))
            .await;
        assert!(done);
        let claim = |now: Timestamp| {
            yard.write(move |tx| {
                task::claim_work(tx, now, QUEUE, &named("w"), 1, now.plus(secs(60)))
            })
        };
        assert!(matches!(claim(START).await, Err(Refusal::Quarantined { .. })));
        let named_run = yard
            .write(|tx| task::claim_run(tx, START, "task", 0, &named("w"), START.plus(secs(9))))
            .await;
        assert!(matches!(named_run, Err(Refusal::Quarantined { .. })), "{named_run:?}");
        // Elsewhere it is another worker.
        let elsewhere = yard
            .read(move |tx| worker::worker(tx, START, "prov/other", &named("w")))
            .await;
        assert_eq!(elsewhere, None);
        assert_eq!(claim(time).await.map(|claimed| claimed.len()), Ok(1), "the time is over");
    }

    /// I12, with claims on one node and the quarantine on another.
    async fn no_claim_that_begins_after_a_quarantine_was_answered_finds_work(kind) {
        let yard = Yard::new(kind);
        let all = (0..300).map(|at| new_task(&format!("task-{at}"))).collect();
        yard.create_all(START, all).await;
        see(&yard, START, "w").await;
        // On SQLite there is one node.
        let other = match kind {
            Kind::Sqlite => yard.store.clone(),
            Kind::Postgres => yard.database.open(&migrations()),
        };
        let answered = Arc::new(AtomicBool::new(false));
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let claiming = tokio::spawn({
            let answered = Arc::clone(&answered);
            async move {
                let (mut begun, mut count) = (Some(begun), 0);
                loop {
                    // There must be work left that could be claimed too late.
                    while count >= 250 && !answered.load(Ordering::SeqCst) {
                        tokio::task::yield_now().await;
                    }
                    let is_late = answered.load(Ordering::SeqCst);
                    let claimed = other
                        .write(Key::of("claims"), |tx| {
                            let until = START.plus(secs(60));
                            task::claim_work(tx, START, QUEUE, &named("w"), 1, until)
                        })
                        .await
                        .expect("the claim is answered");
                    let Ok(claimed) = claimed else { return count };
                    assert!(!is_late, "it claimed {claimed:?}");
                    count += claimed.len();
                    if count == 20 {
                        begun.take().map(|begun| begun.send(()));
                    }
                }
            }
        });
        has_begun.await.expect("some work is claimed");
        let done = yard
            .write(|tx| {
                let quarantine = until(START, START.plus(secs(100)));
                worker::quarantine(tx, START, QUEUE, &named("w"), &quarantine)
            })
            .await;
        answered.store(true, Ordering::SeqCst);
        assert!(done);
        let count = claiming.await.expect("no claim was too late");
        assert!((20..300).contains(&count), "{count} claims before the quarantine");
    }

    async fn a_quarantined_worker_outlives_its_expiry_and_its_history_is_kept(kind) {
        let yard = Yard::new(kind);
        see(&yard, START, "w").await;
        for time in [START.plus(secs(10 * DAY)), START.plus(secs(5 * DAY))] {
            yard.write(move |tx| {
                worker::quarantine(tx, START, QUEUE, &named("w"), &until(START, time))
            })
            .await;
        }
        let late = START.plus(secs(4 * DAY));
        yard.sweep(late).await;
        let found = yard.read(move |tx| worker::worker(tx, late, QUEUE, &named("w"))).await;
        let (record, quarantines) = found.expect("it is quarantined");
        assert!(record.expires < late);
        assert_eq!(quarantines.len(), 2);
        assert_eq!(quarantines[0].until, START.plus(secs(10 * DAY)));
        let listed = async |listing, now| {
            yard.read(move |tx| worker::workers(tx, now, QUEUE, listing, &named(""), 9)).await.len()
        };
        assert_eq!(listed(Listing::All, late).await, 1);
        assert_eq!(listed(Listing::Quarantined, late).await, 1);
        assert_eq!(listed(Listing::Free, late).await, 0);
        let later = START.plus(secs(6 * DAY));
        assert_eq!(listed(Listing::All, later).await, 0);
        yard.sweep(later).await;
        for table in ["SELECT count(*) FROM workers", "SELECT count(*) FROM quarantines"] {
            let left = yard.read(move |tx| tx.query_opt(table, &[], |row| row.get::<i64>(0))).await;
            assert_eq!(left, Some(0), "{table}");
        }
    }

    async fn workers_are_listed_page_by_page(kind) {
        let yard = Yard::new(kind);
        for id in ["a", "b", "c", "d", "e"] {
            see(&yard, START, id).await;
        }
        let mut after = named("");
        "".clone_into(&mut after.group);
        let mut all = Vec::new();
        loop {
            let place = after.clone();
            let page = yard
                .read(move |tx| worker::workers(tx, START, QUEUE, Listing::All, &place, 2))
                .await;
            let Some(last) = page.last() else { break };
            after = last.worker.clone();
            all.extend(page.into_iter().map(|record| record.worker.id));
        }
        assert_eq!(all, ["a", "b", "c", "d", "e"]);
    }

    /// I38
    async fn a_queue_is_known_while_it_is_used_or_declared(kind) {
        let yard = Yard::new(kind);
        see(&yard, START, "w").await;
        let get = async |now: Timestamp| {
            yard.read(move |tx| task_queue::task_queue(tx, now, QUEUE)).await
        };
        let seen = get(START).await.expect("it is known");
        assert_eq!((seen.description.as_str(), seen.stability), ("", Stability::Experimental));
        assert_eq!(seen.expires, START.plus(secs(DAY)));
        let declare = async |declaration: Declaration| {
            yard.write(move |tx| task_queue::declare(tx, START, QUEUE, &declaration)).await
        };
        let declared = declare(Declaration {
            description: Some("for tests".to_owned()),
            stability: Some(Stability::Stable),
            expires: Some(START.plus(secs(60))),
        })
        .await;
        assert_eq!(declared.expires, seen.expires, "never earlier");
        let expires = Some(START.plus(secs(3 * DAY)));
        let declared = declare(Declaration { expires, ..Declaration::default() }).await;
        assert_eq!(declared.description, "for tests");
        assert_eq!(Some(declared), get(START).await);
        assert!(get(START.plus(secs(3 * DAY))).await.is_none());
        yard.sweep(START.plus(secs(4 * DAY))).await;
        let left = yard
            .read(|tx| tx.query_opt("SELECT count(*) FROM task_queues", &[], |row| row.get(0)))
            .await;
        assert_eq!(left, Some(0_i64));
    }

    async fn provisioners_follow_from_their_queues_or_are_declared(kind) {
        let yard = Yard::new(kind);
        for (queue, later) in [("a/x", 0), ("a/y", 100), ("c/x", 0), ("d/x", 0)] {
            let now = START.plus(secs(later));
            yard.write(move |tx| task_queue::seen(tx, now, queue, secs(DAY))).await;
        }
        let declaration = Declaration {
            description: Some("declared".to_owned()),
            ..Declaration::default()
        };
        for id in ["b", "c"] {
            let declaration = declaration.clone();
            yard.write(move |tx| {
                task_queue::declare_provisioner(tx, START, id, &declaration)
            })
            .await;
        }
        for limit in [1, 2, 3, 4, 9] {
            let (mut all, mut after) = (Vec::new(), Some(String::new()));
            while let Some(place) = after {
                let (page, next) = yard
                    .read(move |tx| task_queue::provisioners(tx, START, &place, limit))
                    .await;
                assert!(page.len() <= limit);
                all.extend(page.into_iter().map(|found| (found.id, found.description)));
                after = next;
            }
            let all: Vec<(&str, &str)> =
                all.iter().map(|(id, text)| (id.as_str(), text.as_str())).collect();
            assert_eq!(all, [("a", ""), ("b", "declared"), ("c", "declared"), ("d", "")]);
        }
        let get = async |id: &'static str, later: u64| {
            let now = START.plus(secs(later));
            yard.read(move |tx| task_queue::provisioner(tx, now, id)).await
        };
        let derived = get("a", 0).await.expect("it is known");
        assert_eq!(derived.expires, START.plus(secs(DAY + 100)));
        assert_eq!(derived.last_active, START.plus(secs(100)));
        assert!(get("a", DAY + 100).await.is_none() && get("none", 0).await.is_none());
        assert_eq!(get("b", 0).await.map(|b| b.expires), Some(START.plus(secs(5 * DAY))));
        yard.sweep(START.plus(secs(6 * DAY))).await;
        assert!(get("b", 0).await.is_none());
    }
}
