//! Lines on standard output.

use std::io::Write as _;

use anyhow::Context as _;

/// Prints each line, at once even where the output is a pipe.
pub(super) fn print(lines: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
    let text: String = lines.into_iter().map(|line| line + "\n").collect();
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot print the answer")
}
