//! The pipeline file of `taskyard stacks build`: steps, read strictly and turned into the task
//! definitions that the queue takes.
//!
//! Text → `document` (its shape) → `check` (its meaning) → [`Pipeline`] → [`definition`]. What
//! `format.txt` says is what users are told. Mistakes are told as those of a build file.

mod check;
pub(crate) mod definition;
mod document;
mod step;

use std::path::Path;

pub(crate) use check::is_queue;
pub(crate) use step::Pipeline;

use crate::build_file::{self, Error, Refusal};

/// What a pipeline file may say, for `taskyard stacks build --help`.
pub(crate) const FORMAT: &str = include_str!("format.txt");

/// Reads and checks a pipeline file.
pub(crate) fn load(path: &Path) -> Result<Pipeline, Error> {
    Ok(read(&build_file::text_of(path)?, path)?)
}

/// Checks the text of a pipeline file, called `path` in messages.
fn read(text: &str, path: &Path) -> Result<Pipeline, Refusal> {
    build_file::parse::parse(text)
        .map_err(|mistake| vec![mistake])
        .and_then(|document| check::check(document, path))
        .map_err(|mistakes| Refusal::new(path.to_owned(), text.to_owned(), mistakes))
}

#[cfg(test)]
mod tests;
