//! Making temporary credentials: offline, by anyone who holds permanent ones.

use serde_json::json;
use thiserror::Error;

use crate::certificate::{MAX_SPAN_MS, SEED_CHARS, SignedText, access_token, signature};
use crate::client::Secret;
use crate::scope;
use crate::slugid;

/// Credentials that end by themselves, and with their issuer.
#[derive(Debug, Clone)]
pub struct TemporaryCredentials {
    /// The name of the credentials, or the issuer's client id when they have none.
    pub client_id: String,
    /// The key to sign with.
    pub access_token: Secret,
    /// JSON, to be sent along with every request.
    pub certificate: String,
}

/// Why credentials can't be made; a server would refuse them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemporaryError {
    /// The span is too long or negative.
    #[error("temporary credentials must start before they end and last 31 days at most")]
    Span,
    /// Credentials with a name must not be called like their issuer.
    #[error("the name of temporary credentials must differ from their issuer, '{0}'")]
    NamedLikeIssuer(String),
    /// Not printable ASCII.
    #[error("'{0}' is not a scope: use printable ASCII only")]
    Scope(String),
    /// The seed must be what [`new_seed`] makes.
    #[error("the seed of temporary credentials must have {SEED_CHARS} characters")]
    Seed,
}

/// A new seed: two random slugids.
pub fn new_seed() -> String {
    slugid::v4() + &slugid::v4()
}

/// Makes temporary credentials with `scopes`, valid from `start_ms` to `expiry_ms` (milliseconds
/// since 1970).
///
/// With a `name` the issuer must hold `auth:create-client:<name>` when they are used. `seed` comes
/// from [`new_seed`]; the same seed gives the same access token.
pub fn create(
    issuer_client_id: &str,
    issuer_token: &str,
    name: Option<&str>,
    start_ms: i64,
    expiry_ms: i64,
    scopes: &[String],
    seed: &str,
) -> Result<TemporaryCredentials, TemporaryError> {
    let span = expiry_ms.checked_sub(start_ms);
    if !span.is_some_and(|span| (0..=MAX_SPAN_MS).contains(&span)) {
        return Err(TemporaryError::Span);
    }
    if name == Some(issuer_client_id) {
        return Err(TemporaryError::NamedLikeIssuer(issuer_client_id.to_owned()));
    }
    if let Some(invalid) = scopes.iter().find(|text| !scope::is_valid(text)) {
        return Err(TemporaryError::Scope(invalid.clone()));
    }
    if seed.encode_utf16().count() != SEED_CHARS {
        return Err(TemporaryError::Seed);
    }
    let text = SignedText {
        named: name.map(|name| (name, issuer_client_id)),
        seed,
        start: &start_ms.to_string(),
        expiry: &expiry_ms.to_string(),
        scopes,
    };
    let mut certificate = json!({
        "version": 1,
        "scopes": scopes,
        "start": start_ms,
        "expiry": expiry_ms,
        "seed": seed,
        "signature": signature(issuer_token, &text.to_string()),
    });
    if name.is_some() {
        certificate["issuer"] = issuer_client_id.into();
    }
    Ok(TemporaryCredentials {
        client_id: name.unwrap_or(issuer_client_id).to_owned(),
        access_token: access_token(issuer_token, seed),
        certificate: certificate.to_string(),
    })
}
