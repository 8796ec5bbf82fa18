//! The engine on both databases: by example, against models, and under concurrency.
//!
//! Numbers of invariants (`I1` …) are those of section 15 of the queue's specification, and `T1` …
//! those of section 7 of taskstore's.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod artifacts;
mod claims;
mod contents;
mod creation;
mod dependents;
mod entries;
mod expiry;
mod group_news;
mod groups;
mod history;
mod index_history;
mod invariants;
mod model;
mod operation;
mod races;
mod reservations;
mod runs;
mod spec;
mod steps;
mod timers;
mod update_history;
mod updates;
mod upgrades;
mod workers;
mod yard;
