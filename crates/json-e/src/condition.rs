//! Operators that choose: `$if`, `$switch`, `$match`.

use serde_json::{Map, Value};

use crate::datum::Datum;
use crate::error::{Cause, Error};
use crate::operator::{Operator, Rendered};
use crate::scope::Scope;
use crate::template::Renderer;

/// The case of a `$switch` that is taken when no other is.
const DEFAULT: &str = "$default";

// === impl Renderer: conditions ===

impl Renderer<'_> {
    /// `$if`: one of two templates. The one that is missing declines.
    pub(crate) fn condition(&mut self, object: &Map<String, Value>, scope: Scope<'_>) -> Rendered {
        let holds = self.expression(Operator::If, object, scope)?.is_truthy();
        self.property(object, if holds { "then" } else { "else" }, scope)
    }

    /// `$switch`: the one case that is true, else `$default`.
    pub(crate) fn switch(&mut self, object: &Map<String, Value>, scope: Scope<'_>) -> Rendered {
        let operator = Operator::Switch;
        let cases = cases(operator, object)?;
        let mut chosen = None;
        for condition in cases.keys().filter(|key| *key != DEFAULT) {
            if self.case(operator, condition, scope)? && chosen.replace(condition).is_some() {
                return Err(Cause::TwoCases.into());
            }
        }
        let chosen = chosen.map_or(DEFAULT, String::as_str);
        let rendered = self.property(cases, chosen, scope);
        rendered.map_err(|error| error.in_key(operator.name()))
    }

    /// `$match`: all cases that are true, in the order of their conditions' text.
    pub(crate) fn matches(&mut self, object: &Map<String, Value>, scope: Scope<'_>) -> Rendered {
        let operator = Operator::Match;
        let cases = cases(operator, object)?;
        let mut conditions: Vec<&String> = cases.keys().collect();
        conditions.sort_unstable();
        let mut rendered = Vec::new();
        for condition in conditions {
            if self.case(operator, condition, scope)? {
                let value = self.property(cases, condition, scope);
                rendered.extend(value.map_err(|error| error.in_key(operator.name()))?);
            }
        }
        Ok(Some(Datum::list(rendered, &mut self.budget)?))
    }

    /// Whether a condition holds.
    fn case(
        &mut self,
        operator: Operator,
        condition: &str,
        scope: Scope<'_>,
    ) -> Result<bool, Error> {
        let value = self.evaluate(condition, scope).map_err(|cause| {
            let error = Error::from(cause).in_key(condition);
            error.in_key(operator.name())
        })?;
        Ok(value.is_truthy())
    }
}

/// Conditions and what is rendered when they hold.
fn cases(operator: Operator, object: &Map<String, Value>) -> Result<&Map<String, Value>, Cause> {
    match object.get(operator.name()) {
        Some(Value::Object(cases)) => Ok(cases),
        _ => Err(operator.needs("an object of cases")),
    }
}
