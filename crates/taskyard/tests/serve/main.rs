//! The `taskyard serve` command as an operator sees it: the built binary, its output and signals.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what the tests stand on fails a test by panicking"
)]

mod lifecycle;
mod process;
mod refusals;
