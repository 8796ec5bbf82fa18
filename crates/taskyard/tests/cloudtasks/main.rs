//! Cloud Tasks against the built binary: from the command line, and with the client library.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what the tests stand on fails a test by panicking"
)]

mod command;
mod handler;
mod library;
mod server;
