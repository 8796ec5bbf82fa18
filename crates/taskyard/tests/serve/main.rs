//! The `taskyard serve` command as an operator sees it: the built binary, its output and signals.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what the tests stand on fails a test by panicking"
)]

mod caller;
mod ceiling;
mod configured;
mod deliveries;
mod dev_clock;
mod full_disk;
mod kills;
mod large_artifacts;
mod lifecycle;
mod load;
mod mail_server;
mod pages;
mod postgres;
mod process;
mod refusals;
mod relay;
mod secrets;
mod stopping;
mod work;
