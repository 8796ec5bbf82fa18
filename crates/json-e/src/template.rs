//! Renders templates: walks through them and hands operators and strings to those who know them.

use std::rc::Rc;

use serde_json::{Map, Value};

use crate::budget::{Budget, NESTING};
use crate::datum::{Datum, Entries};
use crate::error::{Cause, Error, excerpt};
use crate::evaluate::Evaluator;
use crate::interpolation::interpolate;
use crate::operator::{Operator, Rendered};
use crate::scope::{Context, Scope};
use crate::token::is_name;

/// Renders `template` in `context`.
///
/// The context's keys are the names expressions know, besides the functions of the language, which
/// they may hide. `now`, a string such as `2019-10-07T15:46:01.123Z`, is the time from which
/// `$fromNow` counts. A template that declines to give a value, such as an `$if` that does not hold
/// and has no `else`, gives `null`.
///
/// # Errors
///
/// The template or the context is no proper one, an expression has no value, or rendering would
/// take more than its budget.
///
/// ```
/// # use serde_json::{Value, json};
/// let context = json!({"routes": ["a", "b"]});
/// let template = json!({"$map": {"$eval": "routes"}, "each(route)": "index.${route}"});
/// let rendered = taskyard_json_e::render(&template, context.as_object().unwrap());
/// assert_eq!(rendered.unwrap(), json!(["index.a", "index.b"]));
/// ```
pub fn render(template: &Value, context: &Map<String, Value>) -> Result<Value, Error> {
    if let Some(name) = context.keys().find(|name| !is_name(name)) {
        return Err(Cause::VariableName(excerpt(name)).into());
    }
    let mut renderer = Renderer {
        context: Context::new(context),
        budget: Budget::new(),
        levels: NESTING,
    };
    match renderer.render(template, Scope::Outermost)? {
        Some(rendered) => Ok(rendered.to_json(&mut renderer.budget)?),
        None => Ok(Value::Null),
    }
}

/// One rendering.
#[derive(Debug)]
pub(crate) struct Renderer<'c> {
    context: Context<'c>,
    pub(crate) budget: Budget,
    /// How many levels deeper the template may nest.
    levels: usize,
}

// === impl Renderer ===

impl<'c> Renderer<'c> {
    /// The value of a template, unless it declines to have one.
    pub(crate) fn render(&mut self, template: &Value, scope: Scope<'_>) -> Rendered {
        match template {
            Value::Array(elements) => self.list(elements, scope),
            Value::Object(object) => self.operator_or_object(object, scope),
            _ => self.leaf(template, scope),
        }
    }

    /// Something that holds no other templates.
    fn leaf(&mut self, template: &Value, scope: Scope<'_>) -> Rendered {
        let Value::String(text) = template else {
            return Ok(Some(Datum::from_json(template, &mut self.budget)?));
        };
        let text = interpolate(text, &mut self.evaluator(scope))?;
        Ok(Some(Datum::text(&text, &mut self.budget)?))
    }

    /// The value of an expression.
    pub(crate) fn evaluate(&mut self, source: &str, scope: Scope<'_>) -> Result<Datum, Cause> {
        self.evaluator(scope).text(source)
    }

    /// What is needed to evaluate expressions.
    pub(crate) fn evaluator<'r>(&'r mut self, scope: Scope<'r>) -> Evaluator<'r, 'c> {
        Evaluator {
            context: &mut self.context,
            scope,
            budget: &mut self.budget,
        }
    }

    fn list(&mut self, elements: &[Value], scope: Scope<'_>) -> Rendered {
        self.descend()?;
        let mut rendered = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            let element = self.render(element, scope);
            rendered.extend(element.map_err(|error| error.in_element(index))?);
        }
        self.levels += 1;
        Ok(Some(Datum::list(rendered, &mut self.budget)?))
    }

    fn operator_or_object(&mut self, object: &Map<String, Value>, scope: Scope<'_>) -> Rendered {
        self.descend()?;
        self.budget.spend_keys(object.keys())?;
        let rendered = match Operator::of(object)? {
            Some(operator) => self.operate(operator, object, scope),
            None => self.object(object, scope),
        };
        self.levels += 1;
        rendered
    }

    /// Goes one level deeper. Who comes back up gives the level back; an error ends the rendering.
    fn descend(&mut self) -> Result<(), Cause> {
        self.budget.spend(1)?;
        self.levels = self.levels.checked_sub(1).ok_or(Cause::TooDeep)?;
        Ok(())
    }

    fn object(&mut self, object: &Map<String, Value>, scope: Scope<'_>) -> Rendered {
        let mut rendered = Entries::with_capacity(object.len());
        for (key, value) in object {
            let entry = self.entry(key, value, scope);
            rendered.extend(entry.map_err(|error| error.in_key(key))?);
        }
        Ok(Some(Datum::object(rendered, &mut self.budget)?))
    }

    fn entry(
        &mut self,
        key: &str,
        value: &Value,
        scope: Scope<'_>,
    ) -> Result<Option<(Rc<str>, Datum)>, Error> {
        let Some(value) = self.render(value, scope)? else {
            return Ok(None);
        };
        let key = self.key(key, scope)?;
        Ok(Some((key, value)))
    }

    /// A key: `$$name` stands for `$name`, which is kept for operators.
    fn key(&mut self, key: &str, scope: Scope<'_>) -> Result<Rc<str>, Cause> {
        let key = match key.strip_prefix('$') {
            Some(escaped) if escaped.strip_prefix('$').is_some_and(is_name) => escaped,
            Some(name) if is_name(name) => return Err(Cause::Reserved(excerpt(key))),
            _ => key,
        };
        let rendered = interpolate(key, &mut self.evaluator(scope))?;
        self.budget.spend_text(rendered.len())?;
        Ok((*rendered).into())
    }
}
