//! Expressions as they are understood, before they have a value.

use serde_json::Number;

/// An expression. Names and strings are those of the text it was read from.
#[derive(Debug)]
pub(crate) enum Expression<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(&'a str),
    Name(&'a str),
    List(Vec<Self>),
    Object(Vec<(&'a str, Self)>),
    Prefix(Prefix, Box<Self>),
    /// Operands of operators that bind equally, taken from left to right. One flat list, so that a
    /// long sum is no deep tree.
    Chain(Box<Self>, Vec<(Infix, Self)>),
    /// A base and its exponent; of several, the right ones are taken first.
    Power(Box<Self>, Box<Self>),
    /// What is looked up in a value, one after the other.
    Path(Box<Self>, Vec<Access<'a>>),
}

/// An operator in front of its operand.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Prefix {
    Minus,
    Plus,
    Not,
}

/// An operator between its operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Infix {
    Or,
    And,
    In,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

/// What stands behind a value.
#[derive(Debug)]
pub(crate) enum Access<'a> {
    /// `.name`
    Property(&'a str),
    /// `[index]` or `["key"]`
    Element(Expression<'a>),
    /// `[from:to]`
    Slice(Option<Expression<'a>>, Option<Expression<'a>>),
    /// `(arguments)`
    Call(Vec<Expression<'a>>),
}

// === impl Infix ===

impl Infix {
    /// How strongly it holds its operands: those of a stronger operator are taken first.
    pub(crate) fn strength(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::In => 3,
            Self::Equal | Self::Unequal => 4,
            Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual => 5,
            Self::Add | Self::Subtract => 6,
            Self::Multiply | Self::Divide => 7,
            Self::Power => 8,
        }
    }

    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Or => "||",
            Self::And => "&&",
            Self::In => "in",
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Power => "**",
        }
    }
}
