//! What hooks there are, and what they do.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use taskyard_access::directory::history::{self, Action};
use taskyard_access::{Deed, slugid};
use taskyard_engine::hook::{self, Hook, Made};
use taskyard_store::{Error, Tx};

use super::definition::{Definition, Wanted, shown};
use super::{Hooks, KIND, key, name_of, no_such_hook};
use crate::call::Call;
use crate::error::ApiError;
use crate::reply::Reply;

/// What a hook without bindings keeps of them.
const NO_BINDINGS: &str = "[]";

pub(super) async fn list_hook_groups(hooks: Arc<Hooks>, _: Call) -> Result<Reply, ApiError> {
    let groups = hooks.firing.store.read(hook::groups).await?;
    Ok(Reply::json(&json!({"groups": groups})))
}

pub(super) async fn list_hooks(hooks: Arc<Hooks>, call: Call) -> Result<Reply, ApiError> {
    let group_id = call.param("hookGroupId").to_owned();
    let found = hooks
        .firing
        .store
        .read(move |tx| hook::of_group(tx, &group_id));
    let found = found.await?;
    if found.is_empty() {
        return Err(ApiError::not_found("No such group"));
    }
    let all: Result<Vec<Value>, ApiError> = found.iter().map(json_of).collect();
    Ok(Reply::json(&json!({"hooks": all?})))
}

fn json_of(hook: &Hook) -> Result<Value, ApiError> {
    let definition = Definition::of(hook).map_err(ApiError::internal)?;
    let shown = shown(&hook.name, definition, &hook.bindings)?;
    serde_json::to_value(shown).map_err(ApiError::internal)
}

pub(super) async fn hook(hooks: Arc<Hooks>, call: Call) -> Result<Reply, ApiError> {
    let hook = hooks.load(&call).await?;
    Ok(Reply::json(&json_of(&hook)?))
}

pub(super) async fn create_hook(hooks: Arc<Hooks>, call: Call) -> Result<Reply, ApiError> {
    let wanted = Wanted::new(name_of(&call), &call)?;
    let name = wanted.name.clone();
    let bindings = match &wanted.bindings {
        Some(bindings) => serde_json::to_string(bindings).map_err(ApiError::internal)?,
        None => NO_BINDINGS.to_owned(),
    };
    let new = Hook {
        definition: serde_json::to_string(&wanted.definition).map_err(ApiError::internal)?,
        bindings: bindings.clone(),
        sealed_token: hooks.seal(&name.to_string(), &slugid::v4())?,
        next: wanted.next(call.now),
        name: name.clone(),
    };
    let (now, actor) = (call.now, call.caller.name().to_owned());
    let created = hooks.firing.store.write(key(&name), move |tx| {
        let made = hook::create(tx, now, &new)?;
        if made == Made::New {
            note(tx, &new.name, Action::Created, &actor, now.millis())?;
        }
        Ok(made)
    });
    if created.await? == Made::Taken {
        return Err(ApiError::conflict(format!("hook `{name}` already exists.")));
    }
    Ok(Reply::json(&shown(&name, wanted.definition, &bindings)?))
}

pub(super) async fn update_hook(hooks: Arc<Hooks>, call: Call) -> Result<Reply, ApiError> {
    let wanted = Wanted::new(name_of(&call), &call)?;
    let bindings = wanted.bindings.as_ref().map(serde_json::to_string);
    let bindings = bindings.transpose().map_err(ApiError::internal)?;
    let definition = serde_json::to_string(&wanted.definition).map_err(ApiError::internal)?;
    let next = wanted.next(call.now);
    let (now, actor) = (call.now, call.caller.name().to_owned());
    let name = wanted.name.clone();
    let updated = hooks.firing.store.write(key(&wanted.name), move |tx| {
        let updated = hook::update(tx, now, &name, &definition, bindings.as_deref(), &next)?;
        if updated.is_some() {
            note(tx, &name, Action::Updated, &actor, now.millis())?;
        }
        Ok(updated)
    });
    let bindings = updated.await?.ok_or_else(no_such_hook)?;
    Ok(Reply::json(&shown(
        &wanted.name,
        wanted.definition,
        &bindings,
    )?))
}

pub(super) async fn remove_hook(hooks: Arc<Hooks>, call: Call) -> Result<Reply, ApiError> {
    let name = name_of(&call);
    let (now, actor) = (call.now, call.caller.name().to_owned());
    let removed = hooks.firing.store.write(key(&name), move |tx| {
        if hook::remove(tx, now, &name)? {
            note(tx, &name, Action::Deleted, &actor, now.millis())?;
        }
        Ok(())
    });
    removed.await?;
    Ok(Reply::json(&Value::Object(Map::new())))
}

fn note(
    tx: &mut Tx<'_>,
    name: &hook::Name,
    action: Action,
    actor: &str,
    now_ms: i64,
) -> Result<(), Error> {
    history::note(tx, KIND, &name.to_string(), action, Deed { actor, now_ms }).map(drop)
}
