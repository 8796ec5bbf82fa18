//! Is a service there, and which build of it? The same for every service.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::call::Call;
use crate::error::ApiError;
use crate::method::Verb::Get;
use crate::method::{Method, handler};
use crate::reply::Reply;

/// A service that knows since when it answers.
pub(crate) trait Monitored: Send + Sync + 'static {
    /// How long it has been answering.
    fn uptime(&self) -> Duration;
}

/// The methods that every service's table of contents begins with.
pub(crate) fn methods<S: Monitored>() -> Vec<Method<S>> {
    let method = |name, path, handler, title, description| {
        Method::new(name, Get, path, handler).about("Monitoring", title, description)
    };
    vec![
        method(
            "ping",
            "/ping",
            handler!(ping),
            "Ping",
            "Answers without any work; tells that the service is reachable.",
        ),
        method(
            "lbheartbeat",
            "/__lbheartbeat__",
            handler!(heartbeat),
            "Load-balancer heartbeat",
            "Answers without any work.",
        ),
        method(
            "heartbeat",
            "/__heartbeat__",
            handler!(heartbeat),
            "Heartbeat",
            "Answers without any work.",
        ),
        method(
            "version",
            "/__version__",
            handler!(version),
            "Version",
            "Tells which build answers.",
        ),
    ]
}

async fn ping<S: Monitored>(service: Arc<S>, _call: Call) -> Result<Reply, ApiError> {
    let uptime = service.uptime().as_secs_f64();
    Ok(Reply::json(&json!({"alive": true, "uptime": uptime})))
}

async fn heartbeat<S: Monitored>(_service: Arc<S>, _call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::json(&json!({})))
}

async fn version<S: Monitored>(_service: Arc<S>, _call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::json(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": "",
        "source": "",
        "build": "",
    })))
}
