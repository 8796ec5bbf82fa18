use serde::{Deserialize, Serialize};

use super::bytes64::Base64;

/// Who may do what with a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Policy {
    /// 3 if there are conditions.
    pub version: i32,
    /// The version it is a change of; a policy that has changed meanwhile is not overwritten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<Base64>,
    /// The grants.
    pub bindings: Vec<Binding>,
    /// What is recorded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audit_configs: Vec<AuditConfig>,
}

/// A grant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Binding {
    /// What, such as `roles/cloudtasks.enqueuer`.
    pub role: String,
    /// To whom, such as `serviceAccount:a@b`.
    pub members: Vec<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
}

/// When a grant holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// In the Common Expression Language.
    pub expression: String,
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where it stands.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub location: String,
}

/// What is recorded of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuditConfig {
    /// The service.
    pub service: String,
    /// Kinds of records.
    pub audit_log_configs: Vec<AuditLogConfig>,
}

/// A kind of record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuditLogConfig {
    /// `ADMIN_READ`, `DATA_WRITE` or `DATA_READ`.
    pub log_type: String,
    /// Of whom nothing is recorded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exempted_members: Vec<String>,
}
