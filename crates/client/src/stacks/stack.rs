use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::null;
use crate::Timestamp;

/// A stack that registers itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewStack {
    /// Its key: 1 to 80 letters, digits, `_` and `-`. Registering a key again changes that stack.
    pub key: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: StackKind,
    /// The queue it mainly takes jobs from.
    pub queue_key: String,
    /// Anything worth knowing about it.
    pub metadata: BTreeMap<String, String>,
}

impl NewStack {
    /// A stack of one's own making.
    pub fn new(key: impl Into<String>, queue_key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            kind: StackKind::Custom,
            queue_key: queue_key.into(),
            metadata: BTreeMap::new(),
        }
    }

    /// The same, with one more thing to know about it.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }
}

/// What a stack is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StackKind {
    /// Of one's own making.
    Custom,
    /// The service's own, for Kubernetes.
    Kubernetes,
    /// The service's own, for AWS.
    Elastic,
}

/// Whether a stack is in contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StackState {
    /// It is.
    Connected,
    /// It has deregistered.
    Disconnected,
    /// It has not listed jobs for too long.
    Lost,
}

/// A registered stack.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Stack {
    /// UUID.
    pub id: String,
    /// UUID of the organization it belongs to.
    #[serde(default, deserialize_with = "null::default")]
    pub organization_uuid: String,
    /// The queue as it is really called, where [`NewStack::queue_key`] may have been an alias.
    #[serde(default, deserialize_with = "null::default")]
    pub cluster_queue_key: String,
    /// Its key.
    pub key: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: StackKind,
    /// What is known about it.
    #[serde(default, deserialize_with = "null::default")]
    pub metadata: BTreeMap<String, String>,
    /// When it was last heard of.
    #[serde(default)]
    pub last_connected_on: Option<Timestamp>,
    /// Whether it is in contact.
    pub state: StackState,
}
