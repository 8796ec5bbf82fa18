//! Handlers that hang, break off, never end, or cannot be reached.

use std::time::Duration;

use taskyard_engine::cloud::{NewTask, Outcome};
use taskyard_store::on_both_databases;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::handler::{Handler, Reply, raw, untrusted, write};
use crate::house::{House, SOON, eager, to};

/// A deadline that is to pass.
const SHORT: Duration = Duration::from_millis(500);

/// The outcome of one attempt at `url`, and what is said about it.
async fn outcome(house: &House, url: &str) -> (Outcome, String) {
    outcome_within(house, url, SOON).await
}

async fn outcome_within(house: &House, url: &str, deadline: Duration) -> (Outcome, String) {
    let task = house
        .create(NewTask {
            dispatch_deadline: Some(deadline),
            ..to(url)
        })
        .await;
    let log = house.attempts(&task, 1).await;
    (log[0].outcome, log[0].excerpt.clone())
}

on_both_databases! {
    async fn whatever_a_handler_does_the_attempt_ends_and_is_told_apart(kind) {
        let house = House::new(kind).await;
        house.queue(eager(1)).await;

        let hangs = raw(|connection| async move {
            std::future::pending::<()>().await;
            drop(connection);
        }).await;
        let (came, why) = outcome_within(&house, &hangs, SHORT).await;
        assert_eq!((came, why.as_str()), (Outcome::TimedOut, "no complete answer within 500 ms"));

        let drips = raw(|mut connection| async move {
            write(&mut connection, "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
            loop {
                write(&mut connection, "x").await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }).await;
        let (came, _) = outcome_within(&house, &drips, SHORT).await;
        assert_eq!(came, Outcome::TimedOut, "a late 200 is none");

        let closes = raw(|connection| async move {
            drop(connection);
        }).await;
        assert_eq!(outcome(&house, &closes).await.0, Outcome::Unreachable);

        let resets = raw(|connection| async move {
            connection.set_zero_linger().expect("an open connection");
        }).await;
        assert_eq!(outcome(&house, &resets).await.0, Outcome::Unreachable);

        let breaks_off = raw(|mut connection| async move {
            write(&mut connection, "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf").await;
        }).await;
        assert_eq!(outcome(&house, &breaks_off).await.0, Outcome::Unreachable);

        let babbles = raw(|mut connection| async move {
            write(&mut connection, "what?\r\n\r\n").await;
        }).await;
        assert_eq!(outcome(&house, &babbles).await.0, Outcome::Unreachable);

        let endless = raw(|mut connection| async move {
            write(&mut connection, "HTTP/1.1 200 OK\r\n\r\n").await;
            while connection.write_all(&[b'x'; 8192]).await.is_ok() {}
        }).await;
        let (came, excerpt) = outcome(&house, &endless).await;
        assert_eq!((came, excerpt.len()), (Outcome::Status(200), 256));

        let rambles = raw(|mut connection| async move {
            write(&mut connection, "HTTP/1.1 200 OK\r\n").await;
            while connection.write_all(b"x-more: and more\r\n").await.is_ok() {}
        }).await;
        assert_eq!(outcome(&house, &rambles).await.0, Outcome::Unreachable);

        let no_tls = hangs.replace("http://", "https://");
        let (came, _) = outcome_within(&house, &no_tls, SHORT).await;
        assert!(matches!(came, Outcome::TimedOut | Outcome::Unreachable), "{came:?}");
        let plain = babbles.replace("http://", "https://");
        assert_eq!(outcome(&house, &plain).await.0, Outcome::Unreachable);

        let (came, why) = outcome(&house, "http://no-such-host.invalid/").await;
        assert_eq!(came, Outcome::Unreachable, "{why}");

        let (came, why) = outcome(&house, "http://169.254.169.254/computeMetadata/v1/").await;
        assert_eq!(came, Outcome::Refused);
        assert!(why.contains("must not call"), "{why}");

        // All were given up after their one attempt and can be looked into.
        assert_eq!(house.failures().await.len(), 11);
    }

    async fn a_success_that_comes_too_late_is_none(kind) {
        let house = House::new(kind).await;
        // An attempt may also be too late for want of a processor.
        house.queue(eager(1000)).await;
        let is_first = std::sync::atomic::AtomicBool::new(true);
        let url = raw(move |mut connection| {
            let is_first = is_first.swap(false, std::sync::atomic::Ordering::SeqCst);
            async move {
                if is_first {
                    // It is answered once nobody waits for it any more.
                    while connection.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {}
                }
                write(&mut connection, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
        }).await;
        let task = house.create(NewTask { dispatch_deadline: Some(SHORT), ..to(&url) }).await;
        let mut count = 2;
        loop {
            let log = house.attempts(&task, count).await;
            let (last, before) = log.split_last().expect("there are two");
            assert!(before.iter().all(|attempt| attempt.outcome == Outcome::TimedOut), "{log:?}");
            if last.outcome == Outcome::Status(200) {
                break;
            }
            count = log.len() + 1;
        }
    }

    async fn whoever_redirects_without_end_is_asked_once_an_attempt(kind) {
        let house = House::new(kind).await;
        house.queue(eager(3)).await;
        let here = Reply { header: Some(("location", "/".parse().expect("a value"))), ..Reply::status(302) };
        let mut handler = Handler::always(vec![], here).await;
        let task = house.create(to(&handler.url)).await;
        let log = house.attempts(&task, 3).await;
        assert!(log.iter().all(|attempt| attempt.outcome == Outcome::Status(302)), "{log:?}");
        assert_eq!(handler.rest().len(), 3);
        assert_eq!(house.failures().await.len(), 1);
    }

    async fn a_handler_whose_certificate_nobody_vouches_for_sees_no_task(kind) {
        let house = House::new(kind).await;
        house.queue(eager(1)).await;
        let (url, mut requests) = untrusted().await;
        let (came, why) = outcome(&house, &url).await;
        assert_eq!(came, Outcome::Unreachable);
        assert!(why.contains("certificate"), "{why}");
        assert!(requests.try_recv().is_err());
    }

    async fn a_handler_that_asks_for_time_is_left_alone(kind) {
        let house = House::new(kind).await;
        house.queue(eager(10)).await;
        let busy = Reply { header: Some(("retry-after", "3600".parse().expect("a value"))), ..Reply::status(503) };
        let mut handler = Handler::start(vec![busy]).await;
        let task = house.create(to(&handler.url)).await;
        handler.next().await;
        let log = house.attempts(&task, 1).await;
        let due = house.get(&task.id).await.expect("it waits").schedule_time;
        assert_eq!(due, log[0].ended_at.plus(Duration::from_hours(1)));
        house.clock.move_by(3_600_000_000);
        handler.next().await;
    }

    async fn connections_are_used_again(kind) {
        let house = House::new(kind).await;
        house.queue(eager(1)).await;
        let connections = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = std::sync::Arc::clone(&connections);
        let url = raw(move |mut connection| {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            async move {
                let mut rest = [0; 4096];
                loop {
                    write(&mut connection, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                    if connection.read(&mut rest).await.is_ok_and(|count| count == 0) {
                        return;
                    }
                }
            }
        }).await;
        for _ in 0..10 {
            assert_eq!(outcome(&house, &url).await, (Outcome::Status(200), "ok".to_owned()));
        }
        // One that has just ended may come back too late for the next attempt, but not each time.
        let connections = connections.load(std::sync::atomic::Ordering::SeqCst);
        assert!(connections < 10, "{connections} connections");
    }
}
