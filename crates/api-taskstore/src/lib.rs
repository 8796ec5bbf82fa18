//! The taskstore service over HTTP: claims, and atomic updates that depend on other tasks.
//!
//! Three dialects of this service are in use and disagree: what its documentation says, what its
//! server does, and what its Go client sends. This one takes all of them and answers so that each
//! understands: times in nanoseconds and milliseconds, raw JSON and forms, keys in both spellings.
//! What goes beyond the original (waiting, several tasks or groups, statistics, pages, bytes that
//! are no text) is asked for by keys and paths that old clients do not send.

mod caller;
mod claim;
mod escape;
mod form;
mod number;
mod problem;
mod query;
mod read;
mod render;
mod request;
mod route;
mod service;
mod time;
mod update;

pub use service::{Parts, Taskstore};
