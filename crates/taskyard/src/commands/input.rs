//! What a command reads from a file or from standard input.

use std::path::Path;

use anyhow::Context as _;

/// The text of a file; of standard input if there is none, or if it is called `-`.
pub(super) fn text_of(file: Option<&Path>) -> anyhow::Result<String> {
    match file {
        Some(file) if file.as_os_str() != "-" => {
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
        }
        _ => std::io::read_to_string(std::io::stdin().lock()).context("cannot read standard input"),
    }
}
