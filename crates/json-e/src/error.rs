//! Why a template can't be rendered, and where.

use std::fmt;

use thiserror::Error;

use crate::budget::{EXPRESSION_NESTING, NESTING, STEPS, TEXT_BYTES, WEIGHT};

/// A template that can't be rendered.
///
/// Its text tells where in the template and what is wrong, for who wrote it:
/// `at template.routes[1]: nothing is called 'rev'`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    cause: Cause,
    /// From the inside out.
    path: Vec<Place>,
}

/// A step into a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Key(String),
    Index(usize),
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Cause {
    // An expression that can't be read.
    #[error("the expression ends where {0} is expected")]
    Unfinished(&'static str),
    #[error("`{found}` stands where {expected} is expected")]
    Unexpected {
        found: String,
        expected: &'static str,
    },
    #[error("`{0}` has no meaning in an expression")]
    Character(char),
    #[error("a string in the expression is not closed")]
    OpenText,
    #[error("a `${{` is not closed by `}}`")]
    OpenInterpolation,

    // An expression that has no value.
    #[error("nothing is called `{0}`")]
    UnknownName(String),
    #[error("the object has no property `{0}`")]
    NoProperty(String),
    #[error("`{operator}` takes {takes}")]
    Operands {
        operator: &'static str,
        takes: &'static str,
    },
    #[error("division by zero")]
    DivisionByZero,
    #[error("the index is beyond the end")]
    OutOfRange,
    #[error("{0} can't be called")]
    NotCallable(&'static str),
    #[error("`{function}` takes {takes}")]
    Arguments {
        function: &'static str,
        takes: &'static str,
    },
    #[error("a function is given but never called")]
    UncalledFunction,

    // A template that is none.
    #[error("{0} can't become part of a string")]
    NotText(&'static str),
    #[error("`{0}` is no operator; a key that is to begin with `$` is written `${0}`")]
    Reserved(String),
    #[error("`{0}` and `{1}` stand in one object, which can be only one operator")]
    TwoOperators(&'static str, &'static str),
    #[error("`{operator}` knows no property `{property}`")]
    UnknownProperty {
        operator: &'static str,
        property: String,
    },
    #[error("`{operator}` needs {needs}")]
    Operator {
        operator: &'static str,
        needs: &'static str,
    },
    #[error("`{0}` can't be a variable: names are made of letters, digits and `_`")]
    VariableName(String),
    #[error("an expression is written as a string here")]
    NotExpression,
    #[error("more than one case of `$switch` is true")]
    TwoCases,
    #[error("`$sort` compares numbers with numbers or strings with strings only")]
    Unsortable,

    // Times.
    #[error("a moment is a string, such as `2019-10-07T15:46:01.123Z`")]
    NotMoment,
    #[error("`{0}` is no offset in time, such as `2 days 3 hours`")]
    NotOffset(String),
    #[error("`{0}` leads out of the calendar")]
    OutOfCalendar(String),

    // Budgets.
    #[error("the template takes too long to render (more than {STEPS} steps)")]
    TooManySteps,
    #[error("a value becomes too large (more than {WEIGHT} parts)")]
    TooLarge,
    #[error("lists and objects nest deeper than {NESTING} levels")]
    TooDeep,
    #[error("the expression nests deeper than {EXPRESSION_NESTING} levels")]
    ExpressionTooDeep,
    #[error("a string becomes longer than {TEXT_BYTES} bytes")]
    TextTooLong,
}

// === impl Error ===

impl Error {
    /// The same, in the property `key` of what has been said so far.
    pub(crate) fn in_key(mut self, key: &str) -> Self {
        self.path.push(Place::Key(excerpt(key)));
        self
    }

    /// The same, in the element `index` of what has been said so far.
    pub(crate) fn in_element(mut self, index: usize) -> Self {
        self.path.push(Place::Index(index));
        self
    }
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            path: Vec::new(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("at template")?;
        for place in self.path.iter().rev() {
            match place {
                Place::Index(index) => write!(f, "[{index}]")?,
                Place::Key(key) if reads_as_name(key) => write!(f, ".{key}")?,
                Place::Key(key) => write!(f, "[{key:?}]")?,
            }
        }
        write!(f, ": {}", self.cause)
    }
}

impl std::error::Error for Error {}

fn reads_as_name(key: &str) -> bool {
    !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$')
}

/// The beginning of a text, for a message: who sends a megabyte does not get it back.
pub(crate) fn excerpt(text: &str) -> String {
    const CHARS: usize = 60;
    match text.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
