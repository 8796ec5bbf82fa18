//! Clients: who may sign requests.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;
use taskyard_access::directory::{ClientDefinition, ClientRecord, ClientRefusal, STANDING};
use taskyard_access::{Param, Roles, ScopeSet, scope};

use super::{Auth, iso, list, refuse_double_stars};
use crate::call::Call;
use crate::date_time;
use crate::error::{ApiError, Code, capitalized};
use crate::paging;
use crate::reply::Reply;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
    expires: String,
    delete_on_expiration: bool,
    description: &'a str,
    created: String,
    last_modified: String,
    last_date_used: String,
    last_rotated: String,
    scopes: Vec<&'a str>,
    expanded_scopes: ScopeSet,
    disabled: bool,
}

impl<'a> Body<'a> {
    fn new(client: &'a ClientRecord, roles: &Roles) -> Self {
        let mut scopes: Vec<&str> = client.scopes.iter().map(String::as_str).collect();
        scopes.sort_by(|a, b| scope::compare(a, b));
        Body {
            client_id: &client.client_id,
            access_token: None,
            expires: iso(client.expires_ms),
            delete_on_expiration: client.delete_on_expiration,
            description: &client.description,
            created: iso(client.created_ms),
            last_modified: iso(client.last_modified_ms),
            last_date_used: iso(client.last_used_ms),
            last_rotated: iso(client.last_rotated_ms),
            scopes,
            expanded_scopes: roles.expand(&client.scopes),
            disabled: client.disabled,
        }
    }
}

impl From<ClientRefusal> for ApiError {
    fn from(refusal: ClientRefusal) -> Self {
        let code = match refusal {
            ClientRefusal::NoSuchClient(_) => Code::ResourceNotFound,
            ClientRefusal::Exists(_) | ClientRefusal::Overtaken(_) => Code::RequestConflict,
        };
        ApiError::new(code, capitalized(&refusal.to_string()))
    }
}

async fn reply(auth: &Auth, client: &ClientRecord) -> Result<Reply, ApiError> {
    let known = auth.directory.catch_up().await?;
    Ok(Reply::json(&Body::new(client, &known.roles)))
}

async fn reply_with_token(auth: &Auth, client: &ClientRecord) -> Result<Reply, ApiError> {
    let known = auth.directory.catch_up().await?;
    let token = auth.directory.access_token(client)?.expose().to_owned();
    Ok(Reply::json(&Body {
        access_token: Some(token),
        ..Body::new(client, &known.roles)
    }))
}

async fn load(auth: &Auth, call: &Call) -> Result<ClientRecord, ApiError> {
    let client_id = call.param("clientId");
    let client = auth.directory.client(client_id).await?;
    Ok(client.ok_or_else(|| ClientRefusal::NoSuchClient(client_id.to_owned()))?)
}

/// Clients of the configuration are changed there.
fn refuse_static(call: &Call) -> Result<(), ApiError> {
    if call.param("clientId").starts_with(STANDING) {
        return Err(ApiError::input(
            "Clients whose ids begin with 'static/' belong to the server's configuration and \
             cannot be changed here.",
        ));
    }
    Ok(())
}

fn definition(call: &Call) -> Result<ClientDefinition, ApiError> {
    let expires = date_time::parse(call.text("expires")).ok_or_else(|| {
        ApiError::input("The time in 'expires' is none that can be reckoned with.")
    })?;
    let delete = call
        .payload
        .get("deleteOnExpiration")
        .and_then(serde_json::Value::as_bool);
    Ok(ClientDefinition {
        description: call.text("description").to_owned(),
        scopes: list(call, "scopes"),
        expires_ms: expires.millis(),
        delete_on_expiration: delete.unwrap_or_default(),
    })
}

pub(super) async fn list_clients(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Page<'a> {
        clients: Vec<Body<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        continuation_token: Option<String>,
    }
    let limit = paging::limit(&call);
    let after: String = paging::position(&call, String::new())?;
    let prefix = call.query("prefix").unwrap_or_default();
    let mut clients = auth
        .directory
        .list_clients(prefix, &after, limit + 1)
        .await?;
    let continuation_token = paging::cut(&mut clients, limit, |client| client.client_id.clone());
    let known = auth.directory.catch_up().await?;
    let clients = clients
        .iter()
        .map(|client| Body::new(client, &known.roles))
        .collect();
    Ok(Reply::json(&Page {
        clients,
        continuation_token,
    }))
}

pub(super) async fn client(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    reply(&auth, &load(&auth, &call).await?).await
}

pub(super) async fn create_client(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    refuse_static(&call)?;
    let definition = definition(&call)?;
    let scopes = definition.scopes.clone().unwrap_or_default();
    refuse_double_stars(&scopes)?;
    call.authorize(&[("scopes", Param::from(scopes))])?;
    let client_id = call.param("clientId");
    let client = auth
        .directory
        .create_client(call.deed(), client_id, definition)
        .await??;
    reply_with_token(&auth, &client).await
}

pub(super) async fn update_client(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    refuse_static(&call)?;
    let definition = definition(&call)?;
    let scopes = definition.scopes.clone().unwrap_or_default();
    refuse_double_stars(&scopes)?;
    let old = load(&auth, &call).await?;
    let added: Vec<String> = scopes
        .into_iter()
        .filter(|scope| !old.scopes.contains(scope))
        .collect();
    call.authorize(&[("scopesAdded", Param::from(added))])?;
    let client = auth
        .directory
        .update_client(call.deed(), &old, definition)
        .await??;
    reply(&auth, &client).await
}

pub(super) async fn reset_access_token(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    refuse_static(&call)?;
    let client_id = call.param("clientId");
    let client = auth
        .directory
        .reset_access_token(call.deed(), client_id)
        .await??;
    reply_with_token(&auth, &client).await
}

pub(super) async fn enable_client(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    set_disabled(&auth, &call, false).await
}

pub(super) async fn disable_client(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    set_disabled(&auth, &call, true).await
}

async fn set_disabled(auth: &Auth, call: &Call, disabled: bool) -> Result<Reply, ApiError> {
    refuse_static(call)?;
    let client_id = call.param("clientId");
    let client = auth
        .directory
        .set_client_disabled(call.deed(), client_id, disabled)
        .await??;
    reply(auth, &client).await
}

pub(super) async fn delete_client(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    refuse_static(&call)?;
    auth.directory
        .delete_client(call.deed(), call.param("clientId"))
        .await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}
