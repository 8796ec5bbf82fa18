//! Wake-ups: after the commit, and only for what was committed.

use std::pin::pin;

use taskyard_store::testing::Database;
use taskyard_store::{Topic, on_both_databases};

use crate::conversation::{hand_in, hold, is_pending, stop};
use crate::ledger::{complaint, enter, entries, key, open};

fn topic() -> Topic {
    Topic::new("queue", "a")
}

on_both_databases! {
    async fn a_waiter_is_woken_after_the_commit_and_not_before(kind) {
        let database = Database::new(kind).without_slow_poll();
        let store = open(&database);
        let mut waiter = store.wait_for(topic());
        let mut woken = pin!(waiter.woken());
        let (stop, mut stopped) = stop();
        let mut writing = Box::pin(store.write(key(), move |tx| {
            enter(tx, 1)?;
            tx.wake(topic());
            stop.here();
            Ok(())
        }));
        assert!(is_pending(&mut writing).await);
        stopped.reached().await;
        assert!(is_pending(&mut woken).await, "nothing is committed yet");
        stopped.go_on();
        woken.await;
        assert_eq!(entries(&store).await, [1], "who is woken sees what he was woken for");
        writing.await.expect("committed");
    }

    async fn a_waiter_is_woken_before_the_writer_is_answered(kind) {
        let database = Database::new(kind).without_slow_poll();
        let store = open(&database);
        for id in 0..20 {
            let mut waiter = store.wait_for(topic());
            store
                .write(key(), move |tx| {
                    tx.wake(topic());
                    enter(tx, id)
                })
                .await
                .expect("committed");
            assert!(!is_pending(&mut pin!(waiter.woken())).await);
        }
    }

    async fn an_undone_closure_wakes_nobody_and_its_neighbours_do(kind) {
        let database = Database::new(kind).without_slow_poll();
        let store = open(&database);
        let (unwanted, wanted) = (Topic::new("queue", "undone"), Topic::new("queue", "done"));
        let (mut first, mut second) = (store.wait_for(unwanted), store.wait_for(wanted));
        let held = hold(&store).await;
        let undone = hand_in::<(), _>(&store, move |tx| {
            enter(tx, 1)?;
            tx.wake_all(unwanted);
            Err(complaint())
        })
        .await;
        let panicking = hand_in::<(), _>(&store, move |tx| {
            tx.wake_all(unwanted);
            panic!("on purpose")
        })
        .await;
        let done = hand_in(&store, move |tx| {
            tx.wake_all(wanted);
            enter(tx, 2)
        })
        .await;
        held.release().await;
        undone.await.expect_err("undone");
        panicking.await.expect_err("undone");
        done.await.expect("committed");
        second.woken().await;
        assert!(is_pending(&mut pin!(first.woken())).await);
    }

    async fn each_wake_wakes_one_waiter_in_the_order_in_which_they_came(kind) {
        let database = Database::new(kind).without_slow_poll();
        let store = open(&database);
        let mut waiters: Vec<_> = (0..3).map(|_| store.wait_for(topic())).collect();
        store
            .write(key(), |tx| {
                tx.wake(topic());
                tx.wake(topic());
                enter(tx, 1)
            })
            .await
            .expect("committed");
        let mut pending = Vec::new();
        for waiter in &mut waiters {
            pending.push(is_pending(&mut pin!(waiter.woken())).await);
        }
        assert_eq!(pending, [false, false, true]);
    }

    async fn wake_all_wakes_every_waiter_of_the_topic_and_no_other(kind) {
        let database = Database::new(kind).without_slow_poll();
        let store = open(&database);
        let mut waiters: Vec<_> = (0..5).map(|_| store.wait_for(topic())).collect();
        let mut other = store.wait_for(Topic::new("queue", "b"));
        store
            .write(key(), |tx| {
                tx.wake_all(topic());
                enter(tx, 1)
            })
            .await
            .expect("committed");
        for waiter in &mut waiters {
            waiter.woken().await;
        }
        assert!(is_pending(&mut pin!(other.woken())).await);
    }

    async fn a_waiter_can_be_woken_again_and_again(kind) {
        let database = Database::new(kind).without_slow_poll();
        let store = open(&database);
        let mut waiter = store.wait_for(topic());
        for id in 0..10 {
            store
                .write(key(), move |tx| {
                    tx.wake(topic());
                    enter(tx, id)
                })
                .await
                .expect("committed");
            waiter.woken().await;
            assert!(is_pending(&mut pin!(waiter.woken())).await, "one wake-up, one return");
        }
    }

    async fn who_is_woken_can_pass_it_on(kind) {
        let database = Database::new(kind).without_slow_poll();
        let store = open(&database);
        let (mut first, mut second) = (store.wait_for(topic()), store.wait_for(topic()));
        store.pass_on(topic());
        first.woken().await;
        assert!(is_pending(&mut pin!(second.woken())).await);
        drop(first);
        store.pass_on(topic());
        second.woken().await;
    }

    async fn a_closure_that_only_wakes_wakes(kind) {
        let database = Database::new(kind).without_slow_poll();
        let store = open(&database);
        let mut waiter = store.wait_for(topic());
        store
            .write(key(), |tx| {
                tx.wake(topic());
                Ok(())
            })
            .await
            .expect("answered");
        waiter.woken().await;
    }
}
