//! Hooks fire because somebody asks for it.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use taskyard_access::slugid;
use taskyard_engine::hook::Hook;

use super::Hooks;
use super::definition::Definition;
use super::firing::{Outcome, Reason, Shot};
use super::trigger_schema::TriggerSchema;
use crate::call::Call;
use crate::error::ApiError;
use crate::reply::Reply;

pub(super) async fn trigger_hook(hooks: Arc<Hooks>, call: Call) -> Result<Reply, ApiError> {
    let hook = hooks.load(&call).await?;
    let client_id = ("clientId".to_owned(), call.caller.name().into());
    let context = Map::from_iter([client_id]);
    trigger(&hooks, &call, hook, Reason::Trigger, context).await
}

pub(super) async fn trigger_hook_with_token(
    hooks: Arc<Hooks>,
    call: Call,
) -> Result<Reply, ApiError> {
    let hook = hooks.load(&call).await?;
    hooks.check_token(&hook, call.param("token"))?;
    trigger(&hooks, &call, hook, Reason::Token, Map::new()).await
}

async fn trigger(
    hooks: &Hooks,
    call: &Call,
    hook: Hook,
    reason: Reason,
    mut context: Map<String, Value>,
) -> Result<Reply, ApiError> {
    let definition = Definition::of(&hook).map_err(ApiError::internal)?;
    let task_id = match call.payload.get("taskId") {
        None => slugid::nice(),
        Some(Value::String(told)) if slugid::is_valid(told) => told.clone(),
        Some(told) => return Err(ApiError::input(format!("Invalid taskId format: {told}"))),
    };
    let schema = TriggerSchema::compile(&definition.trigger_schema).map_err(ApiError::input)?;
    schema.check(&call.payload).map_err(ApiError::input)?;
    context.insert("payload".to_owned(), (*call.payload).clone());
    let shot = Shot {
        hook: hook.name.clone(),
        template: definition.task,
        reason,
        context,
        task_id: task_id.clone(),
        created: call.now,
    };
    let firing = &hooks.firing;
    let outcome = firing.fire(shot).await;
    if let Some(fire) = firing.fire_of(&task_id, reason, &outcome) {
        firing.note(&hook.name, fire).await?;
    }
    match outcome.map_err(|failure| failure.told(&hook.name))? {
        Outcome::Created => Ok(Reply::json(
            &json!({"taskId": task_id, "status": {"taskId": task_id}}),
        )),
        Outcome::Declined => Ok(Reply::json(&json!({}))),
    }
}
