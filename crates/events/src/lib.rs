//! What happened: a log that changes are written to in their own transaction, and those who read
//! it.
//!
//! - [`outbox`]: a change appends one row, in the transaction that makes it.
//! - [`log`]: readers go through the rows in an order in which nothing is skipped.
//! - [`translate`]: what a row says to the world. An API knows its exchanges and wire formats and
//!   brings a translator; rows are translated when somebody reads them, and never if nobody does.
//! - [`hub`]: live subscribers, matched by an [`index`] of their patterns.
//! - [`json`]: bodies and messages, which are many, written fast.
//! - `relay` (feature `amqp`): publishes everything to a message broker, at least once.
//! - [`retention`]: old rows go, except those that the relay still has to publish.

pub mod cursor;
pub mod exchange;
pub mod hub;
pub mod index;
pub mod json;
pub mod log;
pub mod outbox;
#[cfg(feature = "amqp")]
pub mod relay;
pub mod retention;
mod schema;
pub mod topic;
pub mod translate;

pub use exchange::{Exchange, Word};
pub use log::{Event, Frontier};
pub use schema::MIGRATIONS;
pub use translate::{Message, Translate, Translators};
