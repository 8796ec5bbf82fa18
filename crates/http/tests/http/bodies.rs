use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::put;
use http::StatusCode;
use taskyard_http::body::{self, Error};
use taskyard_http::{Draining, Limits};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use crate::served::{Client, Served, soon};

const LIMIT: usize = 10;
const IDLE: Duration = Duration::from_millis(50);

/// A server that reads bodies, and what came of each.
struct Reader {
    served: Served,
    read: mpsc::UnboundedReceiver<Result<String, Error>>,
}

impl Reader {
    async fn start(idle: Duration) -> Self {
        let (outcomes, read) = mpsc::unbounded_channel();
        let handler = async move |body: Body| {
            let outcome = body::read(body, LIMIT, idle).await;
            let _ = outcomes.send(outcome.map(|bytes| String::from_utf8(bytes.into()).unwrap()));
            "read"
        };
        let served = Served::start(Router::new().route("/", put(handler))).await;
        Self { served, read }
    }

    async fn send(&self, rest_of_head_and_body: &str) -> Client {
        let mut client = self.served.connect().await;
        client
            .send(&format!(
                "PUT / HTTP/1.1\r\nHost: test\r\n{rest_of_head_and_body}"
            ))
            .await;
        client
    }

    async fn outcome(&mut self) -> Result<String, Error> {
        soon(self.read.recv()).await.unwrap()
    }
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_read() {
    let mut reader = Reader::start(body::IDLE).await;
    let _client = reader.send("Content-Length: 10\r\n\r\n0123456789").await;
    assert_eq!(reader.outcome().await, Ok("0123456789".to_owned()));
}

#[tokio::test]
async fn a_body_in_parts_is_read_whole() {
    let mut reader = Reader::start(body::IDLE).await;
    let _client = reader
        .send("Transfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n")
        .await;
    assert_eq!(reader.outcome().await, Ok("0123456789".to_owned()));
}

#[tokio::test]
async fn a_missing_body_is_empty() {
    let mut reader = Reader::start(body::IDLE).await;
    let _client = reader.send("\r\n").await;
    assert_eq!(reader.outcome().await, Ok(String::new()));
}

#[tokio::test]
async fn a_length_beyond_the_limit_is_refused_before_anything_is_sent() {
    let mut reader = Reader::start(body::IDLE).await;
    let _client = reader.send("Content-Length: 11\r\n\r\n").await;
    assert_eq!(
        reader.outcome().await,
        Err(Error::TooLarge { limit: LIMIT })
    );
}

#[tokio::test]
async fn parts_that_add_up_beyond_the_limit_are_refused() {
    let mut reader = Reader::start(body::IDLE).await;
    let _client = reader
        .send("Transfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n7\r\n456789A\r\n0\r\n\r\n")
        .await;
    assert_eq!(
        reader.outcome().await,
        Err(Error::TooLarge { limit: LIMIT })
    );
}

#[tokio::test]
async fn a_sender_that_falls_silent_is_given_up() {
    let mut reader = Reader::start(IDLE).await;
    let _client = reader.send("Content-Length: 10\r\n\r\n01234").await;
    assert_eq!(reader.outcome().await, Err(Error::Stalled { idle: IDLE }));
}

#[tokio::test]
async fn a_sender_that_hangs_up_is_noticed() {
    let mut reader = Reader::start(body::IDLE).await;
    let mut client = reader.send("Content-Length: 10\r\n\r\n01234").await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(reader.outcome().await, Err(Error::Aborted));
}

#[tokio::test]
async fn a_client_that_sends_on_regardless_still_gets_its_refusal() {
    let refuse = async |body: Body| match body::read(body, LIMIT, body::IDLE).await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::PAYLOAD_TOO_LARGE,
    };
    let limits = Limits {
        linger: Duration::from_mins(1),
        ..Limits::default()
    };
    let router = Router::new().route("/", put(refuse));
    let served = Served::start_within(limits, Draining::new(), router).await;
    let mut client = served.connect().await;
    // More than the buffers of both sockets hold.
    let body = vec![b'x'; 32 << 20];
    let head = format!(
        "PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(&head).await;
    client
        .stream
        .write_all(&body)
        .await
        .expect("the connection was reset");
    assert_eq!(client.answer().await.status, 413);
}

/// A server that takes up to [`LIMIT`] bytes.
async fn strict() -> Served {
    let take = async |body: Body| match body::read(body, LIMIT, body::IDLE).await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::PAYLOAD_TOO_LARGE,
    };
    let unread = async || StatusCode::FORBIDDEN;
    Served::start(
        Router::new()
            .route("/", put(take))
            .route("/unread", put(unread)),
    )
    .await
}

#[tokio::test]
async fn a_refusal_that_leaves_a_body_unread_says_that_the_connection_ends() {
    let served = strict().await;
    for (path, rest, status) in [
        ("/", "Content-Length: 11\r\n\r\n", 413),
        (
            "/",
            "Expect: 100-continue\r\nContent-Length: 11\r\n\r\n",
            413,
        ),
        (
            "/",
            "Transfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n7\r\n456789A\r\n",
            413,
        ),
        ("/unread", "Content-Length: 5\r\n\r\n", 403),
    ] {
        let mut client = served.connect().await;
        client
            .send(&format!("PUT {path} HTTP/1.1\r\nHost: test\r\n{rest}"))
            .await;
        let answer = client.answer().await;
        assert_eq!(answer.status, status, "{rest}");
        assert_eq!(answer.header("connection"), "close", "{rest}");
        assert_eq!(client.rest().await, "", "{rest}");
    }
}

#[tokio::test]
async fn a_connection_goes_on_behind_a_body_that_was_read() {
    let served = strict().await;
    let mut client = served.connect().await;
    for (path, rest, status) in [
        ("/", "Content-Length: 10\r\n\r\n0123456789", 200),
        (
            "/",
            "Transfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n",
            200,
        ),
        ("/unread", "Content-Length: 0\r\n\r\n", 403),
        ("/unread", "\r\n", 403),
    ] {
        client
            .send(&format!("PUT {path} HTTP/1.1\r\nHost: test\r\n{rest}"))
            .await;
        let answer = client.answer().await;
        assert_eq!(answer.status, status, "{rest}");
        assert_eq!(answer.header("connection"), "", "{rest}");
    }
}
