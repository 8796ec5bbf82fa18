//! Trigger tokens: who knows one may fire its hook.

use std::sync::Arc;

use aws_lc_rs::constant_time;
use serde_json::json;
use taskyard_access::{Place, slugid};
use taskyard_engine::hook::{self, Hook};

use super::{Hooks, key, name_of, no_such_hook};
use crate::call::Call;
use crate::error::{ApiError, Code};
use crate::reply::Reply;

/// Where the token of a hook stands.
fn place(hook: &str) -> Place<'_> {
    Place {
        table: "hooks",
        row: hook,
        column: "sealed_token",
    }
}

impl Hooks {
    /// Seals the token of a hook of this name.
    pub(super) fn seal(&self, hook: &str, token: &str) -> Result<String, ApiError> {
        let sealed = self.sealer.seal(&place(hook), token.as_bytes());
        sealed.map_err(ApiError::internal)
    }

    fn token_of(&self, hook: &Hook) -> Result<String, ApiError> {
        let name = hook.name.to_string();
        let token = self.sealer.open(&place(&name), &hook.sealed_token);
        String::from_utf8(token.map_err(ApiError::internal)?).map_err(ApiError::internal)
    }

    /// Checks that `told` is the token of a hook.
    pub(super) fn check_token(&self, hook: &Hook, told: &str) -> Result<(), ApiError> {
        let token = self.token_of(hook)?;
        constant_time::verify_slices_are_equal(token.as_bytes(), told.as_bytes())
            .map_err(|_| ApiError::new(Code::AuthenticationFailed, "invalid hook token"))
    }
}

pub(super) async fn get_trigger_token(hooks: Arc<Hooks>, call: Call) -> Result<Reply, ApiError> {
    let hook = hooks.load(&call).await?;
    Ok(Reply::json(&json!({"token": hooks.token_of(&hook)?})))
}

pub(super) async fn reset_trigger_token(hooks: Arc<Hooks>, call: Call) -> Result<Reply, ApiError> {
    let name = name_of(&call);
    let token = slugid::v4();
    let sealed = hooks.seal(&name.to_string(), &token)?;
    let reset = hooks
        .firing
        .store
        .write(key(&name), move |tx| hook::reset_token(tx, &name, &sealed));
    if !reset.await? {
        return Err(no_such_hook());
    }
    Ok(Reply::json(&json!({"token": token})))
}
