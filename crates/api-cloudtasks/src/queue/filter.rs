//! The `filter` of ListQueues, in the syntax of Cloud Logging's filters.
//!
//! ```text
//! filter     = expr
//! expr       = term { [ "AND" ] term }        the loosest
//! term       = factor { "OR" factor }
//! factor     = [ "NOT" | "-" ] ( "(" expr ")" | comparison )
//! comparison = path op value
//! path       = ident { "." ident }            in either case
//! op         = "<=" | "<" | ">=" | ">" | "!=" | "=" | ":"
//! value      = "quoted" | word | "*"
//! ```

use std::borrow::Cow;
use std::cmp::Ordering;

use chrono::DateTime;
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Value,
};

use crate::failure::Failure;
use crate::message::{Fields as _, Span};

/// Longest filter, in bytes.
const LONGEST: usize = 4096;
/// Parentheses in parentheses.
const DEEPEST: usize = 32;

/// A filter whose fields and values are known to fit.
#[derive(Debug, Clone)]
pub(crate) struct Filter(Expr);

#[derive(Debug, Clone)]
enum Expr {
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Not(Box<Expr>),
    Compare {
        path: Vec<FieldDescriptor>,
        op: Op,
        operand: Operand,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    Unequal,
    Has,
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    /// `*`: anything at all.
    Present,
    /// In lower case.
    Text(String),
    Number(f64),
    Choice(i32),
    Truth(bool),
    Span(Span),
}

impl Filter {
    /// Reads a filter over messages of the type `about`. `None` if it is empty.
    pub(crate) fn parse(text: &str, about: &MessageDescriptor) -> Result<Option<Self>, Failure> {
        if text.len() > LONGEST {
            let text = format!("The filter is longer than the {LONGEST} bytes allowed.");
            return Err(Failure::invalid(text));
        }
        if text.trim().is_empty() {
            return Ok(None);
        }
        let mut parser = Parser {
            rest: text,
            about,
            depth: 0,
        };
        let read = parser.expr().and_then(|expr| {
            parser.blanks();
            if parser.rest.is_empty() {
                return Ok(expr);
            }
            Err(format!("`{}` is not expected here", parser.rest))
        });
        read.map(|expr| Some(Filter(expr)))
            .map_err(|why| Failure::invalid(format!("The filter is invalid: {why}.")))
    }

    /// Whether `message` is one of those asked for.
    pub(crate) fn accepts(&self, message: &DynamicMessage) -> bool {
        self.0.holds(message)
    }
}

// === impl Parser ===

struct Parser<'a> {
    rest: &'a str,
    about: &'a MessageDescriptor,
    depth: usize,
}

type Parsed<T> = Result<T, String>;

impl<'a> Parser<'a> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, token: &str) -> bool {
        self.blanks();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes a keyword, which ends where a word would.
    fn keyword(&mut self, word: &str) -> bool {
        self.blanks();
        let rest = self.rest.strip_prefix(word).filter(|rest| {
            let next = rest.chars().next();
            next.is_none_or(|next| next.is_whitespace() || next == '(')
        });
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expr(&mut self) -> Parsed<Expr> {
        let mut terms = vec![self.term()?];
        loop {
            let is_joined = self.keyword("AND");
            self.blanks();
            if !is_joined && (self.rest.is_empty() || self.rest.starts_with(')')) {
                return Ok(one_or(terms, Expr::All));
            }
            terms.push(self.term()?);
        }
    }

    fn term(&mut self) -> Parsed<Expr> {
        let mut factors = vec![self.factor()?];
        while self.keyword("OR") {
            factors.push(self.factor()?);
        }
        Ok(one_or(factors, Expr::Any))
    }

    fn factor(&mut self) -> Parsed<Expr> {
        let is_negated = self.keyword("NOT") || self.take("-");
        let expr = if self.take("(") {
            if self.depth == DEEPEST {
                return Err(format!("it nests deeper than {DEEPEST} parentheses"));
            }
            self.depth += 1;
            let inner = self.expr()?;
            self.depth -= 1;
            if !self.take(")") {
                return Err("a closing parenthesis is missing".to_owned());
            }
            inner
        } else {
            self.comparison()?
        };
        Ok(if is_negated {
            Expr::Not(Box::new(expr))
        } else {
            expr
        })
    }

    fn comparison(&mut self) -> Parsed<Expr> {
        self.blanks();
        let path = self.path()?;
        let op = self.op()?;
        let (value, is_quoted) = self.value()?;
        let field = path.last().ok_or("a field is missing")?;
        let operand = operand(field, op, &value, is_quoted)?;
        Ok(Expr::Compare { path, op, operand })
    }

    fn path(&mut self) -> Parsed<Vec<FieldDescriptor>> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        let mut path: Vec<FieldDescriptor> = Vec::new();
        for name in text.split('.') {
            let kind = path.last().map(FieldDescriptor::kind);
            let inside = match (&kind, path.last()) {
                (None, _) => Some(self.about),
                (Some(kind), Some(last)) if !last.is_list() && !last.is_map() => kind.as_message(),
                _ => None,
            };
            let field = inside.and_then(|message| {
                let snake = message.get_field_by_name(name);
                snake.or_else(|| message.get_field_by_json_name(name))
            });
            path.push(field.ok_or_else(|| format!("there is no field `{text}`"))?);
        }
        Ok(path)
    }

    fn op(&mut self) -> Parsed<Op> {
        let ops = [
            ("<=", Op::LessOrEqual),
            ("<", Op::Less),
            (">=", Op::GreaterOrEqual),
            (">", Op::Greater),
            ("!=", Op::Unequal),
            ("=", Op::Equal),
            (":", Op::Has),
        ];
        let found = ops.into_iter().find(|(token, _)| self.take(token));
        found
            .map(|(_, op)| op)
            .ok_or_else(|| "after a field comes one of <=, <, >=, >, !=, =, and `:`".to_owned())
    }

    /// A value, and whether it was quoted.
    fn value(&mut self) -> Parsed<(Cow<'a, str>, bool)> {
        self.blanks();
        if let Some(quoted) = self.rest.strip_prefix('"') {
            let mut text = String::new();
            let mut chars = quoted.char_indices();
            while let Some((at, c)) = chars.next() {
                match c {
                    '"' => {
                        self.rest = &quoted[at + 1..];
                        return Ok((text.into(), true));
                    }
                    '\\' => text.extend(chars.next().map(|(_, c)| c)),
                    c => text.push(c),
                }
            }
            return Err("a closing quote is missing".to_owned());
        }
        let is_end = |c: char| c.is_whitespace() || c == ')' || c == '(' || c == '"';
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        if end == 0 {
            return Err("a value is missing".to_owned());
        }
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok((word.into(), false))
    }
}

fn one_or(mut list: Vec<Expr>, many: fn(Vec<Expr>) -> Expr) -> Expr {
    match (list.pop(), list.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            list.extend(last);
            many(list)
        }
    }
}

/// The value as the field can be compared with it.
fn operand(field: &FieldDescriptor, op: Op, value: &str, is_quoted: bool) -> Parsed<Operand> {
    let name = field.name();
    if value == "*" && !is_quoted {
        return match op {
            Op::Has | Op::Equal => Ok(Operand::Present),
            _ => Err("`*` goes with `:`".to_owned()),
        };
    }
    if field.is_list() || field.is_map() {
        return Err(format!("`{name}` can only be tested with `{name}:*`"));
    }
    let unfit = |what: &str| format!("`{value}` is not {what}, which `{name}` is");
    match field.kind() {
        Kind::String => Ok(Operand::Text(value.to_lowercase())),
        Kind::Bool => match value.to_ascii_lowercase().as_str() {
            "true" => Ok(Operand::Truth(true)),
            "false" => Ok(Operand::Truth(false)),
            _ => Err(unfit("true or false")),
        },
        Kind::Enum(choices) => choice(&choices, value)
            .map(Operand::Choice)
            .ok_or_else(|| unfit("a value of the enum")),
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.Timestamp" => timestamp(value)
                .map(Operand::Span)
                .ok_or_else(|| unfit("a time such as 2026-01-01T00:00:00Z")),
            "google.protobuf.Duration" => duration(value)
                .map(Operand::Span)
                .ok_or_else(|| unfit("a duration such as 10s")),
            _ => Err(format!("`{name}` can only be tested with `{name}:*`")),
        },
        Kind::Bytes => Err(format!("`{name}` can only be tested with `{name}:*`")),
        _ => value
            .parse()
            .map(Operand::Number)
            .map_err(|_| unfit("a number")),
    }
}

fn choice(choices: &EnumDescriptor, value: &str) -> Option<i32> {
    let named = choices
        .values()
        .find(|choice| choice.name().eq_ignore_ascii_case(value));
    named
        .map(|choice| choice.number())
        .or_else(|| value.parse().ok())
}

fn timestamp(value: &str) -> Option<Span> {
    let time = DateTime::parse_from_rfc3339(value).ok()?;
    Some(Span {
        seconds: time.timestamp(),
        nanos: time.timestamp_subsec_nanos() as i32,
    })
}

fn duration(value: &str) -> Option<Span> {
    let seconds: f64 = value.strip_suffix('s').unwrap_or(value).parse().ok()?;
    // Beyond this no duration goes: 10,000 years.
    if seconds.is_nan() || seconds.abs() > 315_576_000_000.0 {
        return None;
    }
    Some(Span {
        seconds: seconds.trunc() as i64,
        nanos: (seconds.fract() * 1e9).round() as i32,
    })
}

// === impl Expr ===

impl Expr {
    fn holds(&self, message: &DynamicMessage) -> bool {
        match self {
            Expr::All(list) => list.iter().all(|expr| expr.holds(message)),
            Expr::Any(list) => list.iter().any(|expr| expr.holds(message)),
            Expr::Not(expr) => !expr.holds(message),
            Expr::Compare { path, op, operand } => compare(message, path, *op, operand),
        }
    }
}

fn compare(message: &DynamicMessage, path: &[FieldDescriptor], op: Op, operand: &Operand) -> bool {
    let Some((field, parents)) = path.split_last() else {
        return false;
    };
    let mut holder = Cow::Borrowed(message);
    for parent in parents {
        let child = match holder.get_field(parent).into_owned() {
            Value::Message(child) if holder.has_field(parent) => child,
            _ => return false,
        };
        holder = Cow::Owned(child);
    }
    if *operand == Operand::Present {
        return holder.has_field(field);
    }
    // Absent scalars are their default, absent messages are nothing.
    if field.supports_presence() && !holder.has_field(field) {
        return false;
    }
    let value = holder.get_field(field);
    match (operand, value.as_ref()) {
        (Operand::Text(wanted), Value::String(text)) => {
            let text = text.to_lowercase();
            match op {
                Op::Has => text.contains(wanted.as_str()),
                op => op.accepts(text.cmp(wanted)),
            }
        }
        (Operand::Truth(wanted), Value::Bool(truth)) => op.accepts(truth.cmp(wanted)),
        (Operand::Choice(wanted), Value::EnumNumber(number)) => op.accepts(number.cmp(wanted)),
        (Operand::Number(wanted), value) => {
            let number = match value {
                Value::F64(number) => Some(*number),
                Value::I32(number) => Some(f64::from(*number)),
                Value::I64(number) => Some(*number as f64),
                _ => None,
            };
            let order = number.and_then(|number| number.partial_cmp(wanted));
            order.is_some_and(|order| op.accepts(order))
        }
        (Operand::Span(wanted), Value::Message(span)) => {
            let order =
                (span.long("seconds"), span.int("nanos")).cmp(&(wanted.seconds, wanted.nanos));
            op.accepts(order)
        }
        _ => false,
    }
}

impl Op {
    fn accepts(self, order: Ordering) -> bool {
        match self {
            Op::Less => order.is_lt(),
            Op::LessOrEqual => order.is_le(),
            Op::Greater => order.is_gt(),
            Op::GreaterOrEqual => order.is_ge(),
            Op::Equal | Op::Has => order.is_eq(),
            Op::Unequal => order.is_ne(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost_reflect::ReflectMessage as _;

    use super::*;
    use crate::schema::Schema;
    use crate::version::Version;

    fn queue() -> DynamicMessage {
        let schema = Schema::load().expect("it loads");
        let empty = schema.of(Version::V2beta3, "Queue").expect("a queue");
        let json = serde_json::json!({
            "name": "projects/p/locations/l/queues/Mail-1",
            "state": "PAUSED",
            "rateLimits": {"maxDispatchesPerSecond": 2.5, "maxConcurrentDispatches": 10},
            "retryConfig": {"minBackoff": "0.100s"},
            "purgeTime": "2026-03-01T10:00:00.5Z",
            "type": "PUSH",
        });
        DynamicMessage::deserialize(empty.descriptor(), json).expect("it fits")
    }

    fn accepts(text: &str) -> bool {
        let queue = queue();
        let filter = Filter::parse(text, &queue.descriptor());
        filter.expect(text).expect("not empty").accepts(&queue)
    }

    #[test]
    fn comparisons_know_the_types_of_fields() {
        for text in [
            "state: PAUSED",
            "state=paused",
            "state!=RUNNING",
            "state=2",
            "name:mail",
            "name = \"projects/p/locations/l/queues/mail-1\"",
            "rateLimits.maxDispatchesPerSecond>=2.5",
            "rate_limits.max_concurrent_dispatches < 11",
            "retryConfig.minBackoff = 0.1s",
            "retry_config.max_doublings = 0",
            "purge_time > 2026-03-01T10:00:00Z",
            "purgeTime < \"2026-03-01T11:00:00+01:00\" OR state:PAUSED",
            "purge_time:*",
            "rate_limits:*",
        ] {
            assert!(accepts(text), "{text}");
        }
        for text in [
            "state=RUNNING",
            "name:other",
            "http_target:*",
            "http_target.uri_override.host = x",
            "task_ttl > 1s",
            "stats.tasks_count = 0",
        ] {
            assert!(!accepts(text), "{text}");
        }
    }

    #[test]
    fn or_binds_tighter_than_and() {
        assert!(accepts("state=PAUSED AND (name:mail OR name:x)"));
        assert!(accepts("state=PAUSED state=RUNNING OR name:mail"));
        assert!(!accepts("state=RUNNING name:mail OR name:x"));
        assert!(accepts("NOT state=RUNNING -name:x"));
        assert!(accepts("NOT (state=RUNNING OR http_target:*)"));
        assert!(accepts("NOT http_target.http_method = POST"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_filter_or_refused(
            text in r#"([a-z_.]{0,9}|AND|OR|NOT|[-()<>=!:*" \\]|PAUSED|name|é|[0-9]{1,3}s?){0,12}"#,
        ) {
            let queue = queue();
            if let Ok(Some(filter)) = Filter::parse(&text, &queue.descriptor()) {
                let negated = Filter::parse(&format!("NOT ({text})"), &queue.descriptor());
                let negated = negated.expect("what can be said can be denied").expect("not empty");
                prop_assert_ne!(filter.accepts(&queue), negated.accepts(&queue));
            }
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let about = queue().descriptor();
        let deep = format!("{}state=PAUSED{}", "(".repeat(40), ")".repeat(40));
        let long = format!("name={}", "x".repeat(LONGEST));
        for text in [
            "state",
            "state=",
            "state=NOWHERE",
            "nothing=1",
            "name.x=1",
            "(state=PAUSED",
            "state=PAUSED)",
            "name=\"x",
            "state=PAUSED AND",
            "OR state=PAUSED",
            "rate_limits=1",
            "rate_limits.max_burst_size=many",
            "purge_time>yesterday",
            "state < *",
            "é",
            &deep,
            &long,
        ] {
            let refused = Filter::parse(text, &about).expect_err(text);
            assert_eq!(refused.code, tonic::Code::InvalidArgument);
        }
        assert!(Filter::parse("  ", &about).expect("valid").is_none());
    }
}
