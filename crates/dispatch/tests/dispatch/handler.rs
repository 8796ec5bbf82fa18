//! Handlers: one that writes down what it is sent, and raw sockets that misbehave.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::house::SOON;

/// A request as a handler got it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) at: Instant,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("text"))
    }
}

/// What a handler answers.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) header: Option<(&'static str, HeaderValue)>,
    pub(crate) body: Vec<u8>,
    pub(crate) after: Duration,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Reply {
            status,
            header: None,
            body: Vec::new(),
            after: Duration::ZERO,
        }
    }
}

/// A handler that writes down what it is sent and answers as it was told, in the end with 200.
pub(crate) struct Handler {
    pub(crate) url: String,
    received: mpsc::UnboundedReceiver<Received>,
    /// The most requests there ever were at once.
    pub(crate) most: Arc<AtomicUsize>,
}

impl Handler {
    pub(crate) async fn start(replies: Vec<Reply>) -> Self {
        Self::always(replies, Reply::status(200)).await
    }

    /// Answers with `replies` first and then always with `rest`.
    pub(crate) async fn always(replies: Vec<Reply>, rest: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, received) = mpsc::unbounded_channel();
        let replies = Arc::new(std::sync::Mutex::new(VecDeque::from(replies)));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counts = (now, Arc::clone(&most));
        let router = Router::new().fallback(move |request: Request| {
            let (sender, replies, rest) = (sender.clone(), Arc::clone(&replies), rest.clone());
            let (now, most) = counts.clone();
            async move {
                let count = now.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(count, Ordering::SeqCst);
                let reply = handle(request, &sender, &replies, rest).await;
                now.fetch_sub(1, Ordering::SeqCst);
                reply
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Handler {
            url,
            received,
            most,
        }
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> Received {
        let next = tokio::time::timeout(SOON, self.received.recv()).await;
        next.expect("a request comes").expect("the handler runs")
    }

    /// What has come so far and was not asked for.
    pub(crate) fn rest(&mut self) -> Vec<Received> {
        std::iter::from_fn(|| self.received.try_recv().ok()).collect()
    }
}

async fn handle(
    request: Request,
    sender: &mpsc::UnboundedSender<Received>,
    replies: &std::sync::Mutex<VecDeque<Reply>>,
    rest: Reply,
) -> Response {
    let at = Instant::now();
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX)
        .await
        .expect("a body");
    let reply = replies.lock().expect("a lock").pop_front().unwrap_or(rest);
    let received = Received {
        method: parts.method,
        uri: parts.uri.to_string(),
        headers: parts.headers,
        body,
        at,
    };
    drop(sender.send(received));
    tokio::time::sleep(reply.after).await;
    let status = StatusCode::from_u16(reply.status).expect("a status");
    let mut response = (status, reply.body).into_response();
    if let Some((name, value)) = reply.header {
        response.headers_mut().insert(name, value);
    }
    response
}

/// A server that reads a request and then does what `misbehave` does with the connection.
pub(crate) async fn raw<F>(misbehave: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut head = [0; 4096];
            // Whatever comes is enough of a request.
            drop(connection.read(&mut head).await);
            tokio::spawn(misbehave(connection));
        }
    });
    url
}

/// Writes text to a connection; it may be closed by now.
pub(crate) async fn write(connection: &mut TcpStream, text: &str) {
    drop(connection.write_all(text.as_bytes()).await);
}

/// An `https://` server with a certificate of an authority that nobody trusts, and what it reads.
pub(crate) async fn untrusted() -> (String, mpsc::UnboundedReceiver<Vec<u8>>) {
    let certificate = include_bytes!("../../../outbound/tests/certificates/server.der");
    let key = include_bytes!("../../../outbound/tests/certificates/server-key.der");
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.to_vec()).into();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.to_vec().into()], key)
        .expect("a certificate");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (sender, read) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            // Whoever does not trust the certificate ends the handshake.
            if let Ok(mut connection) = acceptor.accept(connection).await {
                let mut request = vec![0; 4096];
                let count = connection.read(&mut request).await.unwrap_or(0);
                request.truncate(count);
                drop(sender.send(request));
            }
        }
    });
    (format!("https://localhost:{port}/"), read)
}
