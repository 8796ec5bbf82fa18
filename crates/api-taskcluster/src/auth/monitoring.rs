//! Is it there?

use std::sync::Arc;

use serde_json::json;

use super::Auth;
use crate::call::Call;
use crate::error::ApiError;
use crate::reply::Reply;

pub(super) async fn ping(auth: Arc<Auth>, _call: Call) -> Result<Reply, ApiError> {
    let uptime = auth.clock.now().since(auth.started).as_secs_f64();
    Ok(Reply::json(&json!({"alive": true, "uptime": uptime})))
}

pub(super) async fn heartbeat(_auth: Arc<Auth>, _call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::json(&json!({})))
}

pub(super) async fn version(_auth: Arc<Auth>, _call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::json(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": "",
        "source": "",
        "build": "",
    })))
}
