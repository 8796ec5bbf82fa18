//! Reading JSON objects key by key, with errors that name the place.

use serde_json::{Map, Value};
use taskyard_client::Timestamp;

/// A JSON object at a place in the payload.
pub(crate) struct Fields<'a> {
    place: String,
    object: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// `value`, which stands at `place`, as an object with no keys but `known`.
    pub(crate) fn new(place: &str, value: &'a Value, known: &[&str]) -> Result<Self, String> {
        let object = value
            .as_object()
            .ok_or_else(|| format!("{} must be an object", named(place)))?;
        let fields = Self {
            place: place.to_owned(),
            object,
        };
        match object.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(fields),
            Some(unknown) => Err(format!(
                "{} is not supported by this worker; {} may have {}",
                fields.path(unknown),
                named(place),
                known
                    .iter()
                    .map(|key| format!("`{key}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            )),
        }
    }

    /// Where `key` stands, for messages.
    pub(crate) fn path(&self, key: &str) -> String {
        if self.place.is_empty() {
            format!("`{key}`")
        } else {
            format!("`{}.{key}`", self.place)
        }
    }

    /// The raw value of `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key)
    }

    /// The raw value of `key`, which must be there.
    pub(crate) fn required(&self, key: &str) -> Result<&'a Value, String> {
        self.get(key)
            .ok_or_else(|| format!("{} is missing", self.path(key)))
    }

    /// A string, if there.
    pub(crate) fn string(&self, key: &str) -> Result<Option<&'a str>, String> {
        self.get(key)
            .map(|value| {
                value
                    .as_str()
                    .ok_or_else(|| format!("{} must be a string", self.path(key)))
            })
            .transpose()
    }

    /// A string that must be there and not be empty.
    pub(crate) fn required_string(&self, key: &str) -> Result<&'a str, String> {
        match self.string(key)? {
            Some("") => Err(format!("{} must not be empty", self.path(key))),
            Some(text) => Ok(text),
            None => Err(format!("{} is missing", self.path(key))),
        }
    }

    /// A boolean, or `default`.
    pub(crate) fn flag(&self, key: &str, default: bool) -> Result<bool, String> {
        self.get(key).map_or(Ok(default), |value| {
            value
                .as_bool()
                .ok_or_else(|| format!("{} must be true or false", self.path(key)))
        })
    }

    /// A time, if there.
    pub(crate) fn time(&self, key: &str) -> Result<Option<Timestamp>, String> {
        self.string(key)?
            .map(|text| {
                text.parse().map_err(|_| {
                    format!(
                        "{} must be a time like 2026-03-01T10:00:00.000Z",
                        self.path(key)
                    )
                })
            })
            .transpose()
    }

    /// A list of integers from `least`, empty if absent.
    pub(crate) fn integers(&self, key: &str, least: i64) -> Result<Vec<i64>, String> {
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        let wrong = || format!("{} must be a list of integers from {least}", self.path(key));
        value
            .as_array()
            .ok_or_else(wrong)?
            .iter()
            .map(|item| {
                item.as_i64()
                    .filter(|number| *number >= least)
                    .ok_or_else(wrong)
            })
            .collect()
    }
}

/// How `place` is called in a message; the top is the payload.
fn named(place: &str) -> String {
    if place.is_empty() {
        "the payload".to_owned()
    } else {
        format!("`{place}`")
    }
}
