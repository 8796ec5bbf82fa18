//! One field of an expression, read into the set of its values.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use crate::error::{FieldError, ScheduleError};

/// Bit _n_ says that _n_ is in the set. Values from [`LAST`] on are not themselves but the last of
/// their kind in the month.
pub(crate) type Set = u64;

/// In the field of days, the last day of the month; in that of weekdays, `LAST` and a weekday is
/// the last such day of the month.
pub(crate) const LAST: u32 = 32;

/// What may stand in a field.
#[derive(Debug)]
pub(crate) struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    /// The most that `H` may become. Every month has a 28th, and 7 would be Sunday once more.
    hashed_max: u32,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Time,
    Day,
    Month,
    Weekday,
}

pub(crate) const SECOND: Field = Field::new("second", Kind::Time, 0, 59, 59);
pub(crate) const MINUTE: Field = Field::new("minute", Kind::Time, 0, 59, 59);
pub(crate) const HOUR: Field = Field::new("hour", Kind::Time, 0, 23, 23);
pub(crate) const DAY: Field = Field::new("day of the month", Kind::Day, 1, 31, 28);
pub(crate) const MONTH: Field = Field::new("month", Kind::Month, 1, 12, 12);
pub(crate) const WEEKDAY: Field = Field::new("weekday", Kind::Weekday, 0, 7, 6);

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

// === impl Field ===

impl Field {
    const fn new(name: &'static str, kind: Kind, min: u32, max: u32, hashed_max: u32) -> Self {
        Self {
            name,
            min,
            max,
            hashed_max,
            kind,
        }
    }

    /// Reads a list of values and ranges. `owner` is what `H` is derived from.
    pub(crate) fn parse(&self, text: &str, owner: &str) -> Result<Set, ScheduleError> {
        let read = Reading { field: self, owner };
        read.list(text).map_err(|cause| self.error(cause))
    }

    /// Reads a weekday and, after `#`, which of them in the month: 1 to 5.
    pub(crate) fn parse_nth(
        &self,
        weekday: &str,
        nth: &str,
        owner: &str,
    ) -> Result<(Set, u32), ScheduleError> {
        let read = Reading { field: self, owner };
        let nth = number(nth).filter(|nth| (1..=5).contains(nth));
        match (read.value(weekday), nth) {
            (Some(weekday), Some(nth)) => {
                let weekday = read.within(weekday).map_err(|cause| self.error(cause))?;
                Ok((1 << (weekday % 7), nth))
            }
            _ => Err(self.error(FieldError::Nth)),
        }
    }

    fn error(&self, cause: FieldError) -> ScheduleError {
        ScheduleError::Field {
            field: self.name,
            cause,
        }
    }
}

/// A field, and whose schedule it is in.
struct Reading<'a> {
    field: &'a Field,
    owner: &'a str,
}

// === impl Reading ===

impl Reading<'_> {
    fn list(&self, text: &str) -> Result<Set, FieldError> {
        let mut set = 0;
        for element in text.split(',') {
            let values = self.element(element)?;
            // 0 may be named again: Sunday often is, once as 0 and once as 7.
            if set & values & !1 != 0 {
                return Err(FieldError::Duplicate(element.to_owned()));
            }
            set |= values;
        }
        Ok(set)
    }

    /// Never an empty set.
    fn element(&self, text: &str) -> Result<Set, FieldError> {
        if text.is_empty() {
            return Err(FieldError::EmptyElement);
        }
        let Some((range, step)) = text.split_once('/') else {
            return match self.range(text)? {
                Some((from, to)) => Ok(self.every(from, to, 1)),
                None => self.single(text),
            };
        };
        let wrong = || FieldError::Step(step.to_owned());
        let step = number(step).filter(|step| *step > 0).ok_or_else(wrong)?;
        let (from, to) = match self.range(range)? {
            Some(range) => range,
            None => (self.within(self.known(range)?)?, self.field.max),
        };
        Ok(self.every(from, to, step))
    }

    /// The bounds of `*`, `?` or `a-b`; `None` if the text is no range.
    fn range(&self, text: &str) -> Result<Option<(u32, u32)>, FieldError> {
        // In a range an `L` at the end means nothing: `*L` is `*`.
        let plain = match self.field.kind {
            Kind::Day | Kind::Weekday => text.strip_suffix('L').unwrap_or(text),
            Kind::Time | Kind::Month => text,
        };
        let mut parts = plain.split('-');
        let bounds = match (parts.next(), parts.next()) {
            // What follows the star is passed over, like all that follows a range.
            (Some("*" | "?"), surplus) => {
                surplus.map(|surplus| self.known(surplus)).transpose()?;
                (self.field.min, self.field.max)
            }
            (Some(from), Some(to)) => {
                let from = self.within(self.known(from)?)?;
                let to = self.within(self.known(to)?)?;
                if from > to {
                    return Err(FieldError::Backwards { from, to });
                }
                (from, to)
            }
            _ => return Ok(None),
        };
        for surplus in parts {
            self.known(surplus)?;
        }
        Ok(Some(bounds))
    }

    /// The set of every `step`th value. Weekdays up to a Sunday hold Sunday, whatever the step.
    fn every(&self, from: u32, to: u32, step: u32) -> Set {
        let steps = usize::try_from(step).unwrap_or(usize::MAX);
        let values = (from..=to).step_by(steps).map(|value| 1 << value);
        let sunday = self.field.kind == Kind::Weekday && matches!(to, 0 | 7);
        values.fold(Set::from(sunday), |set, value: Set| set | value)
    }

    fn single(&self, text: &str) -> Result<Set, FieldError> {
        // First as a value, for a name may end with the letter: `JUL`.
        let (value, last) = match (self.value(text), text.strip_suffix('L'), self.field.kind) {
            (Some(value), ..) => (value, 0),
            (None, Some(""), Kind::Day) => return Ok(1 << LAST),
            (None, Some(weekday), Kind::Weekday) => (self.known(weekday)?, LAST),
            _ => (self.known(text)?, 0),
        };
        let value = self.within(value)?;
        Ok(match self.field.kind {
            Kind::Weekday => 1 << (last + value % 7),
            Kind::Time | Kind::Day | Kind::Month => 1 << value,
        })
    }

    fn known(&self, text: &str) -> Result<u32, FieldError> {
        let wrong = || FieldError::NoValue(text.to_owned());
        self.value(text).ok_or_else(wrong)
    }

    /// A number, a name of a month or weekday, or `H`.
    fn value(&self, text: &str) -> Option<u32> {
        if text == "H" {
            return Some(self.hashed());
        }
        let place = |names: &[&str]| {
            names
                .iter()
                .position(|name| name.eq_ignore_ascii_case(text))
        };
        let named = || match self.field.kind {
            // Either may be used for the other.
            Kind::Month | Kind::Weekday => {
                let place = place(&MONTHS).map(|at| at + 1).or(place(&WEEKDAYS))?;
                u32::try_from(place).ok()
            }
            Kind::Time | Kind::Day => None,
        };
        number(text).or_else(named)
    }

    /// What `H` stands for: the same for the same owner, on every machine and in every release.
    fn hashed(&self) -> u32 {
        let mut hasher = SipHasher13::new();
        hasher.write(self.field.name.as_bytes());
        hasher.write(b"\0");
        hasher.write(self.owner.as_bytes());
        let choices = u64::from(self.field.hashed_max - self.field.min + 1);
        self.field.min + (hasher.finish() % choices) as u32
    }

    fn within(&self, value: u32) -> Result<u32, FieldError> {
        let Field { min, max, .. } = *self.field;
        if (min..=max).contains(&value) {
            Ok(value)
        } else {
            Err(FieldError::OutOfRange { value, min, max })
        }
    }
}

/// A number in decimal. One that is too large for its type becomes the largest, which is out of
/// every range all the same.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u32::MAX))
}
