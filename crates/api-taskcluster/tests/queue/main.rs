//! The queue's methods on both databases, asked with signed requests as clients ask them.
//!
//! Every answer that [`house::House`] gives has been checked against the schema its method
//! promises, every refusal against the form all refusals have.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod answer;
mod artifacts;
mod ask;
mod batches;
mod blobs;
mod bodies;
mod bucket;
mod built_in;
mod cancels;
mod claims;
mod compressed;
mod creation;
mod credentials;
mod dependencies;
mod errors;
mod groups;
mod histories;
mod hooks;
mod house;
mod idempotency;
mod index;
mod listings;
mod messages;
mod metadata;
mod moves;
mod notify;
mod objects;
mod outage;
mod priorities;
mod purge_cache;
mod reports;
mod requests;
mod scopes;
mod secrets;
mod signatures;
mod streams;
mod time;
mod transfers;
mod upkeep;
mod who;
mod workers;
