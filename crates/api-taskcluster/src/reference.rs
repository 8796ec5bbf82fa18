//! The documents that describe the services, made from the declarations that route.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use crate::schema::Schemas;

/// Which documents there are.
const MANIFEST: &str = "/references/manifest.json";

/// All documents in one, for programs that want to know everything at once.
const TOGETHER: &str = "/references/references.json";

/// All reference documents and schemas of an installation.
#[derive(Debug)]
pub struct References {
    /// By path below the root URL.
    documents: BTreeMap<String, Value>,
    schemas: Arc<Schemas>,
}

impl References {
    /// References for services at `root_url`. Each document of methods comes with the name of its
    /// service; those of the exchanges stand beside them.
    pub fn new(
        root_url: &str,
        schemas: Arc<Schemas>,
        services: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Self {
        let exchanges = crate::exchanges::ALL
            .iter()
            .map(|exchanges| (exchanges.service, exchanges.reference()));
        let relative: BTreeMap<String, Value> = services
            .into_iter()
            .chain(exchanges)
            .map(|(name, document)| (path_of(name, &document), document))
            .collect();
        let urls: Vec<String> = relative
            .keys()
            .map(|path| format!("{root_url}{path}"))
            .collect();
        let together = together(&relative, &schemas);
        let mut documents: BTreeMap<String, Value> = relative
            .into_iter()
            .map(|(path, mut document)| {
                if let Some(schema) = document.get_mut("$schema")
                    && let Some(path) = schema.as_str()
                {
                    *schema = format!("{root_url}{path}").into();
                }
                (path, document)
            })
            .collect();
        let manifest = json!({
            "$schema": format!("{root_url}/schemas/common/manifest-v3.json#"),
            "references": urls,
        });
        documents.insert(MANIFEST.to_owned(), manifest);
        documents.insert(TOGETHER.to_owned(), together);
        References { documents, schemas }
    }

    /// Answers a path below `/references/` or `/schemas/`.
    pub fn answer(&self, path: &str) -> Response {
        let found = match path.strip_prefix("/schemas/") {
            Some(name) => self.schemas.document(name),
            None => self.documents.get(path).cloned(),
        };
        match found {
            Some(document) => Json(document).into_response(),
            None => (StatusCode::NOT_FOUND, Json(json!({"error": "Not found"}))).into_response(),
        }
    }
}

/// Where a service's document is: its schema says what it describes.
fn path_of(service: &str, document: &Value) -> String {
    let schema = document["$schema"].as_str().unwrap_or_default();
    let file = if schema.contains("/exchanges-reference-") {
        "exchanges"
    } else {
        "api"
    };
    format!("/references/{service}/v1/{file}.json")
}

/// Every reference, every schema and the manifest, named by their paths and not by where this
/// installation is.
fn together(references: &BTreeMap<String, Value>, schemas: &Schemas) -> Value {
    let entry = |filename: &str, content: &Value| json!({"filename": filename, "content": content});
    let manifest = json!({
        "$schema": "/schemas/common/manifest-v3.json#",
        "references": references.keys().collect::<Vec<_>>(),
    });
    let mut all = vec![entry("references/manifest.json", &manifest)];
    all.extend(
        references
            .iter()
            .map(|(path, document)| entry(path.trim_start_matches('/'), document)),
    );
    all.extend(
        schemas
            .documents()
            .into_iter()
            .map(|(path, document)| entry(&format!("schemas/{path}"), document)),
    );
    all.into()
}
