//! The lease table by itself: entries wait, are held, and come back.

use std::collections::BTreeSet;
use std::time::Duration;

use taskyard_engine::group;
use taskyard_engine::lease::{self, Depth, Entry, NewEntry, Queue};
use taskyard_engine::{Nanos, Timestamp};
use taskyard_store::{Key, on_both_databases};

use crate::creation::nodes;
use crate::yard::{SOON, START, Yard, secs};

fn queue() -> Queue {
    Queue::of("other", "queue")
}

/// Puts entries with these bytes, ready at once.
async fn put(yard: &Yard, now: Timestamp, data: &[&'static str]) -> Vec<i64> {
    let data = data.to_vec();
    yard.write(move |tx| {
        let queue = queue();
        let entries: Vec<NewEntry<'_>> = data
            .iter()
            .map(|data| NewEntry {
                data: data.as_bytes(),
                ..NewEntry::ready(&queue, now)
            })
            .collect();
        lease::put(tx, now, &entries)
    })
    .await
}

async fn claim(yard: &Yard, now: Timestamp, until: Timestamp, count: usize) -> Vec<Entry> {
    yard.write(move |tx| lease::claim(tx, &queue(), now, "owner", until.into(), count))
        .await
}

async fn get(yard: &Yard, id: i64) -> Option<Entry> {
    yard.write(move |tx| lease::get(tx, id)).await
}

async fn hold(yard: &Yard, now: Timestamp, id: i64, until: Timestamp) -> Option<i64> {
    yard.write(move |tx| lease::hold(tx, id, &queue(), now, "owner", until.into()))
        .await
}

async fn depth(yard: &Yard, now: Timestamp) -> Depth {
    yard.read(move |tx| lease::depth(tx, &queue(), now)).await
}

on_both_databases! {
    async fn every_change_gives_an_entry_a_new_and_larger_id(kind) {
        let mut yard = Yard::new(kind);
        let mut ids = put(&yard, START, &["a", "b"]).await;
        let claimed = claim(&yard, START, START.plus(secs(60)), 1).await;
        assert_eq!((claimed[0].data.as_slice(), claimed[0].owner.as_str()), (&b"a"[..], "owner"));
        assert_eq!(get(&yard, claimed[0].id).await.as_ref(), Some(&claimed[0]));
        ids.push(claimed[0].id);
        let renewed = hold(&yard, START, claimed[0].id, START.plus(secs(90))).await;
        ids.extend(renewed);
        yard = yard.restarted();
        ids.extend(put(&yard, START, &["c"]).await);
        let released = hold(&yard, START, ids[3], START).await;
        ids.extend(released);
        assert_eq!(ids.len(), 6);
        assert!(ids.is_sorted_by(|left, right| left < right), "{ids:?}");
        // Only the last version of each is there.
        for (id, is_there) in ids.iter().zip([false, true, false, false, true, true]) {
            assert_eq!(get(&yard, *id).await.is_some(), is_there, "{id} of {ids:?}");
        }
        assert_eq!(hold(&yard, START, ids[2], START).await, None);
        assert_eq!(depth(&yard, START).await, Depth { ready: 3, held: 0 });
    }

    async fn an_entry_is_deleted_by_its_exact_version(kind) {
        let yard = Yard::new(kind);
        let ids = put(&yard, START, &["a"]).await;
        let claimed = claim(&yard, START, START.plus(secs(60)), 1).await;
        let (old, new) = (ids[0], claimed[0].id);
        assert!(!yard.write(move |tx| lease::delete(tx, old)).await);
        assert!(yard.write(move |tx| lease::delete(tx, new)).await);
        assert_eq!(depth(&yard, START).await, Depth::default());
    }

    async fn a_held_entry_comes_back_when_its_time_has_come(kind) {
        let yard = Yard::new(kind);
        put(&yard, START, &["a"]).await;
        let until = START.plus(secs(60));
        let claimed = claim(&yard, START, until, 1).await;
        assert!(claimed[0].is_held(Timestamp(until.0 - 1)) && !claimed[0].is_held(until));
        assert_eq!(depth(&yard, START).await, Depth { ready: 0, held: 1 });
        assert!(claim(&yard, Timestamp(until.0 - 1), until, 1).await.is_empty());
        // It may be claimed whether or not the timer has looked since.
        assert_eq!(depth(&yard, until).await, Depth { ready: 1, held: 0 });
        let again = claim(&yard, until, until.plus(secs(60)), 1).await;
        assert!(again[0].id > claimed[0].id);
        assert_eq!(get(&yard, claimed[0].id).await, None);
    }

    async fn the_next_due_time_is_that_of_the_earliest_held_entry(kind) {
        let yard = Yard::new(kind);
        let next = async || yard.read(lease::next_due).await;
        assert_eq!(next().await, None);
        put(&yard, START, &["a", "b"]).await;
        assert_eq!(next().await, None);
        claim(&yard, START, START.plus(secs(60)), 1).await;
        claim(&yard, START, START.plus(secs(50)), 1).await;
        assert_eq!(next().await, Some(START.plus(secs(50))));
        let due = yard.read(|tx| lease::due(tx, START.plus(secs(59)), 9)).await;
        assert_eq!(due.len(), 1);
        assert_eq!(yard.sweep(START.plus(secs(59))).await, START.plus(secs(60)));
        assert_eq!(next().await, Some(START.plus(secs(60))));
    }

    async fn times_within_a_microsecond_are_never_early(kind) {
        let yard = Yard::new(kind);
        let at = Nanos::from(START).0 + 1;
        yard.write(move |tx| {
            let queue = queue();
            let entry = NewEntry { available_at: Nanos(at), ..NewEntry::ready(&queue, START) };
            lease::put(tx, START, &[entry])
        })
        .await;
        assert!(claim(&yard, START, START.plus(secs(1)), 1).await.is_empty());
        assert_eq!(yard.read(lease::next_due).await, Some(Timestamp(START.0 + 1)));
        let later = Timestamp(START.0 + 1);
        assert_eq!(claim(&yard, later, later.plus(secs(1)), 1).await.len(), 1);
    }

    async fn entries_claimed_at_once_go_to_one_claimer_each(kind) {
        let yard = Yard::new(kind);
        let nodes = nodes(&yard, kind);
        put(&yard, START, &["a"; 60]).await;
        let calls: Vec<_> = (0..30_usize)
            .map(|at| {
                let store = nodes[at % 2].clone();
                tokio::spawn(async move {
                    let write = store.write(Key::of(at), move |tx| {
                        let until = START.plus(secs(60)).into();
                        lease::claim(tx, &queue(), START, &at.to_string(), until, 1 + at % 3)
                    });
                    write.await.expect("the write succeeds")
                })
            })
            .collect();
        let mut claimed = Vec::new();
        for call in calls {
            claimed.extend(call.await.expect("no panic"));
        }
        let ids: BTreeSet<i64> = claimed.iter().map(|entry| entry.id).collect();
        assert_eq!(ids.len(), claimed.len());
        // Who came while others had the rest in hand got less; nothing is lost by that.
        let rest = claim(&yard, START, START.plus(secs(60)), 60).await;
        assert_eq!(claimed.len() + rest.len(), 60);
    }

    /// A claim that finds entries due returns them for all who wait, not for itself alone.
    async fn waiters_are_woken_for_entries_that_a_claim_found_due(kind) {
        let yard = Yard::new(kind);
        put(&yard, START, &["a", "b", "c"]).await;
        let until = START.plus(secs(60));
        assert_eq!(claim(&yard, START, until, 3).await.len(), 3);
        let mut waiters =
            [yard.store.wait_for(queue().topic()), yard.store.wait_for(queue().topic())];
        assert_eq!(claim(&yard, until, until.plus(secs(60)), 1).await.len(), 1);
        for waiter in &mut waiters {
            // Well below the slow poll, which would wake it too.
            tokio::time::timeout(Duration::from_secs(2), waiter.woken()).await.expect("is woken");
        }
        assert_eq!(claim(&yard, until, until.plus(secs(60)), 9).await.len(), 2);
    }

    async fn waiters_are_woken_by_what_is_put_or_released(kind) {
        let yard = Yard::new(kind);
        let mut waiter = yard.store.wait_for(queue().topic());
        put(&yard, START, &["a"]).await;
        tokio::time::timeout(SOON, waiter.woken()).await.expect("is woken by what is put");
        let claimed = claim(&yard, START, START.plus(secs(60)), 1).await;
        hold(&yard, START, claimed[0].id, START).await.expect("the version is there");
        tokio::time::timeout(SOON, waiter.woken()).await.expect("is woken by what is released");
    }

    async fn the_overview_counts_all_queues(kind) {
        let yard = Yard::new(kind);
        put(&yard, START, &["a", "b"]).await;
        claim(&yard, START, START.plus(secs(60)), 1).await;
        yard.create(START.plus(secs(5)), crate::yard::new_task("task")).await;
        let overview = yard.read(|tx| lease::overview(tx, 10)).await;
        let lines: Vec<_> =
            overview.iter().map(|line| (line.queue.as_str(), line.depth, line.oldest)).collect();
        let expected = [
            ("other:queue", Depth { ready: 1, held: 1 }, Some(START)),
            ("run:prov/type", Depth { ready: 1, held: 0 }, Some(START.plus(secs(5)))),
        ];
        assert_eq!(lines, expected);
    }
    async fn the_overview_of_groups_tells_what_time_makes_of_their_entries(kind) {
        let yard = Yard::new(kind);
        let later = START.plus(secs(60));
        yard.write(move |tx| {
            let group = Queue::group("group");
            let held = NewEntry { available_at: later.into(), ..NewEntry::ready(&group, START) };
            lease::put(tx, START, &[NewEntry::ready(&group, START), held])
        })
        .await;
        for (now, ready) in [(START, 1), (later, 2)] {
            let overview = yard.read(move |tx| group::overview(tx, now, 10)).await;
            let depth = Depth { ready, held: 2 - ready };
            assert_eq!(overview.len(), 1);
            assert_eq!(overview[0].queue, Queue::group("group"));
            assert_eq!((overview[0].depth, overview[0].oldest), (depth, Some(START)));
        }
    }
}
