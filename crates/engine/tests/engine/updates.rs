//! Atomic updates of entries, by example.

use std::time::Duration;

use taskyard_engine::lease::{self, Entry};
use taskyard_engine::update::{self, Add, Change, Refusal, Update};
use taskyard_engine::{Nanos, Timestamp};
use taskyard_store::testing::Kind;
use taskyard_store::{Key, on_both_databases};

use crate::creation::nodes;
use crate::yard::{START, Yard, secs};

pub(crate) fn add(group: &str, data: &str) -> Add {
    Add {
        group: group.to_owned(),
        data: data.as_bytes().to_vec(),
        available_at: START.into(),
    }
}

pub(crate) fn change(id: i64, data: &str, at: Timestamp) -> Change {
    Change {
        id,
        data: data.as_bytes().to_vec(),
        available_at: at.into(),
    }
}

fn by(owner: &str) -> Update {
    Update {
        owner: owner.to_owned(),
        ..Update::default()
    }
}

async fn apply(yard: &Yard, now: Timestamp, update: Update) -> Result<Vec<Entry>, Refusal> {
    yard.write(move |tx| update::apply(tx, now, &update)).await
}

fn ids(entries: &[Entry]) -> Vec<i64> {
    entries.iter().map(|entry| entry.id).collect()
}

async fn live(yard: &Yard) -> Vec<i64> {
    let sql = "SELECT id FROM leases ORDER BY id";
    yard.read(move |tx| tx.query(sql, &[], |row| row.get(0)))
        .await
}

on_both_databases! {
    /// T10, the example of the reference's own test.
    async fn one_owners_day_goes_as_scripted(kind) {
        let yard = Yard::new(kind);
        let adds = ["g1", "g1", "g2", "g2", "g3", "g3"].map(|group| add(group, "hello"));
        let added = apply(&yard, START, Update { adds: adds.to_vec(), ..by("me") }).await;
        let added = added.expect("groups are named");
        assert_eq!(ids(&added), [1, 2, 3, 4, 5, 6]);

        let minute = START.plus(secs(60));
        let update = Update { changes: vec![change(1, "bye", minute)], ..by("me") };
        let seven = apply(&yard, START, update).await.expect("it is mine");
        assert_eq!((ids(&seven), seven[0].queue.as_str()), (vec![7], "group:g1"));

        let second = START.plus(secs(1));
        let update = Update { changes: vec![change(7, "bye", second)], ..by("me") };
        let eight = apply(&yard, START, update).await.expect("it is mine");
        assert_eq!(ids(&eight), [8]);
        let difference = seven[0].available_at.0 - eight[0].available_at.0;
        assert_eq!(difference, Duration::from_secs(59).as_nanos() as i64);

        let update = Update { changes: vec![change(8, "", START)], ..by("other") };
        let refused = apply(&yard, START, update).await;
        assert_eq!(refused, Err(Refusal { owned: vec![8], ..Refusal::default() }));

        let update = Update { adds: vec![add("g", "")], depends: vec![0], ..by("me") };
        let refused = apply(&yard, START, update).await;
        assert_eq!(refused, Err(Refusal { depends: vec![0], ..Refusal::default() }));

        let update = Update { changes: vec![change(7, "", START)], ..by("me") };
        let refused = apply(&yard, START, update).await;
        assert_eq!(refused, Err(Refusal { changes: vec![7], ..Refusal::default() }));

        let update = Update { deletes: vec![3], ..by("me") };
        assert_eq!(apply(&yard, START, update).await, Ok(Vec::new()));
        assert_eq!(live(&yard).await, [2, 4, 5, 6, 8]);
    }

    /// T3
    async fn all_problems_are_told_in_the_order_of_the_request(kind) {
        let yard = Yard::new(kind);
        let later = Nanos::from(START.plus(secs(60)));
        let held = Add { available_at: later, ..add("g", "held") };
        let update = Update { adds: vec![held.clone(), add("g", "free"), held], ..by("me") };
        assert_eq!(apply(&yard, START, update).await.map(|added| ids(&added)), Ok(vec![1, 2, 3]));

        let update = Update {
            adds: vec![add("", "x"), add("g", "y"), add("", "z")],
            changes: vec![
                change(3, "", START),
                change(77, "", START),
                change(1, "", START),
                change(66, "", START),
                change(77, "", START),
                change(2, "", START),
            ],
            deletes: vec![88, 1, 2, 55, 88, 3],
            depends: vec![99, 1, -4, 99],
            ..by("other")
        };
        let refusal = apply(&yard, START, update).await.expect_err("there are problems");
        assert_eq!(refusal.depends, [99, -4, 99]);
        assert_eq!(refusal.deletes, [88, 55, 88]);
        assert_eq!(refusal.changes, [77, 66, 77]);
        assert_eq!(refusal.owned, [1, 3, 3, 1]);
        assert_eq!(refusal.bugs.len(), 2);

        // Nothing has changed, and no id was used.
        assert_eq!(live(&yard).await, [1, 2, 3]);
        let update = Update { adds: vec![add("g", "next")], ..by("other") };
        assert_eq!(apply(&yard, START, update).await.map(|added| ids(&added)), Ok(vec![4]));
    }

    /// T3: then nothing else is looked at.
    async fn an_update_without_work_is_refused_whatever_it_depends_on(kind) {
        let yard = Yard::new(kind);
        let update = Update { depends: vec![5], ..by("me") };
        let refusal = apply(&yard, START, update).await.expect_err("it is empty");
        assert_eq!((refusal.bugs.len(), refusal.depends.len()), (1, 0));
    }

    /// T1, T2
    async fn ids_named_twice_count_twice_for_changes_and_once_for_deletes(kind) {
        let yard = Yard::new(kind);
        let adds = vec![add("g", "a"), add("g", "b"), add("g", "c")];
        apply(&yard, START, Update { adds, ..by("me") }).await.expect("groups are named");
        let update = Update {
            adds: vec![add("new", "d")],
            changes: vec![
                change(1, "one", START),
                change(2, "two", START.plus(secs(9))),
                change(1, "three", START.plus(secs(8))),
            ],
            deletes: vec![2, 3, 3, 1],
            depends: vec![1, 3, 1],
            ..by("other")
        };
        let later = START.plus(secs(1));
        let results = apply(&yard, later, update).await.expect("all of them are free");
        assert_eq!(ids(&results), [4, 5, 6, 7]);
        assert_eq!(live(&yard).await, [4, 5, 6, 7]);
        let bytes: Vec<&[u8]> = results.iter().map(|entry| entry.data.as_slice()).collect();
        assert_eq!(bytes, [&b"d"[..], b"one", b"two", b"three"]);
        let groups: Vec<&str> = results.iter().map(|entry| entry.queue.as_str()).collect();
        assert_eq!(groups, ["group:new", "group:g", "group:g", "group:g"]);
        // What is answered is what is stored.
        for result in results {
            let id = result.id;
            assert_eq!(yard.write(move |tx| lease::get(tx, id)).await, Some(result));
        }
    }

    /// T9
    async fn an_owner_may_extend_shorten_and_release_what_it_holds(kind) {
        let yard = Yard::new(kind);
        let update = Update { adds: vec![add("g", "a")], ..by("me") };
        let mut id = apply(&yard, START, update).await.expect("the group is named")[0].id;
        for seconds in [60, 600, 30, 0] {
            let at = START.plus(secs(seconds));
            let update = Update { changes: vec![change(id, "a", at)], ..by("me") };
            let changed = apply(&yard, START, update).await.expect("it is mine")[0].id;
            assert!(changed > id);
            id = changed;
            let deletion = Update { deletes: vec![id], ..by("other") };
            if seconds > 0 {
                let refused = apply(&yard, START, deletion).await.expect_err("it is held");
                assert_eq!(refused.owned, [id]);
            } else {
                assert_eq!(apply(&yard, START, deletion).await, Ok(Vec::new()));
            }
        }
    }

    /// T9: after its time anybody may change it, whether or not it was claimed since.
    async fn a_hold_protects_until_its_time_has_come(kind) {
        let yard = Yard::new(kind);
        let until = START.plus(secs(60));
        let held = Add { available_at: until.into(), ..add("g", "a") };
        apply(&yard, START, Update { adds: vec![held], ..by("me") }).await.expect("named");
        let change = || Update { changes: vec![change(1, "b", until)], ..by("other") };
        assert!(apply(&yard, Timestamp(until.0 - 1), change()).await.is_err());
        assert!(apply(&yard, until, change()).await.is_ok());
    }

    /// T7, T8: of updates of the same version exactly one is applied.
    async fn conflicting_updates_at_once_have_one_winner(kind) {
        let yard = Yard::new(kind);
        let nodes = nodes(&yard, kind);
        let update = Update { adds: vec![add("g", "a"), add("g", "b")], ..by("me") };
        let mut current = ids(&apply(&yard, START, update).await.expect("named"));
        for _ in 0..20 {
            let calls: Vec<_> = (0..6_usize)
                .map(|at| {
                    let mut changes = vec![
                        change(current[0], &format!("a{at}"), START),
                        change(current[1], &format!("b{at}"), START),
                    ];
                    if at % 2 == 0 {
                        changes.reverse();
                    }
                    let update = Update { changes, ..by(&at.to_string()) };
                    let store = nodes[at % 2].clone();
                    tokio::spawn(async move {
                        let write =
                            store.write(Key::of(at), move |tx| update::apply(tx, START, &update));
                        write.await.expect("the write succeeds")
                    })
                })
                .collect();
            let mut winners = Vec::new();
            for call in calls {
                match call.await.expect("no panic") {
                    Ok(entries) => winners.push(entries),
                    Err(refusal) => {
                        assert!(refusal.changes.len() == 2 && refusal.owned.is_empty());
                    }
                }
            }
            assert_eq!(winners.len(), 1);
            let mut next = ids(&winners[0]);
            next.sort_unstable();
            assert_eq!(live(&yard).await, next);
            assert!(next[0] > current[1]);
            current = next;
        }
    }

    /// Updates lock what they name, in each other's way; still all of them are answered, soon.
    async fn updates_that_depend_on_the_same_entries_do_not_block_each_other_for_ever(kind) {
        let yard = Yard::new(kind);
        let adds = (0..6).map(|at| add("shared", &at.to_string())).collect();
        let shared = ids(&apply(&yard, START, Update { adds, ..by("me") }).await.expect("named"));
        let count = if kind == Kind::Sqlite { 1000 } else { 300 };
        let started = std::time::Instant::now();
        let calls: Vec<_> = (0..count)
            .map(|at: usize| {
                let depends = vec![shared[at % 6], shared[(at / 6) % 6], shared[(at * 5) % 6]];
                let update = Update { adds: vec![add("g", "x")], depends, ..by("me") };
                let store = yard.store.clone();
                tokio::spawn(async move {
                    store.write(update::key(), move |tx| update::apply(tx, START, &update)).await
                })
            })
            .collect();
        for call in calls {
            let answer = call.await.expect("no panic").expect("the write succeeds");
            assert!(answer.is_ok());
        }
        assert!(started.elapsed() < secs(120), "took {:?}", started.elapsed());
        assert_eq!(live(&yard).await.len(), 6 + count);
    }
}
