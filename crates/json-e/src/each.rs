//! `each(x, i)` and `by(x)`: names for the elements of a list, and what is done with each.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::datum::Datum;
use crate::error::{Cause, Error};
use crate::operator::Operator;
use crate::scope::Scope;
use crate::template::Renderer;
use crate::token::is_name;

/// A property such as `each(x, i)`.
#[derive(Debug)]
pub(crate) struct Each<'t> {
    key: &'t str,
    names: Vec<&'t str>,
    body: &'t Value,
}

// === impl Each ===

impl<'t> Each<'t> {
    /// Finds the property `word(…)` of an operator with so many names. Any other property that is
    /// not in `others` is a mistake, as is a second one.
    pub(crate) fn of(
        object: &'t Map<String, Value>,
        operator: Operator,
        word: &str,
        counts: RangeInclusive<usize>,
        others: &[&str],
    ) -> Result<Option<Self>, Cause> {
        let mut found = None;
        for (key, body) in object {
            if key == operator.name() || others.contains(&key.as_str()) {
                continue;
            }
            match names(key, word) {
                Some(names) if counts.contains(&names.len()) && found.is_none() => {
                    found = Some(Self { key, names, body });
                }
                _ => return Err(operator.unknown_property(key)),
            }
        }
        Ok(found)
    }

    /// How many names there are.
    pub(crate) fn count(&self) -> usize {
        self.names.len()
    }

    /// Renders the body, in which the names have these values; values without a name are left out.
    pub(crate) fn render<const N: usize>(
        &self,
        values: [Datum; N],
        scope: Scope<'_>,
        renderer: &mut Renderer<'_>,
    ) -> Result<Option<Datum>, Error> {
        let variables = self.variables(values);
        let rendered = renderer.render(self.body, Scope::Each(&variables, &scope));
        rendered.map_err(|error| error.in_key(self.key))
    }

    /// Evaluates the body as an expression, in which the names have these values.
    pub(crate) fn evaluate<const N: usize>(
        &self,
        values: [Datum; N],
        scope: Scope<'_>,
        renderer: &mut Renderer<'_>,
    ) -> Result<Datum, Error> {
        let variables = self.variables(values);
        let value = match self.body {
            Value::String(source) => renderer.evaluate(source, Scope::Each(&variables, &scope)),
            _ => Err(Cause::NotExpression),
        };
        value.map_err(|cause| Error::from(cause).in_key(self.key))
    }

    fn variables<const N: usize>(&self, values: [Datum; N]) -> Vec<(&'t str, Datum)> {
        self.names.iter().copied().zip(values).collect()
    }
}

/// The names between the parentheses; blanks may follow a comma.
fn names<'t>(key: &'t str, word: &str) -> Option<Vec<&'t str>> {
    let inner = key.strip_prefix(word)?.strip_prefix('(')?;
    let inner = inner.strip_suffix(')')?;
    let mut names = Vec::new();
    for (index, name) in inner.split(',').enumerate() {
        let name = if index > 0 { name.trim_start() } else { name };
        names.push(is_name(name).then_some(name)?);
    }
    Some(names)
}
