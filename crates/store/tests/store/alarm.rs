//! The alarm wakes a timer that would sleep too long.

use std::pin::pin;

use taskyard_store::Alarm;
use taskyard_store::on_both_databases;
use taskyard_store::testing::Database;

use crate::conversation::is_pending;
use crate::ledger::{complaint, enter, key, open};

#[tokio::test]
async fn what_falls_due_earlier_than_the_timer_sleeps_wakes_it() {
    let alarm = Alarm::default();
    alarm.sleeps_until(100);
    alarm.ring_at(99);
    alarm.earlier().await;
}

#[tokio::test]
async fn what_falls_due_when_the_timer_wakes_anyway_does_not_disturb_it() {
    let alarm = Alarm::default();
    alarm.sleeps_until(100);
    alarm.ring_at(100);
    alarm.ring_at(101);
    assert!(is_pending(&mut pin!(alarm.earlier())).await);
}

#[tokio::test]
async fn a_timer_that_does_not_sleep_yet_is_not_woken() {
    let alarm = Alarm::default();
    alarm.ring_at(i64::MIN + 1);
    assert!(
        is_pending(&mut pin!(alarm.earlier())).await,
        "it looks before it sleeps"
    );
}

#[tokio::test]
async fn what_falls_due_between_the_look_and_the_sleep_is_not_missed() {
    let alarm = Alarm::default();
    alarm.sleeps_until(i64::MAX);
    // The timer looks, finds nothing, and only then does this arrive.
    alarm.ring_at(5);
    alarm.earlier().await;
    alarm.sleeps_until(5);
    alarm.ring_at(5);
    assert!(
        is_pending(&mut pin!(alarm.earlier())).await,
        "it sleeps until then already"
    );
}

on_both_databases! {
    async fn an_alarm_rings_after_the_commit_with_the_earliest_time(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        store.alarm().sleeps_until(1000);
        let mut earlier = pin!(store.alarm().earlier());
        assert!(is_pending(&mut earlier).await);
        store
            .write(key(), |tx| {
                tx.alarm(2000);
                tx.alarm(999);
                tx.alarm(3000);
                enter(tx, 1)
            })
            .await
            .expect("committed");
        assert!(!is_pending(&mut earlier).await);
    }

    async fn an_undone_closure_sets_no_alarm(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        store.alarm().sleeps_until(1000);
        store
            .write::<(), _>(key(), |tx| {
                tx.alarm(1);
                enter(tx, 1)?;
                Err(complaint())
            })
            .await
            .expect_err("undone");
        assert!(is_pending(&mut pin!(store.alarm().earlier())).await);
    }
}
