use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use super::call_options::CallOptions;

/// The real service.
pub const DEFAULT_ENDPOINT: &str = "https://cloudtasks.googleapis.com";

/// What a client of Cloud Tasks needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where paths begin. Default [`DEFAULT_ENDPOINT`].
    pub endpoint: String,
    /// Which version of the API is spoken. Default v2beta3.
    pub version: Version,
    /// Where tokens come from; without, calls are anonymous.
    pub token: Option<TokenSource>,
    /// Project that pays for the calls, if not that of the token.
    pub quota_project: Option<String>,
    /// How each method is called.
    pub calls: CallOptions,
    /// Connection pool to use instead of an own one.
    pub http: Option<reqwest::Client>,
}

/// A version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Version {
    /// Without pull queues.
    V2,
    /// With more to know about queues.
    #[default]
    V2Beta3,
    /// With pull queues that can be leased from.
    V2Beta2,
}

type Fetched = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Where OAuth tokens come from. It is asked before each attempt, so it should remember a token as
/// long as that is good. `Debug` does not show it.
#[derive(Clone)]
pub struct TokenSource(Arc<dyn Fn() -> Fetched + Send + Sync>);

impl Options {
    /// Anonymous access to the service at `endpoint`.
    pub fn at(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            version: Version::default(),
            token: None,
            quota_project: None,
            calls: CallOptions::default(),
            http: None,
        }
    }

    /// The real service, with tokens from `token`.
    pub fn google(token: TokenSource) -> Self {
        Self::at(DEFAULT_ENDPOINT).with_token(token)
    }

    /// The same, with tokens from `token`.
    pub fn with_token(mut self, token: TokenSource) -> Self {
        self.token = Some(token);
        self
    }

    /// The same, speaking another version.
    pub fn with_version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// The same, calling methods in another way.
    pub fn with_calls(mut self, calls: CallOptions) -> Self {
        self.calls = calls;
        self
    }
}

impl Version {
    /// As it stands in addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::V2Beta3 => "v2beta3",
            Self::V2Beta2 => "v2beta2",
        }
    }
}

impl TokenSource {
    /// Always the same token.
    pub fn fixed(token: impl Into<String>) -> Self {
        let token = token.into();
        Self::new(move || {
            let token = token.clone();
            async move { Ok(token) }
        })
    }

    /// Whatever `fetch` answers. Its error is told to whoever made the call.
    pub fn new<F>(fetch: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, String>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(fetch())))
    }

    pub(super) async fn token(&self) -> Result<String, crate::Error> {
        (self.0)()
            .await
            .map_err(|reason| crate::Error::Usage(format!("there is no token: {reason}")))
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource(…)")
    }
}
