//! The body of a request, watched for whether it was read to its end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// A body as it comes in.
pub(crate) struct Watched {
    body: Incoming,
    ended: Ended,
}

/// Whether a body has come to its end. Stays good when the body is gone. There is nothing to watch
/// in a request without a body.
#[derive(Debug, Clone)]
pub(crate) struct Ended(Option<Arc<AtomicBool>>);

impl Watched {
    /// Watches `body`.
    pub(crate) fn new(body: Incoming) -> Self {
        let ended = (!body.is_end_stream()).then(Arc::default);
        Self {
            body,
            ended: Ended(ended),
        }
    }

    /// How it will be known whether the body was read to its end.
    pub(crate) fn ended(&self) -> Ended {
        self.ended.clone()
    }
}

impl Ended {
    /// Whether nothing of the body is left unread.
    pub(crate) fn is_ended(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|ended| ended.load(Ordering::Relaxed))
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Some(ended) = &self.ended.0
            && (matches!(polled, Poll::Ready(None)) || self.body.is_end_stream())
        {
            ended.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
