//! Roles: named bundles of scopes.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;
use taskyard_access::directory::{RoleDefinition, RoleRecord, RoleRefusal, STANDING};
use taskyard_access::{Param, Roles, ScopeSet, Snapshot, scope};

use super::{Auth, iso, list, refuse_double_stars};
use crate::call::Call;
use crate::error::{ApiError, Code, capitalized};
use crate::paging;
use crate::reply::Reply;

/// How often a change is tried that others overtake.
const TRIES: usize = 5;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    role_id: &'a str,
    scopes: &'a [String],
    description: &'a str,
    created: String,
    last_modified: String,
    expanded_scopes: ScopeSet,
}

impl<'a> Body<'a> {
    fn new(role: &'a RoleRecord, roles: &Roles) -> Self {
        Body {
            role_id: &role.role_id,
            scopes: &role.scopes,
            description: &role.description,
            created: iso(role.created_ms),
            last_modified: iso(role.last_modified_ms),
            expanded_scopes: roles.expand(&[format!("assume:{}", role.role_id)]),
        }
    }
}

impl From<RoleRefusal> for ApiError {
    fn from(refusal: RoleRefusal) -> Self {
        let code = match refusal {
            RoleRefusal::NoSuchRole(_) => Code::ResourceNotFound,
            RoleRefusal::Exists(_) | RoleRefusal::Overtaken => Code::RequestConflict,
            RoleRefusal::Invalid(_) => Code::InputError,
        };
        ApiError::new(code, capitalized(&refusal.to_string()))
    }
}

async fn reply(auth: &Auth, role: &RoleRecord) -> Result<Reply, ApiError> {
    let known = auth.directory.catch_up().await?;
    Ok(Reply::json(&Body::new(role, &known.roles)))
}

fn definition(call: &Call) -> Result<RoleDefinition, ApiError> {
    let scopes = list(call, "scopes").unwrap_or_default();
    refuse_double_stars(&scopes)?;
    Ok(RoleDefinition {
        description: call.text("description").to_owned(),
        scopes,
    })
}

/// Roles of the configuration are changed there.
fn refuse_standing(call: &Call) -> Result<(), ApiError> {
    if call.param("roleId").starts_with(STANDING) {
        return Err(ApiError::input(
            "Roles whose ids begin with 'static/' belong to the server's configuration and \
             cannot be changed here.",
        ));
    }
    Ok(())
}

/// A page of roles; all of them if the call names no limit.
fn page<'a>(
    known: &'a Snapshot,
    call: &Call,
) -> Result<(Vec<&'a RoleRecord>, Option<String>), ApiError> {
    let after: String = paging::position(call, String::new())?;
    let all = known.role_records().map(AsRef::as_ref);
    if call
        .query("limit")
        .is_none_or(|limit| limit.bytes().all(|digit| digit == b'0'))
    {
        return Ok((all.collect(), None));
    }
    let limit = paging::limit(call);
    let mut roles: Vec<&RoleRecord> = all
        .filter(|role| role.role_id > after)
        .take(limit + 1)
        .collect();
    let token = paging::cut(&mut roles, limit, |role| role.role_id.clone());
    Ok((roles, token))
}

pub(super) async fn list_roles(auth: Arc<Auth>, _call: Call) -> Result<Reply, ApiError> {
    let known = auth.directory.catch_up().await?;
    let roles: Vec<Body<'_>> = known
        .role_records()
        .map(|role| Body::new(role, &known.roles))
        .collect();
    Ok(Reply::json(&roles))
}

pub(super) async fn list_roles2(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Page<'a> {
        roles: Vec<Body<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        continuation_token: Option<String>,
    }
    let known = auth.directory.catch_up().await?;
    let (roles, continuation_token) = page(&known, &call)?;
    let roles = roles
        .into_iter()
        .map(|role| Body::new(role, &known.roles))
        .collect();
    Ok(Reply::json(&Page {
        roles,
        continuation_token,
    }))
}

pub(super) async fn list_role_ids(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Page<'a> {
        role_ids: Vec<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        continuation_token: Option<String>,
    }
    let known = auth.directory.catch_up().await?;
    let (roles, continuation_token) = page(&known, &call)?;
    let role_ids = roles
        .into_iter()
        .map(|role| role.role_id.as_str())
        .collect();
    Ok(Reply::json(&Page {
        role_ids,
        continuation_token,
    }))
}

pub(super) async fn role(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    let role_id = call.param("roleId");
    let known = auth.directory.catch_up().await?;
    let role = known
        .role(role_id)
        .ok_or_else(|| RoleRefusal::NoSuchRole(role_id.to_owned()))?;
    Ok(Reply::json(&Body::new(role, &known.roles)))
}

pub(super) async fn create_role(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    refuse_standing(&call)?;
    let mut definition = definition(&call)?;
    call.authorize(&[("scopes", Param::from(definition.scopes.clone()))])?;
    definition.scopes.sort_by(|a, b| scope::compare(a, b));
    let role_id = call.param("roleId");
    let role = auth
        .directory
        .create_role(call.deed(), role_id, &definition)
        .await??;
    reply(&auth, &role).await
}

pub(super) async fn update_role(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    refuse_standing(&call)?;
    let definition = definition(&call)?;
    let role_id = call.param("roleId");
    for _ in 0..TRIES {
        let known = auth.directory.catch_up().await?;
        let old = known
            .role(role_id)
            .ok_or_else(|| RoleRefusal::NoSuchRole(role_id.to_owned()))?;
        let held = known.roles.expand(&old.scopes);
        let added: Vec<String> = definition
            .scopes
            .iter()
            .filter(|scope| !held.satisfies(scope))
            .cloned()
            .collect();
        call.authorize(&[("scopesAdded", Param::from(added))])?;
        let new = definition.clone();
        match auth
            .directory
            .update_role(call.deed(), &known, role_id, new)
            .await?
        {
            Err(RoleRefusal::Overtaken) => {}
            decided => return reply(&auth, &decided?).await,
        }
    }
    Err(RoleRefusal::Overtaken.into())
}

pub(super) async fn delete_role(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    refuse_standing(&call)?;
    auth.directory
        .delete_role(call.deed(), call.param("roleId"))
        .await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}
