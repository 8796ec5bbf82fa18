//! The dispatcher against real handlers on real sockets, on both databases.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod delivery;
mod faults;
mod handler;
mod house;
mod limits;
mod nodes;
mod requests;
