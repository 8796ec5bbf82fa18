use std::fmt;
use std::time::Duration;

use super::retry::Retry;

/// The real service.
pub const DEFAULT_BASE_URL: &str = "https://agent.buildkite.com/v3/";

/// How the default queue of a cluster is called.
pub const DEFAULT_QUEUE: &str = "_default";

/// What a client of stacks needs to know. `Debug` does not show the token.
#[derive(Clone)]
pub struct Options {
    /// Where paths begin, such as `http://127.0.0.1:8080/v3`. Default [`DEFAULT_BASE_URL`].
    pub base_url: String,
    /// The agent token of a cluster.
    pub token: String,
    /// Put in front of the `User-Agent` that this crate sends.
    pub user_agent_prefix: Option<String>,
    /// Repetition of failed attempts.
    pub retry: Retry,
    /// Limit of one attempt. Default 60 s.
    pub timeout: Duration,
    /// Logs each request and answer at debug level, without tokens and values of variables.
    pub log_payloads: bool,
    /// Connection pool to use instead of an own one.
    pub http: Option<reqwest::Client>,
}

impl Options {
    /// The real service, with `token`.
    pub fn new(token: impl Into<String>) -> Self {
        Self {
            base_url: DEFAULT_BASE_URL.to_owned(),
            token: token.into(),
            user_agent_prefix: None,
            retry: Retry::default(),
            timeout: Duration::from_mins(1),
            log_payloads: false,
            http: None,
        }
    }

    /// The same, elsewhere.
    pub fn with_base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = base_url.into();
        self
    }

    /// The same, with another way to repeat attempts.
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// The same, with another limit of one attempt.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same, naming the program that calls.
    pub fn with_user_agent_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.user_agent_prefix = Some(prefix.into());
        self
    }

    /// The same, logging requests and answers.
    pub fn with_payload_log(mut self) -> Self {
        self.log_payloads = true;
        self
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("base_url", &self.base_url)
            .field("token", &"…")
            .field("user_agent_prefix", &self.user_agent_prefix)
            .field("retry", &self.retry)
            .field("timeout", &self.timeout)
            .field("log_payloads", &self.log_payloads)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_not_shown() {
        let shown = format!("{:?}", Options::new("bkct_secret"));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
