//! The words and signs of an expression.

use crate::budget::Budget;
use crate::error::Cause;

/// A word or sign.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Token<'a> {
    Number(&'a str),
    /// A string, without its quotes.
    Text(&'a str),
    /// A name that is no word of the language.
    Name(&'a str),
    True,
    False,
    Null,
    In,
    Or,
    And,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    Times,
    Divide,
    Power,
    Not,
    Dot,
    Comma,
    Colon,
    OpenParenthesis,
    CloseParenthesis,
    OpenBracket,
    CloseBracket,
    OpenBrace,
    CloseBrace,
}

/// Reads tokens from the beginning of a text, one at a time.
#[derive(Debug)]
pub(crate) struct Tokens<'a> {
    source: &'a str,
    position: usize,
}

/// Signs, those that begin with another one before it.
const SIGNS: [(&str, Token<'static>); 23] = [
    ("**", Token::Power),
    ("||", Token::Or),
    ("&&", Token::And),
    ("==", Token::Equal),
    ("!=", Token::Unequal),
    ("<=", Token::LessOrEqual),
    (">=", Token::GreaterOrEqual),
    ("<", Token::Less),
    (">", Token::Greater),
    ("+", Token::Plus),
    ("-", Token::Minus),
    ("*", Token::Times),
    ("/", Token::Divide),
    ("!", Token::Not),
    (".", Token::Dot),
    (",", Token::Comma),
    (":", Token::Colon),
    ("(", Token::OpenParenthesis),
    (")", Token::CloseParenthesis),
    ("[", Token::OpenBracket),
    ("]", Token::CloseBracket),
    ("{", Token::OpenBrace),
    ("}", Token::CloseBrace),
];

// === impl Tokens ===

impl<'a> Tokens<'a> {
    pub(crate) fn new(source: &'a str) -> Self {
        Self {
            source,
            position: 0,
        }
    }

    /// How far has been read, in bytes.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// The next token, or none at the end.
    pub(crate) fn next(&mut self, budget: &mut Budget) -> Result<Option<Token<'a>>, Cause> {
        let rest = &self.source[self.position..];
        let trimmed = rest.trim_start();
        let begin = self.position + (rest.len() - trimmed.len());
        let Some(first) = trimmed.chars().next() else {
            budget.spend_text(rest.len())?;
            self.position = begin;
            return Ok(None);
        };
        let (token, length) = match first {
            '0'..='9' => number(trimmed),
            'a'..='z' | 'A'..='Z' | '_' => word(trimmed),
            '\'' | '"' => string(trimmed, first)?,
            _ => sign(trimmed).ok_or(Cause::Character(first))?,
        };
        budget.spend_text(begin + length - self.position)?;
        self.position = begin + length;
        Ok(Some(token))
    }
}

/// Whether a text is a name: of a variable, or behind a dot.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && name_length(text) == text.len()
}

/// The bytes at the beginning of a text that may stand in a name.
fn name_length(text: &str) -> usize {
    let ends = |byte: u8| !byte.is_ascii_alphanumeric() && byte != b'_';
    text.bytes().position(ends).unwrap_or(text.len())
}

fn digits(text: &str) -> usize {
    let ends = |byte: u8| !byte.is_ascii_digit();
    text.bytes().position(ends).unwrap_or(text.len())
}

/// Digits, with a fraction only if there are digits behind the dot.
fn number(text: &str) -> (Token<'_>, usize) {
    let whole = digits(text);
    let fraction = text[whole..].strip_prefix('.').map_or(0, digits);
    let length = if fraction > 0 {
        whole + 1 + fraction
    } else {
        whole
    };
    (Token::Number(&text[..length]), length)
}

fn word(text: &str) -> (Token<'_>, usize) {
    let length = name_length(text);
    let token = match &text[..length] {
        "true" => Token::True,
        "false" => Token::False,
        "null" => Token::Null,
        "in" => Token::In,
        name => Token::Name(name),
    };
    (token, length)
}

/// Everything up to the next quote of the same kind: there are no escapes.
fn string(text: &str, quote: char) -> Result<(Token<'_>, usize), Cause> {
    let inner = &text[1..];
    let length = inner.find(quote).ok_or(Cause::OpenText)?;
    Ok((Token::Text(&inner[..length]), length + 2))
}

fn sign(text: &str) -> Option<(Token<'_>, usize)> {
    let (sign, token) = SIGNS.iter().find(|(sign, _)| text.starts_with(sign))?;
    Some((*token, sign.len()))
}
