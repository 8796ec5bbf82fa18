//! Requests to services outside: bounded in time and size, and told about without their secrets.

use std::error::Error as _;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Url};

use crate::error::ApiError;

/// Within this time a service outside must have answered.
const PATIENCE: Duration = Duration::from_secs(20);

/// The largest answer that is read: 1 MiB.
const LARGEST: usize = 1024 * 1024;

/// How much of a refusal is told to the log, in characters.
const TOLD: usize = 300;

/// A client for services outside, made when it is first needed: a server that guards nothing needs
/// no certificates to check others by.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    client: OnceLock<Client>,
}

/// What a service answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutsideError {
    /// No connection, no answer in time, or one that broke off.
    #[error("no answer: {0}")]
    Unanswered(String),
    /// The answer is larger than any that makes sense.
    #[error("the answer is larger than {LARGEST} bytes")]
    TooLarge,
    /// The service refused.
    #[error("refused with {status}: {text}")]
    Refused {
        /// With which status.
        status: StatusCode,
        /// What it said, shortened.
        text: String,
    },
    /// The answer is not what the service promises.
    #[error("an answer that makes no sense: {0}")]
    Strange(String),
}

impl Outside {
    /// A client to make a request with.
    pub(crate) fn client(&self) -> Result<&Client, OutsideError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let made = Client::builder()
            .timeout(PATIENCE)
            .connect_timeout(PATIENCE / 2)
            // Credentials go where the configuration says and nowhere else.
            .redirect(Policy::none())
            .user_agent(concat!("taskyard/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(OutsideError::from)?;
        Ok(self.client.get_or_init(|| made))
    }
}

impl Answer {
    /// Sends a request and reads what is answered, good or bad.
    pub(crate) async fn to(request: RequestBuilder) -> Result<Answer, OutsideError> {
        let mut response = request.send().await?;
        let mut body = BytesMut::new();
        while let Some(piece) = response.chunk().await? {
            if body.len() + piece.len() > LARGEST {
                return Err(OutsideError::TooLarge);
            }
            body.extend_from_slice(&piece);
        }
        Ok(Answer {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: body.freeze(),
        })
    }

    /// The answer, if it is a good one.
    pub(crate) fn good(self) -> Result<Answer, OutsideError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let text = String::from_utf8_lossy(&self.body);
        Err(OutsideError::Refused {
            status: self.status,
            text: text.chars().take(TOLD).collect(),
        })
    }

    /// The body as JSON.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, OutsideError> {
        // The position says enough; the text may hold a secret.
        serde_json::from_slice(&self.body).map_err(|error| {
            OutsideError::Strange(format!(
                "JSON without what is needed, at line {} column {}",
                error.line(),
                error.column()
            ))
        })
    }

    /// The body as XML.
    pub(crate) fn xml<T: serde::de::DeserializeOwned>(&self) -> Result<T, OutsideError> {
        let text = std::str::from_utf8(&self.body)
            .map_err(|_| OutsideError::Strange("text that is not UTF-8".to_owned()))?;
        quick_xml::de::from_str(text)
            .map_err(|_| OutsideError::Strange("XML without what is needed".to_owned()))
    }
}

impl From<reqwest::Error> for OutsideError {
    fn from(error: reqwest::Error) -> Self {
        // Addresses may carry signatures.
        let error = error.without_url();
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            text = format!("{text}: {next}");
            cause = next.source();
        }
        OutsideError::Unanswered(text)
    }
}

impl OutsideError {
    /// The fault as a caller is told about it: the log says more, with the service's name.
    pub(crate) fn of(self, service: &str) -> ApiError {
        ApiError::internal(format!("{service}: {self}"))
    }
}

/// Pairs as forms and query strings carry them.
pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    // No base is needed to escape pairs, but a URL is where the escaping is to be had.
    let Ok(mut url) = Url::parse("http://localhost/") else {
        return String::new();
    };
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_escaped() {
        let pairs = [
            ("sig", "a+b/c=="),
            ("se", "2026-01-01T00:00:00Z"),
            ("x", ""),
        ];
        let text = "sig=a%2Bb%2Fc%3D%3D&se=2026-01-01T00%3A00%3A00Z&x=";
        assert_eq!(form(&pairs), text);
    }
}
