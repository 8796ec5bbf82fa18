//! Credentials for services outside. What is not configured answers as a deployment without it.

pub(super) mod aws;
pub(super) mod azure;
pub(super) mod gcp;
pub(super) mod github;
pub(super) mod remembered;
pub(super) mod sentry;

use std::collections::BTreeMap;

use taskyard_access::{Param, Secret};

use crate::call::Call;
use crate::error::ApiError;

pub use aws::BucketKeys;
pub use azure::{AzureAccount, is_azure_key};
pub use gcp::{GcpKey, GcpProject};
pub use github::{GithubApp, GithubKey};
pub use sentry::Sentry;

/// The services that credentials can be had for.
#[derive(Debug, Clone, Default)]
pub struct Guarded {
    /// Buckets at Amazon, by the keys that give access to them.
    pub s3: Vec<BucketKeys>,
    /// Storage accounts at Azure, by name.
    pub azure: BTreeMap<String, AzureAccount>,
    /// Projects of Google Cloud.
    pub gcp: Vec<GcpProject>,
    /// Apps at GitHub, by the names that callers know them by.
    pub github: BTreeMap<String, GithubApp>,
    /// Where failures are reported.
    pub sentry: Option<Sentry>,
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
