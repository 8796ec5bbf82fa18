use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A place where queues can be.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Location {
    /// `projects/P/locations/L`.
    pub name: String,
    /// What is known about it.
    pub labels: BTreeMap<String, String>,
    /// What else is known about it.
    pub metadata: Option<Value>,
    /// `L`.
    pub location_id: String,
    /// For people.
    pub display_name: String,
}

/// The key that a place's queues are encrypted with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CmekConfig {
    /// `projects/P/locations/L/cmekConfig`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Name of the key; none if empty.
    pub kms_key: String,
}
