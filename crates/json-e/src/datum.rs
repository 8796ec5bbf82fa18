//! The values of the language: those of JSON, and functions.

use std::rc::Rc;

use indexmap::IndexMap;
use serde_json::{Number, Value};

use crate::budget::{Budget, Extent, NESTING, TEXT_BYTES, text_weight};
use crate::error::Cause;
use crate::function::Function;
use crate::number;

/// A value. Copies share what is in them, so a copy costs the same whatever it holds.
#[derive(Debug, Clone)]
pub(crate) enum Datum {
    Null,
    Bool(bool),
    Number(Number),
    Text(Rc<str>),
    List(Rc<List>),
    Object(Rc<Object>),
    Function(Function),
}

/// Elements, and how large they are together.
#[derive(Debug)]
pub(crate) struct List {
    elements: Vec<Datum>,
    extent: Extent,
}

/// Entries in their order, and how large they are together.
#[derive(Debug)]
pub(crate) struct Object {
    entries: Entries,
    extent: Extent,
}

/// What an object is made of.
pub(crate) type Entries = IndexMap<Rc<str>, Datum>;

// === impl Datum ===

impl Datum {
    /// A string that was made.
    pub(crate) fn text(text: &str, budget: &mut Budget) -> Result<Self, Cause> {
        if text.len() > TEXT_BYTES {
            return Err(Cause::TextTooLong);
        }
        budget.spend_text(text.len())?;
        // Memory for it takes longer to find than a short text to copy.
        budget.spend(1)?;
        Ok(Self::Text(text.into()))
    }

    /// A list, unless it is too large.
    pub(crate) fn list(elements: Vec<Self>, budget: &mut Budget) -> Result<Self, Cause> {
        budget.spend(elements.len())?;
        let mut extent = Extent::EMPTY;
        for element in &elements {
            extent = extent.with(element.extent())?;
        }
        Ok(Self::List(Rc::new(List { elements, extent })))
    }

    /// An object, unless it is too large.
    pub(crate) fn object(entries: Entries, budget: &mut Budget) -> Result<Self, Cause> {
        budget.spend_keys(entries.keys())?;
        let mut extent = Extent::EMPTY;
        for (key, value) in &entries {
            extent = extent
                .with(Extent::leaf(text_weight(key.len())))?
                .with(value.extent())?;
        }
        Ok(Self::Object(Rc::new(Object { entries, extent })))
    }

    pub(crate) fn integer(integer: i64) -> Self {
        Self::Number(integer.into())
    }

    /// The number, or null for what is none: JSON knows neither infinity nor NaN.
    pub(crate) fn float(float: f64) -> Self {
        number::from_f64(float).map_or(Self::Null, Self::Number)
    }

    /// A value of JSON, with everything in it.
    pub(crate) fn from_json(value: &Value, budget: &mut Budget) -> Result<Self, Cause> {
        Self::from_nested(value, NESTING, budget)
    }

    fn from_nested(value: &Value, levels: usize, budget: &mut Budget) -> Result<Self, Cause> {
        budget.spend(1)?;
        match value {
            Value::Null => Ok(Self::Null),
            Value::Bool(flag) => Ok(Self::Bool(*flag)),
            Value::Number(number) => Ok(Self::Number(number.clone())),
            Value::String(text) => {
                budget.spend_text(text.len())?;
                Ok(Self::Text(text.as_str().into()))
            }
            Value::Array(values) => {
                let levels = levels.checked_sub(1).ok_or(Cause::TooDeep)?;
                let elements = values
                    .iter()
                    .map(|value| Self::from_nested(value, levels, budget));
                let elements = elements.collect::<Result<_, _>>()?;
                Self::list(elements, budget)
            }
            Value::Object(map) => {
                let levels = levels.checked_sub(1).ok_or(Cause::TooDeep)?;
                let mut entries = Entries::with_capacity(map.len());
                for (key, value) in map {
                    budget.spend_text(key.len())?;
                    let value = Self::from_nested(value, levels, budget)?;
                    entries.insert(key.as_str().into(), value);
                }
                Self::object(entries, budget)
            }
        }
    }

    /// The JSON of the value. Functions have none.
    pub(crate) fn to_json(&self, budget: &mut Budget) -> Result<Value, Cause> {
        budget.spend(self.extent().weight)?;
        self.to_value()
    }

    /// Recursion ends: no value is deeper than [`NESTING`].
    fn to_value(&self) -> Result<Value, Cause> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.to_string()),
            Self::List(list) => Value::Array(
                list.elements()
                    .iter()
                    .map(Self::to_value)
                    .collect::<Result<_, _>>()?,
            ),
            Self::Object(object) => {
                let mut map = serde_json::Map::with_capacity(object.entries.len());
                for (key, value) in object.entries() {
                    map.insert(key.to_string(), value.to_value()?);
                }
                Value::Object(map)
            }
            Self::Function(_) => return Err(Cause::UncalledFunction),
        })
    }

    pub(crate) fn extent(&self) -> Extent {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Function(_) => Extent::leaf(1),
            Self::Text(text) => Extent::leaf(text_weight(text.len())),
            Self::List(list) => list.extent,
            Self::Object(object) => object.extent,
        }
    }

    /// Whether a condition with this value holds.
    pub(crate) fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(flag) => *flag,
            Self::Number(number) => number.as_f64() != Some(0.0),
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.elements.is_empty(),
            Self::Object(object) => !object.entries.is_empty(),
            Self::Function(_) => true,
        }
    }

    /// The kind's name, as `typeof` gives it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::Text(_) => "string",
            Self::List(_) => "array",
            Self::Object(_) => "object",
            Self::Function(_) => "function",
        }
    }

    /// The number, if it is a whole one.
    pub(crate) fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number::as_integer(number),
            _ => None,
        }
    }

    /// Whether two values are the same, by kind and in all their parts.
    pub(crate) fn equals(&self, other: &Self, budget: &mut Budget) -> Result<bool, Cause> {
        budget.spend(match (self, other) {
            (Self::Text(a), Self::Text(b)) if a.len() == b.len() => self.extent().weight,
            (Self::List(a), Self::List(b)) if a.elements.len() == b.elements.len() => {
                self.extent().weight.max(other.extent().weight)
            }
            (Self::Object(a), Self::Object(b)) if a.entries.len() == b.entries.len() => {
                self.extent().weight.max(other.extent().weight)
            }
            // Nothing in them is looked at.
            _ => 1,
        })?;
        Ok(self.same(other))
    }

    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => number::compare(a, b).is_eq(),
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::List(a), Self::List(b)) => {
                let (a, b) = (a.elements(), b.elements());
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b))
            }
            (Self::Object(a), Self::Object(b)) => {
                let (a, b) = (a.entries(), b.entries());
                let in_b = |(key, value): (&Rc<str>, &Self)| {
                    b.get(key).is_some_and(|other| value.same(other))
                };
                a.len() == b.len() && a.iter().all(in_b)
            }
            (Self::Function(a), Self::Function(b)) => a == b,
            _ => false,
        }
    }
}

// === impl List, Object ===

impl List {
    pub(crate) fn elements(&self) -> &[Datum] {
        &self.elements
    }
}

impl Object {
    pub(crate) fn entries(&self) -> &Entries {
        &self.entries
    }
}
