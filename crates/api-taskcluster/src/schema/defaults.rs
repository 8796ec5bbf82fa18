//! The defaults of a schema, to be filled into values.

use std::collections::HashMap;

use serde_json::Value;

/// What to fill into a value: the defaults of a schema without all the rest of it.
#[derive(Debug, Default)]
pub(super) struct Defaults {
    /// Properties of an object that have a default.
    missing: Vec<(String, Value)>,
    /// Properties of an object that have defaults further inside.
    inside: Vec<(String, Defaults)>,
    /// Defaults inside each item of an array.
    items: Option<Box<Defaults>>,
}

impl Defaults {
    /// Collects the defaults of `schema`, which stands in the document at `path`. A default beside
    /// a `$ref` counts; those of alternatives (`oneOf` and the like) do not, as it is not known
    /// which one applies. `within` are the schemas that are being collected, to end recursion.
    pub(super) fn of<'a>(
        documents: &'a HashMap<&'static str, Value>,
        path: &str,
        schema: &'a Value,
        within: &mut Vec<&'a Value>,
    ) -> Self {
        if within.iter().any(|outer| std::ptr::eq(*outer, schema)) {
            return Self::default();
        }
        within.push(schema);
        let defaults = match schema.get("$ref") {
            Some(Value::String(reference)) => resolve(documents, path, reference)
                .map(|(path, target)| Self::of(documents, path, target, within))
                .unwrap_or_default(),
            _ => Self::of_keywords(documents, path, schema, within),
        };
        within.pop();
        defaults
    }

    fn of_keywords<'a>(
        documents: &'a HashMap<&'static str, Value>,
        path: &str,
        schema: &'a Value,
        within: &mut Vec<&'a Value>,
    ) -> Self {
        let mut defaults = Self::default();
        if let Some(Value::Object(properties)) = schema.get("properties") {
            for (name, property) in properties {
                if let Some(default) = property.get("default") {
                    defaults.missing.push((name.clone(), default.clone()));
                }
                let inside = Self::of(documents, path, property, within);
                if !inside.is_empty() {
                    defaults.inside.push((name.clone(), inside));
                }
            }
        }
        if let Some(items @ Value::Object(_)) = schema.get("items") {
            let items = Self::of(documents, path, items, within);
            defaults.items = (!items.is_empty()).then(|| Box::new(items));
        }
        defaults
    }

    fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.inside.is_empty() && self.items.is_none()
    }

    pub(super) fn fill(&self, value: &mut Value) {
        match value {
            Value::Object(object) => {
                for (name, default) in &self.missing {
                    if !object.contains_key(name) {
                        object.insert(name.clone(), default.clone());
                    }
                }
                for (name, inside) in &self.inside {
                    if let Some(value) = object.get_mut(name) {
                        inside.fill(value);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(inside) = &self.items {
                    for item in items {
                        inside.fill(item);
                    }
                }
            }
            _ => {}
        }
    }
}

/// What `reference`, found in the document at `path`, refers to, and the document that stands in.
/// `None` for what is not ours, such as the metaschema of JSON Schema itself.
pub(super) fn resolve<'a>(
    documents: &'a HashMap<&'static str, Value>,
    path: &str,
    reference: &str,
) -> Option<(&'static str, &'a Value)> {
    let (file, pointer) = reference.split_once('#').unwrap_or((reference, ""));
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let target = if file.is_empty() {
        path.to_owned()
    } else {
        format!("{folder}/{file}")
    };
    let (path, document) = documents.get_key_value(target.as_str())?;
    Some((path, document.pointer(pointer)?))
}
