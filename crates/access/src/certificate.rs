//! Certificates of temporary credentials: what an issuer signed, and whether it holds.
//!
//! Reading one is the server's side; [`temporary`](crate::temporary) makes them.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::authenticate::Refusal;
use crate::client::{Client, Secret};
use crate::ext::{is_truthy, read_scopes};
use crate::hawk::{is_same, sign};
use crate::scope_set::{ScopeList, ScopeSet};

/// The longest that temporary credentials may be valid: 31 days, in milliseconds.
pub const MAX_SPAN_MS: i64 = 31 * 24 * 60 * 60 * 1000;

/// How far the clocks of issuer and server may differ: 5 minutes, in milliseconds.
const TOLERANCE_MS: i64 = 5 * 60 * 1000;

/// How many characters a seed has.
pub const SEED_CHARS: usize = 44;

/// A certificate whose fields have the right form; whether its signature is right is not yet known.
#[derive(Debug)]
pub(crate) struct Certificate {
    seed: String,
    start_ms: f64,
    expiry_ms: f64,
    pub(crate) scopes: ScopeList,
    signature: String,
    has_issuer: bool,
    has_client_id: bool,
}

/// What a signature covers. Times are texts: they are signed as the issuer wrote them.
pub(crate) struct SignedText<'a> {
    /// The name and the issuer's client id, of named credentials only.
    pub(crate) named: Option<(&'a str, &'a str)>,
    pub(crate) seed: &'a str,
    pub(crate) start: &'a str,
    pub(crate) expiry: &'a str,
    pub(crate) scopes: &'a [String],
}

/// The client id of the issuer, if the certificate names one: then the credentials have a name of
/// their own, `id`.
pub(crate) fn issuer<'a>(certificate: &'a Value, id: &str) -> Result<Option<&'a str>, Refusal> {
    match certificate.get("issuer").filter(|issuer| is_truthy(issuer)) {
        None => Ok(None),
        Some(Value::String(issuer)) if issuer == id => Err(Refusal::new(
            "ext.certificate.issuer must differ from the supplied clientId",
        )),
        Some(Value::String(issuer)) => Ok(Some(issuer)),
        Some(_) => Err(Refusal::new("ext.certificate.issuer must be a string")),
    }
}

// === impl Certificate ===

impl Certificate {
    /// Checks the form and the times of a certificate.
    pub(crate) fn read(certificate: &Value, now_ms: i64) -> Result<Self, Refusal> {
        let refuse = |what: &str| Err(Refusal::new(format!("ext.certificate{what}")));
        if !certificate.is_object() && !certificate.is_array() {
            return refuse(" must be a JSON object");
        }
        if certificate.get("version").and_then(Value::as_f64) != Some(1.0) {
            return refuse(".version must be 1");
        }
        let Some(seed) = certificate.get("seed").and_then(Value::as_str) else {
            return refuse(".seed must be a string");
        };
        if seed.encode_utf16().count() != SEED_CHARS {
            return refuse(".seed must be 44 characters");
        }
        let Some(start_ms) = certificate.get("start").and_then(Value::as_f64) else {
            return refuse(".start must be a number");
        };
        let Some(expiry_ms) = certificate.get("expiry").and_then(Value::as_f64) else {
            return refuse(".expiry must be a number");
        };
        let scopes = read_scopes(
            certificate.get("scopes").unwrap_or(&Value::Null),
            "ext.certificate.scopes",
        )?;
        if start_ms > (now_ms + TOLERANCE_MS) as f64 {
            return refuse(".start > now");
        }
        if expiry_ms < (now_ms - TOLERANCE_MS) as f64 {
            return refuse(".expiry < now");
        }
        if expiry_ms - start_ms > MAX_SPAN_MS as f64 {
            return refuse(" cannot last longer than 31 days!");
        }
        let signature = certificate
            .get("signature")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Ok(Self {
            seed: seed.to_owned(),
            start_ms,
            expiry_ms,
            scopes,
            signature: signature.to_owned(),
            has_issuer: certificate.get("issuer").is_some_and(is_truthy),
            has_client_id: certificate.get("clientId").is_some(),
        })
    }

    /// Checks that `issuer` signed this for `id`, and may grant what it says.
    ///
    /// The signature comes first, so that a stranger can't find out what an issuer may do by
    /// trying certificates.
    pub(crate) fn verify(
        &self,
        id: &str,
        issuer: &Client,
        issuer_scopes: &ScopeSet,
    ) -> Result<(), Refusal> {
        if !self.has_issuer && self.has_client_id {
            return Err(Refusal::new(
                "ext.certificate.clientId must only be used with ext.certificate.issuer",
            ));
        }
        let issuer_id = &issuer.client_id;
        if !self.is_signed_by(id, issuer) {
            let also = if self.has_issuer {
                ", or wrong clientId provided"
            } else {
                ""
            };
            return Err(Refusal::new(format!(
                "ext.certificate.signature is not valid{also}"
            )));
        }
        let naming = format!("auth:create-client:{id}");
        if self.has_issuer && !issuer_scopes.satisfies(&naming) {
            return Err(Refusal::new(format!(
                "ext.certificate issuer `{issuer_id}` lacks `{naming}`, which it needs to issue \
                 credentials of that name"
            )));
        }
        let mut lacking = self
            .scopes
            .as_slice()
            .iter()
            .filter(|s| !issuer_scopes.satisfies(s));
        if let Some(first) = lacking.next() {
            let more = lacking.count();
            return Err(Refusal::new(format!(
                "ext.certificate issuer `{issuer_id}` does not itself have the scope `{first}` \
                 and {more} others of the certificate; issue credentials with fewer scopes"
            )));
        }
        Ok(())
    }

    fn is_signed_by(&self, id: &str, issuer: &Client) -> bool {
        let (start, expiry) = (self.start_ms.to_string(), self.expiry_ms.to_string());
        let mut text = SignedText {
            named: self.has_issuer.then_some((id, issuer.client_id.as_str())),
            seed: &self.seed,
            start: &start,
            expiry: &expiry,
            scopes: self.scopes.as_slice(),
        }
        .to_string();
        let key = issuer.access_token.expose();
        if is_same(&signature(key, &text), &self.signature) {
            return true;
        }
        // The JavaScript client ends the text with a newline when there are no scopes.
        text.push('\n');
        self.scopes.as_slice().is_empty() && is_same(&signature(key, &text), &self.signature)
    }

    /// The key with which holders of the credentials sign.
    pub(crate) fn access_token(&self, issuer: &Client) -> Secret {
        access_token(issuer.access_token.expose(), &self.seed)
    }

    /// When the credentials end, in milliseconds since 1970.
    pub(crate) fn expiry_ms(&self) -> i64 {
        self.expiry_ms as i64
    }
}

/// The issuer's signature over a [`SignedText`].
pub(crate) fn signature(issuer_token: &str, text: &str) -> String {
    STANDARD.encode(sign(issuer_token, text.as_bytes()))
}

/// The access token of the credentials made from `seed`.
pub(crate) fn access_token(issuer_token: &str, seed: &str) -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(sign(issuer_token, seed.as_bytes())))
}

impl std::fmt::Display for SignedText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("version:1")?;
        if let Some((name, issuer)) = self.named {
            write!(f, "\nclientId:{name}\nissuer:{issuer}")?;
        }
        write!(
            f,
            "\nseed:{}\nstart:{}\nexpiry:{}\nscopes:",
            self.seed, self.start, self.expiry
        )?;
        self.scopes
            .iter()
            .try_for_each(|scope| write!(f, "\n{scope}"))
    }
}
