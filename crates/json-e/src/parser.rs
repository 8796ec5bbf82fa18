//! Reads expressions: each token is looked at once, and what it means is known at once.

use crate::budget::{Budget, EXPRESSION_NESTING};
use crate::error::{Cause, excerpt};
use crate::expression::{Access, Expression, Infix, Prefix};
use crate::number;
use crate::token::{Token, Tokens};

/// Reads one expression.
#[derive(Debug)]
struct Parser<'a, 'b> {
    source: &'a str,
    tokens: Tokens<'a>,
    budget: &'b mut Budget,
    /// The token that comes next.
    next: Option<Token<'a>>,
    /// Where it begins, or blanks before it.
    begin: usize,
    /// How many levels deeper the expression may become.
    levels: usize,
}

const OPERAND: &str = "a value";

/// Reads a text that is an expression and nothing else.
pub(crate) fn parse<'a>(source: &'a str, budget: &mut Budget) -> Result<Expression<'a>, Cause> {
    let mut parser = Parser::new(source, budget)?;
    let expression = parser.expression(0)?;
    match parser.next {
        None => Ok(expression),
        Some(_) => Err(parser.unexpected("an operator or the end")),
    }
}

/// Reads an expression and the `}` behind it at the beginning of a text; tells how many bytes the
/// two take.
pub(crate) fn parse_braced<'a>(
    source: &'a str,
    budget: &mut Budget,
) -> Result<(Expression<'a>, usize), Cause> {
    let mut parser = Parser::new(source, budget)?;
    let expression = parser.expression(0)?;
    match parser.next {
        Some(Token::CloseBrace) => Ok((expression, parser.tokens.position())),
        Some(_) => Err(parser.unexpected("an operator or `}`")),
        None => Err(Cause::OpenInterpolation),
    }
}

// === impl Parser ===

impl<'a, 'b> Parser<'a, 'b> {
    fn new(source: &'a str, budget: &'b mut Budget) -> Result<Self, Cause> {
        let mut tokens = Tokens::new(source);
        let next = tokens.next(budget)?;
        Ok(Self {
            source,
            tokens,
            budget,
            next,
            begin: 0,
            levels: EXPRESSION_NESTING,
        })
    }

    /// Passes over the next token.
    fn advance(&mut self) -> Result<(), Cause> {
        self.begin = self.tokens.position();
        self.next = self.tokens.next(self.budget)?;
        Ok(())
    }

    /// Passes over the next token if it is this one.
    fn skip(&mut self, token: Token<'_>) -> Result<bool, Cause> {
        let found = self.next == Some(token);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, token: Token<'_>, expected: &'static str) -> Result<(), Cause> {
        if self.skip(token)? {
            Ok(())
        } else {
            Err(self.unexpected(expected))
        }
    }

    fn unexpected(&self, expected: &'static str) -> Cause {
        match self.next {
            None => Cause::Unfinished(expected),
            Some(_) => Cause::Unexpected {
                found: excerpt(self.source[self.begin..self.tokens.position()].trim()),
                expected,
            },
        }
    }

    /// Operands and the operators between them, as long as those are of at least this strength.
    fn expression(&mut self, strength: u8) -> Result<Expression<'a>, Cause> {
        self.levels = self.levels.checked_sub(1).ok_or(Cause::ExpressionTooDeep)?;
        let mut left = self.prefixed()?;
        while let Some(infix) = self.next.and_then(infix)
            && infix.strength() >= strength
        {
            self.advance()?;
            // The right operand of `**` may be another power, that of others nothing as weak.
            let power = infix == Infix::Power;
            let right = self.expression(infix.strength() + u8::from(!power))?;
            left = joined(left, infix, right);
        }
        self.levels += 1;
        Ok(left)
    }

    /// An operand with the operators in front of it.
    fn prefixed(&mut self) -> Result<Expression<'a>, Cause> {
        let prefix = match self.next {
            Some(Token::Minus) => Prefix::Minus,
            Some(Token::Plus) => Prefix::Plus,
            Some(Token::Not) => Prefix::Not,
            _ => return self.operand(),
        };
        self.advance()?;
        self.levels = self.levels.checked_sub(1).ok_or(Cause::ExpressionTooDeep)?;
        let operand = self.prefixed()?;
        self.levels += 1;
        Ok(Expression::Prefix(prefix, Box::new(operand)))
    }

    /// A value with everything that is looked up in it.
    fn operand(&mut self) -> Result<Expression<'a>, Cause> {
        let value = self.value()?;
        let mut path = Vec::new();
        while let Some(access) = self.access()? {
            path.push(access);
        }
        if path.is_empty() {
            return Ok(value);
        }
        Ok(Expression::Path(Box::new(value), path))
    }

    fn access(&mut self) -> Result<Option<Access<'a>>, Cause> {
        match self.next {
            Some(Token::Dot) => self.property().map(Some),
            Some(Token::OpenBracket) => self.element().map(Some),
            Some(Token::OpenParenthesis) => self.call().map(Some),
            _ => Ok(None),
        }
    }

    fn call(&mut self) -> Result<Access<'a>, Cause> {
        self.advance()?;
        let arguments = self.expressions(Token::CloseParenthesis, "`,` or `)`")?;
        Ok(Access::Call(arguments))
    }

    fn value(&mut self) -> Result<Expression<'a>, Cause> {
        match self.next {
            Some(Token::OpenParenthesis) => self.parenthesized(),
            Some(Token::OpenBracket) => self.list(),
            Some(Token::OpenBrace) => self.object(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<Expression<'a>, Cause> {
        let value = match self.next {
            Some(Token::Null) => Expression::Null,
            Some(Token::True) => Expression::Bool(true),
            Some(Token::False) => Expression::Bool(false),
            Some(Token::Text(text)) => Expression::Text(text),
            Some(Token::Name(name)) => Expression::Name(name),
            Some(Token::Number(digits)) => literal(digits),
            _ => return Err(self.unexpected(OPERAND)),
        };
        self.advance()?;
        Ok(value)
    }

    fn parenthesized(&mut self) -> Result<Expression<'a>, Cause> {
        self.advance()?;
        let inner = self.expression(0)?;
        self.expect(Token::CloseParenthesis, "an operator or `)`")?;
        Ok(inner)
    }

    fn list(&mut self) -> Result<Expression<'a>, Cause> {
        self.advance()?;
        let elements = self.expressions(Token::CloseBracket, "`,` or `]`")?;
        Ok(Expression::List(elements))
    }

    /// Expressions with commas between them, up to and with `close`.
    fn expressions(
        &mut self,
        close: Token<'_>,
        expected: &'static str,
    ) -> Result<Vec<Expression<'a>>, Cause> {
        let mut expressions = Vec::new();
        if self.skip(close)? {
            return Ok(expressions);
        }
        loop {
            expressions.push(self.expression(0)?);
            if self.skip(close)? {
                return Ok(expressions);
            }
            self.expect(Token::Comma, expected)?;
        }
    }

    /// Other than in lists, the last entry may be followed by a comma.
    fn object(&mut self) -> Result<Expression<'a>, Cause> {
        self.advance()?;
        let mut entries = Vec::new();
        while !self.skip(Token::CloseBrace)? {
            entries.push(self.entry()?);
            if self.next != Some(Token::CloseBrace) {
                self.expect(Token::Comma, "`,` or `}`")?;
            }
        }
        Ok(Expression::Object(entries))
    }

    fn entry(&mut self) -> Result<(&'a str, Expression<'a>), Cause> {
        let Some(Token::Name(key) | Token::Text(key)) = self.next else {
            return Err(self.unexpected("a key or `}`"));
        };
        self.advance()?;
        self.expect(Token::Colon, "`:`")?;
        Ok((key, self.expression(0)?))
    }

    fn property(&mut self) -> Result<Access<'a>, Cause> {
        self.advance()?;
        let Some(Token::Name(name)) = self.next else {
            return Err(self.unexpected("the name of a property"));
        };
        self.advance()?;
        Ok(Access::Property(name))
    }

    fn element(&mut self) -> Result<Access<'a>, Cause> {
        self.advance()?;
        let from = match self.next {
            Some(Token::Colon) => None,
            _ => Some(self.expression(0)?),
        };
        let access = if self.skip(Token::Colon)? {
            let to = match self.next {
                Some(Token::CloseBracket) => None,
                _ => Some(self.expression(0)?),
            };
            Access::Slice(from, to)
        } else if let Some(index) = from {
            Access::Element(index)
        } else {
            return Err(self.unexpected(OPERAND));
        };
        self.expect(Token::CloseBracket, "`]`")?;
        Ok(access)
    }
}

/// Two operands and the operator between them.
fn joined<'a>(left: Expression<'a>, infix: Infix, right: Expression<'a>) -> Expression<'a> {
    if infix == Infix::Power {
        return Expression::Power(Box::new(left), Box::new(right));
    }
    match left {
        Expression::Chain(first, mut rest) if rest[0].0.strength() == infix.strength() => {
            rest.push((infix, right));
            Expression::Chain(first, rest)
        }
        _ => Expression::Chain(Box::new(left), vec![(infix, right)]),
    }
}

fn infix(token: Token<'_>) -> Option<Infix> {
    Some(match token {
        Token::Or => Infix::Or,
        Token::And => Infix::And,
        Token::In => Infix::In,
        Token::Equal => Infix::Equal,
        Token::Unequal => Infix::Unequal,
        Token::Less => Infix::Less,
        Token::LessOrEqual => Infix::LessOrEqual,
        Token::Greater => Infix::Greater,
        Token::GreaterOrEqual => Infix::GreaterOrEqual,
        Token::Plus => Infix::Add,
        Token::Minus => Infix::Subtract,
        Token::Times => Infix::Multiply,
        Token::Divide => Infix::Divide,
        Token::Power => Infix::Power,
        _ => return None,
    })
}

/// A number of more digits than a double can hold is none.
fn literal(digits: &str) -> Expression<'static> {
    let exact = digits.parse::<i64>().ok().map(Into::into);
    exact
        .or_else(|| digits.parse().ok().and_then(number::from_f64))
        .map_or(Expression::Null, Expression::Number)
}
