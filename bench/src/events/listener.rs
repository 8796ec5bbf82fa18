//! Subscribers: each with a connection and a pattern of its own.

use crate::clock;
use crate::identity::Identity;
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// One in so many hears everything about pending tasks; the others hear of a group that is not
/// there, so that their patterns are looked through and nothing else.
const ONE_IN: usize = 100;

/// Everybody who listens.
pub(crate) struct Listeners {
    tasks: JoinSet<Result<()>>,
    messages: Arc<AtomicU64>,
}

impl Listeners {
    /// Starts `count` of them and waits until each hears.
    ///
    /// # Errors
    /// A stream did not begin.
    pub(crate) async fn start(
        address: SocketAddr,
        root: &Arc<Identity>,
        count: usize,
    ) -> Result<Self> {
        let messages = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let (ready, begun) = oneshot::channel();
            let listening = listen(
                address,
                Arc::clone(root),
                number,
                ready,
                Arc::clone(&messages),
            );
            tasks.spawn(listening);
            let begun = tokio::time::timeout(Duration::from_secs(30), begun).await;
            begun
                .context("a stream did not begin in time")?
                .context("a stream ended before it began")?;
        }
        Ok(Listeners { tasks, messages })
    }

    /// Ends all of them; how many messages they heard together.
    ///
    /// # Errors
    /// A stream had ended before.
    pub(crate) async fn stop(mut self) -> Result<u64> {
        if let Some(ended) = self.tasks.try_join_next() {
            ended.context("a listener died")??;
            anyhow::bail!("a stream ended");
        }
        self.tasks.shutdown().await;
        Ok(self.messages.load(Ordering::Relaxed))
    }
}

fn target(number: usize) -> String {
    let pattern = if number.is_multiple_of(ONE_IN) {
        "primary.%23".to_owned()
    } else {
        format!("primary.*.*.*.*.*.*.*.nobody-{number}.%23")
    };
    let exchange = "exchange/taskcluster-queue/v1/task-pending";
    format!(
        "/api/events/v1/connect/?bindings=%7B%22bindings%22:%5B%7B%22exchange%22:%22{exchange}%22,\
         %22routingKeyPattern%22:%22{pattern}%22%7D%5D%7D"
    )
}

async fn listen(
    address: SocketAddr,
    root: Arc<Identity>,
    number: usize,
    ready: oneshot::Sender<()>,
    messages: Arc<AtomicU64>,
) -> Result<()> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    let driving = tokio::spawn(driver);
    let target = target(number);
    let authorization = root.sign(&Method::GET, &target, None, clock::now_ms());
    let request = Request::builder()
        .uri(&target)
        .header(header::HOST, address.to_string())
        .header(header::AUTHORIZATION, authorization)
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    ensure!(
        answer.status().is_success(),
        "listening was answered with {}",
        answer.status()
    );
    let mut body = answer.into_body();
    let mut ready = Some(ready);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if let Some(ready) = ready.take() {
            ready.send(()).ok();
        }
        let heard = data
            .windows(15)
            .filter(|at| at == b"event: message\n")
            .count();
        messages.fetch_add(heard as u64, Ordering::Relaxed);
    }
    driving.abort();
    Ok(())
}
