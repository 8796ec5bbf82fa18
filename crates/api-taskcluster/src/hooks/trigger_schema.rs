//! What a hook takes as payload: a JSON Schema that its owner wrote, and payloads checked by it.
//!
//! Owners need not mean well, nor those who send payloads. Nothing is ever fetched for a schema,
//! and both its compilation and each check have bounds: [`Outline`] refuses schemas whose
//! compilation could take long or much stack, [`price`] refuses payloads whose check could.

mod formats;
mod outline;
mod price;
#[cfg(test)]
mod tests;

use std::error::Error;

use jsonschema::{Draft, PatternOptions, Registry, Retrieve, Uri, ValidationError, Validator};
use serde_json::Value;

use crate::schema::explain::explain;
use crate::schema::{MAX_VIOLATIONS, Violation};
use outline::Outline;
use price::price;

/// Largest schema as compact JSON, in bytes. Schemas of hooks take up one to three thousand.
const MAX_SCHEMA_BYTES: usize = 64 * 1024;

/// Longest answer to a payload, in bytes: names of properties are told, and may be megabytes long.
const MAX_TOLD_BYTES: usize = 64 * 1024;

/// Largest compiled pattern, in bytes: about ten times what the patterns of the services need.
const MAX_PATTERN_BYTES: usize = 128 * 1024;

/// Where the schema stands while it is compiled. Never fetched, never shown.
const PLACE: &str = "taskyard:///trigger-schema";

/// A schema that payloads are checked against.
#[derive(Debug)]
pub(super) struct TriggerSchema {
    outline: Outline,
    validator: Validator,
}

impl TriggerSchema {
    /// Reads a schema of draft 6 or 7, which it may name in `$schema`; draft 7 if it names none.
    /// Keywords that are not of the draft mean nothing, formats that are unknown are refused.
    ///
    /// # Errors
    ///
    /// What is wrong, a line each, to stand behind `triggerSchema is not a valid JSON schema:\n`.
    pub(super) fn compile(schema: &Value) -> Result<Self, String> {
        let bytes = schema.to_string().len();
        if bytes > MAX_SCHEMA_BYTES {
            return Err(format!(
                "data is {bytes} bytes long, must not be longer than {MAX_SCHEMA_BYTES}"
            ));
        }
        let draft = match schema.get("$schema") {
            None => Draft::Draft7,
            Some(name) => draft_named(name)?,
        };
        let metaschema = if draft == Draft::Draft6 {
            jsonschema::draft6::meta::validator()
        } else {
            jsonschema::draft7::meta::validator()
        };
        if !metaschema.is_valid(schema) {
            return Err(told(metaschema.iter_errors(schema), "\n"));
        }
        // The draft is known by now, and some of the spellings that are taken here name no draft
        // to the compiler.
        let mut schema = schema.clone();
        if let Value::Object(keywords) = &mut schema {
            keywords.shift_remove("$schema");
        }
        let registry = Registry::new()
            .draft(draft)
            .retriever(Nowhere)
            .add(PLACE, &schema)
            .and_then(jsonschema::RegistryBuilder::prepare)
            .map_err(|error| error.to_string())?;
        let options = formats::known(jsonschema::options())
            .with_draft(draft)
            .with_registry(&registry)
            .with_base_uri(PLACE)
            .with_retriever(Nowhere)
            .with_pattern_options(
                PatternOptions::regex()
                    .size_limit(MAX_PATTERN_BYTES)
                    .dfa_size_limit(MAX_PATTERN_BYTES),
            )
            .should_validate_formats(true)
            .should_ignore_unknown_formats(false)
            // Taskcluster takes both as remarks for the reader.
            .without_content_encoding_support("base64")
            .without_content_media_type_support("application/json");
        let is_format = |name: &str| options.is_known_format(draft, name);
        let outline = Outline::read(&registry, PLACE, draft, &is_format)?;
        let validator = options
            .build(&schema)
            .map_err(|error| told([error], "\n"))?;
        Ok(Self { outline, validator })
    }

    /// Checks a payload. Defaults are not filled in.
    ///
    /// # Errors
    ///
    /// Texts such as `data/location must be string`, joined by `; `.
    pub(super) fn check(&self, payload: &Value) -> Result<(), String> {
        price(&self.outline, payload).map_err(|excess| excess.to_string())?;
        // Almost all payloads pass, and finding that out allocates little.
        if self.validator.is_valid(payload) {
            return Ok(());
        }
        Err(told(self.validator.iter_errors(payload), "; "))
    }
}

/// Refuses to fetch, whatever features the validator is built with.
struct Nowhere;

impl Retrieve for Nowhere {
    fn retrieve(&self, _: &Uri<String>) -> Result<Value, Box<dyn Error + Send + Sync>> {
        Err("schemas elsewhere are not fetched".into())
    }
}

/// The draft of this name, if it is one that hooks may use.
fn draft_named(name: &Value) -> Result<Draft, String> {
    match name.as_str().map(Draft::from_schema_uri) {
        Some(draft @ (Draft::Draft6 | Draft::Draft7)) => Ok(draft),
        _ => Err(format!(
            "data/$schema is {name}, must name draft 6 or 7, as in \
             \"http://json-schema.org/draft-07/schema#\""
        )),
    }
}

fn told<'i>(errors: impl IntoIterator<Item = ValidationError<'i>>, separator: &str) -> String {
    let mut violations = Vec::new();
    for error in errors {
        explain(&error, &mut violations);
        if violations.len() >= MAX_VIOLATIONS {
            violations.truncate(MAX_VIOLATIONS);
            break;
        }
    }
    let texts: Vec<_> = violations.iter().map(Violation::to_string).collect();
    let mut text = texts.join(separator);
    if text.len() > MAX_TOLD_BYTES {
        text.truncate(text.floor_char_boundary(MAX_TOLD_BYTES));
        text.push('…');
    }
    text
}
