use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bytes64::Base64;

/// An HTTP request that a task stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRequest {
    /// Where it goes.
    pub url: String,
    /// `POST` if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_method: Option<HttpMethod>,
    /// Its headers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Its body, absent in the basic view.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Base64>,
    /// An OAuth token goes with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth_token: Option<OAuthToken>,
    /// An identity token goes with it. Not together with the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oidc_token: Option<OidcToken>,
}

impl HttpRequest {
    /// A `POST` of `body`.
    pub fn post(url: impl Into<String>, body: impl Into<Base64>) -> Self {
        Self {
            url: url.into(),
            body: Some(body.into()),
            ..Self::default()
        }
    }

    /// The same with one more header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }
}

/// Methods of HTTP requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    #[serde(rename = "HTTP_METHOD_UNSPECIFIED")]
    Unspecified,
    Post,
    Get,
    Head,
    Put,
    Delete,
    Patch,
    Options,
}

/// An OAuth token for a Google API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OAuthToken {
    /// In whose name.
    pub service_account_email: String,
    /// What for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scope: String,
}

/// An identity token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OidcToken {
    /// In whose name.
    pub service_account_email: String,
    /// For whom; the target's address if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub audience: String,
}

/// A request to an App Engine application.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AppEngineRequest {
    /// `POST` if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_method: Option<HttpMethod>,
    /// Which part of the application it goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_engine_routing: Option<AppEngineRouting>,
    /// Path and query. v2 and v2beta3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_uri: Option<String>,
    /// Path and query. v2beta2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_url: Option<String>,
    /// Its headers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Its body. v2 and v2beta3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Base64>,
    /// Its body. v2beta2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Base64>,
}

/// A part of an App Engine application.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AppEngineRouting {
    /// The default one if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// The default one if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Any if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// What comes of it; the service sets it.
    #[serde(skip_serializing)]
    pub host: String,
}

/// What replaces parts of the addresses of a queue's tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UriOverride {
    /// `HTTP` or `HTTPS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// Host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Port, as a decimal number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_override: Option<PathOverride>,
    /// Query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_override: Option<QueryOverride>,
    /// `ALWAYS` (if unset) or `IF_NOT_EXISTS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri_override_enforce_mode: Option<String>,
}

/// A path that replaces another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathOverride {
    /// The path.
    pub path: String,
}

/// A query that replaces another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueryOverride {
    /// The query, without its question mark.
    pub query_params: String,
}

/// A header that a queue sets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeaderOverride {
    /// The header.
    pub header: Header,
}

/// A header.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
}
