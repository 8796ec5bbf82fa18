//! Reading the body of a request without trusting its sender.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;

/// How long a sender may be silent in the middle of a body.
pub const IDLE: Duration = Duration::from_secs(30);

/// Bytes set aside for a body before they have come. More than most bodies need, and little enough
/// that announcing much and sending nothing takes no memory.
const RESERVED: usize = 64 * 1024;

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The body is, or says it will be, larger than allowed. Answer with 413.
    #[error("the request body is larger than the {limit} bytes allowed")]
    TooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// The sender hung up or broke the protocol. There may be nobody left to answer.
    #[error("the request body ended before it was complete")]
    Aborted,
    /// The sender was silent for too long. Answer with 408.
    #[error("no part of the request body arrived for {} seconds", idle.as_secs())]
    Stalled {
        /// How long it was waited for.
        idle: Duration,
    },
}

/// Reads a body of at most `limit` bytes (inclusive), waiting up to `idle` for each part of it.
/// A length announced beyond the limit is refused before anything is read.
///
/// # Errors
/// See [`Error`]. What was read until then is dropped.
pub async fn read(mut body: Body, limit: usize, idle: Duration) -> Result<Bytes, Error> {
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(Error::TooLarge { limit });
    }
    let Some(first) = next(&mut body, idle).await? else {
        return Ok(Bytes::new());
    };
    if first.len() > limit {
        return Err(Error::TooLarge { limit });
    }
    // Most bodies come in one piece, which needs no copy.
    if body.is_end_stream() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(RESERVED.min(announced as usize));
    whole.extend_from_slice(&first);
    while let Some(part) = next(&mut body, idle).await? {
        if part.len() > limit - whole.len() {
            return Err(Error::TooLarge { limit });
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole.freeze())
}

/// The next part of the body; `None` at its end. Trailers are passed over.
async fn next(body: &mut Body, idle: Duration) -> Result<Option<Bytes>, Error> {
    loop {
        match tokio::time::timeout(idle, body.frame()).await {
            Err(_) => return Err(Error::Stalled { idle }),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err(Error::Aborted),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}
