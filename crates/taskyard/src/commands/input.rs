//! What a command reads from a file or from standard input.

use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// The text of a file; of standard input if there is none, or if it is called `-`.
pub(super) fn text_of(file: Option<&Path>) -> anyhow::Result<String> {
    match file {
        Some(file) if file.as_os_str() != "-" => {
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
        }
        _ => std::io::read_to_string(std::io::stdin().lock()).context("cannot read standard input"),
    }
}

/// The JSON object of an argument: the object itself, or `@` and the file that holds it; `@-` is
/// standard input. Complaints call it `what`.
pub(super) fn object_of(argument: &str, what: &str) -> anyhow::Result<Value> {
    let text = match argument.strip_prefix('@') {
        Some(file) => text_of(Some(Path::new(file)))?,
        None => argument.to_owned(),
    };
    let object: Value =
        serde_json::from_str(&text).with_context(|| format!("{what} is not JSON"))?;
    ensure!(
        object.is_object(),
        "{what} is no JSON object; write {{\"key\": \"…\"}}"
    );
    Ok(object)
}
