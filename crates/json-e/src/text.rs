//! What functions do with strings.

use std::rc::Rc;

use crate::budget::{Budget, TEXT_BYTES};
use crate::datum::{Datum, List};
use crate::error::Cause;
use crate::number;

/// The text of a separator, which is a string or a number.
pub(crate) fn separator(value: &Datum) -> Option<Rc<str>> {
    match value {
        Datum::Text(text) => Some(text.clone()),
        Datum::Number(number) => Some(number::to_text(number).into()),
        _ => None,
    }
}

/// The parts between the separators; all characters where the separator is empty.
pub(crate) fn split(text: &str, separator: &str, budget: &mut Budget) -> Result<Datum, Cause> {
    budget.spend_text(text.len() + separator.len())?;
    let mut parts = Vec::new();
    let mut push = |part: &str| {
        parts.push(Datum::text(part, budget)?);
        Ok(())
    };
    if separator.is_empty() {
        for character in text.chars() {
            push(character.encode_utf8(&mut [0; 4]))?;
        }
    } else {
        text.split(separator).try_for_each(push)?;
    }
    Datum::list(parts, budget)
}

/// The texts of the elements with the separator between them: nothing for null, and for a list
/// those of its elements with commas. None if there is an object or a function.
pub(crate) fn join(
    list: &List,
    separator: &str,
    budget: &mut Budget,
) -> Result<Option<String>, Cause> {
    let mut joined = String::new();
    let complete = join_to(&mut joined, list, separator, budget)?;
    Ok(complete.then_some(joined))
}

fn join_to(
    joined: &mut String,
    list: &List,
    separator: &str,
    budget: &mut Budget,
) -> Result<bool, Cause> {
    for (index, element) in list.elements().iter().enumerate() {
        let before = joined.len();
        if index > 0 {
            joined.push_str(separator);
        }
        match element {
            Datum::Null => {}
            Datum::Bool(flag) => joined.push_str(if *flag { "true" } else { "false" }),
            Datum::Number(number) => joined.push_str(&number::to_text(number)),
            Datum::Text(text) => joined.push_str(text),
            Datum::List(inner) => {
                if !join_to(joined, inner, ",", budget)? {
                    return Ok(false);
                }
            }
            Datum::Object(_) | Datum::Function(_) => return Ok(false),
        }
        if joined.len() > TEXT_BYTES {
            return Err(Cause::TextTooLong);
        }
        budget.spend_text(joined.len() - before)?;
    }
    Ok(true)
}
