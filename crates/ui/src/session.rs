//! What a browser keeps of whoever signed in: the credentials, sealed, in a cookie that no script
//! can read, and that is sent along with links from elsewhere (mails lead to tasks) but not with
//! anything else that other sites make a browser do.
//!
//! Nothing is kept here, so every node knows the session, and a client that is disabled, expired or
//! deleted is refused at the next request. Logs and pages never show the token.

use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};
use taskyard_access::{Credentials, Place, Sealer};
use taskyard_engine::Timestamp;

/// The cookie's name.
const COOKIE: &str = "taskyard-session";
/// How long a browser stays signed in.
const LASTS_SECONDS: i64 = 12 * 60 * 60;
/// Where the record belongs, so that none from elsewhere can be put in its place.
const PLACE: Place<'static> = Place {
    table: "browsers",
    row: "session",
    column: "credentials",
};

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Kept {
    client_id: String,
    access_token: String,
    /// Milliseconds since 1970.
    ends: i64,
}

/// The cookie that keeps `credentials`; `None` if they can't be sealed.
pub(crate) fn begin(
    credentials: &Credentials,
    sealer: &Sealer,
    now: Timestamp,
    is_secure: bool,
) -> Option<HeaderValue> {
    let kept = Kept {
        client_id: credentials.client_id.clone(),
        access_token: credentials.access_token.expose().to_owned(),
        ends: now.millis().saturating_add(LASTS_SECONDS * 1000),
    };
    let text = serde_json::to_vec(&kept).ok()?;
    let sealed = sealer.seal(&PLACE, &text).ok()?;
    cookie(&sealed, LASTS_SECONDS, is_secure)
}

/// The cookie that ends a session.
pub(crate) fn end(is_secure: bool) -> Option<HeaderValue> {
    cookie("", 0, is_secure)
}

/// The credentials of whoever sent these headers, unless the session is over.
pub(crate) fn read(headers: &HeaderMap, sealer: &Sealer, now: Timestamp) -> Option<Credentials> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let sealed = cookies
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='))?;
    let text = sealer.open(&PLACE, sealed).ok()?;
    let kept: Kept = serde_json::from_slice(&text).ok()?;
    (kept.ends > now.millis()).then(|| Credentials {
        client_id: kept.client_id,
        access_token: kept.access_token.as_str().into(),
        certificate: None,
    })
}

fn cookie(value: &str, lasts_seconds: i64, is_secure: bool) -> Option<HeaderValue> {
    let secure = if is_secure { "; Secure" } else { "" };
    let text = format!(
        "{COOKIE}={value}; Path=/; Max-Age={lasts_seconds}; HttpOnly; SameSite=Lax{secure}"
    );
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(cookie: &HeaderValue) -> HeaderMap {
        let pair = cookie.to_str().unwrap().split(';').next().unwrap();
        let mut headers = HeaderMap::new();
        let text = format!("theme=dark; {pair}");
        headers.insert(header::COOKIE, text.parse().unwrap());
        headers
    }

    #[test]
    fn a_session_ends_by_its_time_and_is_worth_nothing_elsewhere() {
        let credentials = Credentials {
            client_id: "me".to_owned(),
            access_token: "secret".into(),
            certificate: None,
        };
        let (ours, others) = (Sealer::new(&[1; 32]), Sealer::new(&[2; 32]));
        let now = Timestamp::from_millis(1_000_000);
        let cookie = begin(&credentials, &ours, now, true).unwrap();
        let text = cookie.to_str().unwrap();
        assert!(text.ends_with("; HttpOnly; SameSite=Lax; Secure"), "{text}");
        assert!(!text.contains("secret"), "{text}");

        let headers = sent(&cookie);
        let found = read(&headers, &ours, now).unwrap();
        assert_eq!(found.client_id, "me");
        assert_eq!(found.access_token.expose(), "secret");
        assert!(read(&headers, &others, now).is_none());
        let end = Timestamp::from_millis(1_000_000 + LASTS_SECONDS * 1000);
        assert!(read(&headers, &ours, end).is_none());
        assert!(read(&sent(&super::end(false).unwrap()), &ours, now).is_none());
    }
}
