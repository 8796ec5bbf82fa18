//! A server on a free port and a client that writes and reads plain HTTP/1.1.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use taskyard_http::{Drained, Draining, Entrance, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Nothing in these tests takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) draining: Draining,
    ended: JoinHandle<Drained>,
}

impl Served {
    pub(crate) async fn start(router: Router) -> Self {
        Self::start_within(Limits::default(), Draining::new(), router).await
    }

    pub(crate) async fn start_within(limits: Limits, draining: Draining, router: Router) -> Self {
        Self::start_all(limits, draining, router.into()).await
    }

    pub(crate) async fn start_entrance(entrance: Entrance) -> Self {
        Self::start_all(Limits::default(), Draining::new(), entrance).await
    }

    async fn start_all(limits: Limits, draining: Draining, entrance: Entrance) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ended = tokio::spawn(taskyard_http::serve(
            listener,
            entrance,
            limits,
            draining.clone(),
        ));
        Self {
            address,
            draining,
            ended,
        }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client {
            stream: TcpStream::connect(self.address).await.unwrap(),
            read: Vec::new(),
        }
    }

    pub(crate) async fn ended(self) -> Drained {
        soon(self.ended).await.unwrap()
    }

    pub(crate) async fn stop(self) -> Drained {
        self.draining.cancel();
        self.ended().await
    }
}

/// One HTTP/1.1 connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
            .await;
        self.answer().await
    }

    /// Reads one response with a content-length.
    pub(crate) async fn answer(&mut self) -> Answer {
        loop {
            if let Some((answer, length)) = Answer::parse(&self.read) {
                self.read.drain(..length);
                return answer;
            }
            assert_ne!(
                self.more().await,
                0,
                "the connection ended before a response was complete"
            );
        }
    }

    /// Reads until the server closes, and returns what came before.
    pub(crate) async fn rest(&mut self) -> String {
        while self.more().await > 0 {}
        String::from_utf8(std::mem::take(&mut self.read)).unwrap()
    }

    async fn more(&mut self) -> usize {
        soon(self.stream.read_buf(&mut self.read))
            .await
            .unwrap_or(0)
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self
            .head
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        line.split_once(": ").map_or("", |(_, value)| value)
    }

    fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, rest) = text.split_once("\r\n\r\n")?;
        let mut answer = Self {
            status: head.split(' ').nth(1)?.parse().ok()?,
            head: head.to_owned(),
            body: String::new(),
        };
        let length: usize = answer.header("content-length").parse().ok()?;
        rest.get(..length)?.clone_into(&mut answer.body);
        Some((answer, head.len() + 4 + length))
    }
}

/// What must happen, and soon.
pub(crate) async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event)
        .await
        .expect("this should have happened by now")
}
