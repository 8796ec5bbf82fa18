//! Runs unmodified official clients against a real `taskyard serve`.
//!
//! A test picks a [`Database`], starts a [`Server`] on it and runs a scenario: a [`Script`] in the
//! client's own language, or Rust code for the Rust client. What this needs from its surroundings
//! comes from the environment, which `cargo xtask test` fills.

mod database;
pub mod made;
mod mail_server;
mod script;
mod server;
mod stand_ins;
mod surroundings;

pub use database::Database;
pub use mail_server::MailServer;
pub use script::Script;
pub use server::{ROOT_ACCESS_TOKEN, ROOT_CLIENT_ID, Server};
pub use stand_ins::StandIns;
pub use surroundings::surrounding;
