//! What is looked up in a value: properties, elements, slices.

use std::ops::Range;
use std::rc::Rc;

use crate::budget::Budget;
use crate::datum::{Datum, Object};
use crate::error::{Cause, excerpt};

/// `value.name`, which must be there.
pub(crate) fn property(value: &Datum, name: &str) -> Result<Datum, Cause> {
    let Datum::Object(object) = value else {
        return Err(Cause::Operands {
            operator: ".",
            takes: "an object",
        });
    };
    let found = object.entries().get(name).cloned();
    found.ok_or_else(|| Cause::NoProperty(excerpt(name)))
}

/// `value[index]`, from the end where the index is negative. A key that is not there gives null.
pub(crate) fn element(value: &Datum, index: &Datum, budget: &mut Budget) -> Result<Datum, Cause> {
    match value {
        Datum::Object(object) => entry(object, index, budget),
        Datum::List(list) => {
            let position = position(index, list.elements().len())?;
            Ok(list.elements()[position].clone())
        }
        Datum::Text(text) => {
            budget.spend_text(text.len())?;
            let position = position(index, text.chars().count())?;
            let found = text.chars().nth(position).ok_or(Cause::OutOfRange)?;
            Datum::text(found.encode_utf8(&mut [0; 4]), budget)
        }
        _ => Err(Cause::Operands {
            operator: "[]",
            takes: "an object, a list or a string",
        }),
    }
}

fn entry(object: &Rc<Object>, key: &Datum, budget: &mut Budget) -> Result<Datum, Cause> {
    let Datum::Text(key) = key else {
        return Err(Cause::Operands {
            operator: "[]",
            takes: "a string as the key of an object",
        });
    };
    budget.spend_text(key.len())?;
    let found = object.entries().get(key).cloned();
    Ok(found.unwrap_or(Datum::Null))
}

/// The position an index means. One before the beginning means the first.
fn position(index: &Datum, length: usize) -> Result<usize, Cause> {
    let index = index.as_integer().ok_or(Cause::Operands {
        operator: "[]",
        takes: "a whole number as the index of a list or string",
    })?;
    let position = from_end(index, length);
    if position < length {
        Ok(position)
    } else {
        Err(Cause::OutOfRange)
    }
}

/// `value[from:to]`: whatever of it there is.
pub(crate) fn slice(
    value: &Datum,
    from: Option<i64>,
    to: Option<i64>,
    budget: &mut Budget,
) -> Result<Datum, Cause> {
    match value {
        Datum::List(list) => {
            let elements = &list.elements()[range(from, to, list.elements().len())];
            budget.spend(elements.len())?;
            Datum::list(elements.to_vec(), budget)
        }
        Datum::Text(text) => {
            budget.spend_text(text.len())?;
            let chars = range(from, to, text.chars().count());
            let byte = |position| {
                let mut starts = text.char_indices().skip(position);
                starts.next().map_or(text.len(), |(byte, _)| byte)
            };
            Datum::text(&text[byte(chars.start)..byte(chars.end)], budget)
        }
        _ => Err(Cause::Operands {
            operator: "[:]",
            takes: "a list or a string",
        }),
    }
}

fn range(from: Option<i64>, to: Option<i64>, length: usize) -> Range<usize> {
    let bound = |bound: i64| from_end(bound, length).min(length);
    let from = from.map_or(0, bound);
    let to = to.map_or(length, bound);
    from..to.max(from)
}

/// Counts from the end where the number is negative, not further than to the beginning.
fn from_end(number: i64, length: usize) -> usize {
    if number < 0 {
        length.saturating_sub(usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX))
    } else {
        usize::try_from(number).unwrap_or(usize::MAX)
    }
}
