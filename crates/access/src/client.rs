//! Clients and their secrets.

use std::fmt;

use serde::Deserialize;

use crate::hawk::is_same;
use crate::scope_set::ScopeList;
use crate::slugid;

/// Someone who may sign requests, as far as authentication needs to know.
#[derive(Debug, Clone)]
pub struct Client {
    /// The name, which Hawk sends as `id`.
    pub client_id: String,
    /// The key of the client's signatures.
    pub access_token: Secret,
    /// When the client stops being valid, in milliseconds since 1970.
    pub expires_ms: i64,
    /// Whether someone switched it off.
    pub disabled: bool,
    /// What it may do, as written down: not expanded, not sorted.
    pub scopes: ScopeList,
}

/// Text that must not appear in logs: `Debug` hides it, and it is compared in constant time.
#[derive(Clone, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

// === impl Secret ===

impl Secret {
    /// Keeps `text` secret from here on.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        is_same(&self.0, &other.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// A new access token: two random slugids, 44 characters, 244 random bits.
pub fn new_access_token() -> Secret {
    Secret(slugid::v4() + &slugid::v4())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show_in_debug_output() {
        let token = new_access_token();
        assert!(!format!("{token:?}").contains(token.expose()));
    }

    #[test]
    fn access_tokens_are_two_slugids_and_differ() {
        let (one, two) = (new_access_token(), new_access_token());
        assert_ne!(one, two);
        let (first, second) = one.expose().split_at(22);
        assert!(
            slugid::is_valid(first) && slugid::is_valid(second),
            "{first} {second}"
        );
    }
}
