use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, Url, header};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::call::{Call, escape_into};
use super::call_options::{CallOptions, CallSettings};
use super::error::Error;
use super::options::{Options, TokenSource, Version};
use crate::service::{connection_error, parse, pool, read_body};

/// How this client calls itself.
const USER_AGENT: &str = concat!("taskyard-cloudtasks/", env!("CARGO_PKG_VERSION"));

/// Cloud Tasks. Clones share connections.
#[derive(Debug, Clone)]
pub struct CloudTasks {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Without a slash at its end.
    endpoint: String,
    version: Version,
    http: reqwest::Client,
    token: Option<TokenSource>,
    quota_project: Option<header::HeaderValue>,
    calls: CallOptions,
}

impl CloudTasks {
    /// A client with these options.
    ///
    /// # Errors
    /// `Call` with `Usage` when an option is wrong.
    pub fn new(options: Options) -> Result<Self, Error> {
        let endpoint = options.endpoint.trim_end_matches('/').to_owned();
        let url = parse(&endpoint)?;
        let usage = |text: String| Error::Call(crate::Error::Usage(text));
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(usage(format!(
                "the endpoint must look like https://cloudtasks.googleapis.com, not `{endpoint}`"
            )));
        }
        let quota_project = options
            .quota_project
            .map(|project| header::HeaderValue::from_str(&project))
            .transpose()
            .map_err(|_| usage("the quota project cannot stand in a header".to_owned()))?;
        let http = match options.http {
            Some(http) => http,
            None => pool(&url)?,
        };
        Ok(Self {
            shared: Arc::new(Shared {
                endpoint,
                version: options.version,
                http,
                token: options.token,
                quota_project,
                calls: options.calls,
            }),
        })
    }

    pub(super) fn calls(&self) -> &CallOptions {
        &self.shared.calls
    }

    pub(super) fn at(&self, method: Method, parts: &[&str]) -> Call {
        let mut path = self.shared.version.as_str().to_owned();
        for part in parts {
            path.push('/');
            escape_into(&mut path, part, b"-_.~/:");
        }
        Call::new(method, path)
    }

    pub(super) fn get(&self, parts: &[&str]) -> Call {
        self.at(Method::GET, parts)
    }

    pub(super) fn post(&self, parts: &[&str]) -> Call {
        self.at(Method::POST, parts)
    }

    pub(super) fn verb(&self, name: &str, verb: &str) -> Call {
        let mut call = self.post(&[name]);
        call.path.push(':');
        call.path.push_str(verb);
        call
    }

    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        settings: &CallSettings,
        call: Call,
    ) -> Result<T, Error> {
        let body = self.repeat(settings, &call).await?;
        serde_json::from_slice(&body)
            .map_err(|error| Error::Call(crate::Error::Decode(error.to_string())))
    }

    pub(super) async fn told(&self, settings: &CallSettings, call: Call) -> Result<(), Error> {
        self.repeat(settings, &call).await.map(drop)
    }

    async fn repeat(&self, settings: &CallSettings, call: &Call) -> Result<Bytes, Error> {
        let url = self.url(call)?;
        let end = Instant::now() + settings.timeout;
        let mut attempts = 1;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let error = match self.attempt(call, &url, left).await {
                Ok(body) => return Ok(body),
                Err(error) => error,
            };
            let Some(policy) = &settings.retry else {
                return Err(error);
            };
            let pause = policy.pause(attempts, crate::retry::random());
            if !policy.codes.contains(&error.code()) || Instant::now() + pause >= end {
                return Err(error);
            }
            tracing::debug!(%error, attempts, ?pause, "repeating a call");
            tokio::time::sleep(pause).await;
            attempts += 1;
        }
    }

    async fn attempt(&self, call: &Call, url: &Url, limit: Duration) -> Result<Bytes, Error> {
        let shared = &*self.shared;
        let mut request = shared
            .http
            .request(call.method.clone(), url.clone())
            .timeout(limit)
            .header(header::USER_AGENT, USER_AGENT);
        if let Some(token) = &shared.token {
            request = request.bearer_auth(token.token().await?);
        }
        if let Some(project) = &shared.quota_project {
            request = request.header("x-goog-user-project", project.clone());
        }
        if let Some((content_type, body)) = &call.body {
            request = request
                .header(header::CONTENT_TYPE, *content_type)
                .body(body.clone());
        } else if call.method != Method::GET {
            // Some servers and proxies refuse a POST that names no length.
            request = request.header(header::CONTENT_LENGTH, "0");
        }
        let answer = request
            .send()
            .await
            .map_err(|error| connection_error(url, limit, &error))?;
        let status = answer.status();
        let body = read_body(answer, url, limit).await?;
        tracing::debug!(method = %call.method, path = url.path(), status = status.as_u16(), "called");
        if status.is_success() {
            Ok(body)
        } else {
            Err(Error::from_answer(status.as_u16(), &body))
        }
    }

    fn url(&self, call: &Call) -> Result<Url, Error> {
        let mut url = format!("{}/{}", self.shared.endpoint, call.path);
        for (index, (name, value)) in call.query.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            escape_into(&mut url, value, b"-_.~");
        }
        Ok(parse(&url)?)
    }
}
