//! Taskstore through HTTP, on both databases.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod bad_input;
mod beyond;
mod histories;
mod history;
mod linear;
mod model;
mod rights;
mod wire;
mod yard;
