//! Live subscribers: what they want, once each, however slow they are.

use std::sync::Arc;

use taskyard_events::hub::{BUFFER, Binding, Hub, Subscription};
use taskyard_events::translate::Place;
use taskyard_store::on_both_databases;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::yard::{SOON, Yard, translators};

fn start(yard: &Yard) -> (Arc<Hub>, JoinHandle<()>) {
    let hub = Hub::new(yard.store.clone(), translators());
    let running = tokio::spawn(Arc::clone(&hub).run());
    (hub, running)
}

fn bind(exchange: &str, pattern: &str) -> Binding {
    Binding {
        exchange: exchange.to_owned(),
        pattern: pattern.to_owned(),
    }
}

async fn next(subscription: &mut Subscription) -> Option<(Place, String)> {
    let delivery = timeout(SOON, subscription.next())
        .await
        .expect("it comes soon");
    delivery.map(|delivery| {
        let message = &delivery.message;
        (
            delivery.place,
            format!("{} {}", message.exchange, message.routing_key),
        )
    })
}

on_both_databases! {
    async fn everybody_hears_what_they_asked_for_from_when_they_asked(kind) {
        let yard = Yard::new(kind);
        yard.append(0, "before").await;
        let (hub, running) = start(&yard);
        let mut all = hub.subscribe(vec![bind("first", "#"), bind("first", "route.#")]);
        let mut some = hub.subscribe(vec![bind("second", "b.*")]);
        let mut routed = hub.subscribe(vec![bind("second", "route.a")]);
        for each in [&mut all, &mut some, &mut routed] {
            timeout(SOON, each.begun()).await.expect("soon").expect("it begins");
        }
        for subject in ["a", "nonsense", "b.c"] {
            yard.append(0, subject).await;
        }
        let (at, what) = next(&mut all).await.expect("a message");
        assert_eq!((at.index, what.as_str()), (0, "first a"));
        assert_eq!(next(&mut all).await.expect("a message").1, "first b.c");
        let (at, what) = next(&mut some).await.expect("a message");
        assert_eq!((at.index, what.as_str()), (1, "second b.c"));
        assert_eq!(next(&mut routed).await.expect("a message").1, "second a");
        drop((all, some, routed));
        assert_eq!(hub.subscribers(), 0);
        running.abort();
    }

    async fn one_who_is_too_slow_is_let_go_and_can_read_the_rest_from_the_log(kind) {
        const EVENTS: usize = BUFFER + 200;
        let yard = Yard::new(kind);
        let (hub, running) = start(&yard);
        let mut slow = hub.subscribe(vec![bind("first", "#")]);
        let mut quick = hub.subscribe(vec![bind("first", "last")]);
        for each in [&mut slow, &mut quick] {
            timeout(SOON, each.begun()).await.expect("soon").expect("it begins");
        }
        yard.write(|tx| {
            for _ in 0..EVENTS {
                taskyard_events::outbox::append(tx, 0, "said", "a", "{}")?;
            }
            taskyard_events::outbox::append(tx, 0, "said", "last", "{}")
        })
        .await;
        assert_eq!(next(&mut quick).await.expect("others hear it").1, "first last");
        let (mut seen, mut place) = (0, Place::end_of(0));
        while let Some((at, _)) = next(&mut slow).await {
            assert!(at > place);
            (seen, place) = (seen + 1, at);
        }
        assert_eq!(seen, BUFFER);
        let upto = hub.live().expect("somebody listens");
        loop {
            let read = hub.read_back(place, upto, 50).await.expect("the database answers");
            let read = read.expect("nothing is forgotten");
            seen += read.deliveries.iter().filter(|one| &*one.message.exchange == "first").count();
            place = Place::end_of(read.portion.frontier.position);
            if !read.portion.more {
                break;
            }
        }
        assert_eq!(seen, EVENTS + 1);
        running.abort();
    }

    async fn a_resumed_reader_gets_the_rest_of_an_event_it_has_seen_in_part(kind) {
        let yard = Yard::new(kind);
        yard.append(0, "a").await;
        yard.append(0, "b").await;
        let hub = Hub::new(yard.store.clone(), translators());
        let upto = hub.newest().await.expect("the database answers");
        let after = Place { position: upto - 1, index: 0 };
        let read = hub.read_back(after, upto, 10).await.expect("the database answers");
        let read: Vec<_> = read
            .expect("nothing is forgotten")
            .deliveries
            .iter()
            .map(|one| format!("{} {}", one.message.exchange, one.message.routing_key))
            .collect();
        assert_eq!(read, ["second a", "first b", "second b"]);
    }
}
