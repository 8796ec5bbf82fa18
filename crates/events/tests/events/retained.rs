//! Old events go; those that somebody still has to publish stay, within bounds.

use std::time::Duration;

use taskyard_events::cursor::Cursor;
use taskyard_events::retention::{self, Retention, Swept};
use taskyard_events::{Frontier, log};
use taskyard_store::on_both_databases;

use crate::yard::Yard;

const SECOND: i64 = 1_000_000;

fn keep(seconds: u64, rows: u64, backlog: u64) -> Retention {
    Retention {
        keep: Duration::from_secs(seconds),
        rows,
        backlog,
    }
}

async fn sweep(yard: &Yard, now: i64, retention: Retention) -> Swept {
    yard.write(move |tx| retention::sweep(tx, now, &retention))
        .await
}

/// How many events can be read again.
async fn left(yard: &Yard) -> usize {
    let floor = yard.read(log::floor).await;
    yard.read(move |tx| Frontier::after(floor).read(tx, 1000))
        .await
        .events
        .len()
}

fn relay() -> Cursor {
    Cursor {
        reader: "amqp",
        node: "a".to_owned(),
    }
}

on_both_databases! {
    async fn events_go_when_they_are_old(kind) {
        let yard = Yard::new(kind);
        for at in 0..10 {
            yard.append(at * SECOND, "a").await;
        }
        let now = 14 * SECOND;
        assert_eq!(sweep(&yard, now, keep(100, 1000, 1000)).await.floor, 0);
        let swept = sweep(&yard, now, keep(10, 1000, 1000)).await;
        assert_eq!((swept.given_up, swept.more), (0, false));
        assert_eq!(left(&yard).await, 6);
        // Also when nothing happens any more; and the numbers go on from where they were.
        let newest = yard.read(log::newest).await;
        sweep(&yard, 1000 * SECOND, keep(10, 1000, 1000)).await;
        assert_eq!(left(&yard).await, 0);
        yard.append(1000 * SECOND, "a").await;
        assert!(yard.read(log::newest).await > newest);
        assert_eq!(left(&yard).await, 1);
    }

    async fn events_go_when_there_are_many(kind) {
        let yard = Yard::new(kind);
        for at in 0..10 {
            yard.append(at, "a").await;
        }
        sweep(&yard, 10, keep(1000, 4, 1000)).await;
        assert_eq!(left(&yard).await, 4);
    }

    async fn what_a_relay_has_not_published_stays_until_it_is_too_much(kind) {
        let yard = Yard::new(kind);
        for _ in 0..3 {
            yard.append(0, "a").await;
        }
        let third = yard.read(log::newest).await;
        yard.write(move |tx| relay().register(tx, third, 100 * SECOND)).await;
        for _ in 0..7 {
            yard.append(0, "a").await;
        }
        // Everything is old, and seven are still to be published.
        let swept = sweep(&yard, 50 * SECOND, keep(10, 1000, 1000)).await;
        assert_eq!((swept.floor, swept.given_up), (third, 0));
        assert_eq!(left(&yard).await, 7);
        let swept = sweep(&yard, 50 * SECOND, keep(10, 1000, 5)).await;
        assert_eq!(swept.given_up, 2);
        assert_eq!(left(&yard).await, 5);
        // A relay that was not heard of for as long as events are kept is none.
        sweep(&yard, 200 * SECOND, keep(10, 1000, 1000)).await;
        assert_eq!(left(&yard).await, 0);
    }
}
