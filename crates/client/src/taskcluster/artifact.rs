use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What `createArtifact` is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(
    tag = "storageType",
    rename_all = "lowercase",
    rename_all_fields = "camelCase"
)]
pub enum ArtifactRequest {
    /// Bytes that are uploaded next.
    S3 {
        /// When it may be deleted, at most the task's own expiry.
        expires: Timestamp,
        /// Media type.
        content_type: String,
        /// Bytes, for listings.
        #[serde(skip_serializing_if = "Option::is_none")]
        content_length: Option<u64>,
    },
    /// Bytes that are uploaded next, in the way of another cloud; answered with 201.
    Azure {
        /// When it may be deleted.
        expires: Timestamp,
        /// Media type.
        content_type: String,
    },
    /// Bytes that are uploaded next, by the requests that the answer lists.
    Blob(BlobRequest),
    /// Bytes that are uploaded to the object service next.
    Object {
        /// When it may be deleted.
        expires: Timestamp,
        /// Media type.
        content_type: String,
        /// Bytes, for listings.
        #[serde(skip_serializing_if = "Option::is_none")]
        content_length: Option<u64>,
    },
    /// Something that stands elsewhere.
    Reference {
        /// When it may be deleted.
        expires: Timestamp,
        /// Media type.
        content_type: String,
        /// Where it stands.
        url: String,
    },
    /// Another name of an artifact of the same run.
    Link {
        /// When it may be deleted.
        expires: Timestamp,
        /// Media type.
        #[serde(skip_serializing_if = "Option::is_none")]
        content_type: Option<String>,
        /// The artifact meant.
        artifact: String,
    },
    /// An artifact that the task should have left, and did not.
    Error {
        /// When it may be deleted.
        expires: Timestamp,
        /// `file-missing-on-worker`, `invalid-resource-on-worker`, `too-large-file-on-worker` or
        /// `file-not-readable-on-worker`.
        reason: String,
        /// For people.
        message: String,
    },
}

/// Bytes whose hashes are known before they are uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlobRequest {
    /// When it may be deleted.
    pub expires: Timestamp,
    /// Media type.
    pub content_type: String,
    /// How what is transferred is encoded, such as `gzip`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// SHA-256 of the content in hex.
    pub content_sha256: String,
    /// Bytes of the content.
    pub content_length: u64,
    /// SHA-256 of what is transferred; that of the content if nothing is encoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer_sha256: Option<String>,
    /// Bytes that are transferred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer_length: Option<u64>,
    /// What is transferred, part by part; at once if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<BlobPart>,
}

/// A part of a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlobPart {
    /// SHA-256 in hex.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// A request that uploads a blob or a part of it. It is to be made exactly so.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct UploadRequest {
    /// Where it goes.
    pub url: String,
    /// Its HTTP method, `PUT`.
    pub method: String,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
}

/// What `createArtifact` answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactResponse {
    /// The kind that was made.
    pub storage_type: String,
    /// Where the bytes go, for `s3`.
    pub put_url: Option<String>,
    /// Until when they may be sent there.
    pub expires: Option<Timestamp>,
    /// Media type to send them with.
    pub content_type: Option<String>,
    /// What uploads a `blob`, part by part.
    #[serde(default)]
    pub requests: Vec<UploadRequest>,
    /// Name of the object to upload, for `object`.
    pub name: Option<String>,
    /// Project of that object.
    pub project_id: Option<String>,
    /// Upload of that object.
    pub upload_id: Option<String>,
    /// Credentials to upload it with.
    pub credentials: Option<crate::Credentials>,
}

/// Where an artifact's bytes stand.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Redirect {
    /// Kind of the artifact, links followed; absent on old deployments.
    pub storage_type: Option<String>,
    /// The address; it may hold a signature and is not for logs.
    pub url: String,
}

/// Where an artifact's bytes stand, by kind: the answer of `artifact` and `latestArtifact`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "storageType", rename_all = "lowercase")]
pub enum ArtifactContent {
    /// Stored by the deployment.
    S3 {
        /// The address; it may hold a signature.
        url: String,
    },
    /// Stands elsewhere.
    Reference {
        /// The address.
        url: String,
    },
    /// Stored by the object service.
    Object {
        /// Name there.
        name: String,
        /// Credentials to fetch it with.
        credentials: crate::Credentials,
    },
    /// Was not produced.
    Error {
        /// Kind of failure.
        reason: String,
        /// For people.
        message: String,
    },
}

/// One artifact of a run, as listings have it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Kind.
    pub storage_type: String,
    /// Name within the run.
    pub name: String,
    /// When it may be deleted.
    pub expires: Timestamp,
    /// Media type.
    pub content_type: Option<String>,
    /// Bytes, if the worker said so.
    pub content_length: Option<u64>,
}

/// One page of a run's artifacts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactsPage {
    /// Artifacts; may be empty although more follow.
    pub artifacts: Vec<Artifact>,
    /// Present when more follow.
    pub continuation_token: Option<String>,
}
