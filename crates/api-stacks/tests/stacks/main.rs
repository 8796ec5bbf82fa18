//! Stacks and agents through HTTP, on both databases.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod agents;
mod assignments;
mod builds;
mod finishes;
mod jobs;
mod notes;
mod races;
mod raw;
mod rights;
mod stacks;
mod tokens;
mod wire;
mod yard;
