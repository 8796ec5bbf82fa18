//! How a build is going, for people: one line a task while it runs, a summary when it has ended.

mod display;
mod standing;
mod summary;

pub(crate) use display::Display;
pub(crate) use standing::{Standing, State, settled, standings};
pub(crate) use summary::{Outcome, RunLog, summary};
