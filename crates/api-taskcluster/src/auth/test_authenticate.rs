//! Methods by which the authors of clients see whether they sign as they should. They know one
//! client, which exists nowhere else.

use std::sync::Arc;

use serde_json::json;
use taskyard_access::{Client, Rendered, Roles, scope};

use super::{Auth, list};
use crate::authentication::{Sender, Sent};
use crate::call::{Call, Caller, require};
use crate::error::ApiError;
use crate::reply::Reply;

/// The client that there is during a test, and its well-known secret.
const TESTER: (&str, &str) = ("tester", "no-secret");

/// What everybody is said to assume. No role gives it a meaning here.
const ANONYMOUS: &str = "assume:anonymous";

/// What the client may do in the test that takes no body.
const GET_SCOPES: [&str; 2] = ["test:*", "auth:create-client:test:*"];

pub(super) async fn test_authenticate(_auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    let granted = list(&call, "clientScopes").unwrap_or_default();
    let required = list(&call, "requiredScopes").unwrap_or_default();
    test(&call, granted, required)
}

pub(super) async fn test_authenticate_get(_auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    let granted = GET_SCOPES.map(str::to_owned).to_vec();
    test(&call, granted, vec!["test:authenticate-get".to_owned()])
}

fn test(call: &Call, granted: Vec<String>, required: Vec<String>) -> Result<Reply, ApiError> {
    let original = call.original.as_deref();
    let original = original.ok_or_else(|| ApiError::internal("a test without its request"))?;
    let tester = Arc::new(Client {
        client_id: TESTER.0.to_owned(),
        access_token: TESTER.1.into(),
        expires_ms: i64::MAX,
        disabled: false,
        scopes: granted.into(),
    });
    let sent = Sent {
        parts: &original.parts,
        body: &original.body,
        trust_forwarded: original.trust_forwarded,
    };
    let find = |client_id: &str| (client_id == TESTER.0).then(|| Arc::clone(&tester));
    let sender = sent.sender(call.now, &find, &Roles::default())?;
    let (caller, scopes) = match sender {
        Sender::Anonymous(scopes) => (
            Caller {
                client_id: None,
                scopes,
            },
            Vec::new(),
        ),
        Sender::Known(sender) => (
            Caller {
                client_id: Some(sender.client_id),
                scopes: sender.scopes,
            },
            sender.unexpanded.as_slice().to_vec(),
        ),
    };
    require(&caller, &Rendered::all_of(required))?;
    Ok(Reply::json(&json!({
        "clientId": caller.name(),
        "scopes": scope::merge(&scopes, &[ANONYMOUS]),
    })))
}
