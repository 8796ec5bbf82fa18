//! What is wrong with a value, in words.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

use super::{MAX_VIOLATIONS, Violation};

/// At most so many property names or allowed values are told in one message.
const MAX_LISTED: usize = 50;

/// Adds what `error` means to `violations`. Where none of several alternatives fits, that is what
/// is wrong with the one that the value says it is. Nothing is added to a list that is full.
pub(crate) fn explain(error: &ValidationError<'_>, violations: &mut Vec<Violation>) {
    if violations.len() >= MAX_VIOLATIONS {
        return;
    }
    let (ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context }) =
        error.kind()
    else {
        violations.push(Violation {
            pointer: format!("data{}", error.instance_path()),
            message: message(error),
        });
        return;
    };
    // An alternative is another one when a word in the value that tells them apart is another.
    let whole = error.instance_path();
    let tells_apart = |error: &ValidationError<'_>| {
        matches!(
            error.kind(),
            ValidationErrorKind::Enum { .. } | ValidationErrorKind::Constant { .. }
        ) && error.instance_path() != whole
    };
    let meant: Vec<_> = context
        .iter()
        .filter(|errors| !errors.iter().any(tells_apart))
        .collect();
    let mut found = Vec::new();
    if meant.is_empty() {
        let words = context.iter().flatten().filter(|error| tells_apart(error));
        words.for_each(|error| explain(error, &mut found));
    } else {
        meant
            .into_iter()
            .flatten()
            .for_each(|error| explain(error, &mut found));
    }
    for violation in found {
        if !violations.contains(&violation) {
            violations.push(violation);
        }
    }
}

fn message(error: &ValidationError<'_>) -> String {
    match error.kind() {
        ValidationErrorKind::Required {
            property: Value::String(name),
        } => {
            format!("must have required property '{name}'")
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => format!(
            "must not have additional properties: {}",
            listed(unexpected.iter().map(|name| format!("'{name}'")))
        ),
        ValidationErrorKind::Type {
            kind: TypeKind::Single(kind),
        } => format!("must be {kind}"),
        ValidationErrorKind::Type {
            kind: TypeKind::Multiple(kinds),
        } => {
            let kinds: Vec<_> = kinds.iter().map(|kind| kind.to_string()).collect();
            format!("must be {}", kinds.join(" or "))
        }
        ValidationErrorKind::Enum { options } => match options.as_ref() {
            Value::Array(options) => {
                format!(
                    "must be one of {}",
                    listed(options.iter().map(Value::to_string))
                )
            }
            other => format!("must be {other}"),
        },
        ValidationErrorKind::Constant { expected_value } => format!("must be {expected_value}"),
        ValidationErrorKind::Pattern { pattern } => format!("must match pattern \"{pattern}\""),
        ValidationErrorKind::Format { format } if format == "date-time" => {
            "must be a date and time such as 2026-03-01T10:00:00.000Z".to_owned()
        }
        ValidationErrorKind::Format { format } => format!("must match format \"{format}\""),
        ValidationErrorKind::MinLength { limit } => {
            format!("must not be shorter than {limit} characters")
        }
        ValidationErrorKind::MaxLength { limit } => {
            format!("must not be longer than {limit} characters")
        }
        ValidationErrorKind::MinItems { limit } => {
            format!("must not have fewer than {limit} items")
        }
        ValidationErrorKind::MaxItems { limit } => {
            format!("must not have more than {limit} items")
        }
        ValidationErrorKind::Minimum { limit } => format!("must be at least {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("must be at most {limit}"),
        ValidationErrorKind::ExclusiveMinimum { limit } => format!("must be more than {limit}"),
        ValidationErrorKind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
        ValidationErrorKind::MultipleOf { multiple_of } => {
            format!("must be a multiple of {multiple_of}")
        }
        ValidationErrorKind::MinProperties { limit } => {
            format!("must not have fewer than {limit} properties")
        }
        ValidationErrorKind::MaxProperties { limit } => {
            format!("must not have more than {limit} properties")
        }
        ValidationErrorKind::AdditionalItems { limit } => {
            format!("must not have more than {limit} items")
        }
        ValidationErrorKind::Contains => "must have an item that fits \"contains\"".to_owned(),
        ValidationErrorKind::Not { .. } => "must not fit \"not\"".to_owned(),
        ValidationErrorKind::OneOfMultipleValid { .. } => {
            "must fit exactly one of \"oneOf\"".to_owned()
        }
        ValidationErrorKind::PropertyNames { error } => format!(
            "must not have property {}, whose name {}",
            error.instance(),
            message(error)
        ),
        ValidationErrorKind::FalseSchema => match error.schema_path().as_str() {
            path if path.ends_with("/additionalProperties") => {
                "must not have additional properties".to_owned()
            }
            _ => "must not be there".to_owned(),
        },
        ValidationErrorKind::UniqueItems => "must not have the same item twice".to_owned(),
        _ => error.masked_with("the value").to_string(),
    }
}

fn listed(names: impl ExactSizeIterator<Item = String>) -> String {
    let rest = names.len().saturating_sub(MAX_LISTED);
    let list = names.take(MAX_LISTED).collect::<Vec<_>>().join(", ");
    if rest > 0 {
        format!("{list} and {rest} more")
    } else {
        list
    }
}
