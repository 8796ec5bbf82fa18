//! The names that can be used where an expression stands.

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::budget::Budget;
use crate::datum::{Datum, Object};
use crate::error::Cause;
use crate::function::Function;

/// The context of a rendering: values become data when they are first used.
#[derive(Debug)]
pub(crate) struct Context<'c> {
    values: &'c Map<String, Value>,
    used: HashMap<&'c str, Datum>,
}

/// Names that operators add to the context, the inner ones first.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope<'s> {
    /// Nothing but the context.
    Outermost,
    /// The variables of a `$let`.
    Let(&'s Rc<Object>, &'s Self),
    /// The variables of an `each(…)` or `by(…)`.
    Each(&'s [(&'s str, Datum)], &'s Self),
}

// === impl Context ===

impl<'c> Context<'c> {
    pub(crate) fn new(values: &'c Map<String, Value>) -> Self {
        Self {
            values,
            used: HashMap::new(),
        }
    }

    fn get(&mut self, name: &str, budget: &mut Budget) -> Result<Option<Datum>, Cause> {
        if let Some(datum) = self.used.get(name) {
            return Ok(Some(datum.clone()));
        }
        let Some((name, value)) = self.values.get_key_value(name) else {
            return Ok(None);
        };
        let datum = Datum::from_json(value, budget)?;
        self.used.insert(name, datum.clone());
        Ok(Some(datum))
    }
}

// === impl Scope ===

impl Scope<'_> {
    /// The value of a name: a variable, one of the context, or a function of the language, which
    /// the others can hide.
    pub(crate) fn get(
        &self,
        name: &str,
        context: &mut Context<'_>,
        budget: &mut Budget,
    ) -> Result<Option<Datum>, Cause> {
        let mut scope = self;
        loop {
            // Each level compares or hashes the name.
            budget.spend_text(name.len())?;
            let (found, outer) = match scope {
                Scope::Let(object, outer) => (object.entries().get(name), outer),
                Scope::Each(variables, outer) => {
                    let mut variables = variables.iter();
                    let found = variables.find(|(variable, _)| *variable == name);
                    (found.map(|(_, value)| value), outer)
                }
                Scope::Outermost => break,
            };
            if let Some(found) = found {
                return Ok(Some(found.clone()));
            }
            scope = outer;
        }
        let found = context.get(name, budget)?;
        Ok(found.or_else(|| Function::named(name).map(Datum::Function)))
    }
}
