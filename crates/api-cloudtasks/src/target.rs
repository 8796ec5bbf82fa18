//! Where tasks are sent, between messages and the engine: requests' methods, headers and tokens, a
//! queue's overrides, App Engine routing.

use std::collections::BTreeMap;

use prost_reflect::{DynamicMessage, Value};
use taskyard_engine::cloud::{
    AppEngineRouting, Authorization, EnforceMode, HttpTarget, Method, Scheme, UriOverride,
};

use crate::failure::Failure;
use crate::message::{Fields, Kept as _, Put};
use crate::name::QueueName;

/// Bytes of all headers together: 80 KB.
const HEADERS: usize = 80 * 1024;
/// Longest URL.
pub(crate) const URL: usize = 2083;

/// What access tokens are for unless something else is asked for.
const DEFAULT_SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// The method of a field; `None` if it is not said.
pub(crate) fn method(message: &impl Fields) -> Result<Option<Method>, Failure> {
    Ok(Some(match message.choice("http_method") {
        0 => return Ok(None),
        1 => Method::Post,
        2 => Method::Get,
        3 => Method::Head,
        4 => Method::Put,
        5 => Method::Delete,
        6 => Method::Patch,
        7 => Method::Options,
        other => {
            let text = format!("{other} is not a valid HttpMethod.");
            return Err(Failure::invalid(text));
        }
    }))
}

pub(crate) fn put_method(message: &mut impl Put, method: Method) {
    let number = match method {
        Method::Post => 1,
        Method::Get => 2,
        Method::Head => 3,
        Method::Put => 4,
        Method::Delete => 5,
        Method::Patch => 6,
        Method::Options => 7,
    };
    message.set_choice("http_method", number);
}

/// The token of a request or a queue.
pub(crate) fn authorization<M: Fields>(message: &M) -> Result<Option<Authorization>, Failure> {
    let email = |token: &M, kind: &str| {
        let email = token.text("service_account_email");
        if email.is_empty() {
            return Err(Failure::invalid(format!(
                "{kind}.serviceAccountEmail is required."
            )));
        }
        Ok(email.to_owned())
    };
    if let Some(token) = message.child("oauth_token") {
        return Ok(Some(Authorization::OAuth {
            email: email(token, "OAuthToken")?,
            scope: token.text("scope").to_owned(),
        }));
    }
    let Some(token) = message.child("oidc_token") else {
        return Ok(None);
    };
    Ok(Some(Authorization::Oidc {
        email: email(token, "OidcToken")?,
        audience: token.text("audience").to_owned(),
    }))
}

pub(crate) fn put_authorization(message: &mut impl Put, authorization: &Authorization) {
    match authorization {
        Authorization::OAuth { email, scope } => message.put_child("oauth_token", |token| {
            token.put_text("service_account_email", email);
            token.put_text("scope", scope);
        }),
        Authorization::Oidc { email, audience } => message.put_child("oidc_token", |token| {
            token.put_text("service_account_email", email);
            token.put_text("audience", audience);
        }),
    }
}

/// In whose name a token is.
pub(crate) fn email(authorization: &Authorization) -> &str {
    match authorization {
        Authorization::OAuth { email, .. } | Authorization::Oidc { email, .. } => email,
    }
}

/// Headers that can be sent: names and values as HTTP allows them, and not too many bytes.
pub(crate) fn check_headers<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), Failure> {
    let mut bytes = 0;
    for (name, value) in headers {
        bytes += name.len() + value.len();
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            let text = format!("Header name \"{name}\" is not valid.");
            return Err(Failure::invalid(text));
        }
        if http::HeaderValue::from_str(value).is_err() {
            let text = format!("The value of header \"{name}\" is not valid.");
            return Err(Failure::invalid(text));
        }
    }
    if bytes >= HEADERS {
        return Err(Failure::invalid(
            "The headers must be smaller than 80 KB in total.",
        ));
    }
    Ok(())
}

/// Whether a header of a task is one that only the server sets.
pub(crate) fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let prefixes = ["x-cloudtasks-", "x-google-", "x-appengine-"];
    name == "host" || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// Headers of a task without those that only the server sets.
pub(crate) fn own_headers(given: BTreeMap<String, String>) -> Vec<(String, String)> {
    let own = given.into_iter().filter(|(name, _)| !is_reserved(name));
    own.collect()
}

/// What a queue replaces in the requests of its tasks.
pub(crate) fn http_target(message: &DynamicMessage) -> Result<HttpTarget, Failure> {
    let mut headers = Vec::new();
    for given in message.children("header_overrides") {
        if let Some(header) = given.child("header") {
            headers.push((
                header.text("key").to_owned(),
                header.text("value").to_owned(),
            ));
        }
    }
    check_headers(
        headers
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str())),
    )?;
    let authorization = authorization(message)?;
    match &authorization {
        Some(Authorization::OAuth { scope, .. }) if scope.is_empty() => {
            let text = "HttpTarget.oauthToken.scope is required.";
            return Err(Failure::invalid(text));
        }
        Some(Authorization::Oidc { audience, .. }) if audience.is_empty() => {
            let text = "HttpTarget.oidcToken.audience is required.";
            return Err(Failure::invalid(text));
        }
        _ => {}
    }
    let uri = message.child("uri_override").map(uri_override);
    Ok(HttpTarget {
        uri_override: uri.transpose()?,
        method: method(message)?,
        headers,
        authorization,
    })
}

fn uri_override(message: &DynamicMessage) -> Result<UriOverride, Failure> {
    let scheme = message.has("scheme").then(|| message.choice("scheme"));
    let scheme = match scheme {
        None => None,
        Some(0) => Some(Scheme::Unspecified),
        Some(1) => Some(Scheme::Http),
        Some(2) => Some(Scheme::Https),
        Some(other) => {
            let text = format!("{other} is not a valid UriOverride.Scheme.");
            return Err(Failure::invalid(text));
        }
    };
    let host = message.has("host").then(|| message.text("host"));
    if let Some(host) = host {
        // What an address takes apart again is no host.
        let is_host = !host.is_empty()
            && host.len() <= 253
            && !host.contains(['/', '?', '#', '@', '\\'])
            && !host.chars().any(|c| c.is_whitespace() || c.is_control());
        if !is_host {
            return Err(Failure::invalid("UriOverride.host is not a valid host."));
        }
    }
    let port = message.has("port").then(|| message.long("port"));
    if port.is_some_and(|port| !(0..=65_535).contains(&port)) {
        return Err(Failure::invalid(
            "UriOverride.port must be between 0 and 65535.",
        ));
    }
    let path = message.child("path_override").map(|it| it.text("path"));
    let query = message
        .child("query_override")
        .map(|it| it.text("query_params"));
    for part in [path, query].into_iter().flatten() {
        if part.len() > URL || part.chars().any(char::is_control) {
            return Err(Failure::invalid(
                "UriOverride.pathOverride or queryOverride is not a valid part of a URL.",
            ));
        }
    }
    let mode = match message.choice("uri_override_enforce_mode") {
        0 => EnforceMode::Unspecified,
        1 => EnforceMode::IfNotExists,
        2 => EnforceMode::Always,
        other => {
            let text = format!("{other} is not a valid UriOverrideEnforceMode.");
            return Err(Failure::invalid(text));
        }
    };
    Ok(UriOverride {
        scheme,
        host: host.map(str::to_owned),
        port,
        path: path.map(str::to_owned),
        query: query.map(str::to_owned),
        mode,
    })
}

pub(crate) fn put_http_target(message: &mut DynamicMessage, target: &HttpTarget) {
    if let Some(uri) = &target.uri_override {
        message.put_child("uri_override", |into| put_uri_override(into, uri));
    }
    if let Some(method) = target.method {
        put_method(message, method);
    }
    if !target.headers.is_empty()
        && let Some(empty) = list_element(message, "header_overrides")
    {
        let headers = target.headers.iter().map(|(key, value)| {
            let mut one = empty.clone();
            one.put_child("header", |header| {
                header.put_text("key", key);
                header.put_text("value", value);
            });
            Value::Message(one)
        });
        let headers = headers.collect();
        message.put("header_overrides", Value::List(headers));
    }
    if let Some(authorization) = &target.authorization {
        put_authorization(message, authorization);
    }
}

/// An empty message of the type of a repeated field.
pub(crate) fn list_element(message: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    message.empty_child(name)
}

fn put_uri_override(message: &mut DynamicMessage, uri: &UriOverride) {
    if let Some(scheme) = uri.scheme {
        let number = match scheme {
            Scheme::Unspecified => 0,
            Scheme::Http => 1,
            Scheme::Https => 2,
        };
        message.put("scheme", Value::EnumNumber(number));
    }
    if let Some(host) = &uri.host {
        message.put("host", Value::String(host.clone()));
    }
    if let Some(port) = uri.port {
        message.put("port", Value::I64(port));
    }
    if let Some(path) = &uri.path {
        message.put_child("path_override", |it| it.put_text("path", path));
    }
    if let Some(query) = &uri.query {
        message.put_child("query_override", |it| it.put_text("query_params", query));
    }
    let mode = match uri.mode {
        EnforceMode::Unspecified => return,
        EnforceMode::IfNotExists => 1,
        EnforceMode::Always => 2,
    };
    message.put("uri_override_enforce_mode", Value::EnumNumber(mode));
}

/// The scope of an access token, filled in where none was asked for.
pub(crate) fn with_default_scope(authorization: Authorization) -> Authorization {
    match authorization {
        Authorization::OAuth { email, scope } if scope.is_empty() => Authorization::OAuth {
            email,
            scope: DEFAULT_SCOPE.to_owned(),
        },
        other => other,
    }
}

/// The routing of App Engine tasks, with the host that follows from it.
pub(crate) fn routing(
    message: &impl Fields,
    queue: &QueueName,
) -> Result<AppEngineRouting, Failure> {
    let part = |name: &str| {
        let text = message.text(name);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if text.len() > 100 || !text.bytes().all(allowed) {
            return Err(Failure::invalid(format!(
                "AppEngineRouting.{name} must consist of letters, digits and hyphens."
            )));
        }
        Ok(text.to_owned())
    };
    let (service, version, instance) = (part("service")?, part("version")?, part("instance")?);
    let host = host(&service, &version, &instance, queue);
    Ok(AppEngineRouting {
        service,
        version,
        instance,
        host,
    })
}

/// `[[instance.]version.]service.]PROJECT.REGION.r.appspot.com`.
pub(crate) fn host(service: &str, version: &str, instance: &str, queue: &QueueName) -> String {
    let mut host = String::new();
    for part in [instance, version, service] {
        if !part.is_empty() {
            host.push_str(part);
            host.push('.');
        }
    }
    let (project, region) = (queue.project_id(), queue.location_id());
    format!("{host}{project}.{region}.r.appspot.com")
}

pub(crate) fn put_routing(message: &mut impl Put, name: &str, routing: &AppEngineRouting) {
    message.put_child(name, |into| {
        into.put_text("service", &routing.service);
        into.put_text("version", &routing.version);
        into.put_text("instance", &routing.instance);
        into.put_text("host", &routing.host);
    });
}
