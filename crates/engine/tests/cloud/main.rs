//! Cloud queues on both databases: by example, under a clock of the test's own, and under
//! concurrency.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod dispatching;
mod events;
mod histories;
mod leasing;
mod limits;
mod names;
mod queues;
mod sweeping;
mod yard;
