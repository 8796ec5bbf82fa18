//! The JSON Schemas of the services: what is served under `/schemas/`, and what bodies are checked
//! against.
//!
//! The documents stand in `schemas/`, one file each, and are built into the binary. They are
//! JSON Schema draft 6. A document is named by its path there with `#` at the end, as in
//! `queue/v1/create-task-request.json#`: a service's method table writes the same without the
//! service.

mod date_time;
mod defaults;
pub(crate) mod explain;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use jsonschema::{Draft, PatternOptions, Registry, Validator};
use serde_json::Value;

pub use date_time::is_date_time;
use defaults::Defaults;
use explain::explain;

/// At most so many violations are told; a body of 10 MB could hold a million.
pub(crate) const MAX_VIOLATIONS: usize = 100;

/// Base of the names that documents refer to each other by. Never fetched, never shown.
const INTERNAL_BASE: &str = "taskyard:///";

macro_rules! embedded {
    ($($folder:literal: $($name:literal)*;)*) => {
        &[$($((
            concat!($folder, "/", $name, ".json"),
            include_str!(concat!("../schemas/", $folder, "/", $name, ".json")),
        ),)*)*]
    };
}

/// Every document: its path below `/schemas/`, and its text.
static DOCUMENTS: &[(&str, &str)] = embedded! {
    "auth/v1":
        "authenticate-hawk-request" "authenticate-hawk-response" "aws-s3-credentials-response"
        "azure-account-list-response" "azure-container-list-response" "azure-container-response"
        "azure-table-access-response" "azure-table-list-response" "client-message"
        "create-client-request" "create-client-response" "create-role-request"
        "gcp-credentials-response" "get-client-response" "get-entity-history-response"
        "get-role-response" "github-repo-token-request" "github-token-response" "list-clients-response" "list-role-ids-response" "list-roles-response"
        "list-roles2-response" "role-message" "scopeset" "sentry-dsn-response"
        "statsum-token-response" "test-authenticate-request" "test-authenticate-response"
        "webhooktunnel-token-response" "websocktunnel-token-response";
    "common":
        "api-reference-v0" "exchanges-reference-v0" "manifest-v3" "metadata-metaschema"
        "metaschema";
    "hooks/v1":
        "bindings" "create-hook-request" "hook-definition" "hook-metadata" "hook-status"
        "list-hook-groups-response" "list-hooks-response" "list-lastFires-response"
        "pulse-hook-changed-message" "schedule" "trigger-hook" "trigger-hook-response"
        "trigger-token-response";
    "index/v1":
        "indexed-task-response" "insert-task-request" "list-namespaces-request"
        "list-namespaces-response" "list-tasks-at-index" "list-tasks-response";
    "notify/v1":
        "email-request" "irc-request" "matrix-request" "notification-address"
        "notification-address-list" "notification-message" "pulse-request" "slack-request";
    "object/v1":
        "create-upload-request" "create-upload-response" "download-method-geturl"
        "download-method-simple" "download-object-request" "download-object-response"
        "finish-upload-request" "get-object-response" "hashes" "upload-method-data-inline"
        "upload-method-put-url";
    "purge-cache/v1":
        "all-purge-cache-request-list" "purge-cache-message" "purge-cache-request"
        "purge-cache-request-list" "purge-cache-requests";
    "queue/v1":
        "actions" "artifact-content-response" "artifact-created-message" "artifact-response"
        "cancel-task-group-response" "change-task-priority-request" "claim-work-request"
        "claim-work-response" "create-task-request" "finish-artifact-request"
        "get-artifact-response" "list-artifacts-response" "list-claimed-tasks-response"
        "list-dependent-tasks-response" "list-pending-tasks-response"
        "list-provisioners-response" "list-task-group-response" "list-taskqueues-response"
        "list-workers-response" "list-workertypes-response" "object-credentials"
        "pending-tasks-response" "post-artifact-request" "post-artifact-response"
        "provisioner-response" "put-artifact-request" "quarantine-worker-request" "task"
        "task-claim-request" "task-claim-response" "task-completed-message" "task-credentials"
        "task-defined-message" "task-definition-and-status" "task-exception-message"
        "task-exception-request" "task-failed-message" "task-group-changed-message"
        "task-group-priority-change-response" "task-group-priority-changed-message"
        "task-group-response" "task-metadata" "task-pending-message"
        "task-priority-changed-message" "task-pulse-definition"
        "task-queue-counts-batch-request" "task-queue-counts-batch-response"
        "task-queue-counts-response" "task-reclaim-response" "task-run" "task-running-message"
        "task-status" "task-status-response" "taskqueue-response" "tasks-request"
        "tasks-response" "tasks-statuses-response" "update-provisioner-request"
        "update-worker-request" "update-workertype-request" "worker-response"
        "workertype-response";
    "secrets/v1":
        "secret" "secret-list";
};

/// All schemas, compiled, and the root URL they are served under.
#[derive(Debug)]
pub struct Schemas {
    root_url: String,
    by_path: HashMap<&'static str, Schema>,
}

/// One schema, ready to check values against.
#[derive(Debug)]
pub struct Schema {
    document: Value,
    defaults: Defaults,
    validator: Validator,
}

/// One way in which a value does not fit its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Where: `data` for the whole value, `data/metadata/name` for something inside.
    pub pointer: String,
    /// What is wrong there, to be read after the pointer: `must be string`.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pointer, self.message)
    }
}

/// A schema document that was built in does not hold together. Only a change to the files under
/// `schemas/` can cause this, and the tests of this module find it.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The file is not JSON.
    #[error("schemas/{path} is not JSON: correct the file and build again")]
    Syntax {
        /// Path of the document below `schemas/`.
        path: &'static str,
        /// Where the text goes wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The document is not a valid schema, or refers to one that does not exist.
    #[error("schemas/{path} is not a usable schema ({reason}): correct the file and build again")]
    Unusable {
        /// Path of the document below `schemas/`.
        path: &'static str,
        /// What the compiler has against it.
        reason: String,
    },
}

impl Schemas {
    /// Reads and compiles every document.
    ///
    /// `root_url` is the public URL of the deployment, such as `https://tasks.example.com`; it only
    /// shows in what [`Schemas::document`] and [`Schemas::url`] return.
    ///
    /// # Errors
    ///
    /// When a document that was built in is broken, see [`SchemaError`].
    pub fn load(root_url: &str) -> Result<Self, SchemaError> {
        let mut documents = HashMap::with_capacity(DOCUMENTS.len());
        for &(path, text) in DOCUMENTS {
            let document: Value = serde_json::from_str(text)
                .map_err(|source| SchemaError::Syntax { path, source })?;
            documents.insert(path, document);
        }
        let by_path = compile(&documents)?
            .into_iter()
            .filter_map(|(path, validator)| {
                let document = documents.get(path)?.clone();
                let defaults = Defaults::of(&documents, path, &document, &mut Vec::new());
                Some((
                    path,
                    Schema {
                        document,
                        defaults,
                        validator,
                    },
                ))
            })
            .collect();
        Ok(Self {
            root_url: root_url.trim_end_matches('/').to_owned(),
            by_path,
        })
    }

    /// The schema of this name (`queue/v1/create-task-request.json#`; the `#` may be missing).
    pub fn get(&self, name: &str) -> Option<&Schema> {
        self.by_path.get(path_of(name))
    }

    /// Fills defaults into `value`, then checks it; see [`Schema::validate`].
    ///
    /// # Errors
    ///
    /// The violations; also when there is no schema of this name, since a value that cannot be
    /// checked must not pass.
    pub fn validate(&self, name: &str, value: &mut Value) -> Result<(), Vec<Violation>> {
        match self.get(name) {
            Some(schema) => schema.validate(value),
            None => Err(vec![Violation {
                pointer: "data".to_owned(),
                message: format!("cannot be checked: this server has no schema {name}"),
            }]),
        }
    }

    /// The document to serve at `/schemas/<path>`, such as `queue/v1/task.json`: its own name and
    /// that of its metaschema are absolute URLs, references within a service stay relative.
    pub fn document(&self, path: &str) -> Option<Value> {
        let mut document = self.get(path)?.document.clone();
        if let Value::Object(keywords) = &mut document {
            for keyword in ["$schema", "$id"] {
                if let Some(Value::String(url)) = keywords.get_mut(keyword)
                    && url.starts_with('/')
                {
                    url.insert_str(0, &self.root_url);
                }
            }
        }
        Some(document)
    }

    /// Every document as it was written, with names relative to the root URL, ordered by path.
    pub fn documents(&self) -> Vec<(&'static str, &Value)> {
        let mut all: Vec<_> = self
            .by_path
            .iter()
            .map(|(path, schema)| (*path, &schema.document))
            .collect();
        all.sort_unstable_by_key(|(path, _)| *path);
        all
    }

    /// URL of the schema of this name, as error messages tell it.
    pub fn url(&self, name: &str) -> String {
        format!("{}/schemas/{}#", self.root_url, path_of(name))
    }
}

impl Schema {
    /// Fills in the defaults the schema has for properties that are missing, at every depth, and
    /// then checks the value. A required property that has a default is therefore never missing.
    /// Defaults stay in the value even when it does not pass.
    ///
    /// # Errors
    ///
    /// Every violation, up to a hundred.
    pub fn validate(&self, value: &mut Value) -> Result<(), Vec<Violation>> {
        self.defaults.fill(value);
        // Almost all values pass, and finding that out allocates nothing.
        if self.validator.is_valid(value) {
            return Ok(());
        }
        let mut violations = Vec::new();
        for error in self.validator.iter_errors(value) {
            explain(&error, &mut violations);
            if violations.len() >= MAX_VIOLATIONS {
                violations.truncate(MAX_VIOLATIONS);
                break;
            }
        }
        Err(violations)
    }
}

fn path_of(name: &str) -> &str {
    name.strip_suffix('#').unwrap_or(name)
}

// === compiling ===

fn compile(
    documents: &HashMap<&'static str, Value>,
) -> Result<Vec<(&'static str, Validator)>, SchemaError> {
    let unusable = |path, reason: &dyn fmt::Display| SchemaError::Unusable {
        path,
        reason: reason.to_string(),
    };
    // The compiler must neither look for our metaschema on the network nor mind our root URL, so
    // it gets documents without names of their own, at places inside this process.
    let nameless: Vec<(&'static str, String, Value)> = documents
        .iter()
        .map(|(path, document)| {
            let mut document = document.clone();
            if let Value::Object(keywords) = &mut document {
                keywords.shift_remove("$schema");
                keywords.shift_remove("$id");
            }
            (*path, format!("{INTERNAL_BASE}{path}"), document)
        })
        .collect();
    let mut registry = Registry::new().draft(Draft::Draft6);
    for (path, place, document) in &nameless {
        registry = registry
            .add(place, document)
            .map_err(|error| unusable(path, &error))?;
    }
    let registry = registry.prepare().map_err(|error| unusable("", &error))?;
    let options = jsonschema::options()
        .with_draft(Draft::Draft6)
        .with_registry(&registry)
        .with_pattern_options(PatternOptions::regex())
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
        .with_format("date-time", is_date_time);
    nameless
        .iter()
        .map(|(path, place, document)| {
            let options = options.clone().with_base_uri(place.as_str());
            let validator = options
                .build(document)
                .map_err(|error| unusable(path, &error))?;
            Ok((*path, validator))
        })
        .collect()
}
