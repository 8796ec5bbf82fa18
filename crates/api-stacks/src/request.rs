//! Reading what was sent.

use http::header::{CONTENT_ENCODING, HeaderMap};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::problem::Problem;

/// Jobs that one request may name.
pub(crate) const JOBS_AT_MOST: usize = 1000;

/// A JSON object that was sent. An empty body is an empty object: some clients announce JSON and
/// send nothing.
#[derive(Debug)]
pub(crate) struct Payload(Map<String, Value>);

impl Payload {
    pub(crate) fn read(body: &[u8]) -> Result<Self, Problem> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Payload(Map::new()));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Payload(fields)),
            Ok(_) => Err(Problem::Bad("the body must be a JSON object".to_owned())),
            Err(error) => Err(Problem::Bad(format!("the body is no JSON: {error}"))),
        }
    }

    /// An object within one that was sent.
    pub(crate) fn of(fields: Map<String, Value>) -> Self {
        Payload(fields)
    }

    /// A field; null is as good as none.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text, if there is one.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.contains('\0') => Err(Problem::Invalid(format!(
                "{name} must not contain NUL characters"
            ))),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Problem::Invalid(format!("{name} must be a string"))),
        }
    }

    /// A text that must be there, and not be empty.
    pub(crate) fn required(&self, name: &str) -> Result<&str, Problem> {
        self.text(name)?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| Problem::Invalid(format!("{name} is required")))
    }

    /// A whole number, if there is one.
    pub(crate) fn int(&self, name: &str) -> Result<Option<i64>, Problem> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value
                .as_i64()
                .map(Some)
                .ok_or_else(|| Problem::Invalid(format!("{name} must be a whole number"))),
        }
    }

    /// True or false; false without.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.get(name) {
            None => Ok(false),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| Problem::Invalid(format!("{name} must be true or false"))),
        }
    }

    /// The ids of the jobs that the request is about, as they were sent. A list that is null is an
    /// empty one.
    pub(crate) fn job_uuids(&self) -> Result<Vec<String>, Problem> {
        let wrong = || Problem::Bad("job_uuids must be an array of strings".to_owned());
        let Some(list) = self.0.get("job_uuids") else {
            return Err(wrong());
        };
        let items = match list {
            Value::Null => return Ok(Vec::new()),
            Value::Array(items) => items,
            _ => return Err(wrong()),
        };
        if items.len() > JOBS_AT_MOST {
            return Err(Problem::Bad(format!(
                "job_uuids must have at most {JOBS_AT_MOST} items"
            )));
        }
        items
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect()
    }
}

/// The first value of `name` in a query string.
pub(crate) fn query_value(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        };
        (decode(key) == name).then(|| decode(value))
    })
}

/// A whole number in a query string.
pub(crate) fn query_int(query: &str, name: &str) -> Result<Option<i64>, Problem> {
    query_value(query, name)
        .map(|text| {
            text.parse()
                .map_err(|_| Problem::Bad(format!("{name} must be a whole number")))
        })
        .transpose()
}

/// Whether the body is compressed with gzip.
pub(crate) fn is_gzip(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"gzip"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_an_empty_object_and_null_is_nothing() {
        for body in ["", " \n", "{}", r#"{"a":null}"#] {
            let payload = Payload::read(body.as_bytes()).expect("an object");
            assert!(payload.get("a").is_none(), "{body}");
        }
        for body in ["[]", "1", "{", "\"a\""] {
            assert!(matches!(
                Payload::read(body.as_bytes()),
                Err(Problem::Bad(_))
            ));
        }
    }

    #[test]
    fn queries_are_read_as_forms() {
        let query = "limit=5&queue_key=a+b%2Fc%26d&limit=6";
        assert_eq!(query_value(query, "queue_key").as_deref(), Some("a b/c&d"));
        assert_eq!(query_int(query, "limit").ok(), Some(Some(5)));
        assert!(query_int("limit=x", "limit").is_err());
    }
}
