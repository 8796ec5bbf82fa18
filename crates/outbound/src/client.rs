//! The client that makes the calls.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use url::Url;

use crate::rules::{Forbidden, Rules};

/// How calls are made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which addresses may be called.
    pub rules: Rules,
    /// A proxy that all calls go through: `http://host:port`. It then resolves names, so keeping
    /// names from forbidden addresses is the proxy's duty; addresses in URLs are still checked.
    pub proxy: Option<String>,
    /// Certificate authorities that are trusted beside the system's, in PEM.
    pub roots: Vec<Vec<u8>>,
    /// Whether any certificate is taken for good.
    pub skip_tls_verification: bool,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How many redirects are followed.
    pub redirects: usize,
    /// Bytes of an answer that are kept.
    pub keep: usize,
    /// Bytes of an answer that are read, so that the connection can be used again; of a longer one
    /// the rest is not waited for.
    pub read: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            rules: Rules::default(),
            proxy: None,
            roots: Vec::new(),
            skip_tls_verification: false,
            connect_timeout: Duration::from_secs(10),
            redirects: 0,
            keep: 1024,
            read: 1024 * 1024,
        }
    }
}

/// Settings no client can be made from.
#[derive(Debug, thiserror::Error)]
#[error("outgoing calls cannot be set up: {0}")]
pub struct SetupError(String);

/// A call to be made.
#[derive(Debug, Clone)]
pub struct Call {
    /// How.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Sent as they are.
    pub headers: HeaderMap,
    /// Sent as it is; `None` sends none.
    pub body: Option<Bytes>,
    /// Within which the whole answer must have come.
    pub deadline: Duration,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The first bytes of the body.
    pub body: Bytes,
}

/// Why nothing came back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The call must not be made.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// There was no complete answer in time.
    #[error("no complete answer within {}", humantime(*.0))]
    TimedOut(Duration),
    /// There was no connection, or it broke.
    #[error("{0}")]
    Unreachable(String),
}

fn humantime(time: Duration) -> String {
    if time.subsec_millis() == 0 {
        format!("{} s", time.as_secs())
    } else {
        format!("{} ms", time.as_millis())
    }
}

/// Makes calls; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    rules: Arc<Rules>,
    keep: usize,
    read: usize,
}

impl Client {
    /// A client with these settings.
    ///
    /// # Errors
    /// If the proxy or a certificate cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, SetupError> {
        let failed = |error: reqwest::Error| SetupError(chain(&error));
        let rules = Arc::new(settings.rules.clone());
        let mut builder = reqwest::Client::builder()
            .connect_timeout(settings.connect_timeout)
            .redirect(policy(Arc::clone(&rules), settings.redirects))
            .retry(reqwest::retry::never())
            .pool_idle_timeout(Duration::from_secs(50))
            .pool_max_idle_per_host(256)
            .tcp_nodelay(true)
            .no_proxy();
        let mut proxy_host = None;
        if let Some(proxy) = &settings.proxy {
            let url = Url::parse(proxy)
                .map_err(|error| SetupError(format!("{proxy} is no URL of a proxy: {error}")))?;
            proxy_host = url.host_str().map(str::to_owned);
            builder = builder.proxy(reqwest::Proxy::all(url).map_err(failed)?);
        }
        for root in &settings.roots {
            let found = reqwest::Certificate::from_pem_bundle(root).map_err(failed)?;
            builder = builder.tls_certs_merge(found);
        }
        if settings.skip_tls_verification {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        let resolver = Guard {
            rules: Arc::clone(&rules),
            proxy_host,
        };
        Ok(Client {
            http: builder.dns_resolver(resolver).build().map_err(failed)?,
            rules,
            keep: settings.keep,
            read: settings.read,
        })
    }

    /// Makes a call. Any status is an answer.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn call(&self, call: Call) -> Result<Answer, Failure> {
        self.rules.check(&call.url)?;
        let deadline = call.deadline;
        let answered = tokio::time::timeout(deadline, self.exchange(call));
        answered.await.unwrap_or(Err(Failure::TimedOut(deadline)))
    }

    async fn exchange(&self, call: Call) -> Result<Answer, Failure> {
        let deadline = call.deadline;
        let explain = |error: reqwest::Error| match forbidden(&error) {
            Some(forbidden) => Failure::Forbidden(forbidden),
            None if error.is_timeout() && !error.is_connect() => Failure::TimedOut(deadline),
            None => Failure::Unreachable(chain(&error)),
        };
        let mut request = self
            .http
            .request(call.method, call.url)
            .headers(call.headers);
        if let Some(body) = call.body {
            request = request.body(body);
        }
        let mut response = request.send().await.map_err(explain)?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let mut body: Vec<u8> = Vec::new();
        let mut read = 0;
        while let Some(chunk) = response.chunk().await.map_err(explain)? {
            read += chunk.len();
            let left = self.keep - body.len();
            body.extend(chunk.iter().take(left));
            if read > self.read {
                // The connection is given up with the response.
                break;
            }
        }
        Ok(Answer {
            status,
            headers,
            body: body.into(),
        })
    }
}

/// Follows up to `most` redirects to addresses that may be called.
fn policy(rules: Arc<Rules>, most: usize) -> Policy {
    if most == 0 {
        return Policy::none();
    }
    Policy::custom(move |attempt| {
        if attempt.previous().len() > most {
            return attempt.error("there are too many redirects");
        }
        match rules.check(attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(forbidden) => attempt.error(forbidden),
        }
    })
}

/// Resolves names to addresses that may be called.
struct Guard {
    rules: Arc<Rules>,
    /// Chosen by whoever runs the server, not by its users.
    proxy_host: Option<String>,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let is_proxy = self.proxy_host.as_deref() == Some(host.as_str());
        let rules = Arc::clone(&self.rules);
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let allowed = if is_proxy {
                found.collect()
            } else {
                rules.filter(&host, found)?
            };
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The refusal behind an error, if that is what it comes from.
fn forbidden(error: &(dyn StdError + 'static)) -> Option<Forbidden> {
    let mut source = Some(error);
    while let Some(error) = source {
        if let Some(forbidden) = error.downcast_ref::<Forbidden>() {
            return Some(forbidden.clone());
        }
        source = error.source();
    }
    None
}

/// An error with what caused it, once each.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
