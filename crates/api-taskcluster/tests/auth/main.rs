//! The auth service's methods on both databases, asked with signed requests as clients ask them.
//!
//! Every answer that [`house::House`] gives has been checked against the schema its method
//! promises.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod bad_input;
mod clients;
mod credentials;
mod github;
mod guarded;
mod hawk;
mod history;
mod house;
mod outside;
mod roles;
mod stand_in;
mod standing;
