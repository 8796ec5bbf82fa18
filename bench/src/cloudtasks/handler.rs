//! The handler that tasks are sent to: within this process, so that one clock tells how late they
//! are.

use crate::latency::Samples;
use anyhow::{Context as _, Result, ensure};
use bytes::{Buf as _, BytesMut};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

/// The kind of request that a delivery is counted as.
pub(crate) const DELIVER: &str = "deliver";

/// How long the last deliveries may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Room that is made for each read.
const READ: usize = 4 * 1024;

/// Header fields that a delivery may have.
const MAX_FIELDS: usize = 48;

/// Takes tasks until it is dropped.
#[derive(Debug)]
pub(crate) struct Handler {
    address: SocketAddr,
    counter: Arc<Counter>,
    accepting: AbortHandle,
}

/// What a task says to its handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Letter {
    /// That it is there.
    Plain,
    /// When it should have been created, for whoever created it; times are since the counter was
    /// made.
    Due { creator: usize, at: Duration },
}

/// What has arrived.
#[derive(Debug)]
pub(crate) struct Counter {
    made: Instant,
    arrived: AtomicU64,
    changed: Notify,
    delays: Mutex<Samples>,
    /// Of each creator.
    bells: Vec<Bell>,
}

/// Tells one creator that its task has arrived.
#[derive(Debug, Default)]
struct Bell {
    /// The latest of its tasks, by the time it was due, in nanoseconds.
    latest: AtomicU64,
    rung: Notify,
}

impl Handler {
    /// Listens on loopback, for tasks of so many creators.
    ///
    /// # Errors
    /// There is no port.
    pub(crate) async fn start(creators: usize) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let counter = Arc::new(Counter {
            made: Instant::now(),
            arrived: AtomicU64::new(0),
            changed: Notify::new(),
            delays: Mutex::default(),
            bells: (0..creators).map(|_| Bell::default()).collect(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&counter))).abort_handle();
        Ok(Self {
            address,
            counter,
            accepting,
        })
    }

    /// Where tasks are to be sent.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// What has arrived.
    pub(crate) fn counter(&self) -> &Arc<Counter> {
        &self.counter
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        // Its connections end with it.
        self.accepting.abort();
    }
}

impl Letter {
    /// As the body of a task.
    pub(crate) fn write(self) -> String {
        match self {
            Self::Plain => "-".to_owned(),
            Self::Due { creator, at } => format!("{creator} {}", at.as_nanos()),
        }
    }

    fn read(body: &[u8]) -> Result<Self> {
        if body == b"-" {
            return Ok(Self::Plain);
        }
        let text = str::from_utf8(body)?;
        let (creator, at) = text.split_once(' ').context("the body is not ours")?;
        Ok(Self::Due {
            creator: creator.parse()?,
            at: Duration::from_nanos(at.parse()?),
        })
    }
}

impl Counter {
    /// How long it has been there.
    pub(crate) fn now(&self) -> Duration {
        self.made.elapsed()
    }

    /// When it was made.
    pub(crate) fn made(&self) -> Instant {
        self.made
    }

    /// Tasks that have arrived, those that came twice counted twice.
    pub(crate) fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Acquire)
    }

    /// Waits until `count` tasks have arrived.
    ///
    /// # Errors
    /// That takes too long.
    pub(crate) async fn until(&self, count: u64) -> Result<()> {
        let arriving = async {
            loop {
                let mut changed = std::pin::pin!(self.changed.notified());
                changed.as_mut().enable();
                if self.arrived() >= count {
                    return;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, arriving).await;
        waited.with_context(|| {
            let arrived = self.arrived();
            format!("only {arrived} of {count} tasks were delivered within {PATIENCE:?}")
        })
    }

    /// Waits until the task of this creator that was due `at` has arrived.
    ///
    /// # Errors
    /// That takes too long.
    pub(crate) async fn heard(&self, creator: usize, at: Duration) -> Result<()> {
        let bell = self
            .bells
            .get(creator)
            .context("nobody rings for this creator")?;
        let ringing = async {
            while u128::from(bell.latest.load(Ordering::Acquire)) < at.as_nanos() {
                bell.rung.notified().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, ringing).await;
        waited.with_context(|| format!("a task was not delivered within {PATIENCE:?}"))
    }

    /// How late tasks were since this was asked before.
    pub(crate) fn take_delays(&self) -> Samples {
        let mut delays = self.delays.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut delays)
    }

    fn count(&self, letter: Letter) -> Result<()> {
        // Whoever waits for the count or the bell finds all of the task counted.
        if let Letter::Due { at, .. } = letter {
            let delay = self.now().saturating_sub(at);
            let mut delays = self.delays.lock().unwrap_or_else(PoisonError::into_inner);
            delays.request(DELIVER, delay)?;
        }
        self.arrived.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
        if let Letter::Due { creator, at } = letter
            && let Some(bell) = self.bells.get(creator)
        {
            bell.latest
                .fetch_max(at.as_nanos() as u64, Ordering::AcqRel);
            bell.rung.notify_one();
        }
        Ok(())
    }
}

async fn accept(listener: TcpListener, counter: Arc<Counter>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(receive(stream, Arc::clone(&counter)));
            },
            Some(ended) = connections.join_next() => if let Ok(Err(error)) = ended {
                eprintln!("a connection to the handler failed: {error:#}");
            },
        }
    }
}

/// Takes one task after the other from a connection.
async fn receive(mut stream: TcpStream, counter: Arc<Counter>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BytesMut::with_capacity(READ);
    loop {
        if let Some((begin, end)) = body(&input)? {
            counter.count(Letter::read(&input[begin..end])?)?;
            input.advance(end);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
            continue;
        }
        input.reserve(READ);
        if stream.read_buf(&mut input).await? == 0 {
            ensure!(input.is_empty(), "a delivery broke off");
            return Ok(());
        }
    }
}

/// Where the body of the first request in `input` begins and ends, if all of it is there.
fn body(input: &[u8]) -> Result<Option<(usize, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(begin) = request.parse(input)? else {
        return Ok(None);
    };
    let mut fields = request.headers.iter();
    let length = fields.find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = length.context("a delivery says no length")?;
    let length: usize = str::from_utf8(length.value)?.trim().parse()?;
    Ok((input.len() >= begin + length).then_some((begin, begin + length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Connection;
    use crate::load::Connect as _;
    use http::Method;

    async fn deliver(connection: &mut Connection, letter: Letter) {
        let body = Some(letter.write().into());
        let sent = connection.send(Method::POST, "/", None, body).await;
        assert!(sent.unwrap().body.is_empty());
    }

    #[tokio::test]
    async fn creators_hear_of_their_own_tasks_and_delays_count_from_when_these_were_due() {
        let handler = Handler::start(2).await.unwrap();
        let counter = handler.counter();
        let mut connection = Connection::connect(handler.address).await.unwrap();
        let at = counter.now();
        deliver(&mut connection, Letter::Plain).await;
        for creator in [0, 1] {
            deliver(&mut connection, Letter::Due { creator, at }).await;
            counter.heard(creator, at).await.unwrap();
        }
        counter.until(3).await.unwrap();
        let elapsed = counter.now().saturating_sub(at).as_secs_f64() * 1e3;
        let delays = counter.take_delays().operations()[DELIVER];
        assert_eq!(delays.count, 2);
        assert!(delays.p50_ms > 0.0 && delays.max_ms <= elapsed * 1.01);
        assert!(counter.take_delays().operations().is_empty());
    }

    #[test]
    fn letters_are_read_as_they_were_written() {
        let at = Duration::from_nanos(12_345_678_901);
        for letter in [Letter::Plain, Letter::Due { creator: 7, at }] {
            assert_eq!(Letter::read(letter.write().as_bytes()).unwrap(), letter);
        }
        assert!(Letter::read(b"hello").is_err());
    }

    #[test]
    fn a_body_is_taken_once_all_of_it_is_there() {
        let request = b"POST / HTTP/1.1\r\nHost: h\r\ncontent-length: 3\r\n\r\nabcPOST";
        let end = request.len() - "POST".len();
        assert_eq!(body(request).unwrap(), Some((end - 3, end)));
        assert_eq!(body(&request[..end]).unwrap(), Some((end - 3, end)));
        assert_eq!(body(&request[..end - 1]).unwrap(), None);
        assert!(body(b"POST / HTTP/1.1\r\n\r\n").is_err());
    }
}
