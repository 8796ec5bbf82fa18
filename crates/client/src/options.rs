use std::time::Duration;

use crate::{Credentials, Error, Retry};

/// What a client needs to know. Nothing is read from the environment unless
/// [`Options::from_env`] is called.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address of the deployment, for example `https://tasks.example.com`.
    pub root_url: String,
    /// Requests are signed when set, anonymous otherwise.
    pub credentials: Option<Credentials>,
    /// Limits signed requests to these scopes. An empty list leaves only anonymous rights, which
    /// differs from `None`.
    pub authorized_scopes: Option<Vec<String>>,
    /// Repetition of failed attempts.
    pub retry: Retry,
    /// Limit of one attempt. Default 30 s.
    pub timeout: Duration,
    /// Limit of one attempt to upload or download an artifact. Default 45 minutes, the life of an
    /// upload address.
    pub transfer_timeout: Duration,
    /// Milliseconds added to this machine's clock when signing, for servers whose clock differs.
    pub clock_offset_ms: i64,
    /// Connection pool to use instead of an own one. It must not follow redirects.
    pub http: Option<reqwest::Client>,
}

impl Options {
    /// Anonymous access to the deployment at `root_url`.
    pub fn new(root_url: impl Into<String>) -> Self {
        Self {
            root_url: root_url.into(),
            credentials: None,
            authorized_scopes: None,
            retry: Retry::default(),
            timeout: Duration::from_secs(30),
            transfer_timeout: Duration::from_mins(45),
            clock_offset_ms: 0,
            http: None,
        }
    }

    /// The same, signing with `credentials`.
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// The same, limited to `scopes`.
    pub fn with_authorized_scopes(mut self, scopes: Vec<String>) -> Self {
        self.authorized_scopes = Some(scopes);
        self
    }

    /// The same, with another way to repeat attempts.
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Root URL and credentials from `TASKCLUSTER_ROOT_URL`, `TASKCLUSTER_CLIENT_ID`,
    /// `TASKCLUSTER_ACCESS_TOKEN` and `TASKCLUSTER_CERTIFICATE`. Empty values count as unset.
    ///
    /// # Errors
    /// `Usage` when no root URL is set, or only a part of the credentials.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variables(&|name| std::env::var(name).ok())
    }

    /// As [`Options::from_env`], but inside a task: `TASKCLUSTER_PROXY_URL` comes first, and
    /// nothing is signed for it because the proxy adds the task's credentials itself.
    ///
    /// # Errors
    /// As [`Options::from_env`].
    pub fn from_env_with_proxy() -> Result<Self, Error> {
        Self::from_variables_with_proxy(&|name| std::env::var(name).ok())
    }

    fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let root_url = variable("TASKCLUSTER_ROOT_URL")
            .filter(|value| !value.is_empty())
            .ok_or_else(|| {
                Error::Usage(
                    "TASKCLUSTER_ROOT_URL is not set; set it to the address of the server, \
                     for example http://127.0.0.1:8080"
                        .to_owned(),
                )
            })?;
        let mut options = Self::new(root_url);
        options.credentials = Credentials::from_variables(variable)?;
        Ok(options)
    }

    fn from_variables_with_proxy(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, Error> {
        match variable("TASKCLUSTER_PROXY_URL").filter(|value| !value.is_empty()) {
            Some(proxy) => Ok(Self::new(proxy)),
            None => Self::from_variables(variable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "TASKCLUSTER_ROOT_URL" => Some("https://tc.example.com/".to_owned()),
            "TASKCLUSTER_PROXY_URL" => Some("http://taskcluster".to_owned()),
            "TASKCLUSTER_CLIENT_ID" => Some("me".to_owned()),
            "TASKCLUSTER_ACCESS_TOKEN" => Some("secret".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn the_environment_gives_root_url_and_credentials() {
        let options = Options::from_variables(&environment).unwrap();
        assert_eq!(options.root_url, "https://tc.example.com/");
        assert_eq!(options.credentials, Some(Credentials::new("me", "secret")));
    }

    #[test]
    fn the_proxy_gets_no_credentials() {
        let options = Options::from_variables_with_proxy(&environment).unwrap();
        assert_eq!(
            (options.root_url.as_str(), options.credentials),
            ("http://taskcluster", None)
        );
    }

    #[test]
    fn a_missing_root_url_names_the_variable() {
        let error = Options::from_variables(&|_| None).unwrap_err().to_string();
        assert!(error.contains("TASKCLUSTER_ROOT_URL"), "{error}");
    }
}
