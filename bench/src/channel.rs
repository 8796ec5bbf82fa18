//! One gRPC channel: a connection of HTTP/2, driven by the task that uses it.

use crate::connection::{self, Answer};
use crate::load::Connect;
use anyhow::{Context as _, Result, bail, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::{self, SendRequest};
use http::{HeaderMap, Request, StatusCode, Version, header};
use prost::Message;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Instant;
use tokio::net::TcpStream;

/// Bytes of a frame before its message: whether it is compressed, and its length.
const FRAME: usize = 5;

/// A channel to the server under load. One call at a time.
#[derive(Debug)]
pub(crate) struct Channel {
    calls: SendRequest<Bytes>,
    driver: client::Connection<TcpStream, Bytes>,
}

/// A method, ready to be called many times.
#[derive(Debug, Clone)]
pub(crate) struct Method(Request<()>);

impl Method {
    /// The method at `path`, called with this `Authorization`.
    ///
    /// # Errors
    /// One of them cannot be sent.
    pub(crate) fn new(
        address: SocketAddr,
        path: &str,
        authorization: Option<&str>,
    ) -> Result<Self> {
        let mut request = Request::post(format!("http://{address}{path}"))
            .version(Version::HTTP_2)
            .header(header::TE, "trailers")
            .header(header::CONTENT_TYPE, "application/grpc");
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        Ok(Self(request.body(())?))
    }
}

/// A message as it goes over the wire.
pub(crate) fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(FRAME + length);
    frame.put_u8(0);
    frame.put_u32(length as u32);
    message.encode_raw(&mut frame);
    frame.freeze()
}

impl Connect for Channel {
    async fn connect(address: SocketAddr) -> Result<Self> {
        let socket = connection::socket(address).await?;
        let (calls, driver) = client::handshake(socket)
            .await
            .with_context(|| format!("{address} does not speak HTTP/2"))?;
        Ok(Self { calls, driver })
    }
}

impl Channel {
    /// Calls `method` with a [framed] message and reads the whole answer, which is not unframed.
    ///
    /// # Errors
    /// A broken connection, or another status than OK with its message.
    pub(crate) async fn call(&mut self, method: &Method, message: Bytes) -> Result<Answer> {
        let Self { calls, driver } = self;
        let head = method.0.clone();
        let sent = Instant::now();
        let answered = tokio::select! {
            // The request is queued first and written by the driver in the same poll.
            biased;
            answered = exchange(calls, head, message) => answered,
            closed = driver => match closed {
                Ok(()) => Err(anyhow::anyhow!("the server closed the connection")),
                Err(error) => Err(error.into()),
            },
        };
        let elapsed = sent.elapsed();
        let body = answered.with_context(|| format!("calling {}", method.0.uri().path()))?;
        Ok(Answer { body, elapsed })
    }
}

async fn exchange(
    calls: &mut SendRequest<Bytes>,
    head: Request<()>,
    message: Bytes,
) -> Result<Bytes> {
    poll_fn(|context| calls.poll_ready(context)).await?;
    let (answer, mut stream) = calls.send_request(head, false)?;
    stream.send_data(message, true)?;
    let (head, mut stream) = answer.await?.into_parts();
    let mut body = BytesMut::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    ensure!(
        head.status == StatusCode::OK,
        "answered with {}",
        head.status
    );
    // An answer without a message has its status among its headers.
    match stream.trailers().await? {
        Some(trailers) => check(&trailers)?,
        None => check(&head.headers)?,
    }
    ensure!(is_one_frame(&body), "the answer is not one message");
    Ok(body.freeze())
}

/// Makes sure that a call succeeded.
fn check(trailers: &HeaderMap) -> Result<()> {
    let text = |name| trailers.get(name).and_then(|value| value.to_str().ok());
    match text("grpc-status") {
        Some("0") => Ok(()),
        Some(code) => bail!(
            "refused with code {code}: {}",
            text("grpc-message").unwrap_or("")
        ),
        None => bail!("the answer has no status"),
    }
}

fn is_one_frame(body: &[u8]) -> bool {
    match body {
        [_, a, b, c, d, message @ ..] => {
            u32::from_be_bytes([*a, *b, *c, *d]) as usize == message.len()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;
    use tokio::net::TcpListener;

    /// What a peer gives to each call.
    #[derive(Debug, Clone, Copy)]
    struct Reply {
        status: u16,
        body: &'static [u8],
        trailers: &'static [(&'static str, &'static str)],
    }

    /// Calls a peer that answers with these one after the other.
    async fn converse(replies: &'static [Reply]) -> Vec<Result<Bytes>> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peer = tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(socket).await.unwrap();
            let mut replies = replies.iter();
            while let Some(call) = connection.accept().await {
                let (mut request, mut respond) = call.unwrap();
                let reply = replies.next().unwrap();
                assert_eq!(request.headers()["authorization"], "Bearer x");
                let sent = request.body_mut().data().await.unwrap().unwrap();
                assert_eq!(&sent[..], [0, 0, 0, 0, 3, 10, 1, b'a']);
                let head = Response::builder().status(reply.status).body(()).unwrap();
                let mut stream = respond.send_response(head, false).unwrap();
                stream
                    .send_data(Bytes::from_static(reply.body), false)
                    .unwrap();
                let mut trailers = HeaderMap::new();
                for (name, value) in reply.trailers {
                    trailers.insert(*name, value.parse().unwrap());
                }
                stream.send_trailers(trailers).unwrap();
            }
        });
        let method = Method::new(address, "/a.B/C", Some("Bearer x")).unwrap();
        let mut channel = Channel::connect(address).await.unwrap();
        let mut answers = Vec::new();
        for _ in replies {
            let answer = channel.call(&method, framed(&"a".to_owned())).await;
            answers.push(answer.map(|answer| answer.body));
        }
        drop(channel);
        peer.await.unwrap();
        answers
    }

    #[tokio::test]
    async fn calls_follow_each_other_on_one_channel() {
        const REPLY: Reply = Reply {
            status: 200,
            body: &[0, 0, 0, 0, 2, 1, 2],
            trailers: &[("grpc-status", "0")],
        };
        for answer in converse(&[REPLY; 3]).await {
            assert_eq!(answer.unwrap(), REPLY.body);
        }
    }

    #[tokio::test]
    async fn what_did_not_succeed_is_told() {
        let answers = converse(&[
            Reply {
                status: 200,
                body: &[],
                trailers: &[("grpc-status", "5"), ("grpc-message", "no queue")],
            },
            Reply {
                status: 503,
                body: &[],
                trailers: &[("grpc-status", "0")],
            },
            Reply {
                status: 200,
                body: &[0, 0, 0, 0, 2, 1],
                trailers: &[("grpc-status", "0")],
            },
        ])
        .await;
        for (answer, words) in answers
            .into_iter()
            .zip(["5: no queue", "503", "not one message"])
        {
            let text = format!("{:#}", answer.unwrap_err());
            assert!(text.contains("/a.B/C") && text.contains(words), "{text}");
        }
    }
}
