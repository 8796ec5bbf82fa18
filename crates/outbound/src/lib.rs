//! Calls the server makes on behalf of its users.
//!
//! Users say where such a call goes, so it must not become a way to reach what only the server can
//! reach: a cloud's metadata service, the machine itself. [`Rules`] say which addresses may be
//! called; they are checked for the address that is really connected to, after names are resolved,
//! and again for every redirect. Answers are bounded in size and time.

mod address;
mod client;
mod network;
mod rules;

pub use address::{Reach, reach};
pub use client::{Answer, Call, Client, Failure, Settings, SetupError};
pub use network::{Network, NetworkError};
pub use rules::{Forbidden, HostPattern, Rules};
