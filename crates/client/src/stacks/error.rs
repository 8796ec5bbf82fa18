use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderMap;

use super::answer::retry_after;

/// Why a call did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server answered with something else than success.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The call succeeded, but its body cannot be read.
    #[error("{method} {url}: cannot read the answer: {reason}")]
    Undecodable {
        /// Method of the request.
        method: Method,
        /// Address of the request.
        url: String,
        /// What is wrong with the body.
        reason: String,
        /// The body as it came.
        body: Bytes,
    },
    /// No answer came, or the call was never sent.
    #[error(transparent)]
    Call(#[from] crate::Error),
}

/// An answer outside 2xx.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Method of the request.
    pub method: Method,
    /// Address of the request.
    pub url: String,
    /// HTTP status.
    pub status: u16,
    /// What the server says about it; empty if its body has no message.
    pub message: String,
    /// Headers as received.
    pub headers: HeaderMap,
    /// The body as it came.
    pub body: Bytes,
}

impl Error {
    /// HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        self.refusal().map(|refusal| refusal.status)
    }

    /// The answer, if it was outside 2xx.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Undecodable { .. } | Self::Call(_) => None,
        }
    }

    /// Whether the same call may succeed later: no answer, one that cannot be read, 429 or 5xx.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.is_transient(),
            Self::Undecodable { .. } => true,
            Self::Call(error) => error.is_transient(),
        }
    }

    /// The pause that the server asks for before the call is repeated.
    pub fn retry_after(&self) -> Option<Duration> {
        self.refusal().and_then(Refusal::retry_after)
    }
}

impl Refusal {
    /// Whether the same call may succeed later: 429 or 5xx.
    pub fn is_transient(&self) -> bool {
        self.status == 429 || self.status >= 500
    }

    /// The pause that the server asks for.
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            method,
            url,
            status,
            message,
            ..
        } = self;
        write!(f, "{method} {url}: {status}")?;
        if message.is_empty() {
            write!(f, ", without an explanation")
        } else {
            write!(f, " {message}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_was_asked_and_what_was_answered() {
        let mut refusal = Refusal {
            method: Method::GET,
            url: "http://h/v3/token".to_owned(),
            status: 401,
            message: "Invalid token".to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        let text = Error::Refused(Box::new(refusal.clone())).to_string();
        assert_eq!(text, "GET http://h/v3/token: 401 Invalid token");
        refusal.message.clear();
        assert_eq!(
            refusal.to_string(),
            "GET http://h/v3/token: 401, without an explanation"
        );
    }
}
