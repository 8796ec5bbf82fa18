use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use taskyard_http::{Draining, Limits};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::served::{Served, soon};

/// A server whose `/slow` answers when the test allows it, and whose `/poll` answers when the
/// server drains.
struct Slow {
    served: Served,
    entered: Arc<Semaphore>,
    allowed: Arc<Semaphore>,
}

impl Slow {
    async fn start(limits: Limits) -> Self {
        let draining = Draining::new();
        let (entered, allowed) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (enters, allows) = (Arc::clone(&entered), Arc::clone(&allowed));
        let (enters_poll, drained) = (Arc::clone(&entered), draining.clone());
        let router = Router::new()
            .route(
                "/slow",
                get(async move || {
                    enters.add_permits(1);
                    allows.acquire().await.unwrap().forget();
                    "done"
                }),
            )
            .route(
                "/poll",
                get(async move || {
                    enters_poll.add_permits(1);
                    drained.cancelled().await;
                    "nothing"
                }),
            );
        let served = Served::start_within(limits, draining, router).await;
        Self {
            served,
            entered,
            allowed,
        }
    }

    async fn entered(&self) {
        soon(self.entered.acquire()).await.unwrap().forget();
    }
}

const SLOW: &str = "GET /slow HTTP/1.1\r\nHost: test\r\n\r\n";

#[tokio::test]
async fn a_shutdown_closes_idle_connections_and_refuses_new_ones() {
    let served = Served::start(Router::new().route("/", get(async || "hello"))).await;
    let address = served.address;
    let mut idle = served.connect().await;
    assert_eq!(idle.get("/").await.status, 200);
    let mut silent = served.connect().await;

    assert_eq!(served.stop().await.cut_off, 0);
    assert_eq!(idle.rest().await, "");
    assert_eq!(silent.rest().await, "");
    TcpStream::connect(address)
        .await
        .expect_err("nobody should listen any more");
}

#[tokio::test]
async fn a_request_in_flight_is_answered_during_a_shutdown() {
    let slow = Slow::start(Limits::default()).await;
    let mut client = slow.served.connect().await;
    client.send(SLOW).await;
    slow.entered().await;

    slow.served.draining.cancel();
    slow.allowed.add_permits(1);
    assert_eq!(client.answer().await.body, "done");
    assert_eq!(
        client.rest().await,
        "",
        "the connection closes after its last answer"
    );
    assert_eq!(slow.served.ended().await.cut_off, 0);
}

#[tokio::test]
async fn a_request_in_flight_over_http2_is_answered_during_a_shutdown() {
    let slow = Slow::start(Limits::default()).await;
    let stream = slow.served.connect().await.stream;
    let (mut http2, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("http://test/slow")
        .body(Body::empty())
        .unwrap();
    let answer = tokio::spawn(http2.send_request(request));
    slow.entered().await;

    slow.served.draining.cancel();
    slow.allowed.add_permits(1);
    assert_eq!(soon(answer).await.unwrap().unwrap().status(), 200);
    drop(http2);
    soon(connection).await.unwrap().unwrap();
    assert_eq!(slow.served.ended().await.cut_off, 0);
}

#[tokio::test]
async fn a_long_poll_answers_as_soon_as_the_server_drains() {
    let slow = Slow::start(Limits::default()).await;
    let mut client = slow.served.connect().await;
    client
        .send("GET /poll HTTP/1.1\r\nHost: test\r\n\r\n")
        .await;
    slow.entered().await;

    slow.served.draining.cancel();
    assert_eq!(client.answer().await.body, "nothing");
    assert_eq!(slow.served.ended().await.cut_off, 0);
}

#[tokio::test]
async fn what_outlasts_the_time_limit_of_a_shutdown_is_cut_off() {
    let slow = Slow::start(Limits {
        shutdown: Duration::from_millis(50),
        ..Limits::default()
    })
    .await;
    let mut client = slow.served.connect().await;
    client.send(SLOW).await;
    slow.entered().await;

    assert_eq!(slow.served.stop().await.cut_off, 1);
    assert_eq!(client.rest().await, "");
}
