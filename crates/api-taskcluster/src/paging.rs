//! Pages: `limit` in, `continuationToken` in and out.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::Call;
use crate::error::ApiError;

/// Largest page, and the page when no limit is given.
const MAXIMUM: usize = 1000;

/// How many items a call asks for.
pub(crate) fn limit(call: &Call) -> usize {
    match call.query("limit").map(str::parse::<usize>) {
        // Zero means no limit was meant; a number too large to read is above the maximum anyway.
        None | Some(Err(_) | Ok(0)) => MAXIMUM,
        Some(Ok(limit)) => limit.min(MAXIMUM),
    }
}

/// Where the page begins; `start` for the first one.
pub(crate) fn position<T: DeserializeOwned>(call: &Call, start: T) -> Result<T, ApiError> {
    let Some(token) = call.query("continuationToken") else {
        return Ok(start);
    };
    URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        // No name has a NUL, and PostgreSQL would not even look for one.
        .filter(|bytes| !bytes.windows(6).any(|piece| piece == br"\u0000"))
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| {
            ApiError::input("The continuationToken is none that this method has given out.")
        })
}

/// Cuts what was read (one more than `limit`, if there was one) to a page and makes the token for
/// the next one from the last item kept.
pub(crate) fn cut<T, P: Serialize>(
    items: &mut Vec<T>,
    limit: usize,
    position: impl Fn(&T) -> P,
) -> Option<String> {
    if items.len() <= limit {
        return None;
    }
    items.truncate(limit);
    token(&items.last().map(position)?)
}

/// The token for the page behind `last`.
pub(crate) fn token(last: &impl Serialize) -> Option<String> {
    serde_json::to_vec(last)
        .ok()
        .map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}
