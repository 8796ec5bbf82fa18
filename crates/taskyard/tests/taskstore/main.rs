//! Taskstore as an operator and a user of the built binary see it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod command;
mod crash;
#[path = "../../../client/examples/mapreduce.rs"]
mod mapreduce;
mod server;
mod workers;
