//! Lines on standard output.

use std::io::Write as _;

use anyhow::Context as _;
use serde::Serialize;

/// Prints each line, at once even where the output is a pipe.
pub(super) fn print(lines: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
    let text: String = lines.into_iter().map(|line| line + "\n").collect();
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot print the answer")
}

/// Prints each item: as the service writes it, or as a line for people.
pub(super) fn print_all<T: Serialize>(
    items: &[T],
    json: bool,
    line: impl Fn(&T) -> String,
) -> anyhow::Result<()> {
    let lines = items.iter().map(|item| {
        if json {
            serde_json::to_string(item).context("cannot print the answer")
        } else {
            Ok(line(item))
        }
    });
    print(lines.collect::<anyhow::Result<Vec<String>>>()?)
}

/// The first line of a text that may have many, safe to print.
pub(super) fn first_line(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    first.escape_debug().to_string()
}
