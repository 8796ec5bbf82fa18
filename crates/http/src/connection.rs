//! One connection from its first byte to its last.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::wire::Wire;
use crate::{Draining, Entrance};

/// Length of the preface by which HTTP/2 is recognised. Until that much has come, or something
/// else, hyper waits without a limit of its own.
const PREFACE: usize = 24;

/// What one connection needs.
pub(crate) struct Connection {
    pub(crate) protocol: Arc<auto::Builder<TokioExecutor>>,
    pub(crate) entrance: Entrance,
    /// Whether the client is a proxy that is trusted to say where requests came from.
    pub(crate) is_proxy: bool,
    /// Time in which a protocol must show.
    pub(crate) first_bytes_within: Duration,
    /// How long a client that still sends may go on after its answer.
    pub(crate) linger: Duration,
    /// When cancelled: answer what is in flight, then close.
    pub(crate) draining: Draining,
    /// When cancelled: close now.
    pub(crate) cut_off: CancellationToken,
}

impl Connection {
    /// Answers requests until the client leaves, breaks a limit, or the server stops.
    pub(crate) async fn serve(self, stream: TcpStream) {
        let Self {
            protocol,
            entrance,
            is_proxy,
            first_bytes_within,
            linger,
            draining,
            cut_off,
        } = self;
        let received = Arc::new(AtomicUsize::new(0));
        let wire = Wire::new(stream, Arc::clone(&received), draining.clone(), linger);
        let service = service_fn(move |request| entrance.clone().answer(request, is_proxy));
        let mut serving = pin!(protocol.serve_connection(TokioIo::new(wire), service));
        let mut silent = pin!(tokio::time::sleep(first_bytes_within));
        let mut may_be_silent = true;
        let mut open = true;

        let ended = loop {
            tokio::select! {
                biased;
                ended = serving.as_mut() => break ended,
                () = silent.as_mut(), if may_be_silent => {
                    may_be_silent = false;
                    if received.load(Ordering::Relaxed) < PREFACE {
                        break Ok(());
                    }
                }
                () = draining.cancelled(), if open => {
                    open = false;
                    serving.as_mut().graceful_shutdown();
                }
                () = cut_off.cancelled(), if !open => break Ok(()),
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection failed");
        }
    }
}
