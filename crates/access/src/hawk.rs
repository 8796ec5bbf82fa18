//! Hawk 1: the `Authorization` header, the text that is signed, and the hash of a body.
//!
//! Algorithm: SHA-256 throughout. The key is the access token's UTF-8 bytes.

use std::fmt;

use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

/// The longest header that is read, in characters.
const MAX_HEADER_CHARS: usize = 4096;

/// The attributes of a Hawk header, as they stand in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Header<'a> {
    /// The client id, or the name of temporary credentials.
    pub id: &'a str,
    /// Unix time in seconds, in decimal.
    pub ts: &'a str,
    /// Anything that makes two requests of the same second differ.
    pub nonce: &'a str,
    /// The [`payload_hash`] of the body, when the sender wants it protected.
    pub hash: Option<&'a str>,
    /// Base64 of a JSON object: the certificate and the authorized scopes.
    pub ext: Option<&'a str>,
    /// The signature.
    pub mac: &'a str,
    /// Signed too when present; without meaning here.
    pub app: Option<&'a str>,
    /// Signed too when `app` is present.
    pub dlg: Option<&'a str>,
}

/// Why a header can't be read. The texts are those that clients of this protocol know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// More than 4096 characters.
    #[error("Bad Request: Header length too long")]
    TooLong,
    /// Another scheme, such as `Bearer`.
    #[error("Unauthorized: Unauthorized")]
    OtherScheme,
    /// Nothing after the scheme.
    #[error("Bad Request: Invalid header syntax")]
    Syntax,
    /// The attributes are not of the form `name="value"`, separated by commas.
    #[error("Bad Request: Bad header format")]
    Format,
    /// An attribute that Hawk doesn't have.
    #[error("Bad Request: Unknown attribute: {0}")]
    UnknownAttribute(String),
    /// An empty value or one with characters that Hawk doesn't allow.
    #[error("Bad Request: Bad attribute value: {0}")]
    BadValue(String),
    /// The same attribute twice.
    #[error("Bad Request: Duplicate attribute: {0}")]
    Duplicate(String),
    /// One of `id`, `ts`, `nonce`, `mac` is missing.
    #[error("Bad Request: Missing attributes")]
    Missing,
}

/// Which of the two uses of Hawk a text is signed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// An `Authorization` header.
    Header,
    /// A signed URL.
    Bewit,
}

/// All that a signature covers.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// What the signature is for.
    pub purpose: Purpose,
    /// The time of signing; for a bewit the time of expiry. Unix seconds, in decimal.
    pub ts: &'a str,
    /// Empty for a bewit.
    pub nonce: &'a str,
    /// In any case.
    pub method: &'a str,
    /// Path and query exactly as sent.
    pub target: &'a str,
    /// Without port, in any case.
    pub host: &'a str,
    /// The port as the client sees it.
    pub port: u16,
    /// The header's attribute.
    pub hash: Option<&'a str>,
    /// The header's attribute, or the last part of the bewit.
    pub ext: Option<&'a str>,
    /// The header's attribute.
    pub app: Option<&'a str>,
    /// The header's attribute.
    pub dlg: Option<&'a str>,
}

// === impl Header ===

impl<'a> Header<'a> {
    /// Reads the value of an `Authorization` header.
    pub fn parse(header: &'a str) -> Result<Self, HeaderError> {
        if header.len() > MAX_HEADER_CHARS && header.chars().count() > MAX_HEADER_CHARS {
            return Err(HeaderError::TooLong);
        }
        let (scheme, attributes) = header
            .split_once(|c: char| c.is_ascii_whitespace())
            .unwrap_or((header, ""));
        if !scheme.eq_ignore_ascii_case("hawk") {
            return Err(HeaderError::OtherScheme);
        }
        let mut rest = attributes.trim_ascii_start();
        if rest.is_empty() {
            return Err(HeaderError::Syntax);
        }
        // In the order of the fields of `Header`.
        let mut values: [Option<&'a str>; 8] = [None; 8];
        while !rest.is_empty() {
            let (name, value, after) = split_attribute(rest).ok_or(HeaderError::Format)?;
            let slot = match name {
                "id" => 0,
                "ts" => 1,
                "nonce" => 2,
                "hash" => 3,
                "ext" => 4,
                "mac" => 5,
                "app" => 6,
                "dlg" => 7,
                _ => return Err(HeaderError::UnknownAttribute(name.to_owned())),
            };
            if !is_attribute_value(value) {
                return Err(HeaderError::BadValue(name.to_owned()));
            }
            if values[slot].replace(value).is_some() {
                return Err(HeaderError::Duplicate(name.to_owned()));
            }
            rest = after;
        }
        match values {
            [
                Some(id),
                Some(ts),
                Some(nonce),
                hash,
                ext,
                Some(mac),
                app,
                dlg,
            ] => Ok(Self {
                id,
                ts,
                nonce,
                hash,
                ext,
                mac,
                app,
                dlg,
            }),
            _ => Err(HeaderError::Missing),
        }
    }
}

/// Splits `name="value", rest`; whitespace may surround the comma, and the last one may be missing.
fn split_attribute(text: &str) -> Option<(&str, &str, &str)> {
    let (name, text) = text.split_once('=')?;
    let text = text.strip_prefix('"')?;
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(is_word) {
        return None;
    }
    let (value, text) = text.split_once('"')?;
    let text = text.trim_ascii_start();
    let rest = match text.strip_prefix(',') {
        Some(rest) => rest.trim_ascii_start(),
        None if text.is_empty() => text,
        None => return None,
    };
    Some((name, value, rest))
}

/// Whether `value` may stand between the quotes of an attribute: printable ASCII without `"` and
/// `\`, at least one character.
pub fn is_attribute_value(value: &str) -> bool {
    !value.is_empty()
        && value
            .bytes()
            .all(|byte| (0x20..=0x7e).contains(&byte) && !matches!(byte, b'"' | b'\\'))
}

/// The header's value as it is sent.
impl fmt::Display for Header<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Hawk id=\"{}\", ts=\"{}\", nonce=\"{}\"",
            self.id, self.ts, self.nonce
        )?;
        let optional = [
            ("hash", self.hash),
            ("ext", self.ext),
            ("mac", Some(self.mac)),
        ];
        for (name, value) in optional
            .into_iter()
            .chain([("app", self.app), ("dlg", self.dlg)])
        {
            if let Some(value) = value {
                write!(f, ", {name}=\"{value}\"")?;
            }
        }
        Ok(())
    }
}

// === impl Signed ===

impl Signed<'_> {
    /// The text that is signed.
    pub fn normalized(&self) -> String {
        let purpose = match self.purpose {
            Purpose::Header => "hawk.1.header",
            Purpose::Bewit => "hawk.1.bewit",
        };
        let method = self.method.to_ascii_uppercase();
        let host = self.host.to_ascii_lowercase();
        let port = self.port.to_string();
        let ext = self.ext.unwrap_or_default();
        let escaped = ext.contains(['\\', '\n']).then(|| {
            // Escaping keeps two different `ext` from being signed as the same text.
            ext.replace('\\', "\\\\").replace('\n', "\\n")
        });
        let lines = [
            purpose,
            self.ts,
            self.nonce,
            &method,
            self.target,
            &host,
            &port,
            self.hash.unwrap_or_default(),
            escaped.as_deref().unwrap_or(ext),
        ];
        let mut text = String::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
        let delegation = self.app.map(|app| [app, self.dlg.unwrap_or_default()]);
        for line in lines.into_iter().chain(delegation.into_iter().flatten()) {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// The signature, in base64.
    pub fn mac(&self, key: &str) -> String {
        STANDARD.encode(sign(key, self.normalized().as_bytes()))
    }

    /// Whether `mac` is the signature, in time that doesn't depend on how much of it is right.
    pub fn is_signed_by(&self, key: &str, mac: &str) -> bool {
        is_same(&self.mac(key), mac)
    }
}

/// HMAC-SHA256.
pub(crate) fn sign(key: &str, text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), text)
}

/// Compares a secret text with what a stranger sent, in constant time.
pub(crate) fn is_same(secret: &str, given: &str) -> bool {
    constant_time::verify_slices_are_equal(secret.as_bytes(), given.as_bytes()).is_ok()
}

// === the body ===

/// The hash of a body, in base64, as it stands in the header's `hash`.
///
/// `content_type` is the header's value, empty when there is none; what follows `;` in it doesn't
/// count.
pub fn payload_hash(content_type: &str, body: &[u8]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"hawk.1.payload\n");
    context.update(media_type(content_type).as_bytes());
    context.update(b"\n");
    context.update(body);
    context.update(b"\n");
    STANDARD.encode(context.finish())
}

/// Whether `hash`, which an authenticated request carried, is that of the body it came with.
///
/// As the protocol wants it of servers, only JSON bodies are covered; for others the hash must be
/// that of an empty body.
pub fn payload_hash_matches(hash: &str, content_type: &str, body: &[u8]) -> bool {
    let covered = if media_type(content_type) == "application/json" {
        body
    } else {
        b""
    };
    is_same(&payload_hash(content_type, covered), hash)
}

fn media_type(content_type: &str) -> String {
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_as_it_was_written() {
        let header = Header {
            id: "a/b|c@d",
            ts: "1",
            nonce: "n",
            hash: Some("h="),
            ext: Some("e"),
            mac: "m+/=",
            app: Some("app"),
            dlg: None,
        };
        assert_eq!(Header::parse(&header.to_string()), Ok(header));
    }

    #[test]
    fn values_with_quotes_or_backslashes_are_refused() {
        assert_eq!(
            Header::parse(r#"Hawk id="a\b""#),
            Err(HeaderError::BadValue("id".to_owned()))
        );
        assert_eq!(
            Header::parse(r#"Hawk id="a" ts="1""#),
            Err(HeaderError::Format)
        );
        assert_eq!(Header::parse(r#"Hawk ,id="a""#), Err(HeaderError::Format));
    }

    #[test]
    fn only_json_bodies_are_covered_by_a_hash() {
        let json = payload_hash("application/json", b"{}");
        assert!(payload_hash_matches(
            &json,
            "application/json; charset=utf-8",
            b"{}"
        ));
        assert!(!payload_hash_matches(&json, "application/json", b"{ }"));
        assert!(!payload_hash_matches("short", "application/json", b"{}"));
        let text = payload_hash("text/plain", b"");
        assert!(payload_hash_matches(&text, "text/plain", b"anything"));
    }
}
