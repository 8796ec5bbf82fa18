//! Credentials for services outside. What is not configured answers as a deployment without it.

use std::sync::Arc;

use serde_json::{Value, json};
use taskyard_access::{Param, Secret};

use super::Auth;
use crate::call::Call;
use crate::error::{ApiError, Code};
use crate::reply::Reply;

/// The services that credentials can be had for.
#[derive(Debug, Clone, Default)]
pub struct Guarded {
    /// Where measurements go.
    pub statsum: Option<Statsum>,
    /// Where tunnels for webhooks are opened.
    pub webhooktunnel: Option<Webhooktunnel>,
    /// What the tokens of websocket tunnels are signed with.
    pub websocktunnel: Option<Secret>,
}

/// A service that takes measurements.
#[derive(Debug, Clone)]
pub struct Statsum {
    /// Its address.
    pub base_url: String,
    /// What its tokens are signed with.
    pub secret: Secret,
}

/// A service that lets the world reach callers behind a firewall.
#[derive(Debug, Clone)]
pub struct Webhooktunnel {
    /// Its address.
    pub proxy_url: String,
    /// What its tokens are signed with.
    pub secret: Secret,
}

/// Whether only reading is asked for. Everything else has passed the pattern and is read-write.
fn authorize_level(call: &Call) -> Result<(), ApiError> {
    let read_only = call.param("level") == "read-only";
    call.authorize(&[("levelIsReadOnly", Param::from(read_only))])
}

pub(super) async fn aws_s3_credentials(_auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    authorize_level(&call)?;
    Err(ApiError::not_found(format!(
        "This deployment has no credentials for the bucket '{}'.",
        call.param("bucket")
    )))
}

pub(super) async fn azure_accounts(_auth: Arc<Auth>, _call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::json(&json!({"accounts": []})))
}

/// The lists of tables and containers.
pub(super) async fn azure_list(_auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    Err(no_account(&call))
}

/// The signatures for one table or container.
pub(super) async fn azure_signature(_auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    authorize_level(&call)?;
    Err(no_account(&call))
}

fn no_account(call: &Call) -> ApiError {
    ApiError::not_found(format!(
        "This deployment has no credentials for the storage account '{}'.",
        call.param("account")
    ))
}

pub(super) async fn sentry_dsn(_auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    Err(ApiError::not_found(format!(
        "This deployment is not connected to Sentry, so there is no key for the project '{}'.",
        call.param("project")
    )))
}

pub(super) async fn gcp_credentials(_auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    Err(ApiError::new(
        Code::InvalidRequestArguments,
        format!(
            "The service account '{}' is not among those that this deployment gives out.",
            call.param("serviceAccount")
        ),
    ))
}

pub(super) async fn github_repo_token(_auth: Arc<Auth>, mut call: Call) -> Result<Reply, ApiError> {
    let asked = asked_of_github(&call.payload);
    // GitHub's names are the same in any case; scopes are compared in lower case.
    for (name, value) in &mut call.params {
        if *name == "owner" {
            value.make_ascii_lowercase();
        }
    }
    call.authorize(&[("repoPerms", Param::from(asked))])?;
    Err(ApiError::not_found(format!(
        "This deployment has no GitHub app called '{}'.",
        call.param("appName")
    )))
}

/// Every repository with every permission, as the scopes name them.
fn asked_of_github(payload: &Value) -> Vec<String> {
    let repositories = payload
        .get("repositories")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let permissions = payload.get("permissions").and_then(Value::as_object);
    repositories
        .filter_map(Value::as_str)
        .flat_map(|repository| {
            let repository = repository.to_ascii_lowercase();
            permissions
                .into_iter()
                .flatten()
                .filter_map(move |(name, level)| {
                    Some(format!("{repository}:{name}:{}", level.as_str()?))
                })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_is_asked_for_every_repository() {
        let payload = json!({
            "repositories": ["A.b", "c"],
            "permissions": {"contents": "write", "checks": "read"},
        });
        assert_eq!(
            asked_of_github(&payload),
            [
                "a.b:contents:write",
                "a.b:checks:read",
                "c:contents:write",
                "c:checks:read"
            ]
        );
    }
}
