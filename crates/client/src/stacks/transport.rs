//! Requests and answers, whoever makes them: sends, repeats what may succeed later, logs.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::Answer;
use super::error::{Error, Refusal};
use super::options::Options;
use super::redaction::shown;
use super::retry::Retry;
use crate::service::{connection_error, parse, pool, read_body};

/// `Content-Type` of what is sent as JSON.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A server, and how to reach it. Clones share connections.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    /// Without a slash at its end.
    base: String,
    http: reqwest::Client,
    user_agent: HeaderValue,
    pub(super) retry: Retry,
    pub(super) timeout: Duration,
    log_payloads: bool,
}

/// One request, in all of its attempts.
#[derive(Debug)]
pub(super) struct Request {
    method: Method,
    /// Below the base, already escaped.
    path: String,
    headers: HeaderMap,
    body: Option<Bytes>,
}

// === impl Request ===

impl Request {
    pub(super) fn new(method: Method, path: String) -> Self {
        Self {
            method,
            path,
            headers: HeaderMap::new(),
            body: None,
        }
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(super) fn headers(mut self, headers: &HeaderMap) -> Self {
        self.headers.extend(headers.clone());
        self
    }

    pub(super) fn bytes(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// # Errors
    /// `Usage` when `body` has no JSON form.
    pub(super) fn json(self, body: &impl Serialize) -> Result<Self, Error> {
        let bytes = serde_json::to_vec(body)
            .map_err(|error| crate::Error::Usage(format!("the request cannot be sent: {error}")))?;
        Ok(self.header(header::CONTENT_TYPE, JSON).bytes(bytes))
    }
}

// === impl Transport ===

impl Transport {
    /// # Errors
    /// `Usage` when an option is wrong.
    pub(super) fn new(options: Options, agent: &str) -> Result<Self, Error> {
        let base = options.base_url.trim_end_matches('/').to_owned();
        let url = parse(&base)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(usage(format!(
                "the address of the API must look like https://agent.buildkite.com/v3, not `{base}`"
            )));
        }
        let http = match options.http {
            Some(http) => http,
            None => pool(&url)?,
        };
        let own = format!("{agent}/{}", env!("CARGO_PKG_VERSION"));
        let user_agent = match options.user_agent_prefix {
            Some(prefix) => format!("{prefix} {own}"),
            None => own,
        };
        let user_agent = HeaderValue::from_str(&user_agent)
            .map_err(|_| usage(format!("`{user_agent}` cannot stand in a header")))?;
        Ok(Self {
            base,
            http,
            user_agent,
            retry: options.retry,
            timeout: options.timeout,
            log_payloads: options.log_payloads,
        })
    }

    /// The same connections to another address.
    ///
    /// # Errors
    /// `Usage` when it is none.
    pub(super) fn at(&self, base: &str) -> Result<Self, Error> {
        let base = base.trim_end_matches('/').to_owned();
        parse(&base)?;
        Ok(Self {
            base,
            ..self.clone()
        })
    }

    /// The address that paths are below.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The pool of connections.
    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Sends a request whose answer is JSON.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        request: &Request,
    ) -> Result<Answer<T>, Error> {
        self.repeat(request, |body| {
            serde_json::from_slice(body).map_err(|error| error.to_string())
        })
        .await
    }

    /// Sends a request whose answer need not say anything.
    pub(super) async fn tell(&self, request: &Request) -> Result<Answer<()>, Error> {
        self.repeat(request, |_| Ok(())).await
    }

    async fn repeat<T>(
        &self,
        request: &Request,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<Answer<T>, Error> {
        let url = parse(&format!("{}/{}", self.base, request.path))?;
        let mut attempts = 1;
        loop {
            let error = match self.attempt(request, &url).await {
                Ok((headers, body)) => match read(&body) {
                    Ok(value) => return Ok(Answer { value, headers }),
                    Err(reason) => Error::Undecodable {
                        method: request.method.clone(),
                        url: url.to_string(),
                        reason,
                        body,
                    },
                },
                Err(error) => error,
            };
            if !error.is_transient() || attempts >= self.retry.attempts {
                return Err(error);
            }
            let pause = error
                .retry_after()
                .unwrap_or_else(|| self.retry.pause(attempts, crate::retry::random()));
            tracing::debug!(%error, attempts, ?pause, "repeating a call");
            tokio::time::sleep(pause).await;
            attempts += 1;
        }
    }

    async fn attempt(&self, request: &Request, url: &Url) -> Result<(HeaderMap, Bytes), Error> {
        let method = &request.method;
        let mut sent = self
            .http
            .request(method.clone(), url.clone())
            .timeout(self.timeout)
            .header(header::USER_AGENT, self.user_agent.clone())
            .headers(request.headers.clone());
        if let Some(body) = &request.body {
            sent = sent.body(body.clone());
        } else if *method != Method::GET {
            // Some servers and proxies refuse a POST that names no length.
            sent = sent.header(header::CONTENT_LENGTH, "0");
        }
        if self.log_payloads {
            let body = shown(request.body.as_deref().unwrap_or_default());
            tracing::debug!(%method, %url, body, "request");
        }
        let lost = |error: reqwest::Error| connection_error(url, self.timeout, &error);
        let answer = sent.send().await.map_err(lost)?;
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        let body = read_body(answer, url, self.timeout).await?;
        if self.log_payloads {
            tracing::debug!(%method, %url, status, body = shown(&body), "answer");
        } else {
            tracing::debug!(%method, path = url.path(), status, "called");
        }
        if (200..300).contains(&status) {
            return Ok((headers, body));
        }
        Err(Error::Refused(Box::new(Refusal {
            method: method.clone(),
            url: url.to_string(),
            status,
            message: message(&body),
            headers,
            body,
        })))
    }
}

/// The message of a refusal's body, empty if it has none.
fn message(body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    body["message"].as_str().unwrap_or_default().to_owned()
}

/// An error of whoever makes the call.
pub(super) fn usage(text: String) -> Error {
    Error::Call(crate::Error::Usage(text))
}

/// `Authorization` of a token.
///
/// # Errors
/// `Usage` when it cannot stand in a header.
pub(super) fn authorization(token: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(&format!("Token {token}"))
        .ok()
        .filter(|_| !token.is_empty())
        .ok_or_else(|| {
            usage("the token is empty, or has characters that no token has".to_owned())
        })?;
    value.set_sensitive(true);
    Ok(value)
}

/// `prefix` and `segments` joined with `/`. Each segment is escaped as a whole, dots included, as
/// the service has its own idea of what a dot in an address means.
///
/// # Errors
/// `Usage` for an empty segment, and for `.` and `..`, which no address can carry.
pub(super) fn path(segments: &[&str]) -> Result<String, Error> {
    let mut path = String::new();
    for segment in segments {
        if matches!(*segment, "" | "." | "..") {
            return Err(usage(format!(
                "`{segment}` cannot be part of an address: keys and ids must not be empty, `.` or `..`"
            )));
        }
        if !path.is_empty() {
            path.push('/');
        }
        for byte in segment.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_~$&+=:@".contains(&byte) {
                path.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(path, "%{byte:02X}");
            }
        }
    }
    Ok(path)
}

/// `pairs` as a form: a space is a plus.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let mut query = String::new();
    for (index, (name, value)) in pairs.iter().enumerate() {
        query.push(if index == 0 { '?' } else { '&' });
        for (position, text) in [name, value].into_iter().enumerate() {
            if position == 1 {
                query.push('=');
            }
            for byte in text.bytes() {
                match byte {
                    b' ' => query.push('+'),
                    _ if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => {
                        query.push(char::from(byte));
                    }
                    _ => {
                        // Writing to a String cannot fail.
                        let _ = write!(query, "%{byte:02X}");
                    }
                }
            }
        }
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_escaped_as_the_go_client_does() {
        let escaped = path(&["stacks", "my.stack/a b%é~", "scheduled-jobs"]).unwrap();
        assert_eq!(
            escaped,
            "stacks/my%2Estack%2Fa%20b%25%C3%A9~/scheduled-jobs"
        );
        for bad in ["", ".", ".."] {
            assert!(path(&["stacks", bad]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_query_is_a_form() {
        let escaped = query(&[("after", "x="), ("queue_key", "a b/c&d")]);
        assert_eq!(escaped, "?after=x%3D&queue_key=a+b%2Fc%26d");
    }

    #[test]
    fn a_token_that_no_header_can_carry_is_refused() {
        assert!(authorization("").is_err());
        assert!(authorization("a\nb").is_err());
        assert_eq!(authorization("t").unwrap().to_str().unwrap(), "Token t");
    }
}
