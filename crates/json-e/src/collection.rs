//! Operators that make one list or object of what they are given.

use crate::budget::Budget;
use crate::datum::{Datum, Entries};
use crate::error::Cause;
use crate::operator::Operator;

/// `$flatten`: elements that are lists make way for their elements.
pub(crate) fn flatten(value: &Datum, budget: &mut Budget) -> Result<Datum, Cause> {
    let mut flat = Vec::new();
    for element in elements(Operator::Flatten, value)? {
        match element {
            Datum::List(inner) => {
                budget.spend(inner.elements().len())?;
                flat.extend_from_slice(inner.elements());
            }
            _ => flat.push(element.clone()),
        }
    }
    Datum::list(flat, budget)
}

/// `$flattenDeep`: the same until no element is a list.
pub(crate) fn flatten_deep(value: &Datum, budget: &mut Budget) -> Result<Datum, Cause> {
    fn collect(elements: &[Datum], flat: &mut Vec<Datum>) {
        for element in elements {
            match element {
                Datum::List(inner) => collect(inner.elements(), flat),
                _ => flat.push(element.clone()),
            }
        }
    }
    let elements = elements(Operator::FlattenDeep, value)?;
    budget.spend(value.extent().weight)?;
    let mut flat = Vec::new();
    collect(elements, &mut flat);
    Datum::list(flat, budget)
}

/// `$reverse`: the last element first.
pub(crate) fn reverse(value: &Datum, budget: &mut Budget) -> Result<Datum, Cause> {
    let elements = elements(Operator::Reverse, value)?;
    budget.spend(elements.len())?;
    Datum::list(elements.iter().rev().cloned().collect(), budget)
}

/// `$merge`: the entries of all objects; of several with one key, the last.
pub(crate) fn merge(value: &Datum, budget: &mut Budget) -> Result<Datum, Cause> {
    let mut merged = Entries::new();
    for object in elements(Operator::Merge, value)? {
        let Datum::Object(object) = object else {
            return Err(Operator::Merge.needs("a list of objects"));
        };
        budget.spend_keys(object.entries().keys())?;
        let entries = object.entries().iter();
        merged.extend(entries.map(|(key, value)| (key.clone(), value.clone())));
    }
    Datum::object(merged, budget)
}

/// `$mergeDeep`: the same, but of several objects or lists with one key, all they hold.
pub(crate) fn merge_deep(value: &Datum, budget: &mut Budget) -> Result<Datum, Cause> {
    let mut merged = Datum::object(Entries::new(), budget)?;
    for object in elements(Operator::MergeDeep, value)? {
        let Datum::Object(_) = object else {
            return Err(Operator::MergeDeep.needs("a list of objects"));
        };
        merged = merge_two(&merged, object, budget)?;
    }
    Ok(merged)
}

/// Recursion ends: no value is deeper than the budget lets it become.
fn merge_two(left: &Datum, right: &Datum, budget: &mut Budget) -> Result<Datum, Cause> {
    match (left, right) {
        (Datum::Object(left), Datum::Object(right)) => {
            budget.spend_keys(left.entries().keys().chain(right.entries().keys()))?;
            let mut merged = left.entries().clone();
            for (key, value) in right.entries() {
                let value = match merged.get(key) {
                    Some(before) => merge_two(before, value, budget)?,
                    None => value.clone(),
                };
                merged.insert(key.clone(), value);
            }
            Datum::object(merged, budget)
        }
        (Datum::List(left), Datum::List(right)) => {
            budget.spend(left.elements().len() + right.elements().len())?;
            Datum::list([left.elements(), right.elements()].concat(), budget)
        }
        _ => Ok(right.clone()),
    }
}

fn elements(operator: Operator, value: &Datum) -> Result<&[Datum], Cause> {
    match value {
        Datum::List(list) => Ok(list.elements()),
        _ => Err(operator.needs("a list")),
    }
}
