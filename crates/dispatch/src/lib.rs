//! Sends the tasks of cloud queues to their handlers.
//!
//! A [`Dispatcher`] claims what is due, as far as each queue's rate and concurrency allow, builds the
//! [`request`] of each task, [signs](token) it if that was asked for, sends it through the
//! guarded client, and records what came of it. Any number of servers may run one on the same
//! database; each says that it lives, and takes up what a lost one had under way.
//!
//! Delivery is at least once: a server that is killed between a handler's answer and its record has
//! its task sent again by another.

mod dispatcher;
mod heart;
mod pump;
mod recorder;
pub mod request;
mod retry_after;
mod room;
mod send;
mod sweeper;
pub mod target;
pub mod token;

pub use dispatcher::{Dispatcher, Settings};
pub use request::{Request, Unsendable};
pub use target::AppEngine;
pub use token::{Tokens, TokensError};
