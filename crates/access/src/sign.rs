//! The client's side: signing requests and URLs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::bewit;
use crate::client::Secret;
use crate::hawk::{Header, Purpose, Signed, is_attribute_value, payload_hash};
use crate::scope;
use crate::slugid;

/// What one needs to sign requests.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The client id, or the name of temporary credentials.
    pub client_id: String,
    /// The key.
    pub access_token: Secret,
    /// The certificate of temporary credentials, as JSON.
    pub certificate: Option<String>,
}

/// A body whose hash is signed along.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'a> {
    /// The value of the `Content-Type` header, empty when there is none.
    pub content_type: &'a str,
    /// The body as sent.
    pub body: &'a [u8],
}

/// The parts of a request that a signature covers, seen from the client.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// Path and query exactly as they will be sent.
    pub target: &'a str,
    /// Without port.
    pub host: &'a str,
    /// Also when it is the scheme's own.
    pub port: u16,
}

/// Signs requests with one set of credentials.
#[derive(Debug, Clone)]
pub struct Signer {
    client_id: String,
    access_token: Secret,
    ext: Option<String>,
}

/// Why credentials can't be used for signing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignError {
    /// The client id can't be written into a header.
    #[error("the client id must be printable ASCII without '\"' and '\\', and not empty")]
    ClientId,
    /// The certificate is damaged.
    #[error("the certificate must be the JSON object that came with the temporary credentials")]
    Certificate,
    /// Not printable ASCII.
    #[error("'{0}' in the authorized scopes is not a scope: use printable ASCII only")]
    Scope(String),
}

/// A new nonce for [`Signer::authorization_header`].
pub fn nonce() -> String {
    slugid::v4()
}

// === impl Signer ===

impl Signer {
    /// Prepares to sign with `credentials`; with `authorized_scopes` every request is restricted to
    /// these.
    pub fn new(
        credentials: &Credentials,
        authorized_scopes: Option<&[String]>,
    ) -> Result<Self, SignError> {
        if !is_attribute_value(&credentials.client_id) {
            return Err(SignError::ClientId);
        }
        let mut ext = Map::new();
        if let Some(certificate) = &credentials.certificate {
            let certificate: Value =
                serde_json::from_str(certificate).map_err(|_| SignError::Certificate)?;
            if !certificate.is_object() {
                return Err(SignError::Certificate);
            }
            ext.insert("certificate".to_owned(), certificate);
        }
        if let Some(scopes) = authorized_scopes {
            if let Some(invalid) = scopes.iter().find(|text| !scope::is_valid(text)) {
                return Err(SignError::Scope(invalid.clone()));
            }
            ext.insert("authorizedScopes".to_owned(), scopes.into());
        }
        Ok(Self {
            client_id: credentials.client_id.clone(),
            access_token: credentials.access_token.clone(),
            ext: (!ext.is_empty()).then(|| STANDARD.encode(Value::Object(ext).to_string())),
        })
    }

    /// The value of the `Authorization` header for a request at `ts_seconds` (Unix time).
    ///
    /// A `nonce` comes from [`nonce`]. With a `payload` the server also checks the body.
    pub fn authorization_header(
        &self,
        method: &str,
        to: &Destination<'_>,
        ts_seconds: i64,
        nonce: &str,
        payload: Option<Payload<'_>>,
    ) -> String {
        let ts = ts_seconds.to_string();
        let hash = payload.map(|payload| payload_hash(payload.content_type, payload.body));
        let mac = Signed {
            purpose: Purpose::Header,
            ts: &ts,
            nonce,
            method,
            target: to.target,
            host: to.host,
            port: to.port,
            hash: hash.as_deref(),
            ext: self.ext.as_deref(),
            app: None,
            dlg: None,
        }
        .mac(self.access_token.expose());
        Header {
            id: &self.client_id,
            ts: &ts,
            nonce,
            hash: hash.as_deref(),
            ext: self.ext.as_deref(),
            mac: &mac,
            app: None,
            dlg: None,
        }
        .to_string()
    }

    /// The value of a `bewit` parameter that lets anyone GET `to` until `expires_seconds` (Unix
    /// time).
    pub fn bewit(&self, to: &Destination<'_>, expires_seconds: i64) -> String {
        bewit::make(
            &self.client_id,
            self.access_token.expose(),
            to.target,
            to.host,
            to.port,
            expires_seconds,
            self.ext.as_deref(),
        )
    }

    /// The target of `to` with a bewit that holds until `expires_seconds` (Unix time).
    pub fn signed_target(&self, to: &Destination<'_>, expires_seconds: i64) -> String {
        let separator = if to.target.contains('?') { '&' } else { '?' };
        format!(
            "{}{separator}bewit={}",
            to.target,
            self.bewit(to, expires_seconds)
        )
    }
}
