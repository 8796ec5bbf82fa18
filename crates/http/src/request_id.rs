//! The id under which a request appears in the log and in its response.

use std::fmt;

use http::{HeaderName, HeaderValue};
use uuid::Uuid;

/// A fresh UUID for each request. Handlers find it in the request's extensions; clients in the
/// header `x-for-request-id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(Uuid);

/// The header that carries the id.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-for-request-id");

impl RequestId {
    pub(crate) fn fresh() -> Self {
        Self(Uuid::new_v4())
    }

    /// The id as the value of a header.
    pub(crate) fn header_value(self) -> HeaderValue {
        let mut text = Uuid::encode_buffer();
        let text = self.0.hyphenated().encode_lower(&mut text);
        // Hexadecimal digits and dashes are always allowed in a header.
        HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}
