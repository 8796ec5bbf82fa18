//! The operators: objects of a template that are rendered in a way of their own.

use serde_json::{Map, Value};

use crate::collection;
use crate::datum::Datum;
use crate::error::{Cause, Error, excerpt};
use crate::json;
use crate::moment;
use crate::scope::Scope;
use crate::template::Renderer;
use crate::token::is_name;

/// An operator, named by a key of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Eval,
    Find,
    Flatten,
    FlattenDeep,
    FromNow,
    If,
    Json,
    Let,
    Map,
    Match,
    Merge,
    MergeDeep,
    Reduce,
    Reverse,
    Sort,
    Switch,
}

/// What an operator makes: a value, unless it declines to.
pub(crate) type Rendered = Result<Option<Datum>, Error>;

// === impl Operator ===

impl Operator {
    const ALL: [Self; 16] = [
        Self::Eval,
        Self::Find,
        Self::Flatten,
        Self::FlattenDeep,
        Self::FromNow,
        Self::If,
        Self::Json,
        Self::Let,
        Self::Map,
        Self::Match,
        Self::Merge,
        Self::MergeDeep,
        Self::Reduce,
        Self::Reverse,
        Self::Sort,
        Self::Switch,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Eval => "$eval",
            Self::Find => "$find",
            Self::Flatten => "$flatten",
            Self::FlattenDeep => "$flattenDeep",
            Self::FromNow => "$fromNow",
            Self::If => "$if",
            Self::Json => "$json",
            Self::Let => "$let",
            Self::Map => "$map",
            Self::Match => "$match",
            Self::Merge => "$merge",
            Self::MergeDeep => "$mergeDeep",
            Self::Reduce => "$reduce",
            Self::Reverse => "$reverse",
            Self::Sort => "$sort",
            Self::Switch => "$switch",
        }
    }

    /// The operator an object is, if it is one.
    pub(crate) fn of(object: &Map<String, Value>) -> Result<Option<Self>, Cause> {
        let mut found: Option<Self> = None;
        for key in object.keys().filter(|key| key.starts_with('$')) {
            let Some(operator) = Self::ALL.into_iter().find(|one| one.name() == key) else {
                continue;
            };
            if let Some(other) = found {
                return Err(Cause::TwoOperators(other.name(), operator.name()));
            }
            found = Some(operator);
        }
        Ok(found)
    }

    pub(crate) fn unknown_property(self, property: &str) -> Cause {
        Cause::UnknownProperty {
            operator: self.name(),
            property: excerpt(property),
        }
    }

    pub(crate) fn needs(self, needs: &'static str) -> Cause {
        Cause::Operator {
            operator: self.name(),
            needs,
        }
    }

    /// Refuses properties the operator doesn't have.
    fn check(self, object: &Map<String, Value>) -> Result<(), Cause> {
        let properties: &[&str] = match self {
            Self::If => &["then", "else"],
            Self::Let => &["in"],
            Self::FromNow => &["from"],
            // These look for `each(…)` or `by(…)` among their properties themselves.
            Self::Map | Self::Reduce | Self::Find | Self::Sort => return Ok(()),
            _ => &[],
        };
        let known = |key: &str| key == self.name() || properties.contains(&key);
        match object.keys().find(|key| !known(key)) {
            Some(key) => Err(self.unknown_property(key)),
            None => Ok(()),
        }
    }
}

// === impl Renderer: operators ===

impl Renderer<'_> {
    pub(crate) fn operate(
        &mut self,
        operator: Operator,
        object: &Map<String, Value>,
        scope: Scope<'_>,
    ) -> Rendered {
        operator.check(object)?;
        match operator {
            Operator::Eval => self.expression(operator, object, scope).map(Some),
            Operator::If => self.condition(object, scope),
            Operator::Switch => self.switch(object, scope),
            Operator::Match => self.matches(object, scope),
            Operator::Let => self.bind(object, scope),
            Operator::FromNow => self.moment(object, scope),
            Operator::Map => self.map(object, scope),
            Operator::Reduce => self.reduce(object, scope),
            Operator::Find => self.find(object, scope),
            Operator::Sort => self.sort(object, scope),
            Operator::Json
            | Operator::Flatten
            | Operator::FlattenDeep
            | Operator::Merge
            | Operator::MergeDeep
            | Operator::Reverse => self.convert(operator, object, scope),
        }
    }

    /// The operators that make something of one value.
    fn convert(
        &mut self,
        operator: Operator,
        object: &Map<String, Value>,
        scope: Scope<'_>,
    ) -> Rendered {
        let value = self.operand(operator, object, scope)?;
        let made = match operator {
            Operator::Flatten => collection::flatten(&value, &mut self.budget),
            Operator::FlattenDeep => collection::flatten_deep(&value, &mut self.budget),
            Operator::Merge => collection::merge(&value, &mut self.budget),
            Operator::MergeDeep => collection::merge_deep(&value, &mut self.budget),
            Operator::Reverse => collection::reverse(&value, &mut self.budget),
            _ => json::text(&value, &mut self.budget),
        };
        Ok(Some(made?))
    }

    /// The rendered value of a property. One that is missing or declines is null.
    pub(crate) fn property(
        &mut self,
        object: &Map<String, Value>,
        key: &str,
        scope: Scope<'_>,
    ) -> Rendered {
        let Some(template) = object.get(key) else {
            return Ok(None);
        };
        let rendered = self.render(template, scope);
        rendered.map_err(|error| error.in_key(key))
    }

    /// The rendered value that stands behind an operator's name.
    pub(crate) fn operand(
        &mut self,
        operator: Operator,
        object: &Map<String, Value>,
        scope: Scope<'_>,
    ) -> Result<Datum, Error> {
        let rendered = self.property(object, operator.name(), scope)?;
        Ok(rendered.unwrap_or(Datum::Null))
    }

    /// The value of the expression that stands behind an operator's name.
    pub(crate) fn expression(
        &mut self,
        operator: Operator,
        object: &Map<String, Value>,
        scope: Scope<'_>,
    ) -> Result<Datum, Error> {
        let Some(Value::String(source)) = object.get(operator.name()) else {
            return Err(operator.needs("a string with an expression").into());
        };
        let value = self.evaluate(source, scope);
        value.map_err(|cause| Error::from(cause).in_key(operator.name()))
    }

    /// `$let`: names for values, known only within `in`.
    fn bind(&mut self, object: &Map<String, Value>, scope: Scope<'_>) -> Rendered {
        let Datum::Object(variables) = self.operand(Operator::Let, object, scope)? else {
            return Err(Operator::Let.needs("an object of variables").into());
        };
        if let Some(name) = variables.entries().keys().find(|name| !is_name(name)) {
            return Err(Cause::VariableName(excerpt(name)).into());
        }
        if object.get("in").is_none_or(Value::is_null) {
            return Err(Operator::Let.needs("a template as `in`").into());
        }
        self.property(object, "in", Scope::Let(&variables, &scope))
    }

    /// `$fromNow`: a moment before or after `from`, or `now`.
    fn moment(&mut self, object: &Map<String, Value>, scope: Scope<'_>) -> Rendered {
        let operator = Operator::FromNow;
        let Datum::Text(offset) = self.operand(operator, object, scope)? else {
            return Err(operator.needs("a string with an offset in time").into());
        };
        let from = self.property(object, "from", scope)?;
        let from = from.filter(Datum::is_truthy);
        let moment = moment::from_now(&offset, from, &mut self.evaluator(scope))?;
        Ok(Some(moment))
    }
}
