//! Provisioners: what task queue ids begin with.

use std::sync::Arc;

use serde::Serialize;
use taskyard_engine::task_queue::{self, Description};
use taskyard_store::Key;

use super::Queue;
use super::task_queues::{authorize_properties, declaration, paged};
use crate::call::Call;
use crate::error::ApiError;
use crate::paging;
use crate::reply::Reply;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    provisioner_id: &'a str,
    stability: &'a str,
    description: &'a str,
    expires: String,
    last_date_active: String,
    /// Nobody can declare any, and old clients look for them.
    actions: [(); 0],
}

impl<'a> Body<'a> {
    fn new(provisioner: &'a Description) -> Self {
        Body {
            provisioner_id: &provisioner.id,
            stability: provisioner.stability.as_str(),
            description: &provisioner.description,
            expires: provisioner.expires.to_iso(),
            last_date_active: provisioner.last_active.to_iso(),
            actions: [],
        }
    }
}

pub(super) async fn list_provisioners(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let (now, limit) = (call.now, paging::limit(&call));
    let after: String = paging::position(&call, String::new())?;
    let (found, next) = queue
        .store
        .read(move |tx| task_queue::provisioners(tx, now, &after, limit))
        .await?;
    let bodies: Vec<_> = found.iter().map(Body::new).collect();
    let token = next.as_ref().and_then(paging::token);
    Ok(Reply::json(&paged("provisioners", &bodies, token)))
}

pub(super) async fn get_provisioner(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    let (id, now) = (call.param("provisionerId").to_owned(), call.now);
    let found = queue
        .store
        .read(move |tx| task_queue::provisioner(tx, now, &id))
        .await?;
    let found = found.ok_or_else(|| {
        ApiError::not_found(format!(
            "Provisioner {} is not known: no worker asked one of its queues for work lately, and \
             nobody declared it.",
            call.param("provisionerId")
        ))
    })?;
    Ok(Reply::json(&Body::new(&found)))
}

pub(super) async fn declare_provisioner(queue: Arc<Queue>, call: Call) -> Result<Reply, ApiError> {
    authorize_properties(&call)?;
    let id = call.param("provisionerId").to_owned();
    let now = queue.clock.now().trunc_millis();
    let declaration = declaration(&call)?;
    let declared = queue
        .store
        .write(Key::of(("provisioner", &id)), move |tx| {
            task_queue::declare_provisioner(tx, now, &id, &declaration)
        })
        .await?;
    Ok(Reply::json(&Body::new(&declared)))
}
