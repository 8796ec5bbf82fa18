//! Addresses to which nothing is sent.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use taskyard_engine::notification;
use taskyard_store::{Error, Key, Tx};

use super::Notify;
use crate::call::Call;
use crate::error::ApiError;
use crate::paging;
use crate::reply::Reply;

/// A change to one address.
type Change = fn(&mut Tx<'_>, &str, &str) -> Result<(), Error>;

pub(super) async fn add(notify: Arc<Notify>, call: Call) -> Result<Reply, ApiError> {
    change(&notify, &call, notification::deny).await
}

pub(super) async fn delete(notify: Arc<Notify>, call: Call) -> Result<Reply, ApiError> {
    change(&notify, &call, notification::allow).await
}

async fn change(notify: &Notify, call: &Call, change: Change) -> Result<Reply, ApiError> {
    let kind = call.text("notificationType").to_owned();
    let address = call.text("notificationAddress").to_owned();
    let changed = notify
        .notifier
        .store
        .write(Key::of("notifications"), move |tx| {
            change(tx, &kind, &address)
        });
    changed.await?;
    Ok(Reply::text("OK"))
}

pub(super) async fn list(notify: Arc<Notify>, call: Call) -> Result<Reply, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Page {
        addresses: Vec<Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        continuation_token: Option<String>,
    }
    let limit = paging::limit(&call);
    let after = paging::position(&call, (String::new(), String::new()))?;
    let found = notify
        .notifier
        .store
        .read(move |tx| notification::denied(tx, &after, limit + 1));
    let mut found = found.await?;
    let continuation_token = paging::cut(&mut found, limit, Clone::clone);
    let addresses = found
        .into_iter()
        .map(|(kind, address)| json!({"notificationType": kind, "notificationAddress": address}));
    Ok(Reply::json(&Page {
        addresses: addresses.collect(),
        continuation_token,
    }))
}
