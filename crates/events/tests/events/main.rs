//! The event log on both databases: what is read, by whom, and for how long.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod cursors;
mod order;
mod retained;
mod subscribers;
mod yard;
