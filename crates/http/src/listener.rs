//! The accept loop: takes connections while the server runs, and sees them off when it stops.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::Connection;
use crate::{Draining, Entrance, Limits};

/// Pause after the system refused a connection for lack of something, such as file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Most that HTTP/1.1 buffers of a connection's input: the longest head, and the largest piece of a
/// body that is handed on at once. HTTP/2 brings a similar bound of its own.
const READ_BUFFER: usize = 64 * 1024;

/// How the shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still answering when the time was over, and were closed.
    pub cut_off: usize,
}

/// Serves HTTP/1.1 and HTTP/2 (with prior knowledge) on one port until `draining` is cancelled.
/// Then no connection is accepted any more, idle ones are closed, requests in flight have
/// `limits.shutdown` to be answered, and what is left is cut off.
pub async fn serve(
    listener: TcpListener,
    entrance: impl Into<Entrance>,
    limits: Limits,
    draining: Draining,
) -> Drained {
    let entrance = entrance.into();
    let protocol = Arc::new(protocol(&limits));
    let seats = Arc::new(Semaphore::new(
        limits.connections.min(Semaphore::MAX_PERMITS),
    ));
    let open = metrics::gauge!("taskyard_http_connections");
    let cut_off = CancellationToken::new();
    let connections = TaskTracker::new();

    loop {
        // The semaphore is never closed; the branch that says so ends the loop all the same.
        let (seat, (stream, peer)) = tokio::select! {
            biased;
            () = draining.cancelled() => break,
            Ok(seat) = Arc::clone(&seats).acquire_owned() => tokio::select! {
                biased;
                () = draining.cancelled() => break,
                stream = accept(&listener) => (seat, stream),
            },
            else => break,
        };
        let is_proxy = entrance.trusts(peer);
        let connection = Connection {
            is_proxy,
            protocol: Arc::clone(&protocol),
            entrance: entrance.clone(),
            first_bytes_within: limits.header_read,
            linger: limits.linger,
            // A child has a lock of its own, so that connections don't meet at the parent's.
            draining: draining.child_token(),
            cut_off: cut_off.clone(),
        };
        let open = open.clone();
        connections.spawn(async move {
            open.increment(1.0);
            connection.serve(stream).await;
            open.decrement(1.0);
            drop(seat);
        });
    }

    drop(listener);
    connections.close();
    let answered = tokio::time::timeout(limits.shutdown, connections.wait()).await;
    let left = if answered.is_ok() {
        0
    } else {
        connections.len()
    };
    if left > 0 {
        tracing::warn!(
            connections = left,
            "cutting off what did not finish in time"
        );
        cut_off.cancel();
        connections.wait().await;
    }
    Drained { cut_off: left }
}

/// What both versions of HTTP allow on each connection.
fn protocol(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut protocol = auto::Builder::new(TokioExecutor::new());
    protocol
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        .max_buf_size(READ_BUFFER);
    protocol
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.keep_alive_interval)
        .keep_alive_timeout(limits.keep_alive_timeout)
        .max_concurrent_streams(limits.concurrent_streams);
    protocol
}

/// The next connection and who made it, however long it takes.
async fn accept(listener: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Answers are small and wait for nothing; a socket that refuses still works.
                let _slower = stream.set_nodelay(true);
                return (stream, peer.ip().to_canonical());
            }
            Err(error) if was_the_clients(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether the connection failed because its client gave up meanwhile.
fn was_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}
