//! `$json`: a value as JSON text.

use std::rc::Rc;

use serde_json::Value;

use crate::budget::{Budget, TEXT_BYTES};
use crate::datum::Datum;
use crate::error::Cause;
use crate::number;

/// The shortest JSON of a value, with the keys of objects in order.
pub(crate) fn text(value: &Datum, budget: &mut Budget) -> Result<Datum, Cause> {
    budget.spend(value.extent().weight)?;
    let mut text = String::new();
    write(value, &mut text)?;
    Datum::text(&text, budget)
}

/// Recursion ends: no value is deeper than the budget lets it become.
fn write(value: &Datum, text: &mut String) -> Result<(), Cause> {
    match value {
        Datum::Null => text.push_str("null"),
        Datum::Bool(flag) => text.push_str(if *flag { "true" } else { "false" }),
        Datum::Number(number) => text.push_str(&number::to_text(number)),
        Datum::Text(string) => quote(string, text),
        Datum::List(list) => {
            text.push('[');
            for (index, element) in list.elements().iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(element, text)?;
            }
            text.push(']');
        }
        Datum::Object(object) => {
            let mut entries: Vec<(&Rc<str>, &Datum)> = object.entries().iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            text.push('{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                quote(key, text);
                text.push(':');
                write(value, text)?;
            }
            text.push('}');
        }
        Datum::Function(_) => return Err(Cause::UncalledFunction),
    }
    if text.len() > TEXT_BYTES {
        return Err(Cause::TextTooLong);
    }
    Ok(())
}

fn quote(string: &str, text: &mut String) {
    text.push_str(&Value::from(string).to_string());
}
