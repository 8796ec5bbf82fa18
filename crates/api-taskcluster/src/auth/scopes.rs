//! What scopes amount to.

use std::sync::Arc;

use serde_json::json;

use super::{Auth, list};
use crate::call::Call;
use crate::error::ApiError;
use crate::reply::Reply;

pub(super) async fn expand_scopes(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    let scopes = list(&call, "scopes").unwrap_or_default();
    let known = auth.directory.catch_up().await?;
    Ok(Reply::json(&json!({"scopes": known.roles.expand(&scopes)})))
}

pub(super) async fn current_scopes(_auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::json(&json!({"scopes": call.caller.scopes})))
}
