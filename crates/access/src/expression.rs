//! Scope expressions: what a method requires, as a template with parameters.

use std::borrow::Cow;

use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::rendered::{Rendered, serialize_entries};

/// What a method requires, with parameters still to be filled in.
///
/// Read from and written to the JSON form of the reference documents. Only a well-formed
/// expression can be read: `for` stands only within `AllOf` or `AnyOf`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub enum Expression {
    /// One scope; `<name>` stands for a parameter.
    Scope(String),
    /// All of these are required.
    AllOf(Vec<Self>),
    /// One of these is enough.
    AnyOf(Vec<Self>),
    /// One scope for each element of a list.
    For {
        /// The name by which `each` calls the element.
        variable: String,
        /// The parameter that holds the list.
        list: String,
        /// The scope for an element.
        each: String,
    },
    /// One of two branches; without `otherwise` the whole may vanish.
    If {
        /// The parameter that decides.
        condition: String,
        /// Required when the condition holds.
        then: Box<Self>,
        /// Required when it does not.
        otherwise: Option<Box<Self>>,
    },
}

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Param<'a> {
    /// Replaces `<name>`.
    Text(Cow<'a, str>),
    /// Replaces `<name>`, in decimal.
    Number(i64),
    /// Decides an `if`.
    Flag(bool),
    /// What a `for` walks over.
    List(Cow<'a, [String]>),
}

/// A parameter is missing or of the wrong kind: a mistake of the server, not of the caller.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the scope expression needs the parameter '{parameter}' as {expected}")]
pub struct RenderError {
    /// The parameter's name.
    pub parameter: String,
    /// What it should have been.
    pub expected: &'static str,
}

/// The JSON is not a scope expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "not a scope expression: {0}; use a string, {{\"AllOf\": [..]}}, {{\"AnyOf\": [..]}}, \
     {{\"if\": .., \"then\": .., \"else\": ..}} or, within a list, \
     {{\"for\": .., \"in\": .., \"each\": ..}}"
)]
pub struct ExpressionError(String);

/// Where an expression stands, which decides whether it may be a `for`.
#[derive(Clone, Copy)]
enum Place {
    Alone,
    InList,
}

// === impl Expression ===

impl Expression {
    /// The names of the parameters, each once, in the order in which they are met.
    pub fn parameters(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.collect_parameters(&mut names);
        names
    }

    fn collect_parameters<'a>(&'a self, names: &mut Vec<&'a str>) {
        let mut add = |name: &'a str| {
            if !names.contains(&name) {
                names.push(name);
            }
        };
        match self {
            Self::Scope(scope) => names_in(scope).for_each(add),
            Self::AllOf(parts) | Self::AnyOf(parts) => {
                for part in parts {
                    part.collect_parameters(names);
                }
            }
            Self::For {
                variable,
                list,
                each,
            } => {
                add(list);
                let outer = names_in(each).filter(|name| name != variable);
                outer.for_each(add);
            }
            Self::If {
                condition,
                then,
                otherwise,
            } => {
                add(condition);
                then.collect_parameters(names);
                if let Some(otherwise) = otherwise {
                    otherwise.collect_parameters(names);
                }
            }
        }
    }

    /// Fills in the parameters. `None` means that nothing is required: the request is public.
    pub fn render<'p>(
        &self,
        parameter: &dyn Fn(&str) -> Option<Param<'p>>,
    ) -> Result<Option<Rendered>, RenderError> {
        let mut rendered = Vec::with_capacity(1);
        self.render_into(parameter, &mut rendered)?;
        Ok(rendered.pop())
    }

    fn render_into<'p>(
        &self,
        parameter: &dyn Fn(&str) -> Option<Param<'p>>,
        rendered: &mut Vec<Rendered>,
    ) -> Result<(), RenderError> {
        match self {
            Self::Scope(scope) => {
                rendered.push(Rendered::Scope(render_scope(scope, parameter)?));
            }
            Self::AllOf(parts) => rendered.push(Rendered::AllOf(render_parts(parts, parameter)?)),
            Self::AnyOf(parts) => rendered.push(Rendered::AnyOf(render_parts(parts, parameter)?)),
            Self::For {
                variable,
                list,
                each,
            } => {
                let Some(Param::List(elements)) = parameter(list) else {
                    return Err(wrong(list, "a list of strings"));
                };
                for element in elements.iter() {
                    let within = |name: &str| {
                        if name == variable {
                            Some(Param::Text(Cow::Borrowed(element.as_str())))
                        } else {
                            parameter(name)
                        }
                    };
                    rendered.push(Rendered::Scope(render_scope(each, &within)?));
                }
            }
            Self::If {
                condition,
                then,
                otherwise,
            } => {
                let Some(Param::Flag(holds)) = parameter(condition) else {
                    return Err(wrong(condition, "a boolean"));
                };
                let branch = if holds {
                    Some(then)
                } else {
                    otherwise.as_ref()
                };
                if let Some(branch) = branch {
                    branch.render_into(parameter, rendered)?;
                }
            }
        }
        Ok(())
    }

    fn read(value: Value, place: Place) -> Result<Self, ExpressionError> {
        let object = match value {
            Value::String(scope) => return Ok(Self::Scope(scope)),
            Value::Object(object) => object,
            other => return Err(ExpressionError(format!("{other}"))),
        };
        let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
        keys.sort_unstable();
        match (keys.as_slice(), place) {
            (["AllOf"], _) => Ok(Self::AllOf(read_list(&object["AllOf"])?)),
            (["AnyOf"], _) => Ok(Self::AnyOf(read_list(&object["AnyOf"])?)),
            (["each", "for", "in"], Place::InList) => Ok(Self::For {
                variable: read_name(&object["for"])?,
                list: read_name(&object["in"])?,
                each: match &object["each"] {
                    Value::String(each) => each.clone(),
                    other => return Err(ExpressionError(format!("\"each\": {other}"))),
                },
            }),
            (["if", "then"] | ["else", "if", "then"], _) => Ok(Self::If {
                condition: read_name(&object["if"])?,
                then: Box::new(Self::read(object["then"].clone(), Place::Alone)?),
                otherwise: match object.get("else") {
                    Some(value) => Some(Box::new(Self::read(value.clone(), Place::Alone)?)),
                    None => None,
                },
            }),
            _ => Err(ExpressionError(format!("{}", Value::Object(object)))),
        }
    }
}

fn read_list(value: &Value) -> Result<Vec<Expression>, ExpressionError> {
    let Value::Array(parts) = value else {
        return Err(ExpressionError(format!("{value} instead of a list")));
    };
    parts
        .iter()
        .map(|part| Expression::read(part.clone(), Place::InList))
        .collect()
}

fn read_name(value: &Value) -> Result<String, ExpressionError> {
    match value {
        Value::String(name) if is_name(name) => Ok(name.clone()),
        other => Err(ExpressionError(format!(
            "{other} instead of a parameter's name"
        ))),
    }
}

fn render_parts<'p>(
    parts: &[Expression],
    parameter: &dyn Fn(&str) -> Option<Param<'p>>,
) -> Result<Vec<Rendered>, RenderError> {
    let mut rendered = Vec::with_capacity(parts.len());
    for part in parts {
        part.render_into(parameter, &mut rendered)?;
    }
    Ok(rendered)
}

fn render_scope<'p>(
    scope: &str,
    parameter: &dyn Fn(&str) -> Option<Param<'p>>,
) -> Result<String, RenderError> {
    let mut rendered = String::with_capacity(scope.len() + 16);
    for (text, name) in pieces(scope) {
        rendered.push_str(text);
        let Some(name) = name else { continue };
        match parameter(name) {
            Some(Param::Text(text)) => rendered.push_str(&text),
            Some(Param::Number(number)) => rendered.push_str(&number.to_string()),
            _ => return Err(wrong(name, "a string or a number")),
        }
    }
    Ok(rendered)
}

fn wrong(parameter: &str, expected: &'static str) -> RenderError {
    RenderError {
        parameter: parameter.to_owned(),
        expected,
    }
}

impl TryFrom<Value> for Expression {
    type Error = ExpressionError;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        Self::read(value, Place::Alone)
    }
}

impl Serialize for Expression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Scope(scope) => serializer.serialize_str(scope),
            Self::AllOf(parts) => serialize_entries(serializer, &[("AllOf", parts)]),
            Self::AnyOf(parts) => serialize_entries(serializer, &[("AnyOf", parts)]),
            Self::For {
                variable,
                list,
                each,
            } => serialize_entries(
                serializer,
                &[("for", variable), ("in", list), ("each", each)],
            ),
            Self::If {
                condition,
                then,
                otherwise,
            } => {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("if", condition)?;
                map.serialize_entry("then", then)?;
                if let Some(otherwise) = otherwise {
                    map.serialize_entry("else", otherwise)?;
                }
                map.end()
            }
        }
    }
}

// === a scope's text ===

/// Splits a scope at its parameters: pairs of text, which may be empty, and the parameter behind
/// it. A `<` that does not begin one is text.
fn pieces(scope: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = scope;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut from = 0;
        while let Some(open) = rest[from..].find('<').map(|found| from + found) {
            if let Some((name, behind)) = rest[open + 1..].split_once('>')
                && is_name(name)
            {
                let text = &rest[..open];
                rest = behind;
                return Some((text, Some(name)));
            }
            from = open + 1;
        }
        Some((std::mem::take(&mut rest), None))
    })
}

/// The parameters of a scope.
fn names_in(scope: &str) -> impl Iterator<Item = &str> {
    pieces(scope).filter_map(|(_, name)| name)
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

// === impl Param ===

impl<'a> From<&'a str> for Param<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Param<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for Param<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Param<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl<'a> From<&'a [String]> for Param<'a> {
    fn from(list: &'a [String]) -> Self {
        Self::List(Cow::Borrowed(list))
    }
}

impl From<Vec<String>> for Param<'_> {
    fn from(list: Vec<String>) -> Self {
        Self::List(Cow::Owned(list))
    }
}
