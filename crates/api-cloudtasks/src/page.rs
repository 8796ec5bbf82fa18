//! Page sizes and page tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use taskyard_engine::Timestamp;

use crate::failure::Failure;

/// How long a token can be used: 2 hours, in milliseconds.
const LIFE_MS: i64 = 2 * 3_600_000;

/// Where a list goes on. It grants nothing: who sends it is checked as for the first page.
#[derive(Debug, Serialize, Deserialize)]
struct Token<P> {
    /// What else must be the same on every page.
    #[serde(rename = "q")]
    query: String,
    #[serde(rename = "p")]
    position: P,
    #[serde(rename = "e")]
    expires_ms: i64,
}

/// The text of a token that goes on after `position`.
pub(crate) fn token<P: Serialize>(position: &P, query: &str, now: Timestamp) -> String {
    let token = Token {
        query: query.to_owned(),
        position,
        expires_ms: now.millis().saturating_add(LIFE_MS),
    };
    let json = serde_json::to_vec(&token).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(json)
}

/// The position of a token, which must have been made for the same `query`; `None` on the first
/// page.
pub(crate) fn position<P: DeserializeOwned>(
    token: &str,
    query: &str,
    now: Timestamp,
) -> Result<Option<P>, Failure> {
    if token.is_empty() {
        return Ok(None);
    }
    let decoded = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).ok();
    let read = decoded.and_then(|json| serde_json::from_slice::<Token<P>>(&json).ok());
    read.filter(|token| token.query == query && token.expires_ms >= now.millis())
        .map(|token| Some(token.position))
        .ok_or_else(|| Failure::invalid("The page token is invalid."))
}

/// Entries on a page: `most` unless fewer are asked for.
pub(crate) fn size(asked: i32, most: usize) -> Result<usize, Failure> {
    match usize::try_from(asked) {
        Ok(0) => Ok(most),
        Ok(asked) => Ok(asked.min(most)),
        Err(_) => Err(Failure::invalid("The page size must not be negative.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_position_for_two_hours() {
        let made = token(&("a/b", 7), "filter", Timestamp::from_millis(0));
        let read = |query: &str, ms: i64| {
            position::<(String, i64)>(&made, query, Timestamp::from_millis(ms))
        };
        assert_eq!(read("filter", LIFE_MS), Ok(Some(("a/b".to_owned(), 7))));
        for refused in [read("filter", LIFE_MS + 1), read("other", 0)] {
            let refused = refused.expect_err("too late, or for another query");
            assert_eq!(refused.message, "The page token is invalid.");
        }
        assert!(position::<String>("rubbish", "", Timestamp(0)).is_err());
        assert_eq!(position::<String>("", "", Timestamp(0)), Ok(None));
    }

    #[test]
    fn page_sizes_are_clamped_and_never_negative() {
        assert_eq!(size(0, 10), Ok(10));
        assert_eq!(size(11, 10), Ok(10));
        assert_eq!(size(3, 10), Ok(3));
        assert!(size(-1, 10).is_err());
    }
}
