//! Gives expressions their values.

use std::cmp::Ordering;

use serde_json::Number;

use crate::access;
use crate::budget::Budget;
use crate::datum::{Datum, Entries};
use crate::error::{Cause, excerpt};
use crate::expression::{Access, Expression, Infix, Prefix};
use crate::number;
use crate::parser;
use crate::scope::{Context, Scope};

/// What an expression is evaluated with.
#[derive(Debug)]
pub(crate) struct Evaluator<'r, 'c> {
    pub(crate) context: &'r mut Context<'c>,
    pub(crate) scope: Scope<'r>,
    pub(crate) budget: &'r mut Budget,
}

// === impl Evaluator ===

impl Evaluator<'_, '_> {
    /// Reads and evaluates a text.
    pub(crate) fn text(&mut self, source: &str) -> Result<Datum, Cause> {
        let expression = parser::parse(source, self.budget)?;
        self.evaluate(&expression)
    }

    /// Recursion ends: the parser let the expression nest only so deep.
    pub(crate) fn evaluate(&mut self, expression: &Expression<'_>) -> Result<Datum, Cause> {
        self.budget.spend(1)?;
        match expression {
            Expression::List(elements) => self.list(elements),
            Expression::Object(entries) => self.object(entries),
            Expression::Prefix(prefix, operand) => self.prefixed(*prefix, operand),
            Expression::Chain(first, rest) => self.chain(first, rest),
            Expression::Power(base, exponent) => self.power(base, exponent),
            Expression::Path(base, path) => self.path(base, path),
            Expression::Name(name) => self
                .name(name)?
                .ok_or_else(|| Cause::UnknownName(excerpt(name))),
            Expression::Text(text) => Datum::text(text, self.budget),
            Expression::Number(number) => Ok(Datum::Number(number.clone())),
            Expression::Bool(flag) => Ok(Datum::Bool(*flag)),
            Expression::Null => Ok(Datum::Null),
        }
    }

    /// The value of a name, if it has one.
    pub(crate) fn name(&mut self, name: &str) -> Result<Option<Datum>, Cause> {
        self.scope.get(name, self.context, self.budget)
    }

    fn all(&mut self, expressions: &[Expression<'_>]) -> Result<Vec<Datum>, Cause> {
        expressions.iter().map(|part| self.evaluate(part)).collect()
    }

    fn list(&mut self, elements: &[Expression<'_>]) -> Result<Datum, Cause> {
        let elements = self.all(elements)?;
        Datum::list(elements, self.budget)
    }

    fn object(&mut self, entries: &[(&str, Expression<'_>)]) -> Result<Datum, Cause> {
        let mut object = Entries::with_capacity(entries.len());
        for (key, value) in entries {
            object.insert((*key).into(), self.evaluate(value)?);
        }
        Datum::object(object, self.budget)
    }

    fn prefixed(&mut self, prefix: Prefix, operand: &Expression<'_>) -> Result<Datum, Cause> {
        let operand = self.evaluate(operand)?;
        prefixed(prefix, &operand)
    }

    fn power(&mut self, base: &Expression<'_>, exponent: &Expression<'_>) -> Result<Datum, Cause> {
        let base = self.evaluate(base)?;
        let exponent = self.evaluate(exponent)?;
        self.combine(Infix::Power, &base, &exponent)
    }

    fn path(&mut self, base: &Expression<'_>, path: &[Access<'_>]) -> Result<Datum, Cause> {
        let mut value = self.evaluate(base)?;
        for access in path {
            value = self.access(&value, access)?;
        }
        Ok(value)
    }

    /// Operators of one strength, from left to right; `||` and `&&` stop as soon as they can.
    fn chain(
        &mut self,
        first: &Expression<'_>,
        rest: &[(Infix, Expression<'_>)],
    ) -> Result<Datum, Cause> {
        let mut left = self.evaluate(first)?;
        for (infix, right) in rest {
            left = match infix {
                Infix::Or if left.is_truthy() => return Ok(Datum::Bool(true)),
                Infix::And if !left.is_truthy() => return Ok(Datum::Bool(false)),
                Infix::Or | Infix::And => Datum::Bool(self.evaluate(right)?.is_truthy()),
                _ => {
                    let right = self.evaluate(right)?;
                    self.combine(*infix, &left, &right)?
                }
            };
        }
        Ok(left)
    }

    fn access(&mut self, value: &Datum, access: &Access<'_>) -> Result<Datum, Cause> {
        match access {
            Access::Property(name) => access::property(value, name),
            Access::Element(index) => {
                let index = self.evaluate(index)?;
                access::element(value, &index, self.budget)
            }
            Access::Slice(from, to) => {
                let from = self.bound(from.as_ref())?;
                let to = self.bound(to.as_ref())?;
                access::slice(value, from, to, self.budget)
            }
            Access::Call(arguments) => {
                let Datum::Function(function) = value else {
                    return Err(Cause::NotCallable(value.kind()));
                };
                let arguments = self.all(arguments)?;
                function.call(&arguments, self)
            }
        }
    }

    /// A bound of a slice, if it is given.
    fn bound(&mut self, expression: Option<&Expression<'_>>) -> Result<Option<i64>, Cause> {
        let Some(expression) = expression else {
            return Ok(None);
        };
        let bound = self.evaluate(expression)?;
        bound.as_integer().map(Some).ok_or(Cause::Operands {
            operator: "[:]",
            takes: "whole numbers",
        })
    }

    fn combine(&mut self, infix: Infix, left: &Datum, right: &Datum) -> Result<Datum, Cause> {
        match infix {
            Infix::Equal => left.equals(right, self.budget).map(Datum::Bool),
            Infix::Unequal => Ok(Datum::Bool(!left.equals(right, self.budget)?)),
            Infix::In => self.contains(right, left).map(Datum::Bool),
            Infix::Less | Infix::LessOrEqual | Infix::Greater | Infix::GreaterOrEqual => {
                let order = self.order(infix, left, right)?;
                Ok(Datum::Bool(match infix {
                    Infix::Less => order.is_lt(),
                    Infix::LessOrEqual => order.is_le(),
                    Infix::Greater => order.is_gt(),
                    _ => order.is_ge(),
                }))
            }
            _ => match (infix, left, right) {
                (Infix::Add, Datum::Text(left), Datum::Text(right)) => {
                    self.budget.spend_text(left.len() + right.len())?;
                    Datum::text(&[&**left, &**right].concat(), self.budget)
                }
                (_, Datum::Number(left), Datum::Number(right)) => calculate(infix, left, right),
                _ => Err(Cause::Operands {
                    operator: infix.sign(),
                    takes: match infix {
                        Infix::Add => "two numbers or two strings",
                        _ => "two numbers",
                    },
                }),
            },
        }
    }

    fn order(&mut self, infix: Infix, left: &Datum, right: &Datum) -> Result<Ordering, Cause> {
        match (left, right) {
            (Datum::Number(left), Datum::Number(right)) => Ok(number::compare(left, right)),
            (Datum::Text(left), Datum::Text(right)) => {
                self.budget.spend_text(left.len().min(right.len()))?;
                Ok(left.cmp(right))
            }
            _ => Err(Cause::Operands {
                operator: infix.sign(),
                takes: "two numbers or two strings",
            }),
        }
    }

    fn contains(&mut self, whole: &Datum, part: &Datum) -> Result<bool, Cause> {
        match (whole, part) {
            (Datum::List(list), _) => {
                for element in list.elements() {
                    if element.equals(part, self.budget)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            (Datum::Text(whole), Datum::Text(part)) => {
                self.budget.spend_text(whole.len() + part.len())?;
                Ok(whole.contains(&**part))
            }
            (Datum::Object(object), Datum::Text(key)) => {
                self.budget.spend_text(key.len())?;
                Ok(object.entries().contains_key(key))
            }
            _ => Err(Cause::Operands {
                operator: Infix::In.sign(),
                takes: "a list, or a string and a string or an object",
            }),
        }
    }
}

fn prefixed(prefix: Prefix, operand: &Datum) -> Result<Datum, Cause> {
    let sign = match prefix {
        Prefix::Not => return Ok(Datum::Bool(!operand.is_truthy())),
        Prefix::Plus => "+",
        Prefix::Minus => "-",
    };
    let Datum::Number(number) = operand else {
        return Err(Cause::Operands {
            operator: sign,
            takes: "a number",
        });
    };
    if let Prefix::Plus = prefix {
        return Ok(operand.clone());
    }
    Ok(
        match number::as_integer(number).and_then(i64::checked_neg) {
            Some(negated) => Datum::integer(negated),
            None => Datum::float(-number::as_f64(number)),
        },
    )
}

/// Exactly where both numbers and the result are whole and fit, else in doubles.
fn calculate(infix: Infix, left: &Number, right: &Number) -> Result<Datum, Cause> {
    let whole = number::as_integer(left).zip(number::as_integer(right));
    if let Some(exact) = whole.and_then(|(left, right)| match infix {
        Infix::Add => left.checked_add(right),
        Infix::Subtract => left.checked_sub(right),
        Infix::Multiply => left.checked_mul(right),
        Infix::Power => left.checked_pow(u32::try_from(right).ok()?),
        Infix::Divide => (left.checked_rem(right)? == 0).then_some(left / right),
        _ => None,
    }) {
        return Ok(Datum::integer(exact));
    }
    let (left, right) = (number::as_f64(left), number::as_f64(right));
    Ok(Datum::float(match infix {
        Infix::Add => left + right,
        Infix::Subtract => left - right,
        Infix::Multiply => left * right,
        Infix::Divide if right == 0.0 => return Err(Cause::DivisionByZero),
        Infix::Divide => left / right,
        _ => left.powf(right),
    }))
}
