//! What people type, and what comes of it: the built binary, against servers of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod access;
mod cloudtasks;
mod ended;
mod events;
mod hooks;
mod house;
mod notify;
mod run;
mod server;
mod services;
mod stacks;
mod taskstore;
mod worker;
