//! One HTTP/1.1 keep-alive connection, driven by the task that uses it.

use crate::load::Connect;
use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// What moves the bytes of a connection.
type Driver = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// A connection to the server under load. One request at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Polled while a request is under way, so that it costs no switch between threads.
    driver: Pin<Box<Driver>>,
    host: String,
}

/// A successful answer and how long it took from the first byte sent to the last received.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Bytes,
    pub(crate) elapsed: Duration,
}

impl Connect for Connection {
    async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = socket(address).await?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self {
            sender,
            driver: Box::pin(driver),
            host: address.to_string(),
        })
    }
}

impl Connection {
    /// Sends one request and reads the whole answer. `body` is JSON, or nothing.
    ///
    /// # Errors
    /// A broken connection, or an answer outside 2xx with the text of its body.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        target: &str,
        authorization: Option<&str>,
        body: Option<Bytes>,
    ) -> Result<Answer> {
        let mut request = Request::builder()
            .method(&method)
            .uri(target)
            .header(header::HOST, self.host.as_str());
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body.unwrap_or_default()))?;

        let sent = Instant::now();
        let sender = &mut self.sender;
        let exchange = async move {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>((status, body))
        };
        let exchanged = tokio::select! {
            // The request is queued first and written by the driver in the same poll.
            biased;
            exchanged = exchange => exchanged,
            closed = &mut self.driver => match closed {
                Ok(()) => bail!("the server closed a connection in the middle of the run"),
                Err(error) => Err(error),
            },
        };
        let (status, body) =
            exchanged.with_context(|| format!("{method} {target} got no whole answer"))?;
        let elapsed = sent.elapsed();
        ensure!(
            status.is_success(),
            "{method} {target} was answered with {}",
            refusal(status, &body)
        );
        Ok(Answer { body, elapsed })
    }
}

/// A socket to `address` on which small writes go out at once.
///
/// # Errors
/// Nobody listens there.
pub(crate) async fn socket(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The status and the beginning of the text of a refusal.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(body).chars().take(600).collect();
    format!("{status}: {text}")
}
