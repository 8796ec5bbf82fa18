use std::time::Duration;

use axum::Router;
use axum::routing::get;
use taskyard_http::{Draining, Limits};

use tokio::io::AsyncWriteExt as _;

use crate::served::Served;

const SHORT: Duration = Duration::from_millis(100);

async fn served(limits: Limits) -> Served {
    let router = Router::new().route("/", get(async || "hello"));
    Served::start_within(limits, Draining::new(), router).await
}

#[tokio::test]
async fn a_head_that_does_not_end_in_time_closes_its_connection() {
    let served = served(Limits {
        header_read: SHORT,
        ..Limits::default()
    })
    .await;
    let mut client = served.connect().await;
    client
        .send("GET / HTTP/1.1\r\nHost: test\r\nX-Endless: ")
        .await;
    let rest = client.rest().await;
    assert!(!rest.contains("200 OK"), "{rest}");
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let served = served(Limits {
        header_read: SHORT,
        ..Limits::default()
    })
    .await;
    assert_eq!(served.connect().await.rest().await, "");
}

#[tokio::test]
async fn a_connection_that_stops_in_the_middle_of_the_http2_preface_is_closed() {
    let served = served(Limits {
        header_read: SHORT,
        ..Limits::default()
    })
    .await;
    let mut client = served.connect().await;
    client.send("PRI * HTTP/2.0").await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_until_one_leaves() {
    let served = served(Limits {
        connections: 1,
        ..Limits::default()
    })
    .await;
    let mut first = served.connect().await;
    assert_eq!(first.get("/").await.status, 200);

    let mut second = served.connect().await;
    let waiting = second.get("/");
    tokio::pin!(waiting);
    // That nothing happens has no event to wait for.
    tokio::time::timeout(SHORT, waiting.as_mut())
        .await
        .expect_err("answered beyond the limit");

    drop(first);
    assert_eq!(waiting.await.status, 200);
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let served = served(Limits::default()).await;
    let mut client = served.connect().await;
    let long = "x".repeat(70_000);
    let head = format!("GET / HTTP/1.1\r\nHost: test\r\nX-Long: {long}\r\n\r\n");
    // The server need not read it all.
    let _ = client.stream.write_all(head.as_bytes()).await;
    let rest = client.rest().await;
    assert!(rest.starts_with("HTTP/1.1 431 "), "{rest}");
}
