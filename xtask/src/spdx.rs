//! Licence expressions as packages declare them: `MIT OR (Apache-2.0 AND BSD-3-Clause)`.

use anyhow::{Result, bail};

/// A parsed licence expression.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Expression {
    /// One licence, with its exception if it has one: `Apache-2.0 WITH LLVM-exception`.
    Licence(String),
    /// Either side may be chosen.
    Or(Box<Self>, Box<Self>),
    /// Both sides apply.
    And(Box<Self>, Box<Self>),
}

// === impl Expression ===

impl Expression {
    /// Parses an expression; the old form with a slash for OR is understood.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let spaced = text
            .replace('(', " ( ")
            .replace(')', " ) ")
            .replace('/', " OR ");
        let mut words = spaced.split_whitespace().peekable();
        let expression = either(&mut words)?;
        match words.next() {
            None => Ok(expression),
            Some(word) => bail!("licence expression {text:?}: {word:?} is not expected"),
        }
    }

    /// Whether the licences that `is_allowed` accepts are enough.
    pub(crate) fn is_met(&self, is_allowed: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Self::Licence(name) => is_allowed(name),
            Self::Or(left, right) => left.is_met(is_allowed) || right.is_met(is_allowed),
            Self::And(left, right) => left.is_met(is_allowed) && right.is_met(is_allowed),
        }
    }
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(words: &mut Words<'_>) -> Result<Expression> {
    let mut left = both(words)?;
    while words.next_if_eq(&"OR").is_some() {
        left = Expression::Or(Box::new(left), Box::new(both(words)?));
    }
    Ok(left)
}

fn both(words: &mut Words<'_>) -> Result<Expression> {
    let mut left = one(words)?;
    while words.next_if_eq(&"AND").is_some() {
        left = Expression::And(Box::new(left), Box::new(one(words)?));
    }
    Ok(left)
}

fn one(words: &mut Words<'_>) -> Result<Expression> {
    match words.next() {
        Some("(") => {
            let inner = either(words)?;
            if words.next() != Some(")") {
                bail!("a parenthesis of a licence expression is not closed");
            }
            Ok(inner)
        }
        Some(name) if !matches!(name, ")" | "OR" | "AND" | "WITH") => {
            if words.next_if_eq(&"WITH").is_none() {
                return Ok(Expression::Licence(name.to_owned()));
            }
            match words.next() {
                Some(exception) => Ok(Expression::Licence(format!("{name} WITH {exception}"))),
                None => bail!("a licence expression ends with WITH"),
            }
        }
        other => bail!("a licence expression has {other:?} where a licence belongs"),
    }
}

#[cfg(test)]
mod tests {
    use super::Expression;

    fn is_met(text: &str, allowed: &[&str]) -> bool {
        Expression::parse(text)
            .unwrap()
            .is_met(&|name| allowed.contains(&name))
    }

    #[test]
    fn one_side_of_an_or_is_enough() {
        assert!(is_met("MIT OR GPL-3.0-only", &["MIT"]));
        assert!(is_met("GPL-3.0-only/MIT", &["MIT"]));
        assert!(!is_met("MIT OR GPL-3.0-only", &["Zlib"]));
    }

    #[test]
    fn an_and_needs_both_sides_and_binds_tighter_than_an_or() {
        assert!(!is_met("MIT AND OpenSSL", &["MIT"]));
        assert!(is_met("ISC OR MIT AND OpenSSL", &["ISC"]));
        assert!(!is_met("(ISC OR MIT) AND OpenSSL", &["ISC"]));
    }

    #[test]
    fn an_exception_is_part_of_the_licence() {
        assert!(is_met("Apache-2.0 WITH LLVM-exception OR MIT", &["MIT"]));
        assert!(!is_met("Apache-2.0 WITH LLVM-exception", &["Apache-2.0"]));
    }

    #[test]
    fn a_broken_expression_is_refused() {
        for text in ["", "MIT OR", "(MIT", "MIT ISC", "AND MIT", "MIT WITH"] {
            assert!(Expression::parse(text).is_err(), "{text}");
        }
    }
}
