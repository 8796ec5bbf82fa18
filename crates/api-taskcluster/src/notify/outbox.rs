//! What was sent, waits to be sent, or is kept because there is nothing to send it with.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use taskyard_engine::notification::{self, Notification};

use super::Notify;
use crate::call::Call;
use crate::error::ApiError;
use crate::paging;
use crate::reply::Reply;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    notifications: Vec<Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continuation_token: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    number: i64,
    kind: String,
    address: String,
    created: String,
    state: String,
    attempts: i64,
    error: String,
    body: Value,
}

impl From<Notification> for Shown {
    fn from(notification: Notification) -> Self {
        Shown {
            number: notification.number,
            kind: notification.kind,
            address: notification.address,
            created: notification.created.to_iso(),
            state: notification.state,
            attempts: notification.attempts,
            error: notification.error,
            body: serde_json::from_str(&notification.body).unwrap_or_default(),
        }
    }
}

pub(super) async fn list(notify: Arc<Notify>, call: Call) -> Result<Reply, ApiError> {
    let (limit, before) = (paging::limit(&call), paging::position(&call, i64::MAX)?);
    let found = notify
        .notifier
        .store
        .read(move |tx| notification::list(tx, before, limit + 1));
    let mut found = found.await?;
    let continuation_token = paging::cut(&mut found, limit, |it| it.number);
    Ok(Reply::json(&Page {
        notifications: found.into_iter().map(Shown::from).collect(),
        continuation_token,
    }))
}
