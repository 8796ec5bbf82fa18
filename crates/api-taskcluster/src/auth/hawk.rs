//! Judging the requests of other services.

use std::sync::Arc;

use serde_json::json;
use taskyard_access::{HawkRequest, Outcome, authenticate};

use super::{Auth, iso};
use crate::call::Call;
use crate::error::ApiError;
use crate::reply::Reply;

pub(super) async fn authenticate_hawk(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    let port = call
        .payload
        .get("port")
        .and_then(serde_json::Value::as_f64)
        .unwrap_or_default();
    let request = HawkRequest {
        method: call.text("method"),
        target: call.text("resource"),
        host: call.text("host"),
        // The schema admits whole numbers up to 65535.
        port: port as u16,
        authorization: call
            .payload
            .get("authorization")
            .and_then(serde_json::Value::as_str),
    };
    let known = auth.directory.catch_up().await?;
    let find = |client_id: &str| known.client(client_id);
    Ok(Reply::json(
        &match authenticate(&request, call.now.millis(), &find, &known.roles) {
            Outcome::Success(sender) => {
                let mut body = json!({
                    "status": "auth-success",
                    "scheme": "hawk",
                    "clientId": sender.client_id,
                    "scopes": sender.scopes,
                    "expires": iso(sender.expires_ms),
                });
                if let (Some(hash), Some(body)) = (sender.hash, body.as_object_mut()) {
                    body.insert("hash".to_owned(), hash.into());
                }
                body
            }
            Outcome::Anonymous { scopes, expires_ms } => json!({
                "status": "no-auth",
                "scheme": "none",
                "scopes": scopes,
                "expires": iso(expires_ms),
            }),
            Outcome::Failed { message } => json!({"status": "auth-failed", "message": message}),
        },
    ))
}
