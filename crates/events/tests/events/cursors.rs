//! Readers that must not miss anything: one node at a time.

use taskyard_events::cursor::{self, Cursor};
use taskyard_store::on_both_databases;

use crate::yard::Yard;

fn cursor(node: &str) -> Cursor {
    Cursor {
        reader: "amqp",
        node: node.to_owned(),
    }
}

async fn take(yard: &Yard, node: &'static str, now: i64, until: i64) -> Option<i64> {
    yard.write(move |tx| cursor(node).take(tx, now, until))
        .await
}

on_both_databases! {
    async fn a_node_takes_over_when_the_other_is_not_heard_of(kind) {
        let yard = Yard::new(kind);
        assert_eq!(take(&yard, "a", 0, 10).await, None, "there is no such reader");
        yard.write(|tx| cursor("a").register(tx, 5, 10)).await;
        assert_eq!(take(&yard, "a", 1, 20).await, Some(5));
        assert_eq!(take(&yard, "b", 19, 40).await, None);
        assert!(yard.write(|tx| cursor("a").advance(tx, 8, 30)).await);
        assert_eq!(take(&yard, "b", 29, 40).await, None);
        assert_eq!(take(&yard, "b", 30, 60).await, Some(8));
        // Who comes back late changes nothing.
        assert!(!yard.write(|tx| cursor("a").advance(tx, 9, 70)).await);
        assert_eq!(yard.read(|tx| cursor::oldest(tx, 60)).await, Some(8));
        assert_eq!(yard.read(|tx| cursor::oldest(tx, 61)).await, None);
    }

    async fn a_node_that_leaves_makes_room_at_once(kind) {
        let yard = Yard::new(kind);
        yard.write(|tx| cursor("a").register(tx, 5, 10)).await;
        assert_eq!(take(&yard, "a", 0, 1000).await, Some(5));
        yard.write(|tx| cursor("a").release(tx)).await;
        assert_eq!(take(&yard, "b", 1, 1000).await, Some(5));
        // Asking for a reader that is there moves nothing.
        yard.write(|tx| cursor("b").register(tx, 77, 10)).await;
        assert_eq!(take(&yard, "b", 2, 1000).await, Some(5));
    }
}
