//! Cloud Tasks through HTTP/JSON and gRPC, on both databases.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod batches;
mod forms;
mod grpc;
mod history;
mod malformed;
mod queues;
mod refusal;
mod rights;
mod tasks;
mod unfitting;
mod yard;
