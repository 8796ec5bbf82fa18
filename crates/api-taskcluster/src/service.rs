//! What all services do alike: find the method, read the body, authenticate, authorize, validate,
//! answer.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, StatusCode};
use serde_json::{Map, Value, json};
use taskyard_access::{Directory, ScopeSet};
use taskyard_engine::Timestamp;
use taskyard_engine::clock::Clock;

use crate::authentication::{Lookup, Sender, Sent, content_type};
use crate::call::{Call, Caller, Original, authorize};
use crate::compression;
use crate::error::{ApiError, Code, RequestInfo};
use crate::method::{Method, Output};
use crate::parameter;
use crate::reply::Reply;
use crate::route::{Match, Params};
use crate::schema::{Schema, Schemas};

/// Largest request body: 10 MiB, inclusive.
const BODY_LIMIT: usize = 10 * 1024 * 1024;

/// What every service needs.
#[derive(Debug, Clone)]
pub struct Context {
    /// The server's clock.
    pub clock: Clock,
    /// Who may do what.
    pub directory: Arc<Directory>,
    /// All schemas.
    pub schemas: Arc<Schemas>,
    /// Whether `X-Forwarded-Port` and `X-Forwarded-Proto` are believed: only where the listener
    /// takes them away from requests that no trusted proxy sent.
    pub trust_forwarded: bool,
}

/// One service: its table of contents, and the state its handlers share.
#[derive(Debug)]
pub struct Service<S> {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    pub(crate) methods: Vec<Method<S>>,
    /// The full name of each method's input schema, in the same order.
    inputs: Vec<Option<String>>,
    state: Arc<S>,
    context: Context,
    headers: HeaderMap,
    prefix_length: usize,
}

impl Context {
    /// Who calls. A client that is not known here may have been made on another node a moment
    /// ago, so it is looked for once more.
    pub(crate) async fn authenticate(
        &self,
        sent: Sent<'_>,
        now: Timestamp,
    ) -> Result<Caller, ApiError> {
        let directory = &self.directory;
        let (mut sender, mut lookup) = sent.judge(now, &directory.snapshot());
        if matches!(lookup, Lookup::Missed) {
            let known = directory.catch_up().await?;
            (sender, lookup) = sent.judge(now, &known);
        }
        let sender = sender?;
        if let Lookup::Found(client) = lookup {
            directory.note_use(&client.client_id, now.millis());
        }
        Ok(match sender {
            Sender::Anonymous(scopes) => Caller {
                client_id: None,
                scopes,
            },
            Sender::Known(sender) => Caller {
                client_id: Some(sender.client_id),
                scopes: sender.scopes,
            },
        })
    }
}

/// Who asks for what, beside the body.
struct Asked<'a> {
    caller: Caller,
    params: Arc<Params>,
    /// As it stands in the URL.
    query: &'a str,
    is_json: bool,
    original: Option<Arc<Original>>,
}

impl<S: Send + Sync + 'static> Service<S> {
    pub(crate) fn new(
        name: &'static str,
        (title, description): (&'static str, &'static str),
        methods: Vec<Method<S>>,
        state: S,
        context: Context,
    ) -> Self {
        let inputs = methods
            .iter()
            .map(|method| Some(format!("{name}/{}", method.input?)))
            .collect();
        let state = Arc::new(state);
        let headers = shared_headers();
        Service {
            name,
            title,
            description,
            methods,
            inputs,
            state,
            context,
            headers,
            prefix_length: prefix(name).len(),
        }
    }

    /// The path that all methods begin with.
    pub fn prefix(&self) -> String {
        prefix(self.name)
    }

    /// Answers a request whose path begins with [`Service::prefix`].
    pub async fn answer(&self, request: Request<Body>) -> Response {
        let (parts, body) = request.into_parts();
        let mut reply = self.dispatch(&parts, body).await;
        if let Some(trace) = parts.headers.get("x-taskcluster-trace-id")
            && let Ok(trace) = trace.to_str()
        {
            reply = reply.with_header("x-for-trace-id", trace);
        }
        reply.into_response(&self.headers)
    }

    async fn dispatch(&self, parts: &Parts, body: Body) -> Reply {
        let path = parts.uri.path();
        let rest = path.get(self.prefix_length..).unwrap_or_default();
        let segments: Vec<&str> = rest.split('/').skip(1).collect();
        if parts.method == http::Method::OPTIONS {
            return self.options(&segments);
        }
        let found = self.methods.iter().enumerate().find_map(|(at, method)| {
            if !method.verb.is(&parts.method) {
                return None;
            }
            match method.route.matches(&segments) {
                Match::No => None,
                Match::Undecodable => Some((at, None)),
                Match::Yes(params) => Some((at, Some(params))),
            }
        });
        let Some((mut at, params)) = found else {
            return not_found();
        };
        let Some(mut method) = self.methods.get(at) else {
            return not_found();
        };
        let now = self.context.clock.now().trunc_millis();
        let mut info = RequestInfo {
            method: method.name,
            params: Arc::default(),
            payload: Arc::new(json!({})),
            time: now,
        };
        let Some(params) = params else {
            let error = ApiError::new(
                Code::InvalidRequestArguments,
                "The path has an escape that is no UTF-8.",
            );
            return error.into_reply(info);
        };
        let params = Arc::new(params);
        info.params = Arc::clone(&params);
        let body = match read(parts, body, &mut info).await {
            Ok(body) => body,
            Err(error) => return error.into_reply(info.without(method.secret)),
        };
        if method.told_by.is_some() {
            (at, method) = self.told_apart(at, method, &info.payload);
            info.method = method.name;
        }
        let schema = self.inputs.get(at).and_then(Option::as_deref);
        let schema = schema.and_then(|name| self.context.schemas.get(name));
        match self
            .run(parts, body, method, schema, params, &mut info)
            .await
        {
            Ok(reply) => reply,
            Err(error) => error.into_reply(info.without(method.secret)),
        }
    }

    /// The steps in the order in which their errors win.
    async fn run(
        &self,
        parts: &Parts,
        bytes: Bytes,
        method: &Method<S>,
        schema: Option<&Schema>,
        params: Arc<Params>,
        info: &mut RequestInfo,
    ) -> Result<Reply, ApiError> {
        let caller = match &method.scopes {
            Some(_) => {
                let trust_forwarded = self.context.trust_forwarded;
                let sent = Sent {
                    parts,
                    body: &bytes,
                    trust_forwarded,
                };
                self.context.authenticate(sent, info.time).await?
            }
            // Without scopes nobody looks at credentials at all.
            None => Caller {
                client_id: None,
                scopes: ScopeSet::default(),
            },
        };
        let original = method.sees_original.then(|| {
            let trust_forwarded = self.context.trust_forwarded;
            Arc::new(Original {
                parts: parts.clone(),
                body: bytes,
                trust_forwarded,
            })
        });
        let asked = Asked {
            caller,
            params,
            query: parts.uri.query().unwrap_or_default(),
            is_json: is_json(&parts.headers),
            original,
        };
        self.serve(method, schema, asked, info).await
    }

    /// Authorizes, validates and handles, for a caller that is known; the body is in `info`.
    async fn serve(
        &self,
        method: &Method<S>,
        schema: Option<&Schema>,
        asked: Asked<'_>,
        info: &mut RequestInfo,
    ) -> Result<Reply, ApiError> {
        let Asked { caller, params, .. } = asked;
        if let Some(expression) = &method.scopes
            && method.early
        {
            authorize(&caller, expression, &params, &[])?;
        }
        check_params(self.name, &params)?;
        let query = read_query(asked.query, method.query)?;
        if let Some(input) = method.input {
            if !asked.is_json {
                return Err(ApiError::new(
                    Code::MalformedPayload,
                    "This method takes a JSON body: send it with Content-Type: application/json.",
                ));
            }
            let schema = schema.ok_or_else(|| ApiError::internal(format!("no schema {input}")))?;
            // Defaults are filled in, so errors repeat the body with them.
            let checked = schema.validate(Arc::make_mut(&mut info.payload));
            checked.map_err(|violations| self.invalid(input, &violations))?;
        }
        let call = Call {
            now: info.time,
            caller,
            scopes: method.scopes.clone(),
            params,
            query,
            payload: Arc::clone(&info.payload),
            original: asked.original,
        };
        (method.handler)(Arc::clone(&self.state), call).await
    }

    /// Calls a method from within the server, as `caller`: it is authorized and validated as every
    /// request is.
    pub(crate) async fn call(
        &self,
        name: &'static str,
        params: Params,
        payload: Value,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let known = self.methods.iter().position(|method| method.name == name);
        let known = known.and_then(|at| Some((self.methods.get(at)?, self.inputs.get(at)?)));
        let (method, input) =
            known.ok_or_else(|| ApiError::internal(format!("no method {name}")))?;
        let schema = input.as_deref();
        let schema = schema.and_then(|name| self.context.schemas.get(name));
        let mut info = RequestInfo {
            method: name,
            params: Arc::default(),
            payload: Arc::new(payload),
            time: self.context.clock.now().trunc_millis(),
        };
        let asked = Asked {
            caller,
            params: Arc::new(params),
            query: "",
            is_json: true,
            original: None,
        };
        self.serve(method, schema, asked, &mut info).await
    }

    /// Of several methods at one verb and route the one that the body is for.
    fn told_apart<'a>(
        &'a self,
        first: usize,
        fallback: &'a Method<S>,
        payload: &Value,
    ) -> (usize, &'a Method<S>) {
        let meant = self.methods.iter().enumerate().skip(first).find(|(_, it)| {
            it.verb == fallback.verb
                && it.path == fallback.path
                && it.told_by.is_some_and(|field| payload.get(field).is_some())
        });
        meant.unwrap_or((first, fallback))
    }

    fn invalid(&self, input: &str, violations: &[crate::schema::Violation]) -> ApiError {
        let list: Vec<String> = violations
            .iter()
            .map(|each| format!("  * {each}"))
            .collect();
        let url = self.context.schemas.url(&format!("{}/{input}", self.name));
        ApiError::new(
            Code::InputValidationError,
            format!(
                "Schema Validation Failed!\nRejecting Schema: {url}\nErrors:\n{}",
                list.join("\n")
            ),
        )
    }

    fn options(&self, segments: &[&str]) -> Reply {
        let mut allowed: Vec<String> = Vec::new();
        for method in &self.methods {
            if method.route.matches(segments) != Match::No {
                allowed.push(method.verb.as_str().to_uppercase());
            }
        }
        if allowed.is_empty() {
            return not_found();
        }
        if allowed.iter().any(|verb| verb == "GET") {
            allowed.push("HEAD".to_owned());
        }
        allowed.push("OPTIONS".to_owned());
        allowed.sort();
        allowed.dedup();
        let allowed = allowed.join(", ");
        Reply::text(allowed.clone()).with_header("allow", &allowed)
    }

    /// The service's reference document.
    pub fn reference(&self) -> Value {
        let entries: Vec<Value> = {
            let published = self.methods.iter().filter(|method| method.published);
            published.map(entry).collect()
        };
        json!({
            "$schema": "/schemas/common/api-reference-v0.json#",
            "title": self.title,
            "description": self.description,
            "serviceName": self.name,
            "apiVersion": "v1",
            "entries": entries,
        })
    }
}

fn prefix(service: &str) -> String {
    format!("/api/{service}/v1")
}

fn entry<S>(method: &Method<S>) -> Value {
    let mut entry = Map::new();
    let mut put = |name: &str, value: Value| drop(entry.insert(name.to_owned(), value));
    put("type", "function".into());
    put("method", method.verb.as_str().into());
    put("route", method.path.into());
    put("query", method.query.into());
    put("args", method.route.parameters().collect::<Vec<_>>().into());
    put("name", method.name.into());
    put("stability", method.stability.as_str().into());
    put("category", method.category.into());
    if let Some(scopes) = &method.scopes {
        put(
            "scopes",
            serde_json::to_value(&**scopes).unwrap_or_default(),
        );
    }
    if let Some(input) = method.input {
        put("input", input.into());
    }
    if let Output::Schema(output) = method.output {
        put("output", output.into());
    }
    put("title", method.title.into());
    put("description", method.description.into());
    Value::Object(entry)
}

pub(crate) fn not_found() -> Reply {
    Reply::json(&json!({"error": "Not found"})).with_status(StatusCode::NOT_FOUND)
}

/// Headers that every answer of every service carries.
pub(crate) fn shared_headers() -> HeaderMap {
    let pairs = [
        ("cache-control", "no-store no-cache must-revalidate"),
        ("access-control-allow-origin", "*"),
        ("access-control-max-age", "900"),
        (
            "access-control-allow-methods",
            "OPTIONS,GET,HEAD,POST,PUT,DELETE,TRACE,CONNECT",
        ),
        ("access-control-request-method", "*"),
        (
            "access-control-allow-headers",
            "X-Requested-With,Content-Type,Authorization,Accept,Origin,Cache-Control",
        ),
        ("x-content-type-options", "nosniff"),
        (
            "content-security-policy",
            "report-uri /__cspreport__;default-src 'none';frame-ancestors 'none';",
        ),
    ];
    pairs
        .into_iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect()
}

fn is_json(headers: &HeaderMap) -> bool {
    content_type(headers) == "application/json"
}

/// Reads the body, and parses it into `info`.
async fn read(parts: &Parts, body: Body, info: &mut RequestInfo) -> Result<Bytes, ApiError> {
    let bytes = read_body(&parts.headers, body).await?;
    info.payload = Arc::new(parse(&bytes, is_json(&parts.headers), info)?);
    Ok(bytes)
}

/// The body as it was before its sender compressed it; signatures cover that, too.
async fn read_body(headers: &HeaderMap, body: Body) -> Result<Bytes, ApiError> {
    use taskyard_http::body::{Error, IDLE, read};
    let sent = read(body, BODY_LIMIT, IDLE).await.map_err(|error| {
        let code = match error {
            Error::TooLarge { .. } => Code::InputTooLarge,
            Error::Aborted | Error::Stalled { .. } => Code::MalformedPayload,
        };
        ApiError::new(code, error.to_string())
    })?;
    compression::undo(headers, sent, BODY_LIMIT).await
}

/// The body as JSON; an empty object if there is none.
fn parse(bytes: &[u8], is_json: bool, info: &mut RequestInfo) -> Result<Value, ApiError> {
    if !is_json || bytes.is_empty() {
        return Ok(json!({}));
    }
    let malformed = |text: String, info: &mut RequestInfo| {
        info.payload = Arc::new(String::from_utf8_lossy(bytes).into());
        ApiError::new(Code::MalformedPayload, text)
    };
    match serde_json::from_slice::<Value>(bytes) {
        Ok(payload @ (Value::Object(_) | Value::Array(_))) => {
            if has_nul(bytes) {
                return Err(malformed(
                    "The body has a NUL character (\\u0000), which cannot be stored.".to_owned(),
                    info,
                ));
            }
            Ok(payload)
        }
        Ok(_) => Err(malformed(
            "The body must be a JSON object or array.".to_owned(),
            info,
        )),
        Err(error) => Err(malformed(format!("The body is not JSON: {error}"), info)),
    }
}

/// Whether a JSON text may have `\u0000` in a string. PostgreSQL cannot store one. An escaped
/// backslash before `u0000` is a false alarm worth looking at closely, so backslashes are counted.
fn has_nul(json: &[u8]) -> bool {
    memchr::memmem::find_iter(json, br"\u0000").any(|at| {
        let before = json.get(..at).unwrap_or_default();
        let is_backslash = |byte: &&u8| **byte == b'\\';
        before.iter().rev().take_while(is_backslash).count() % 2 == 0
    })
}

fn check_params(service: &str, params: &Params) -> Result<(), ApiError> {
    let problems: Vec<String> = params
        .iter()
        .filter_map(|(name, value)| {
            let pattern = parameter::of_parameter(service, name);
            (!pattern.matches(value)).then(|| {
                format!(
                    "URL parameter '{name}' is '{value}', which does not match {}",
                    pattern.text()
                )
            })
        })
        .collect();
    problems_to_error(&problems)
}

/// The pairs of a query string, decoded.
pub(crate) fn read_pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode_form(name), decode_form(value))
        })
        .collect()
}

fn read_query(
    query: &str,
    allowed: &'static [&'static str],
) -> Result<Vec<(String, String)>, ApiError> {
    let mut values: Vec<(String, String)> = Vec::new();
    let mut problems = Vec::new();
    for (name, value) in read_pairs(query) {
        if name == "bewit" {
            continue;
        }
        if !allowed.contains(&name.as_str()) {
            problems.push(format!(
                "Query-string parameter '{name}' is not known to this method"
            ));
        } else if values.iter().any(|(known, _)| *known == name) {
            problems.push(format!(
                "Query-string parameter '{name}' must be a string, given once"
            ));
        } else {
            let pattern = parameter::of_query(&name);
            if !pattern.matches(&value) {
                problems.push(format!(
                    "Query-string parameter '{name}' is '{value}', which does not match {}",
                    pattern.text()
                ));
            }
            values.push((name, value));
        }
    }
    problems_to_error(&problems)?;
    Ok(values)
}

fn problems_to_error(problems: &[String]) -> Result<(), ApiError> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(ApiError::new(
            Code::InvalidRequestArguments,
            problems.join("\n"),
        ))
    }
}

/// Decodes a piece of a query string, where `+` is a space; what is no escape stays as it is.
fn decode_form(raw: &str) -> String {
    let mut bytes = Vec::with_capacity(raw.len());
    let raw = raw.as_bytes();
    let mut at = 0;
    while let Some(byte) = raw.get(at) {
        let digit = |at: usize| (*raw.get(at)? as char).to_digit(16);
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                at += 3;
                continue;
            }
            (b'+', _, _) => bytes.push(b' '),
            (other, _, _) => bytes.push(*other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_found_and_an_escaped_backslash_is_none() {
        assert!(has_nul(br#"{"a":"x\u0000"}"#));
        assert!(!has_nul(br#"{"a":"x\\u0000"}"#));
        assert!(has_nul(br#"{"a":"x\\\u0000"}"#));
    }

    #[test]
    fn queries_are_checked_all_at_once() {
        let error = read_query("limit=x&foo=1&limit=3", &["limit"]).expect_err("three problems");
        assert_eq!(error.message.lines().count(), 3, "{}", error.message);
        let read = read_query("continuationToken=a%20b+c&bewit=x", &["continuationToken"]);
        assert_eq!(
            read,
            Ok(vec![("continuationToken".to_owned(), "a b c".to_owned())])
        );
    }
}
