//! Two databases behind one SQL text.
//!
//! A [`Store`] runs synchronous, repeatable closures over a [`Tx`]. Writes are group-committed: a
//! writer thread takes every closure that waits at that moment into one transaction, commits once,
//! and only then answers each caller. SQLite has one writer, PostgreSQL a few; both keep reads on
//! connections of their own.
//!
//! What a closure must keep to:
//! - it may run more than once and has no effect outside its `Tx`;
//! - a refusal found before any write is an ordinary value, `Ok(Err(refusal))`;
//! - an `Err` undoes everything the closure did, and nothing its neighbours did;
//! - on PostgreSQL (READ COMMITTED) it locks the row that owns its decision first
//!   (`… FOR UPDATE`, which SQLite does without) and puts its guards into `WHERE`.
//!
//! SQL is the common subset of both databases with `$1`-style parameters; integers are 64 bits
//! wide, times are integers, JSON is text. Row locks are written as PostgreSQL spells them.

mod alarm;
mod checkpoint;
mod driver;
mod durability;
mod error;
mod hints;
mod horizon;
mod job;
mod migrate;
mod postgres;
mod reader;
mod sql;
mod sqlite;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod tx;
mod value;
mod wake;
mod writer;

pub use alarm::Alarm;
pub use error::Error;
pub use horizon::Horizon;
pub use migrate::Migration;
pub use store::{Config, Health, Key, PostgresConfig, SqliteConfig, Store};
pub use tx::{Sequence, Tx};
pub use value::{Column, Row, Value};
pub use wake::{Topic, Waiter};
