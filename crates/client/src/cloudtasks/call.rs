//! A call before it is sent.

use std::fmt::Write as _;

use bytes::Bytes;
use reqwest::Method;
use serde::Serialize;

use super::error::Error;
use super::task::View;

/// One call, in all of its attempts.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// With the version.
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<(&'static str, Bytes)>,
}

impl Call {
    pub(super) fn new(method: Method, path: String) -> Self {
        Self {
            method,
            path,
            query: Vec::new(),
            body: None,
        }
    }

    /// Adds a query argument, unless it is empty.
    pub(super) fn set(mut self, name: &'static str, value: String) -> Self {
        if !value.is_empty() {
            self.query.push((name, value));
        }
        self
    }

    /// Adds a number, unless it is 0.
    pub(super) fn number(self, name: &'static str, value: u32) -> Self {
        let text = match value {
            0 => String::new(),
            value => value.to_string(),
        };
        self.set(name, text)
    }

    pub(super) fn view(self, view: View) -> Self {
        match view {
            View::Unspecified => self,
            view => self.set("responseView", view.as_str().to_owned()),
        }
    }

    /// # Errors
    /// `Call` with `Usage` when `body` has no JSON form.
    pub(super) fn json(mut self, body: &impl Serialize) -> Result<Self, Error> {
        let bytes = serde_json::to_vec(body)
            .map_err(|error| crate::Error::Usage(format!("the request cannot be sent: {error}")))?;
        self.body = Some(("application/json", bytes.into()));
        Ok(self)
    }
}

/// Escapes everything but letters, digits and `kept`.
pub(super) fn escape_into(to: &mut String, text: &str, kept: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            to.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(to, "%{byte:02X}");
        }
    }
}
