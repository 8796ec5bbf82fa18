//! The documents that describe the services, made from the declarations that route.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use crate::schema::Schemas;

/// All reference documents and schemas of an installation.
#[derive(Debug)]
pub struct References {
    /// By path below the root URL.
    documents: BTreeMap<String, Value>,
    schemas: Arc<Schemas>,
}

impl References {
    /// References for services, each given by its name and its reference document, at `root_url`.
    pub fn new(
        root_url: &str,
        schemas: Arc<Schemas>,
        services: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Self {
        let mut documents: BTreeMap<String, Value> = services
            .into_iter()
            .map(|(name, mut document)| {
                if let Some(schema) = document.get_mut("$schema")
                    && let Some(path) = schema.as_str()
                {
                    *schema = format!("{root_url}{path}").into();
                }
                (format!("/references/{name}/v1/api.json"), document)
            })
            .collect();
        let urls: Vec<String> = documents
            .keys()
            .map(|path| format!("{root_url}{path}"))
            .collect();
        let manifest = json!({
            "$schema": format!("{root_url}/schemas/common/manifest-v3.json#"),
            "references": urls,
        });
        documents.insert("/references/manifest.json".to_owned(), manifest);
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
