//! Tokens by which handlers know that a request comes from this server.

use std::collections::HashMap;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};
use taskyard_access::{Place, SealError, Sealer};
use taskyard_engine::Timestamp;
use taskyard_engine::cloud::Authorization;
use taskyard_engine::cloud::signing_key::{self, SigningKey};
use taskyard_store::{Key, Store};

/// How long a token holds, in seconds: as long as the original's.
const LIFETIME: i64 = 3600;
/// The scope of a token for none.
const DEFAULT_SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Tokens of one second that are kept for others of the same second.
const KEPT: usize = 1000;

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The database.
    #[error(transparent)]
    Store(#[from] taskyard_store::Error),
    /// The key could not be encrypted or decrypted.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The key could not be made, or is none.
    #[error("the key for signing tokens is unusable: {0}")]
    Key(&'static str),
}

/// Signs tokens with the key of this installation.
pub struct Tokens {
    issuer: String,
    key: EncodingKey,
    key_id: String,
    modulus: String,
    exponent: String,
    signed: Mutex<Signed>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens")
            .field("issuer", &self.issuer)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// Tokens signed this second. Times in tokens are whole seconds, so another one would be the same.
#[derive(Default)]
struct Signed {
    second: i64,
    /// By kind, name, and audience or scope.
    tokens: HashMap<(u8, String, String), String>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    azp: &'a str,
    sub: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    email: &'a str,
    email_verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    iat: i64,
    exp: i64,
}

impl Tokens {
    /// Takes the key from the database, or makes one and puts it there, encrypted. All servers on
    /// the database use the same. `issuer` is the URL under which the discovery document is found.
    ///
    /// # Errors
    /// If there is no usable key.
    pub async fn open(
        store: &Store,
        sealer: &Sealer,
        now: Timestamp,
        issuer: &str,
    ) -> Result<Self, TokensError> {
        let known = store.read(signing_key::get).await?;
        let known = if let Some(known) = known {
            known
        } else {
            let new = new_key(sealer)?;
            store
                .write(Key::of("cloud signing key"), move |tx| {
                    signing_key::put(tx, now, &new)?;
                    signing_key::get(tx)
                })
                .await?
                .ok_or(TokensError::Key("it was not stored"))?
        };
        let pkcs8 = sealer.open(&place(&known.key_id), &known.sealed)?;
        Self::from_pkcs8(&pkcs8, issuer)
    }

    /// Signs with this RSA key.
    ///
    /// # Errors
    /// If it is none.
    pub fn from_pkcs8(pkcs8: &[u8], issuer: &str) -> Result<Self, TokensError> {
        let pair = KeyPair::from_pkcs8(pkcs8).map_err(|_| TokensError::Key("it is no RSA key"))?;
        let pkcs1 = inner_key(pkcs8).ok_or(TokensError::Key("it is not wrapped as expected"))?;
        let public = pair.public_key();
        Ok(Tokens {
            issuer: issuer.to_owned(),
            key: EncodingKey::from_rsa_der(pkcs1),
            key_id: key_id(&pair),
            modulus: unsigned(public.modulus().big_endian_without_leading_zero()),
            exponent: unsigned(public.exponent().big_endian_without_leading_zero()),
            signed: Mutex::default(),
        })
    }

    /// The value of the `Authorization` header that was asked for.
    ///
    /// # Errors
    /// If signing fails.
    pub fn bearer(&self, asked: &Authorization, now: Timestamp) -> Result<String, TokensError> {
        let second = now.0.div_euclid(1_000_000);
        let (kind, email, what) = match asked {
            Authorization::OAuth { email, scope } => (0, email, scope),
            Authorization::Oidc { email, audience } => (1, email, audience),
        };
        let name = (kind, email.clone(), what.clone());
        {
            let signed = self.signed.lock();
            if signed.second == second
                && let Some(token) = signed.tokens.get(&name)
            {
                return Ok(token.clone());
            }
        }
        let scope = if what.is_empty() { DEFAULT_SCOPE } else { what };
        let claims = Claims {
            iss: &self.issuer,
            aud: if kind == 0 { &self.issuer } else { what },
            azp: email,
            sub: email,
            email,
            email_verified: true,
            scope: (kind == 0).then_some(scope),
            iat: second,
            exp: second + LIFETIME,
        };
        let header = Header {
            kid: Some(self.key_id.clone()),
            ..Header::new(Algorithm::RS256)
        };
        let token = encode(&header, &claims, &self.key)
            .map_err(|_| TokensError::Key("a token could not be signed"))?;
        let token = format!("Bearer {token}");
        let mut signed = self.signed.lock();
        if signed.second != second || signed.tokens.len() >= KEPT {
            signed.second = second;
            signed.tokens.clear();
        }
        signed.tokens.insert(name, token.clone());
        Ok(token)
    }

    /// Who signs.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The public key, as a handler's library reads it.
    pub fn jwks(&self) -> Value {
        json!({"keys": [{
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.key_id,
            "n": self.modulus,
            "e": self.exponent,
        }]})
    }

    /// What tells a handler's library where the public key is: `<issuer>/jwks`.
    pub fn discovery(&self) -> Value {
        let issuer = self.issuer.trim_end_matches('/');
        json!({
            "issuer": self.issuer,
            "jwks_uri": format!("{issuer}/jwks"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "claims_supported":
                ["iss", "aud", "azp", "sub", "email", "email_verified", "iat", "exp"],
        })
    }
}

fn unsigned(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn place(key_id: &str) -> Place<'_> {
    Place {
        table: "cloud_signing_keys",
        row: key_id,
        column: "sealed",
    }
}

/// A name that follows from the public key.
fn key_id(pair: &KeyPair) -> String {
    let public = pair.public_key();
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, public.as_ref());
    unsigned(hash.as_ref().get(..15).unwrap_or_default())
}

fn new_key(sealer: &Sealer) -> Result<SigningKey, TokensError> {
    let pair =
        KeyPair::generate(KeySize::Rsa2048).map_err(|_| TokensError::Key("none could be made"))?;
    let pkcs8: Pkcs8V1Der<'_> = pair
        .as_der()
        .map_err(|_| TokensError::Key("it could not be written"))?;
    let key_id = key_id(&pair);
    let sealed = sealer.seal(&place(&key_id), pkcs8.as_ref())?;
    Ok(SigningKey { key_id, sealed })
}

/// The key within its PKCS #8 wrapper: a sequence of a version, an algorithm, and the key as a
/// string of octets.
fn inner_key(pkcs8: &[u8]) -> Option<&[u8]> {
    let (0x30, sequence, _) = element(pkcs8)? else {
        return None;
    };
    let (0x02, _, rest) = element(sequence)? else {
        return None;
    };
    let (0x30, _, rest) = element(rest)? else {
        return None;
    };
    let (0x04, key, _) = element(rest)? else {
        return None;
    };
    Some(key)
}

/// The first DER element: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, length], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = if length < 0x80 {
        (usize::from(length), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
        if digits.len() > 4 {
            return None;
        }
        let length = digits
            .iter()
            .fold(0, |length, digit| length << 8 | usize::from(*digit));
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{DecodingKey, Validation, decode};

    use super::*;

    fn tokens() -> Tokens {
        let pkcs8 = include_bytes!("../tests/dispatch/signing-key.der");
        Tokens::from_pkcs8(pkcs8, "https://tasks.test").expect("a key")
    }

    fn verified(tokens: &Tokens, bearer: &str, audience: &str) -> Value {
        let keys: JwkSet = serde_json::from_value(tokens.jwks()).expect("a set of keys");
        let token = bearer.strip_prefix("Bearer ").expect("a bearer token");
        let header = jsonwebtoken::decode_header(token).expect("a header");
        let key = keys
            .find(&header.kid.expect("it names its key"))
            .expect("it is known");
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[audience]);
        validation.set_issuer(&["https://tasks.test"]);
        validation.validate_exp = false;
        let key = DecodingKey::from_jwk(key).expect("a key");
        decode(token, &key, &validation)
            .expect("it is valid")
            .claims
    }

    const NOW: Timestamp = Timestamp(1_800_000_000_500_000);

    #[test]
    fn an_identity_token_says_who_for_whom_and_how_long() {
        let tokens = tokens();
        let asked = Authorization::Oidc {
            email: "a@b.test".to_owned(),
            audience: "https://handler.test/x?y=1".to_owned(),
        };
        let bearer = tokens.bearer(&asked, NOW).expect("signed");
        let claims = verified(&tokens, &bearer, "https://handler.test/x?y=1");
        assert_eq!(
            claims,
            json!({
                "iss": "https://tasks.test", "aud": "https://handler.test/x?y=1",
                "azp": "a@b.test", "sub": "a@b.test", "email": "a@b.test",
                "email_verified": true, "iat": 1_800_000_000, "exp": 1_800_003_600,
            })
        );
        // The same second gives the same token, another one another.
        assert_eq!(
            tokens.bearer(&asked, Timestamp(NOW.0 + 1)).expect("signed"),
            bearer
        );
        assert_ne!(
            tokens
                .bearer(&asked, Timestamp(NOW.0 + 1_000_000))
                .expect("signed"),
            bearer
        );
    }

    #[test]
    fn an_access_token_names_its_scope() {
        let tokens = tokens();
        let asked = Authorization::OAuth {
            email: "a@b.test".to_owned(),
            scope: String::new(),
        };
        let bearer = tokens.bearer(&asked, NOW).expect("signed");
        let claims = verified(&tokens, &bearer, "https://tasks.test");
        assert_eq!(claims["scope"], DEFAULT_SCOPE);
    }

    #[test]
    fn the_discovery_document_says_where_the_keys_are() {
        let document = tokens().discovery();
        assert_eq!(document["issuer"], "https://tasks.test");
        assert_eq!(document["jwks_uri"], "https://tasks.test/jwks");
    }
}
