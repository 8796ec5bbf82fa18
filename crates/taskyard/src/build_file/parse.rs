//! From text to the document, and from what the parser says to what a user can act on.

use serde::de::DeserializeOwned;
use serde_saphyr::{Error, Location};

use super::refusal::Mistake;
use super::suggestion::closest;

/// Reads the YAML strictly: no unknown keys, no key twice, `true` and `false` the only booleans.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Mistake> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        reject_unsupported_tags: true,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| mistake(&error))
}

fn mistake(error: &Error) -> Mistake {
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let at = |message: String| Mistake::at(location, message);
    match error {
        Error::AliasError { error, .. } => Mistake {
            line: location.line(),
            column: location.column(),
            ..mistake(error)
        },
        Error::SerdeUnknownField {
            field, expected, ..
        } => {
            let known = format!("the keys known here are {}", expected.join(", "));
            at(format!("unknown key `{field}`")).hint(
                match closest(field, expected.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`? ({known})"),
                    None => known,
                },
            )
        }
        Error::SerdeInvalidType {
            unexpected,
            expected,
            ..
        }
        | Error::SerdeInvalidValue {
            unexpected,
            expected,
            ..
        } => {
            let expected = plain(expected);
            let found = plain(unexpected);
            with_advice(
                at(format!("{expected} is expected here, not {found}")),
                &expected,
            )
        }
        Error::Unexpected { expected, .. } => {
            let expected = plain(expected);
            with_advice(at(format!("{expected} is expected here")), &expected)
        }
        Error::InvalidScalar { ty, .. } => {
            let expected = plain(ty);
            with_advice(at(format!("{expected} is expected here")), &expected)
        }
        Error::NullIntoString { .. } => at("a text is expected here, not nothing".to_owned())
            .hint("write a value after the colon, or leave the key out"),
        Error::DuplicateMappingKey { key, .. } => match key {
            Some(key) => at(format!("`{key}` stands here a second time")),
            None => at("this key stands here a second time".to_owned()),
        }
        .hint("remove one of the two, or rename it"),
        Error::Eof { .. } => {
            at("the file is empty".to_owned()).hint("`--help` explains what belongs into it")
        }
        Error::MultipleDocuments { .. } => {
            at("a second YAML document begins here".to_owned()).hint("the file is one document")
        }
        Error::UnsupportedTag { tag, .. } => at(format!("the tag `{tag}` means nothing here"))
            .hint("remove it, or put the value into quotes"),
        other => {
            let said = other.to_string();
            // The parser repeats the place at the end of its sentence.
            let said = said
                .rsplit_once(" at line ")
                .map_or(said.as_str(), |(before, _)| before);
            at(said.to_owned())
                .hint("this is not valid YAML: check the indentation, colons, quotes and brackets")
        }
    }
}

/// The parser's name of a shape, in the words of the file.
fn plain(shape: &str) -> String {
    match shape {
        "a sequence" | "sequence" | "sequence start" => "a list".to_owned(),
        "a map" | "map" | "mapping" | "mapping start" => "a mapping".to_owned(),
        "u32" | "unsigned integer" | "i64" => "a whole number".to_owned(),
        "a string" | "string" | "string scalar" => "a text".to_owned(),
        "unit value" | "null" | "()" => "nothing".to_owned(),
        "scalar" => "a single value".to_owned(),
        _ => match shape.strip_prefix("struct ") {
            Some(_) => "a mapping of keys".to_owned(),
            None => shape.replace("string ", "the text "),
        },
    }
}

fn with_advice(mistake: Mistake, expected: &str) -> Mistake {
    match expected {
        "a list" => mistake.hint("write a list, also for a single value: [one]"),
        "a mapping" | "a mapping of keys" => {
            mistake.hint("write `key: value` lines, indented below this key")
        }
        "a mapping of names to values" => {
            mistake.hint("write `name: value` lines, indented below this key")
        }
        "a whole number" => mistake.hint("write digits only, like 3"),
        "a text" | "a shell command or a list of words" => {
            mistake.hint("put the value into quotes")
        }
        _ => mistake,
    }
}
