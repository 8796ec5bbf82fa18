//! The bytes of one connection: counted on the way in, and seen off at the end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use crate::Draining;

/// A socket. Closing it while input is unread would reset the connection, and with it the answer
/// that the client has yet to read: the one that refuses the input for its size. So the end first
/// says that nothing more will come, and then reads on for a while.
pub(crate) struct Wire {
    stream: TcpStream,
    received: Arc<AtomicUsize>,
    draining: Draining,
    /// How long the end takes at most.
    linger: Duration,
    /// Set once the end has begun; runs out when it is over.
    lingering: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    /// `received` will count the bytes; once `draining` is cancelled, nothing is waited for.
    pub(crate) fn new(
        stream: TcpStream,
        received: Arc<AtomicUsize>,
        draining: Draining,
        linger: Duration,
    ) -> Self {
        Self {
            stream,
            received,
            draining,
            linger,
            lingering: None,
        }
    }

    /// Reads and forgets, until the client has closed or time is over.
    fn poll_forget(&mut self, end: &mut Pin<Box<Sleep>>, context: &mut Context<'_>) -> Poll<()> {
        let mut space = [0; 16 * 1024];
        loop {
            if end.as_mut().poll(context).is_ready() || self.draining.is_cancelled() {
                return Poll::Ready(());
            }
            let mut buffer = ReadBuf::new(&mut space);
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(());
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.received
            .fetch_add(buffer.filled().len() - before, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut end = if let Some(end) = self.lingering.take() {
            end
        } else {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            Box::pin(tokio::time::sleep(self.linger))
        };
        let forgotten = self.poll_forget(&mut end, context);
        self.lingering = Some(end);
        forgotten.map(Ok)
    }
}
