//! What was done, and by whom.

use std::sync::Arc;

use serde::Serialize;
use taskyard_access::directory::HistoryEntry;

use super::{Auth, iso};
use crate::call::Call;
use crate::error::ApiError;
use crate::paging;
use crate::reply::Reply;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    client_id: &'a str,
    action_type: &'a str,
    created: String,
    entity_id: &'a str,
    entity_type: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    audit_history: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continuation_token: Option<String>,
}

fn reply(mut entries: Vec<HistoryEntry>, limit: usize) -> Reply {
    let continuation_token = paging::cut(&mut entries, limit, |entry| entry.id);
    let audit_history = entries
        .iter()
        .map(|entry| Entry {
            client_id: &entry.actor,
            action_type: &entry.action,
            created: iso(entry.created_ms),
            entity_id: &entry.entity_id,
            entity_type: &entry.entity_type,
        })
        .collect();
    Reply::json(&Page {
        audit_history,
        continuation_token,
    })
}

pub(super) async fn get_entity_history(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    let (limit, after) = (paging::limit(&call), paging::position(&call, 0)?);
    let (kind, id) = (call.param("entityType"), call.param("entityId"));
    let entries = auth
        .directory
        .entity_history(kind, id, after, limit + 1)
        .await?;
    Ok(reply(entries, limit))
}

pub(super) async fn list_audit_history(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    let (limit, after) = (paging::limit(&call), paging::position(&call, 0)?);
    let entries = auth
        .directory
        .actor_history(call.param("clientId"), after, limit + 1)
        .await?;
    Ok(reply(entries, limit))
}
