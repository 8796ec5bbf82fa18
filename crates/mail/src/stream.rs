//! A connection that is read line by line.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader, ReadBuf};

/// Gives whoever reads no more than one line at a time.
///
/// The SMTP client reads into a buffer that it keeps when TLS begins. What stood in it beyond the
/// answer to STARTTLS, which anybody on the way may have added, would count as said by the server
/// under TLS. Here it stays below TLS, which takes it for the breach that it is.
#[derive(Debug)]
pub(crate) struct LineByLine<S>(BufReader<S>);

impl<S: AsyncRead> LineByLine<S> {
    pub(crate) fn new(stream: S) -> Self {
        LineByLine(BufReader::new(stream))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LineByLine<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let found = ready!(Pin::new(&mut self.0).poll_fill_buf(context))?;
        let line = found.iter().position(|byte| *byte == b'\n');
        let length = line
            .map_or(found.len(), |end| end + 1)
            .min(buffer.remaining());
        buffer.put_slice(&found[..length]);
        Pin::new(&mut self.0).consume(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for LineByLine<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl<S: AsyncTokioStream> AsyncTokioStream for LineByLine<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().peer_addr()
    }
}
