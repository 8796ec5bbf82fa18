//! The formats that schemas of hooks may ask for: those of draft 7, and those that Taskcluster's
//! validator knows besides.

use std::sync::LazyLock;

use jsonschema::{Draft, ValidationOptions, Validator};
use serde_json::{Value, json};

use crate::schema::is_date_time;

/// Formats that say how to read a value more than what it is. They are known, and any value has
/// them.
const UNCHECKED: [&str; 8] = [
    "binary",
    "byte",
    "double",
    "float",
    "int32",
    "int64",
    "json-pointer-uri-fragment",
    "password",
];

static DURATION: LazyLock<Option<Validator>> = LazyLock::new(|| later("duration"));
static URL: LazyLock<Option<Validator>> = LazyLock::new(|| later("uri"));
static UUID: LazyLock<Option<Validator>> = LazyLock::new(|| later("uuid"));

/// Adds all formats to `options`.
pub(super) fn known(options: ValidationOptions<'_>) -> ValidationOptions<'_> {
    let options = UNCHECKED.into_iter().fold(options, |options, name| {
        options.with_format(name, |_: &str| true)
    });
    options
        .with_format("date-time", is_date_time)
        .with_format("iso-date-time", is_date_time)
        .with_format("time", is_time)
        .with_format("iso-time", is_time)
        .with_format("duration", |text: &str| fits(&DURATION, text))
        .with_format("url", |text: &str| fits(&URL, text))
        .with_format("uuid", |text: &str| {
            fits(&UUID, text.strip_prefix("urn:uuid:").unwrap_or(text))
        })
}

/// Whether `text` is a time, read as leniently as the time of a date-time: no zone means UTC.
fn is_time(text: &str) -> bool {
    is_date_time(&format!("1970-01-01T{text}"))
}

/// A format of drafts later than 7.
fn later(format: &str) -> Option<Validator> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .build(&json!({ "format": format }))
        .ok()
}

fn fits(format: &LazyLock<Option<Validator>>, text: &str) -> bool {
    let text = Value::String(text.to_owned());
    format.as_ref().is_some_and(|format| format.is_valid(&text))
}
