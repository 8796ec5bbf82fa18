//! Who asks.

use serde_json::Value;
use taskyard_access::{Credentials, Secret};

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) enum Who {
    /// Somebody without credentials.
    Nobody,
    /// Somebody with these credentials.
    Holder(Credentials),
    /// Somebody with these credentials who uses only some of their scopes.
    Restricted(Credentials, Vec<String>),
}

impl Who {
    /// The holder of the credentials in a claim.
    pub(crate) fn of_claim(claim: &Value) -> Self {
        let text = |name: &str| claim["credentials"][name].as_str().expect(name).to_owned();
        Who::Holder(Credentials {
            client_id: text("clientId"),
            access_token: Secret::new(text("accessToken")),
            certificate: Some(text("certificate")),
        })
    }
}
