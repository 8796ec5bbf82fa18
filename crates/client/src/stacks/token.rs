use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::null;
use crate::Timestamp;

/// Tokens with each of which an agent may take one job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct JobAcquisitionTokens {
    /// The tokens, one a job.
    #[serde(deserialize_with = "null::default")]
    pub job_acquisition_tokens: Vec<JobAcquisitionToken>,
    /// Jobs that got none, because the stack has not reserved them.
    #[serde(deserialize_with = "null::default")]
    pub not_issued: Vec<String>,
}

/// A token with which an agent may take one job. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct JobAcquisitionToken {
    /// The job.
    pub job_uuid: String,
    /// What the agent registers with.
    #[serde(rename = "job_acquisition_token")]
    pub token: String,
    /// When it stops working.
    pub expires_at: Timestamp,
}

impl fmt::Debug for JobAcquisitionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobAcquisitionToken")
            .field("job_uuid", &self.job_uuid)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Serialize)]
pub(super) struct IssueRequest {
    job_uuids: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_lifetime_seconds: Option<u64>,
}

impl IssueRequest {
    pub(super) fn new(job_uuids: Vec<String>, lifetime: Option<Duration>) -> Self {
        Self {
            job_uuids,
            token_lifetime_seconds: lifetime.map(|lifetime| lifetime.as_secs().max(1)),
        }
    }
}

/// Whom a token stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TokenIdentity {
    /// UUID of the token itself.
    #[serde(deserialize_with = "null::default")]
    pub uuid: String,
    /// What it was made for.
    #[serde(deserialize_with = "null::default")]
    pub description: String,
    /// What kind it is.
    #[serde(deserialize_with = "null::default")]
    pub token_type: String,
    /// The organization's name in addresses.
    #[serde(deserialize_with = "null::default")]
    pub organization_slug: String,
    /// UUID of the organization.
    #[serde(deserialize_with = "null::default")]
    pub organization_uuid: String,
    /// UUID of the cluster.
    #[serde(deserialize_with = "null::default")]
    pub cluster_uuid: String,
    /// Name of the cluster.
    #[serde(deserialize_with = "null::default")]
    pub cluster_name: String,
    /// UUID of the queue it is bound to.
    #[serde(deserialize_with = "null::default")]
    pub organization_queue_uuid: String,
    /// The queue it is bound to.
    #[serde(deserialize_with = "null::default")]
    pub organization_queue_key: String,
}
