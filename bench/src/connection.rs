//! One HTTP/1.1 keep-alive connection, driven by the task that uses it.
//!
//! The generator shares the processors with the server that it loads, so what a request costs here
//! is missing there. Hence no general client: a request is one write, an answer mostly one read.

use crate::load::Connect;
use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Buf as _, Bytes, BytesMut};
use http::{Method, StatusCode};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Room that is made for each read.
const READ: usize = 16 * 1024;

/// Header fields that an answer, or the end of its body, may have.
const MAX_FIELDS: usize = 48;

/// A connection to the server under load. One request at a time.
#[derive(Debug)]
pub(crate) struct Connection<S = TcpStream> {
    stream: S,
    host: String,
    /// The request that is sent; kept for its memory.
    output: Vec<u8>,
    /// What was received and not yet handed out.
    input: BytesMut,
}

/// A successful answer and how long it took from the first byte sent to the last received.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Bytes,
    pub(crate) elapsed: Duration,
}

/// An answer before its body, as far as it says how to go on.
#[derive(Debug)]
struct Head {
    status: StatusCode,
    body: Body,
}

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Bytes(usize),
    Chunks,
}

impl Connect for Connection {
    async fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self::over(socket(address).await?, address.to_string()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn over(stream: S, host: String) -> Self {
        Self {
            stream,
            host,
            output: Vec::new(),
            input: BytesMut::with_capacity(READ),
        }
    }

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
        self.write(&method, target, authorization, body.as_deref());
        let sent = Instant::now();
        let (status, body) = self
            .exchange()
            .await
            .with_context(|| format!("{method} {target} got no whole answer"))?;
        let elapsed = sent.elapsed();
        ensure!(
            status.is_success(),
            "{method} {target} was answered with {}",
            refusal(status, &body)
        );
        Ok(Answer { body, elapsed })
    }

    fn write(
        &mut self,
        method: &Method,
        target: &str,
        authorization: Option<&str>,
        body: Option<&[u8]>,
    ) {
        let output = &mut self.output;
        output.clear();
        for part in [
            method.as_str(),
            " ",
            target,
            " HTTP/1.1\r\nHost: ",
            &self.host,
        ] {
            output.extend_from_slice(part.as_bytes());
        }
        if let Some(authorization) = authorization {
            output.extend_from_slice(b"\r\nAuthorization: ");
            output.extend_from_slice(authorization.as_bytes());
        }
        if let Some(body) = body {
            output.extend_from_slice(b"\r\nContent-Type: application/json\r\nContent-Length: ");
            output.extend_from_slice(body.len().to_string().as_bytes());
        } else if method != Method::GET {
            output.extend_from_slice(b"\r\nContent-Length: 0");
        }
        output.extend_from_slice(b"\r\n\r\n");
        output.extend_from_slice(body.unwrap_or_default());
    }

    async fn exchange(&mut self) -> Result<(StatusCode, Bytes)> {
        ensure!(self.input.is_empty(), "there was more in the answer before");
        self.stream.write_all(&self.output).await?;
        let head = loop {
            if let Some(head) = Head::take(&mut self.input)? {
                break head;
            }
            self.read().await?;
        };
        let body = match head.body {
            Body::Bytes(count) => {
                self.read_until(count).await?;
                self.input.split_to(count).freeze()
            }
            Body::Chunks => self.chunks().await?,
        };
        Ok((head.status, body))
    }

    async fn chunks(&mut self) -> Result<Bytes> {
        let mut body = BytesMut::new();
        loop {
            let (begin, size) = loop {
                match httparse::parse_chunk_size(&self.input) {
                    Ok(httparse::Status::Complete(found)) => break found,
                    Ok(httparse::Status::Partial) => self.read().await?,
                    Err(_) => bail!("a chunk says no size"),
                }
            };
            self.input.advance(begin);
            if size == 0 {
                break;
            }
            let size = usize::try_from(size)?;
            self.read_until(size + 2).await?;
            body.extend_from_slice(&self.input[..size]);
            ensure!(
                self.input[size..].starts_with(b"\r\n"),
                "a chunk has no end"
            );
            self.input.advance(size + 2);
        }
        loop {
            let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
            let trailers = httparse::parse_headers(&self.input, &mut fields);
            if let httparse::Status::Complete((end, _)) = trailers.context("a broken trailer")? {
                self.input.advance(end);
                return Ok(body.freeze());
            }
            self.read().await?;
        }
    }

    /// Reads until `count` bytes are there.
    async fn read_until(&mut self, count: usize) -> Result<()> {
        self.input.reserve(count.saturating_sub(self.input.len()));
        while self.input.len() < count {
            self.read().await?;
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<()> {
        if self.input.capacity() == self.input.len() {
            self.input.reserve(READ);
        }
        let count = self.stream.read_buf(&mut self.input).await?;
        ensure!(count > 0, "the server closed the connection");
        Ok(())
    }
}

impl Head {
    /// Takes the head of an answer, if all of it is there.
    fn take(input: &mut BytesMut) -> Result<Option<Self>> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut answer = httparse::Response::new(&mut fields);
        let parsed = answer.parse(input).context("this is no answer of HTTP")?;
        let httparse::Status::Complete(end) = parsed else {
            return Ok(None);
        };
        let status = StatusCode::from_u16(answer.code.unwrap_or_default())?;
        ensure!(!status.is_informational(), "nobody asked for {status}");
        let mut body = (status == StatusCode::NO_CONTENT).then_some(Body::Bytes(0));
        for field in answer.headers {
            if field.name.eq_ignore_ascii_case("content-length") {
                let count = str::from_utf8(field.value)?.trim().parse();
                body = Some(Body::Bytes(count.context("a length is no number")?));
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                let is_chunked = field.value.eq_ignore_ascii_case(b"chunked");
                ensure!(is_chunked, "an encoding that nobody asked for");
                body = Some(Body::Chunks);
            }
        }
        let body = body.context("the answer does not say where it ends")?;
        input.advance(end);
        Ok(Some(Self { status, body }))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `requests` to a peer whose `answers` come byte by byte and end with the connection.
    /// What each request gave, and all that was sent.
    async fn converse(
        requests: &[(Method, Option<&str>, Option<&'static str>)],
        answers: &str,
    ) -> (Vec<Result<Bytes>>, String) {
        let (near, far) = tokio::io::duplex(1);
        let (mut from, mut to) = tokio::io::split(far);
        let asking = async move {
            let mut connection = Connection::over(near, "bench:1".to_owned());
            let mut bodies = Vec::new();
            for (method, authorization, body) in requests {
                let body = body.map(Bytes::from);
                let sent = connection.send(method.clone(), "/a?b", *authorization, body);
                bodies.push(sent.await.map(|answer| answer.body));
            }
            bodies
        };
        let answering = async move {
            // Whoever asks may be gone after a failure.
            to.write_all(answers.as_bytes()).await.ok();
            to.shutdown().await.ok();
        };
        let mut sent = String::new();
        let (bodies, (), read) = tokio::join!(asking, answering, from.read_to_string(&mut sent));
        read.unwrap();
        (bodies, sent)
    }

    /// What went wrong with an `answer`.
    async fn failure(answer: &str) -> String {
        let (bodies, _) = converse(&[(Method::GET, None, None)], answer).await;
        format!("{:#}", bodies.into_iter().next().unwrap().unwrap_err())
    }

    #[tokio::test]
    async fn bodies_of_every_framing_are_read_to_their_ends() {
        let get = (Method::GET, None, None);
        let (bodies, _) = converse(
            &[get.clone(), get.clone(), get.clone(), get],
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello\
             HTTP/1.1 204 No Content\r\n\r\n\
             HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nabc\r\nA\r\n0123456789\r\n0\r\nnote: x\r\n\r\n\
             HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
        )
        .await;
        let bodies: Vec<Bytes> = bodies.into_iter().map(Result::unwrap).collect();
        assert_eq!(bodies, ["hello", "", "abc0123456789", ""]);
    }

    #[tokio::test]
    async fn requests_say_what_they_bring() {
        let (_, sent) = converse(
            &[
                (Method::GET, None, None),
                (Method::POST, Some("Hawk x"), None),
                (Method::PUT, None, Some("{}")),
            ],
            &"HTTP/1.1 204 No Content\r\n\r\n".repeat(3),
        )
        .await;
        assert_eq!(
            sent,
            "GET /a?b HTTP/1.1\r\nHost: bench:1\r\n\r\n\
             POST /a?b HTTP/1.1\r\nHost: bench:1\r\nAuthorization: Hawk x\r\n\
             Content-Length: 0\r\n\r\n\
             PUT /a?b HTTP/1.1\r\nHost: bench:1\r\nContent-Type: application/json\r\n\
             Content-Length: 2\r\n\r\n{}"
        );
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_the_servers_words() {
        let text = failure("HTTP/1.1 409 Conflict\r\nContent-Length: 4\r\n\r\nheld").await;
        assert_eq!(text, "GET /a?b was answered with 409 Conflict: held");
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_none() {
        for answer in [
            "",
            "HTTP/1.1 200 OK\r\nConte",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ] {
            let text = failure(answer).await;
            assert!(text.contains("closed the connection"), "{answer:?}: {text}");
        }
    }

    #[tokio::test]
    async fn what_follows_an_answer_is_not_taken_for_the_next() {
        let mut connection = Connection::over(tokio::io::duplex(1000).0, "bench:1".to_owned());
        connection
            .input
            .extend_from_slice(b"HTTP/1.1 204 No Content\r\n\r\n");
        let sent = connection.send(Method::GET, "/", None, None).await;
        assert!(format!("{:#}", sent.unwrap_err()).contains("more in the answer"));
    }

    #[tokio::test]
    async fn an_answer_without_an_end_is_refused() {
        let text = failure("HTTP/1.1 200 OK\r\n\r\nhello").await;
        assert!(text.contains("does not say where it ends"), "{text}");
    }
}
