//! Who sent a request: reads what a signature covers, and has it judged.

use std::cell::RefCell;
use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use taskyard_access::{
    Authenticated, Client, HawkRequest, Outcome, Roles, ScopeSet, Snapshot, authenticate,
    host_and_port,
};
use taskyard_engine::Timestamp;

use crate::error::{ApiError, Code};

/// A request as it was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) body: &'a [u8],
    /// Whether a proxy in front may tell port and protocol.
    pub(crate) trust_forwarded: bool,
}

/// Who sent it.
#[derive(Debug)]
pub(crate) enum Sender {
    /// Somebody without credentials, who may do what everybody may.
    Anonymous(ScopeSet),
    /// The holder of good credentials.
    Known(Authenticated),
}

/// What came of looking for the client whose secret a request hangs on.
#[derive(Debug)]
pub(crate) enum Lookup {
    /// It did not come to that.
    None,
    /// There is none of this id.
    Missed,
    /// This one.
    Found(Arc<Client>),
}

impl Sent<'_> {
    /// Finds out who sent the request, among all clients.
    pub(crate) fn judge(
        &self,
        now: Timestamp,
        known: &Snapshot,
    ) -> (Result<Sender, ApiError>, Lookup) {
        let lookup = RefCell::new(Lookup::None);
        let find = |client_id: &str| {
            let client = known.client(client_id);
            lookup.replace(client.clone().map_or(Lookup::Missed, Lookup::Found));
            client
        };
        let sender = self.sender(now, &find, &known.roles);
        (sender, lookup.into_inner())
    }

    /// Finds out who sent the request, among the clients that `find_client` knows.
    ///
    /// # Errors
    /// `AuthenticationFailed` for credentials that are not good.
    pub(crate) fn sender(
        &self,
        now: Timestamp,
        find_client: &dyn Fn(&str) -> Option<Arc<Client>>,
        roles: &Roles,
    ) -> Result<Sender, ApiError> {
        let headers = &self.parts.headers;
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let forwarded = |name: &str| header(name).filter(|_| self.trust_forwarded);
        // HTTP/2 has the host in the target.
        let uri = &self.parts.uri;
        let host = uri
            .authority()
            .map_or_else(|| header("host"), |host| Some(host.as_str()));
        let request_without_host = HawkRequest {
            method: self.parts.method.as_str(),
            target: uri.path_and_query().map_or("/", |target| target.as_str()),
            host: "",
            port: 0,
            authorization: authorization(headers)?,
        };
        if request_without_host.has_two_schemes() {
            return Err(refused("Cannot use two schemes of authentication at once."));
        }
        let (port, protocol) = (
            forwarded("x-forwarded-port"),
            forwarded("x-forwarded-proto"),
        );
        let at = host_and_port(host, port, protocol, false)
            .map_err(|error| refused(error.to_string()))?;
        let request = HawkRequest {
            host: &at.host,
            port: at.port,
            ..request_without_host
        };
        match authenticate(&request, now.millis(), find_client, roles) {
            Outcome::Anonymous { scopes, .. } => Ok(Sender::Anonymous(scopes)),
            Outcome::Failed { message } => Err(refused(message)),
            Outcome::Success(sender) => {
                if let Some(hash) = &sender.hash {
                    let content_type = content_type(headers);
                    // Only JSON bodies are covered, as upstream reads no others.
                    let covered = if content_type == "application/json" {
                        self.body
                    } else {
                        &[]
                    };
                    if !taskyard_access::payload_hash_matches(hash, content_type, covered) {
                        return Err(refused("Invalid payload hash"));
                    }
                }
                Ok(Sender::Known(sender))
            }
        }
    }
}

fn refused(text: impl Into<String>) -> ApiError {
    ApiError::new(Code::AuthenticationFailed, text)
}

fn authorization(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let first = all.next();
    if all.next().is_some() {
        return Err(refused("Bad Request: several Authorization headers"));
    }
    match first.map(HeaderValue::to_str) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(_)) => Err(refused("Bad Request: Invalid header syntax")),
    }
}

/// The media type without its parameters, as sent; empty if there is none.
pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim()
}
