//! Signed URLs: the whole authorization of a request in one query parameter.

use base64::Engine;
use base64::alphabet;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{NO_PAD, URL_SAFE_NO_PAD};

use crate::authenticate::Refusal;
use crate::hawk::{Purpose, Signed};

/// The longest request target that is read, in bytes.
const MAX_TARGET_BYTES: usize = 4096;

const PARAMETER: &str = "bewit=";

/// A bewit taken out of a request's target.
#[derive(Debug)]
pub(crate) struct Bewit {
    pub(crate) id: String,
    /// Unix seconds.
    pub(crate) expires: i64,
    mac: String,
    ext: String,
    /// The target without the bewit: what was signed.
    target: String,
}

/// Without padding, and indifferent to the bits that the last character has too many.
const UNPADDED: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    NO_PAD.with_decode_allow_trailing_bits(true),
);

/// Whether a request's target carries a bewit, good or bad.
pub fn is_present(target: &str) -> bool {
    target.starts_with('/') && occurrences(target).next().is_some()
}

/// Where a bewit may be, the last place first; each is the position of the `?` or `&` before it.
fn occurrences(target: &str) -> impl Iterator<Item = usize> {
    target
        .rmatch_indices(PARAMETER)
        .filter_map(|(position, _)| position.checked_sub(1))
        .filter(|&before| matches!(target.as_bytes()[before], b'?' | b'&'))
}

/// Finds the value of the bewit, and the target without it.
fn split(target: &str) -> Option<(&str, String)> {
    occurrences(target).find_map(|before| {
        let value_on = &target[before + 1 + PARAMETER.len()..];
        let (value, after) = value_on.split_at(value_on.find(['&', '$']).unwrap_or(value_on.len()));
        let kept = &target[..before];
        if after.is_empty() {
            return Some((value, kept.to_owned()));
        }
        // Another parameter must follow, and takes the place of the bewit.
        let others = after
            .strip_prefix('&')
            .filter(|others| !others.is_empty())?;
        Some((value, [kept, &target[before..=before], others].concat()))
    })
}

// === impl Bewit ===

impl Bewit {
    /// Reads the bewit of a request.
    pub(crate) fn read(method: &str, target: &str) -> Result<Self, Refusal> {
        if target.len() > MAX_TARGET_BYTES {
            return Err(Refusal::new(
                "Bad Request: Resource path exceeds max length",
            ));
        }
        let (value, target) =
            split(target).ok_or_else(|| Refusal::new("Unauthorized: Unauthorized"))?;
        if value.is_empty() {
            return Err(Refusal::new("Unauthorized: Empty bewit"));
        }
        if !method.eq_ignore_ascii_case("GET") && !method.eq_ignore_ascii_case("HEAD") {
            return Err(Refusal::new("Unauthorized: Invalid method"));
        }
        let encoding = || Refusal::new("Bad Request: Invalid bewit encoding");
        let bytes = UNPADDED.decode(value).map_err(|_| encoding())?;
        let text = String::from_utf8(bytes).map_err(|_| encoding())?;
        let parts: Vec<&str> = text.split('\\').collect();
        let [id, expires, mac, ext] = parts[..] else {
            return Err(Refusal::new("Bad Request: Invalid bewit structure"));
        };
        // Zero counts as missing.
        let expires = expires.parse().ok().filter(|expires| *expires > 0);
        match expires {
            Some(expires) if !id.is_empty() && !mac.is_empty() => Ok(Self {
                id: id.to_owned(),
                expires,
                mac: mac.to_owned(),
                ext: ext.to_owned(),
                target,
            }),
            _ => Err(Refusal::new("Bad Request: Missing bewit attributes")),
        }
    }

    pub(crate) fn ext(&self) -> Option<&str> {
        Some(self.ext.as_str()).filter(|ext| !ext.is_empty())
    }

    pub(crate) fn is_signed_by(&self, key: &str, host: &str, port: u16) -> bool {
        let expires = self.expires.to_string();
        signed(&self.target, host, port, &expires, self.ext()).is_signed_by(key, &self.mac)
    }

    pub(crate) fn has_expired(&self, now_ms: i64) -> bool {
        self.expires.saturating_mul(1000) <= now_ms
    }
}

/// Makes the value of a bewit for GET requests of `target` until `expires` (Unix seconds).
pub(crate) fn make(
    id: &str,
    key: &str,
    target: &str,
    host: &str,
    port: u16,
    expires: i64,
    ext: Option<&str>,
) -> String {
    let expires = expires.to_string();
    let mac = signed(target, host, port, &expires, ext).mac(key);
    URL_SAFE_NO_PAD.encode([id, &expires, &mac, ext.unwrap_or_default()].join("\\"))
}

fn signed<'a>(
    target: &'a str,
    host: &'a str,
    port: u16,
    expires: &'a str,
    ext: Option<&'a str>,
) -> Signed<'a> {
    Signed {
        purpose: Purpose::Bewit,
        ts: expires,
        nonce: "",
        method: "GET",
        target,
        host,
        port,
        hash: None,
        ext,
        app: None,
        dlg: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bewit_is_taken_out_and_what_follows_moves_up() {
        let split = |target| split(target).map(|(value, rest)| (value.to_owned(), rest));
        let expect = |value: &str, rest: &str| Some((value.to_owned(), rest.to_owned()));
        assert_eq!(split("/a?bewit=B"), expect("B", "/a"));
        assert_eq!(split("/a?x=1&bewit=B"), expect("B", "/a?x=1"));
        assert_eq!(split("/a?bewit=B&x=1"), expect("B", "/a?x=1"));
        assert_eq!(split("/a?x=1&bewit=B&y=2"), expect("B", "/a?x=1&y=2"));
        assert_eq!(split("/a?bewit=A&bewit=B"), expect("B", "/a?bewit=A"));
        assert_eq!(split("/a?bewit=A&bewit=B$"), expect("A", "/a?bewit=B$"));
        assert_eq!(split("/a?bewit=B&"), None);
        assert_eq!(split("/a?nobewit=B"), None);
    }

    #[test]
    fn a_target_without_the_parameter_has_no_bewit() {
        assert!(is_present("/a?bewit="));
        assert!(!is_present("/a?notbewit=x"));
        assert!(!is_present("/bewit=x"));
    }
}
