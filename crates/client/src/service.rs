//! One service of a deployment: signs calls, sends them, repeats what may succeed later.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{Method, Url, header};
use serde::{Serialize, de::DeserializeOwned};
use taskyard_access::{
    Payload, Signer,
    sign::{Destination, nonce},
};

use crate::{Credentials, Error, Options, Retry, clock, retry, url};

/// Answers beyond this are refused instead of kept in memory; no method comes near it.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// `Content-Type` of every body sent.
const JSON: &str = "application/json";

/// A service such as `queue`, spoken to with one set of credentials. Clones share connections.
#[derive(Debug, Clone)]
pub struct Service {
    pub(crate) shared: Arc<Shared>,
    identity: Identity,
}

/// What requests are signed with.
#[derive(Debug, Clone)]
enum Identity {
    Anonymous,
    Signer(Arc<Signer>),
    /// Credentials that cannot sign; every call says why.
    Unusable(Error),
}

#[derive(Debug, Clone)]
pub(crate) struct Shared {
    name: &'static str,
    version: &'static str,
    root_url: String,
    pub(crate) http: reqwest::Client,
    pub(crate) retry: Retry,
    timeout: Duration,
    pub(crate) transfer_timeout: Duration,
    clock_offset_ms: i64,
    authorized_scopes: Option<Vec<String>>,
}

/// One call of a method.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    method: Method,
    path: &'a [&'a str],
    query: Vec<(&'a str, &'a str)>,
    body: Option<Bytes>,
    timeout: Option<Duration>,
}

/// A successful answer: 2xx, or 3xx, which is never followed.
#[derive(Debug, Clone)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers as received.
    pub headers: header::HeaderMap,
    /// The body, empty for 204.
    pub body: Bytes,
}

// === impl Call ===

impl<'a> Call<'a> {
    /// A call of the route made of `path`; each element is escaped as a whole.
    pub fn new(method: Method, path: &'a [&'a str]) -> Self {
        Self {
            method,
            path,
            query: Vec::new(),
            body: None,
            timeout: None,
        }
    }

    /// `GET path`.
    pub fn get(path: &'a [&'a str]) -> Self {
        Self::new(Method::GET, path)
    }

    /// `POST path`.
    pub fn post(path: &'a [&'a str]) -> Self {
        Self::new(Method::POST, path)
    }

    /// `PUT path`.
    pub fn put(path: &'a [&'a str]) -> Self {
        Self::new(Method::PUT, path)
    }

    /// Adds a query argument.
    pub fn query(mut self, name: &'a str, value: &'a str) -> Self {
        self.query.push((name, value));
        self
    }

    /// Sends `body` as JSON.
    ///
    /// # Errors
    /// `Usage` when `body` has no JSON form.
    pub fn json(mut self, body: &impl Serialize) -> Result<Self, Error> {
        let bytes = serde_json::to_vec(body)
            .map_err(|error| Error::Usage(format!("the payload cannot be sent: {error}")))?;
        self.body = Some(bytes.into());
        Ok(self)
    }

    /// Another limit for one attempt than that of the options.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

// === impl Response ===

impl Response {
    /// The body read as JSON.
    ///
    /// # Errors
    /// `Decode` when it is not the JSON expected.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Decode(error.to_string()))
    }
}

// === impl Service ===

impl Service {
    /// A client of the service `name`, version `version` (`v1` for every service today).
    ///
    /// # Errors
    /// `Usage` when an option is wrong.
    pub fn new(name: &'static str, version: &'static str, options: Options) -> Result<Self, Error> {
        let root_url = options.root_url.trim_end_matches('/').to_owned();
        let parsed = parse_root(&root_url)?;
        options.retry.check()?;
        let identity = match &options.credentials {
            Some(credentials) => {
                let scopes = options.authorized_scopes.as_deref();
                Identity::Signer(Arc::new(credentials.signer(scopes)?))
            }
            None => Identity::Anonymous,
        };
        let http = match options.http {
            Some(http) => http,
            None => pool(&parsed)?,
        };
        let shared = Shared {
            name,
            version,
            root_url,
            http,
            retry: options.retry,
            timeout: options.timeout,
            transfer_timeout: options.transfer_timeout,
            clock_offset_ms: options.clock_offset_ms,
            authorized_scopes: options.authorized_scopes,
        };
        Ok(Self {
            shared: Arc::new(shared),
            identity,
        })
    }

    /// The same service and connections, signing with `credentials`. Credentials that cannot sign
    /// make every call an `Usage` error.
    pub fn with_credentials(&self, credentials: &Credentials) -> Self {
        let identity = match credentials.signer(self.shared.authorized_scopes.as_deref()) {
            Ok(signer) => Identity::Signer(Arc::new(signer)),
            Err(error) => Identity::Unusable(error),
        };
        Self {
            shared: Arc::clone(&self.shared),
            identity,
        }
    }

    /// Another service of the same deployment over the same connections, signing nothing. What the
    /// scopes of this one are limited to says nothing about that one.
    pub(crate) fn named(&self, name: &'static str, version: &'static str) -> Self {
        let shared = Shared {
            name,
            version,
            authorized_scopes: None,
            ..Shared::clone(&self.shared)
        };
        Self {
            shared: Arc::new(shared),
            identity: Identity::Anonymous,
        }
    }

    /// The same service and connections, signing nothing.
    pub fn anonymous(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            identity: Identity::Anonymous,
        }
    }

    /// Address of the deployment, without a trailing slash.
    pub fn root_url(&self) -> &str {
        &self.shared.root_url
    }

    /// The address of a method, unsigned.
    ///
    /// # Errors
    /// `Usage` for arguments that no address can carry.
    pub fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Result<String, Error> {
        let shared = &*self.shared;
        let mut url = url::api_url(
            &shared.root_url,
            shared.name,
            shared.version,
            &url::route(path)?,
        );
        url::append_query(&mut url, query);
        Ok(url)
    }

    /// Sends a call. Each attempt is signed afresh.
    ///
    /// # Errors
    /// Any variant but `Artifact` and `File`.
    pub async fn send(&self, call: Call<'_>) -> Result<Response, Error> {
        let url = parse(&self.url(call.path, &call.query)?)?;
        self.repeat(|| self.attempt(&call, &url)).await
    }

    /// Runs `attempt` until it succeeds, fails for good, or the retries are used up.
    pub(crate) async fn repeat<T, F: Future<Output = Result<T, Error>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> Result<T, Error> {
        let mut retries = 0;
        loop {
            match attempt().await {
                Err(error) if error.is_transient() && retries < self.shared.retry.retries => {
                    retries += 1;
                    tracing::debug!(%error, retries, "repeating a call");
                    tokio::time::sleep(self.shared.retry.pause(retries, retry::random())).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn attempt(&self, call: &Call<'_>, url: &Url) -> Result<Response, Error> {
        let timeout = call.timeout.unwrap_or(self.shared.timeout);
        let mut request = self
            .shared
            .http
            .request(call.method.clone(), url.clone())
            .timeout(timeout);
        match &self.identity {
            Identity::Anonymous => {}
            Identity::Signer(signer) => {
                let authorization = self.authorization(signer, call, url);
                request = request.header(header::AUTHORIZATION, authorization);
            }
            Identity::Unusable(error) => return Err(error.clone()),
        }
        if let Some(body) = &call.body {
            request = request
                .header(header::CONTENT_TYPE, JSON)
                .body(body.clone());
        } else if call.method != Method::GET {
            // Some servers and proxies refuse a POST that names no length.
            request = request.header(header::CONTENT_LENGTH, "0");
        }
        let lost = |error| connection_error(url, timeout, &error);
        let answer = request.send().await.map_err(lost)?;
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        let body = read_body(answer, url, timeout).await?;
        tracing::debug!(method = %call.method, path = url.path(), status, "called");
        if (200..400).contains(&status) {
            Ok(Response {
                status,
                headers,
                body,
            })
        } else {
            Err(Error::from_answer(status, &body))
        }
    }

    /// Sends a `GET` once and hands out the answer while it arrives, for as long as it does.
    pub(crate) async fn stream(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<reqwest::Response, Error> {
        let call = Call::get(path);
        let url = parse(&self.url(path, query)?)?;
        let mut request = self.shared.http.get(url.clone());
        match &self.identity {
            Identity::Anonymous => {}
            Identity::Signer(signer) => {
                let authorization = self.authorization(signer, &call, &url);
                request = request.header(header::AUTHORIZATION, authorization);
            }
            Identity::Unusable(error) => return Err(error.clone()),
        }
        let timeout = self.shared.timeout;
        let late = |_| Error::Timeout {
            url: url.path().to_owned(),
            after: timeout,
        };
        let answer = tokio::time::timeout(timeout, request.send()).await;
        let answer = answer
            .map_err(late)?
            .map_err(|error| connection_error(&url, timeout, &error))?;
        let status = answer.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        let body = read_body(answer, &url, timeout).await?;
        Err(Error::from_answer(status, &body))
    }

    fn authorization(&self, signer: &Signer, call: &Call<'_>, url: &Url) -> String {
        let target = target(url);
        let payload = call.body.as_deref().map(|body| Payload {
            content_type: JSON,
            body,
        });
        let method = call.method.as_str();
        let seconds = self.seconds();
        signer.authorization_header(method, &to(url, &target), seconds, &nonce(), payload)
    }

    /// Now, as the server is supposed to see it.
    fn seconds(&self) -> i64 {
        (clock::unix_millis() + self.shared.clock_offset_ms).div_euclid(1000)
    }

    /// The address of a `GET` method that anyone may use for `lifetime` with these credentials'
    /// rights.
    ///
    /// # Errors
    /// `Usage` without credentials, and for arguments that no address can carry.
    pub fn signed_url(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        lifetime: Duration,
    ) -> Result<String, Error> {
        let signer = match &self.identity {
            Identity::Signer(signer) => signer,
            Identity::Unusable(error) => return Err(error.clone()),
            Identity::Anonymous => {
                return Err(Error::Usage("a signed URL needs credentials".to_owned()));
            }
        };
        let mut url = parse(&self.url(path, query)?)?;
        let expires = self.seconds() + i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX / 2);
        let bewit = signer.bewit(&to(&url, &target(&url)), expires);
        let query = match url.query() {
            Some(query) => format!("{query}&bewit={bewit}"),
            None => format!("bewit={bewit}"),
        };
        url.set_query(Some(&query));
        Ok(url.into())
    }
}

/// Path and query exactly as they are sent.
fn target(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

fn to<'a>(url: &'a Url, target: &'a str) -> Destination<'a> {
    let host = url.host_str().unwrap_or_default();
    Destination {
        target,
        host,
        port: url.port_or_known_default().unwrap_or_default(),
    }
}

fn parse_root(root_url: &str) -> Result<Url, Error> {
    let parsed = parse(root_url)?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
        return Err(Error::Usage(format!(
            "the root URL must look like https://tasks.example.com, not `{root_url}`"
        )));
    }
    Ok(parsed)
}

pub(crate) fn parse(url: &str) -> Result<Url, Error> {
    Url::parse(url).map_err(|error| Error::Usage(format!("`{url}` is not an address: {error}")))
}

/// An own connection pool. Redirects are results of the API, so they are not followed.
pub(crate) fn pool(root: &Url) -> Result<reqwest::Client, Error> {
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        .tcp_nodelay(true);
    // A proxy's loopback is not ours.
    if is_loopback(root) {
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| Error::Usage(format!("cannot set up connections: {error}")))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

pub(crate) async fn read_body(
    mut answer: reqwest::Response,
    url: &Url,
    timeout: Duration,
) -> Result<Bytes, Error> {
    let mut body = BytesMut::new();
    while let Some(chunk) = answer
        .chunk()
        .await
        .map_err(|error| connection_error(url, timeout, &error))?
    {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(Error::Decode(format!(
                "it is larger than {MAX_ANSWER_BYTES} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The error of an exchange that did not complete. The query is left out: it may be a signature.
pub(crate) fn connection_error(url: &Url, after: Duration, error: &reqwest::Error) -> Error {
    let mut shown = url.clone();
    shown.set_query(None);
    let url = shown.to_string();
    if error.is_timeout() {
        return Error::Timeout { url, after };
    }
    // reqwest's own text repeats the address; the causes below it say what happened.
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let reason = if std::ptr::eq(cause, std::ptr::from_ref(error)) {
        "the connection broke".to_owned()
    } else {
        cause.to_string()
    };
    Error::Connection { url, reason }
}
