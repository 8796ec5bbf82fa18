//! The listener as its clients see it, over real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what the tests stand on fails a test by panicking"
)]

mod bodies;
mod health;
mod limits;
mod requests;
mod served;
mod shutdown;
