//! The functions of the language.

use crate::budget::{Budget, WEIGHT};
use crate::datum::Datum;
use crate::error::Cause;
use crate::evaluate::Evaluator;
use crate::moment;
use crate::number;
use crate::text;

/// A function. Functions are values: they can be passed on until they are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Abs,
    Ceil,
    Defined,
    Floor,
    FromNow,
    Join,
    Len,
    Lowercase,
    Lstrip,
    Max,
    Min,
    Number,
    Range,
    Rstrip,
    Split,
    Sqrt,
    Str,
    Strip,
    Typeof,
    Uppercase,
}

// === impl Function ===

impl Function {
    const ALL: [Self; 20] = [
        Self::Abs,
        Self::Ceil,
        Self::Defined,
        Self::Floor,
        Self::FromNow,
        Self::Join,
        Self::Len,
        Self::Lowercase,
        Self::Lstrip,
        Self::Max,
        Self::Min,
        Self::Number,
        Self::Range,
        Self::Rstrip,
        Self::Split,
        Self::Sqrt,
        Self::Str,
        Self::Strip,
        Self::Typeof,
        Self::Uppercase,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// The name, and what the function is to be called with.
    fn signature(self) -> (&'static str, &'static str) {
        match self {
            Self::Abs => ("abs", "a number"),
            Self::Ceil => ("ceil", "a number"),
            Self::Defined => ("defined", "a name, as a string"),
            Self::Floor => ("floor", "a number"),
            Self::FromNow => ("fromNow", "an offset and perhaps a moment, as strings"),
            Self::Join => (
                "join",
                "a list without objects, and a separator: a string or a number",
            ),
            Self::Len => ("len", "a string or a list"),
            Self::Lowercase => ("lowercase", "a string"),
            Self::Lstrip => ("lstrip", "a string"),
            Self::Max => ("max", "numbers, at least one"),
            Self::Min => ("min", "numbers, at least one"),
            Self::Number => ("number", "a string"),
            Self::Range => (
                "range",
                "two whole numbers and perhaps a third, which is not 0",
            ),
            Self::Rstrip => ("rstrip", "a string"),
            Self::Split => ("split", "a string, and a separator: a string or a number"),
            Self::Sqrt => ("sqrt", "a number"),
            Self::Str => ("str", "a string, a number, a boolean or null"),
            Self::Strip => ("strip", "a string"),
            Self::Typeof => ("typeof", "one value"),
            Self::Uppercase => ("uppercase", "a string"),
        }
    }

    fn name(self) -> &'static str {
        self.signature().0
    }

    /// The value for these arguments.
    pub(crate) fn call(
        self,
        arguments: &[Datum],
        evaluator: &mut Evaluator<'_, '_>,
    ) -> Result<Datum, Cause> {
        let called = match (self, arguments) {
            (Self::FromNow, [Datum::Text(offset)]) => {
                Some(moment::from_now(offset, None, evaluator)?)
            }
            (Self::FromNow, [Datum::Text(offset), from @ Datum::Text(_)]) => {
                let from = Some(from.clone()).filter(Datum::is_truthy);
                Some(moment::from_now(offset, from, evaluator)?)
            }
            (Self::Defined, [Datum::Text(name)]) => {
                Some(Datum::Bool(evaluator.name(name)?.is_some()))
            }
            (Self::Typeof, [value]) => Some(Datum::text(value.kind(), evaluator.budget)?),
            (Self::Min | Self::Max, [_, ..]) => self.extreme(arguments),
            (Self::Range, _) => range(arguments, evaluator.budget)?,
            (Self::Join, [Datum::List(list), separator]) => match text::separator(separator) {
                Some(separator) => text::join(list, &separator, evaluator.budget)?
                    .map(|joined| Datum::text(&joined, evaluator.budget))
                    .transpose()?,
                None => None,
            },
            (Self::Split, [Datum::Text(whole), separator]) => text::separator(separator)
                .map(|separator| text::split(whole, &separator, evaluator.budget))
                .transpose()?,
            (_, [value]) => self.of_one(value, evaluator.budget)?,
            _ => None,
        };
        called.ok_or_else(|| {
            let (function, takes) = self.signature();
            Cause::Arguments { function, takes }
        })
    }

    /// The functions of one number, string or list. None where the argument is of another kind.
    fn of_one(self, value: &Datum, budget: &mut Budget) -> Result<Option<Datum>, Cause> {
        budget.spend(match value {
            Datum::Text(_) => value.extent().weight,
            _ => 1,
        })?;
        Ok(Some(match (self, value) {
            (Self::Abs, Datum::Number(number)) => {
                match number::as_integer(number).and_then(i64::checked_abs) {
                    Some(integer) => Datum::integer(integer),
                    None => Datum::float(number::as_f64(number).abs()),
                }
            }
            (Self::Ceil | Self::Floor, Datum::Number(number)) => {
                let float = number::as_f64(number);
                match number::as_integer(number) {
                    Some(_) => value.clone(),
                    None if self == Self::Ceil => Datum::float(float.ceil()),
                    None => Datum::float(float.floor()),
                }
            }
            (Self::Sqrt, Datum::Number(number)) => Datum::float(number::as_f64(number).sqrt()),
            (Self::Str, Datum::Text(_)) => value.clone(),
            (Self::Str, Datum::Number(number)) => Datum::text(&number::to_text(number), budget)?,
            (Self::Str, Datum::Bool(true)) => Datum::text("true", budget)?,
            (Self::Str, Datum::Bool(false)) => Datum::text("false", budget)?,
            (Self::Str, Datum::Null) => Datum::text("null", budget)?,
            (Self::Number, Datum::Text(text)) => {
                number::parse(text).map_or(Datum::Null, Datum::float)
            }
            (Self::Len, Datum::Text(text)) => Datum::integer(text.chars().count() as i64),
            (Self::Len, Datum::List(list)) => Datum::integer(list.elements().len() as i64),
            (Self::Lowercase, Datum::Text(text)) => Datum::text(&text.to_lowercase(), budget)?,
            (Self::Uppercase, Datum::Text(text)) => Datum::text(&text.to_uppercase(), budget)?,
            (Self::Strip, Datum::Text(text)) => Datum::text(text.trim(), budget)?,
            (Self::Lstrip, Datum::Text(text)) => Datum::text(text.trim_start(), budget)?,
            (Self::Rstrip, Datum::Text(text)) => Datum::text(text.trim_end(), budget)?,
            _ => return Ok(None),
        }))
    }

    /// The smallest or largest of some numbers.
    fn extreme(self, arguments: &[Datum]) -> Option<Datum> {
        let mut numbers = arguments.iter().map(|argument| match argument {
            Datum::Number(number) => Some(number),
            _ => None,
        });
        let first = numbers.next()??;
        let extreme = numbers.try_fold(first, |extreme, number| {
            let order = number::compare(number?, extreme);
            let better = match self {
                Self::Min => order.is_lt(),
                _ => order.is_gt(),
            };
            if better { number } else { Some(extreme) }
        });
        extreme.cloned().map(Datum::Number)
    }
}

/// Whole numbers from the first up to, but without, the second.
fn range(arguments: &[Datum], budget: &mut Budget) -> Result<Option<Datum>, Cause> {
    let bounds = match arguments {
        [from, to] => (from.as_integer(), to.as_integer(), Some(1)),
        [from, to, step] => (from.as_integer(), to.as_integer(), step.as_integer()),
        _ => return Ok(None),
    };
    let (Some(from), Some(to), Some(step @ (1.. | ..=-1))) = bounds else {
        return Ok(None);
    };
    let distance = if step > 0 {
        i128::from(to) - i128::from(from)
    } else {
        i128::from(from) - i128::from(to)
    };
    let step_width = i128::from(step.unsigned_abs());
    let length = (distance.max(0) + step_width - 1) / step_width;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > WEIGHT {
        return Err(Cause::TooLarge);
    }
    budget.spend(length)?;
    // Each stands between the bounds, but the way to it can be longer than 64 bits.
    let nth = |index| i128::from(from) + index * i128::from(step);
    let numbers = (0..length as i128).map(|index| Datum::integer(nth(index) as i64));
    Datum::list(numbers.collect(), budget).map(Some)
}
