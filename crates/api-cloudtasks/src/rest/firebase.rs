//! The paths without a version that Firebase's libraries and tools use with an emulator: tasks are
//! created and deleted as in v2, and queues are registered with the address of their function.

use axum::response::Response;
use http::Method;
use http::request::Parts as Head;
use prost_reflect::ReflectMessage as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::route::{Found, Routes};
use super::{json as codec, respond};
use crate::failure::Failure;
use crate::message::Kept as _;
use crate::service::{Asked, CloudTasks};
use crate::version::Version;

/// A queue of functions, as the tools register it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Registration {
    #[serde(default)]
    rate_limits: Option<Value>,
    #[serde(default)]
    retry_config: Option<Retry>,
    #[serde(default)]
    default_uri: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Retry {
    max_attempts: Option<i32>,
    max_retry_seconds: Option<f64>,
    max_backoff_seconds: Option<f64>,
    max_doublings: Option<i32>,
    min_backoff_seconds: Option<f64>,
}

/// The method at a path without a version, which works as in v2.
pub(super) fn find(routes: &Routes, method: &Method, path: &str) -> Option<Found> {
    let found = routes.find_below(Version::V2, method, path.strip_prefix('/')?)?;
    let is_known = matches!(
        found.call.row.rpc,
        crate::rpc::Rpc::CreateTask | crate::rpc::Rpc::DeleteTask
    );
    is_known.then_some(found)
}

/// The queue that is registered by a POST to its own path.
pub(super) fn queue_at(method: &Method, path: &str) -> Option<String> {
    let name = path.strip_prefix('/')?;
    let parts: Vec<&str> = name.split('/').collect();
    let is_queue = matches!(
        parts.as_slice(),
        ["projects", _, "locations", _, "queues", id] if !id.contains(':')
    );
    (is_queue && method == Method::POST).then(|| name.to_owned())
}

/// Makes a queue, or changes it, as `body` says.
pub(super) async fn register(
    service: &CloudTasks,
    head: &Head,
    name: &str,
    body: &[u8],
) -> Result<Response, Failure> {
    let path = "/google.cloud.tasks.v2.CloudTasks/UpdateQueue";
    let call = service.schema().at(path).cloned();
    let call = call.ok_or_else(Failure::invalid_resource)?;
    let caller = service.caller(head, &call)?;
    let registration: Registration = serde_json::from_slice(body)
        .map_err(|error| Failure::invalid(format!("Invalid JSON payload received. {error}")))?;
    let request = json!({ "queue": registration.queue(name)? });
    let text = serde_json::to_vec(&request).unwrap_or_default();
    let mut message = codec::read(&text, call.input.clone())?;
    // Replaced as a whole: what is not said returns to its default.
    message.clear_field_by_name("update_mask");
    debug_assert!(message.has("queue") && message.descriptor() == call.input);
    let output = call.output.clone();
    let asked = Asked {
        call,
        caller,
        message,
        raw: None,
        by_rest: true,
    };
    respond(service.handle(asked).await?, output, false)
}

impl Registration {
    /// The queue as JSON of v2. The function's address is used where a task has none of its own.
    fn queue(self, name: &str) -> Result<Value, Failure> {
        let mut queue = json!({ "name": name });
        if let Some(limits) = self.rate_limits {
            queue["rateLimits"] = limits;
        }
        if let Some(retry) = self.retry_config {
            let seconds = |seconds: Option<f64>| seconds.map(|seconds| format!("{seconds}s"));
            queue["retryConfig"] = json!({
                "maxAttempts": retry.max_attempts,
                "maxRetryDuration": seconds(retry.max_retry_seconds),
                "maxBackoff": seconds(retry.max_backoff_seconds),
                "maxDoublings": retry.max_doublings,
                "minBackoff": seconds(retry.min_backoff_seconds),
            });
        }
        if let Some(uri) = self.default_uri.filter(|uri| !uri.is_empty()) {
            let uri: http::Uri = uri
                .parse()
                .map_err(|_| Failure::invalid("defaultUri is not a valid URI."))?;
            let host = uri.host();
            let host = host.ok_or_else(|| Failure::invalid("defaultUri has no host."))?;
            let scheme = if uri.scheme_str() == Some("http") {
                "HTTP"
            } else {
                "HTTPS"
            };
            queue["httpTarget"] = json!({"uriOverride": {
                "scheme": scheme,
                "host": host,
                "port": uri.port_u16().map(|port| port.to_string()),
                "pathOverride": {"path": uri.path()},
                "queryOverride": uri.query().map(|query| json!({"queryParams": query})),
                "uriOverrideEnforceMode": "IF_NOT_EXISTS",
            }});
        }
        Ok(queue)
    }
}
