//! Access tokens sent as they are, in Basic, Bearer and Token headers: the way in for clients that cannot
//! sign. Whoever listens on the way can use them, so they belong behind TLS or on loopback.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::authenticate::{Authenticated, Outcome};
use crate::client::Secret;
use crate::directory::Snapshot;
use crate::hawk::is_same;

/// What an `Authorization` header carries, if it carries a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A client and its access token: `Basic base64(clientId:accessToken)`, or
    /// `Bearer clientId:accessToken`, with `Token` meaning the same as `Bearer`.
    Client {
        /// Who says it is.
        client_id: String,
        /// How it proves it.
        access_token: Secret,
    },
    /// A Bearer or Token that names nobody. Those who issue such tokens know what it is worth.
    Opaque(Secret),
    /// One of the schemes, but not as they are written.
    Malformed,
}

impl Token {
    /// Reads the value of an `Authorization` header; `None` if it is of another scheme, such as
    /// Hawk.
    pub fn read(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("basic") {
            let decoded = STANDARD
                .decode(rest)
                .or_else(|_| STANDARD_NO_PAD.decode(rest));
            let pair = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
            Some(pair.as_deref().and_then(client).unwrap_or(Token::Malformed))
        } else if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token") {
            Some(match rest {
                "" => Token::Malformed,
                rest => client(rest).unwrap_or_else(|| Token::Opaque(rest.into())),
            })
        } else {
            None
        }
    }

    /// What the token is worth at `now_ms` (milliseconds since 1970): all that the client and
    /// everybody may do.
    pub fn check(&self, now_ms: i64, known: &Snapshot) -> Outcome {
        let failed = |message: String| Outcome::Failed { message };
        let (client_id, access_token) = match self {
            Token::Client {
                client_id,
                access_token,
            } => (client_id, access_token),
            Token::Opaque(_) => {
                return failed("Unauthorized: this token is not known here".to_owned());
            }
            Token::Malformed => {
                return failed(
                    "Bad Request: send the client id as user and its access token as password"
                        .to_owned(),
                );
            }
        };
        // One answer for both, so that nobody learns here which clients there are.
        let wrong = || failed("Unauthorized: wrong client id or access token".to_owned());
        let Some(client) = known.client(client_id) else {
            // Takes as long as with a client whose token has this length.
            let _same = is_same(access_token.expose(), access_token.expose());
            return wrong();
        };
        if client.access_token != *access_token {
            return wrong();
        }
        if client.disabled {
            return failed(format!("Client with clientId '{client_id}' is disabled"));
        }
        if client.expires_ms < now_ms {
            return failed(format!("Client with clientId: '{client_id}' has expired"));
        }
        Outcome::Success(Authenticated {
            client_id: client_id.clone(),
            scopes: known.roles.effective(&client.scopes),
            unexpanded: client.scopes.clone(),
            expires_ms: client.expires_ms,
            hash: None,
        })
    }
}

/// Splits `clientId:accessToken`. Client ids may have colons, access tokens have none.
fn client(pair: &str) -> Option<Token> {
    let (client_id, access_token) = pair.rsplit_once(':')?;
    Some(Token::Client {
        client_id: client_id.to_owned(),
        access_token: access_token.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(client_id: &str, access_token: &str) -> Token {
        let (client_id, access_token) = (client_id.to_owned(), access_token.into());
        Token::Client {
            client_id,
            access_token,
        }
    }

    #[test]
    fn each_scheme_names_a_client_and_its_token() {
        assert_eq!(Token::read("Basic bWU6c2VjcmV0"), Some(of("me", "secret")));
        assert_eq!(
            Token::read("basic  bWU6c2VjcmV0 "),
            Some(of("me", "secret"))
        );
        assert_eq!(Token::read("Bearer a:b:secret"), Some(of("a:b", "secret")));
        assert_eq!(Token::read("Token a:b:secret"), Some(of("a:b", "secret")));
        for header in ["Bearer tbj-1", "token tbj-1"] {
            let opaque = Token::Opaque("tbj-1".into());
            assert_eq!(Token::read(header), Some(opaque), "{header}");
        }
    }

    #[test]
    fn other_schemes_are_left_to_others() {
        assert_eq!(Token::read(r#"Hawk id="me""#), None);
        assert_eq!(Token::read(""), None);
        assert_eq!(Token::read("Basically bWU6c2VjcmV0"), None);
        assert_eq!(Token::read("Tokens a:secret"), None);
    }

    #[test]
    fn what_cannot_be_read_is_no_other_scheme() {
        for header in [
            "Basic",
            "Basic !",
            "Basic bWU=",
            "Basic /w==",
            "Bearer",
            "Bearer  ",
            "Token",
        ] {
            assert_eq!(Token::read(header), Some(Token::Malformed), "{header}");
        }
    }

    #[test]
    fn a_token_is_not_worth_anything_without_its_client() {
        for header in ["Basic bWU6c2VjcmV0", "Bearer x", "Basic"] {
            let token = Token::read(header).expect("one of the schemes");
            let outcome = token.check(0, &Snapshot::default());
            assert!(matches!(outcome, Outcome::Failed { .. }), "{header}");
        }
    }
}
