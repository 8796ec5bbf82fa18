use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::{self, HeaderValue};
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::job::PageInfo;
use super::options::Options;
use super::transport::{Request, Transport, path, query, usage};
use crate::Timestamp;

/// How this client calls itself.
const USER_AGENT: &str = "taskyard-stacks";

/// The tokens that stacks and agents come with, as whoever runs a Taskyard server makes them. The
/// real service has other means for this.
#[derive(Debug, Clone)]
pub struct ClusterTokens {
    transport: Transport,
    /// None if everybody may.
    authorization: Option<HeaderValue>,
}

/// A token that is to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NewClusterToken {
    /// What it is for.
    pub description: String,
    /// Queues it is good for; all if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<String>,
    /// When it stops working; never if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A token as it can be looked at later: without what it says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ClusterToken {
    /// Names it without giving it away.
    pub id: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Queues it is good for; all if there are none.
    #[serde(default)]
    pub queues: Vec<String>,
    /// Who made it.
    #[serde(default)]
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working; never if unset.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// A token that was just made. `Debug` does not show what it says.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct IssuedClusterToken {
    /// What is known of it.
    #[serde(flatten)]
    pub known: ClusterToken,
    /// What a stack or an agent comes with. The server never says it again.
    pub token: String,
}

#[derive(Debug, Deserialize)]
struct Listed {
    tokens: Vec<ClusterToken>,
    #[serde(default)]
    page_info: PageInfo,
}

impl ClusterTokens {
    /// The tokens of the deployment at `options.root_url`, in the name of the options' credentials.
    ///
    /// # Errors
    /// `Call` with `Usage` when an option is wrong, or the credentials are temporary.
    pub fn new(options: crate::Options) -> Result<Self, Error> {
        let authorization = match &options.credentials {
            None => None,
            Some(credentials) if credentials.certificate.is_some() => {
                let text = "tokens of stacks need permanent credentials, without a certificate";
                return Err(usage(text.to_owned()));
            }
            Some(credentials) => {
                let pair = format!("{}:{}", credentials.client_id, credentials.access_token);
                let basic = format!("Basic {}", STANDARD.encode(pair));
                // Base64 can stand in a header.
                HeaderValue::from_str(&basic).ok().map(|mut value| {
                    value.set_sensitive(true);
                    value
                })
            }
        };
        let own = Options {
            base_url: format!("{}/v3", options.root_url.trim_end_matches('/')),
            timeout: options.timeout,
            http: options.http,
            ..Options::new("")
        };
        Ok(Self {
            transport: Transport::new(own, USER_AGENT)?,
            authorization,
        })
    }

    /// Makes a token.
    ///
    /// # Errors
    /// `Refused` with 403 when the caller may not, or may not use the queues itself.
    pub async fn create(&self, token: &NewClusterToken) -> Result<IssuedClusterToken, Error> {
        let request = self.request(Method::POST, "stack-tokens".to_owned());
        Ok(self.transport.call(&request.json(token)?).await?.value)
    }

    /// All tokens, without what they say.
    ///
    /// # Errors
    /// `Refused` with 403 when the caller may not.
    pub async fn list(&self) -> Result<Vec<ClusterToken>, Error> {
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let mut path = "stack-tokens".to_owned();
            if !after.is_empty() {
                path.push_str(&query(&[("after", &after)]));
            }
            let request = self.request(Method::GET, path);
            let page: Listed = self.transport.call(&request).await?.value;
            all.extend(page.tokens);
            match page.page_info {
                PageInfo {
                    has_next_page: true,
                    end_cursor: Some(cursor),
                } => after = cursor,
                _ => return Ok(all),
            }
        }
    }

    /// Makes a token worthless. Agents that have registered with it stay until they leave.
    ///
    /// # Errors
    /// `Refused` with 404 when there is none of this id.
    pub async fn revoke(&self, id: &str) -> Result<(), Error> {
        let request = self.request(Method::DELETE, path(&["stack-tokens", id])?);
        self.transport.tell(&request).await.map(drop)
    }

    fn request(&self, method: Method, path: String) -> Request {
        let request = Request::new(method, path);
        match &self.authorization {
            Some(value) => request.header(header::AUTHORIZATION, value.clone()),
            None => request,
        }
    }
}

impl fmt::Debug for IssuedClusterToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedClusterToken")
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}
