//! Why a text is no schedule.

use thiserror::Error;

/// The text is no schedule. The message does not repeat it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// The text is longer than any sensible schedule.
    #[error("more than {most} bytes")]
    TooLong {
        /// How many there may be.
        most: usize,
    },
    /// The text begins with `@`, but is not one of the known names.
    #[error("not one of the names {names}")]
    UnknownName {
        /// The known ones.
        names: String,
    },
    /// There are too few or too many fields.
    #[error("{count} fields instead of three to six")]
    Fields {
        /// How many there are.
        count: usize,
    },
    /// A field cannot be read.
    #[error("the {field}: {cause}")]
    Field {
        /// What the field is about, e.g. "hour".
        field: &'static str,
        /// What is wrong with it.
        cause: FieldError,
    },
    /// The calendar has no such day.
    #[error("no month that is named has such a day")]
    NoSuchDay,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FieldError {
    /// Two commas follow each other, or one stands at an end.
    #[error("an element of the list is empty")]
    EmptyElement,
    /// Neither a number nor what else the field may hold.
    #[error("'{0}' is no value")]
    NoValue(String),
    /// A number that the field may not hold.
    #[error("{value} is not within {min} to {max}")]
    OutOfRange {
        /// The number.
        value: u32,
        /// The smallest that is allowed.
        min: u32,
        /// The largest that is allowed.
        max: u32,
    },
    /// A range whose end comes before its start.
    #[error("the range from {from} to {to} runs backwards")]
    Backwards {
        /// Its start.
        from: u32,
        /// Its end.
        to: u32,
    },
    /// What follows a slash is not a number of at least 1.
    #[error("'{0}' is no step; a step is a number of at least 1")]
    Step(String),
    /// Two elements of the list name the same value.
    #[error("'{0}' names a value for a second time")]
    Duplicate(String),
    /// What follows `#` is not a week of the month, or what precedes it is not one weekday.
    #[error("'#' stands between one weekday and a number from 1 to 5")]
    Nth,
}
