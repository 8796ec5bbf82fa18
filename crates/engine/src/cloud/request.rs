//! What a task asks for: a request to a handler, or a message to be fetched.

use serde::{Deserialize, Serialize};

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Method {
    /// POST
    #[default]
    Post,
    /// GET
    Get,
    /// HEAD
    Head,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// PATCH
    Patch,
    /// OPTIONS
    Options,
}

impl Method {
    /// The method as it is sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Post => "POST",
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Patch => "PATCH",
            Method::Options => "OPTIONS",
        }
    }
}

/// Which token a request carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authorization {
    /// An access token for a scope.
    OAuth {
        /// In whose name.
        email: String,
        /// For what; empty means the default scope.
        scope: String,
    },
    /// An identity token for an audience.
    Oidc {
        /// In whose name.
        email: String,
        /// For whom; empty means the URL of the request.
        audience: String,
    },
}

/// A request to a URL.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HttpRequest {
    /// Where to.
    pub url: String,
    /// How.
    pub method: Method,
    /// Names as they were given, in their order.
    pub headers: Vec<(String, String)>,
    /// The body; empty where only the rest was asked for.
    #[serde(skip)]
    pub body: Vec<u8>,
    /// Which token it carries.
    pub authorization: Option<Authorization>,
}

/// Which part of an App Engine application handles a task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AppEngineRouting {
    /// The service; empty for the default one.
    pub service: String,
    /// The version; empty for the default one.
    pub version: String,
    /// The instance; empty for any.
    pub instance: String,
    /// The host that follows from these.
    pub host: String,
}

/// A request to an App Engine application.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AppEngineRequest {
    /// How.
    pub method: Method,
    /// To which part of the application.
    pub routing: AppEngineRouting,
    /// Path and query; empty means `/`.
    pub relative_uri: String,
    /// Names as they were given, in their order.
    pub headers: Vec<(String, String)>,
    /// The body; empty where only the rest was asked for.
    #[serde(skip)]
    pub body: Vec<u8>,
}

/// A message to be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PullMessage {
    /// The message; empty where only the rest was asked for.
    #[serde(skip)]
    pub payload: Vec<u8>,
    /// What leases can be filtered by; may be empty.
    pub tag: String,
}

/// What a task asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// A request to a URL.
    Http(HttpRequest),
    /// A request to an App Engine application.
    AppEngine(AppEngineRequest),
    /// A message to be fetched.
    Pull(PullMessage),
}

impl Payload {
    /// The bytes of it.
    pub fn body(&self) -> &[u8] {
        match self {
            Payload::Http(request) => &request.body,
            Payload::AppEngine(request) => &request.body,
            Payload::Pull(message) => &message.payload,
        }
    }

    /// Takes the bytes out of it.
    pub fn take_body(&mut self) -> Vec<u8> {
        match self {
            Payload::Http(request) => std::mem::take(&mut request.body),
            Payload::AppEngine(request) => std::mem::take(&mut request.body),
            Payload::Pull(message) => std::mem::take(&mut message.payload),
        }
    }

    /// The same with these bytes.
    pub(super) fn with_body(mut self, bytes: Vec<u8>) -> Self {
        match &mut self {
            Payload::Http(request) => request.body = bytes,
            Payload::AppEngine(request) => request.body = bytes,
            Payload::Pull(message) => message.payload = bytes,
        }
        self
    }

    /// Whether it is fetched rather than sent.
    pub fn is_pull(&self) -> bool {
        matches!(self, Payload::Pull(_))
    }
}

/// Scheme of an overridden URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheme {
    /// Not said, which means https.
    Unspecified,
    /// http
    Http,
    /// https
    Https,
}

/// When a part of the URL is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum EnforceMode {
    /// Not said, which means always.
    #[default]
    Unspecified,
    /// Only where the task's URL has no such part.
    IfNotExists,
    /// Whatever the task's URL says.
    Always,
}

/// Parts of a URL that a queue replaces. `None` leaves the task's own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UriOverride {
    /// The scheme.
    pub scheme: Option<Scheme>,
    /// The host.
    pub host: Option<String>,
    /// The port; 0 removes it.
    pub port: Option<i64>,
    /// The path.
    pub path: Option<String>,
    /// The query.
    pub query: Option<String>,
    /// When.
    pub mode: EnforceMode,
}

/// What a queue replaces in the requests of its HTTP tasks, at the time they are sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HttpTarget {
    /// Parts of the URL.
    pub uri_override: Option<UriOverride>,
    /// The method.
    pub method: Option<Method>,
    /// Headers that are set, in their order.
    pub headers: Vec<(String, String)>,
    /// The token.
    pub authorization: Option<Authorization>,
}
