//! The JSON Schemas of the services: what is served under `/schemas/`, and what bodies are checked
//! against.
//!
//! The documents stand in `schemas/`, one file each, and are built into the binary. They are
//! JSON Schema draft 6. A document is named by its path there with `#` at the end, as in
//! `queue/v1/create-task-request.json#`: a service's method table writes the same without the
//! service.

use std::collections::HashMap;
use std::fmt;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{Draft, PatternOptions, Registry, ValidationError, Validator};
use serde_json::Value;

/// At most so many violations are told; a body of 10 MB could hold a million.
const MAX_VIOLATIONS: usize = 100;

/// At most so many property names or allowed values are told in one message.
const MAX_LISTED: usize = 50;

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
    "common":
        "api-reference-v0" "exchanges-reference-v0" "manifest-v3" "metadata-metaschema"
        "metaschema";
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

/// What to fill into a value: the defaults of a schema without all the rest of it.
#[derive(Debug, Default)]
struct Defaults {
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
    fn of<'a>(
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

    fn fill(&self, value: &mut Value) {
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
fn resolve<'a>(
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

/// Whether `text` is a date and time as the services take it: RFC 3339, and besides that a zone may
/// be missing (it means UTC), lack its minutes or its colon, and a space may stand for the `T`.
/// A leap second is refused, since no time can be made of it.
pub fn is_date_time(text: &str) -> bool {
    let Some((&[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2], rest)) =
        text.as_bytes().split_first_chunk::<10>()
    else {
        return false;
    };
    let Some((&[separator, h1, h2, b':', i1, i2, b':', s1, s2], rest)) =
        rest.split_first_chunk::<9>()
    else {
        return false;
    };
    let zone = match rest {
        [b'.', fraction @ ..] => {
            let digits = fraction
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            if digits == 0 {
                return false;
            }
            &fraction[digits..]
        }
        _ => rest,
    };
    let zone_fits = match *zone {
        [] | [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2] => below(24, [h1, h2]),
        [b'+' | b'-', h1, h2, m1, m2] | [b'+' | b'-', h1, h2, b':', m1, m2] => {
            below(24, [h1, h2]) && below(60, [m1, m2])
        }
        _ => false,
    };
    zone_fits
        && matches!(separator, b'T' | b't' | b' ' | b'\t')
        && below(24, [h1, h2])
        && below(60, [i1, i2])
        && below(60, [s1, s2])
        && is_day([y1, y2, y3, y4], [m1, m2], [d1, d2])
}

fn is_day(year: [u8; 4], month: [u8; 2], day: [u8; 2]) -> bool {
    let (Some(year), Some(month), Some(day)) = (number(&year), number(&month), number(&day)) else {
        return false;
    };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day)
}

fn below(limit: u32, digits: [u8; 2]) -> bool {
    number(&digits).is_some_and(|number| number < limit)
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u32::from(digit - b'0'))
    })
}

// === explaining ===

/// Adds what `error` means to `violations`. Where none of several alternatives fits, that is what
/// is wrong with the one that the value says it is.
fn explain(error: &ValidationError<'_>, violations: &mut Vec<Violation>) {
    let (ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context }) =
        error.kind()
    else {
        violations.push(Violation {
            pointer: format!("data{}", error.instance_path()),
            message: message(error),
        });
        return;
    };
    // An alternative is another one when a word that tells them apart has another value.
    let tells_apart = |error: &ValidationError<'_>| {
        matches!(
            error.kind(),
            ValidationErrorKind::Enum { .. } | ValidationErrorKind::Constant { .. }
        )
    };
    let meant: Vec<_> = context
        .iter()
        .filter(|errors| !errors.iter().any(tells_apart))
        .collect();
    let mut found = Vec::new();
    if meant.is_empty() {
        let words = context.iter().flatten().filter(|error| tells_apart(error));
        words.for_each(|error| explain(error, &mut found));
    } else {
        meant
            .into_iter()
            .flatten()
            .for_each(|error| explain(error, &mut found));
    }
    for violation in found {
        if !violations.contains(&violation) {
            violations.push(violation);
        }
    }
}

fn message(error: &ValidationError<'_>) -> String {
    match error.kind() {
        ValidationErrorKind::Required {
            property: Value::String(name),
        } => {
            format!("must have required property '{name}'")
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => format!(
            "must not have additional properties: {}",
            listed(unexpected.iter().map(|name| format!("'{name}'")))
        ),
        ValidationErrorKind::Type {
            kind: TypeKind::Single(kind),
        } => format!("must be {kind}"),
        ValidationErrorKind::Enum { options } => match options.as_ref() {
            Value::Array(options) => {
                format!(
                    "must be one of {}",
                    listed(options.iter().map(Value::to_string))
                )
            }
            other => format!("must be {other}"),
        },
        ValidationErrorKind::Constant { expected_value } => format!("must be {expected_value}"),
        ValidationErrorKind::Pattern { pattern } => format!("must match pattern \"{pattern}\""),
        ValidationErrorKind::Format { format } if format == "date-time" => {
            "must be a date and time such as 2026-03-01T10:00:00.000Z".to_owned()
        }
        ValidationErrorKind::Format { format } => format!("must match format \"{format}\""),
        ValidationErrorKind::MinLength { limit } => {
            format!("must not be shorter than {limit} characters")
        }
        ValidationErrorKind::MaxLength { limit } => {
            format!("must not be longer than {limit} characters")
        }
        ValidationErrorKind::MinItems { limit } => {
            format!("must not have fewer than {limit} items")
        }
        ValidationErrorKind::MaxItems { limit } => {
            format!("must not have more than {limit} items")
        }
        ValidationErrorKind::Minimum { limit } => format!("must be at least {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("must be at most {limit}"),
        ValidationErrorKind::UniqueItems => "must not have the same item twice".to_owned(),
        _ => error.masked_with("the value").to_string(),
    }
}

fn listed(names: impl ExactSizeIterator<Item = String>) -> String {
    let rest = names.len().saturating_sub(MAX_LISTED);
    let list = names.take(MAX_LISTED).collect::<Vec<_>>().join(", ");
    if rest > 0 {
        format!("{list} and {rest} more")
    } else {
        list
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use serde_json::json;

    use super::*;

    const CREATE_TASK: &str = "queue/v1/create-task-request.json#";
    const TASK_ID: &str = "fN1SbArXTPSVFNUvaOlinQ";

    fn schemas() -> Schemas {
        Schemas::load("https://tc.example.com/").unwrap()
    }

    fn smallest_task() -> Value {
        json!({
            "taskQueueId": "proj-a/linux-small",
            "created": "2026-03-01T10:00:00.000Z",
            "deadline": "2026-03-01T12:00:00.000Z",
            "payload": {},
            "metadata": {
                "name": "n", "description": "d", "owner": "o@example.com",
                "source": "https://example.com/r",
            },
        })
    }

    fn status() -> Value {
        json!({
            "taskId": TASK_ID, "provisionerId": "proj-a", "workerType": "linux-small",
            "taskQueueId": "proj-a/linux-small", "schedulerId": "-", "projectId": "none",
            "taskGroupId": TASK_ID, "priority": "lowest",
            "deadline": "2026-03-01T12:00:00.000Z", "expires": "2027-03-01T12:00:00.000Z",
            "retriesLeft": 4, "state": "pending",
            "runs": [
                {"runId": 0, "state": "exception", "reasonCreated": "scheduled",
                 "reasonResolved": "claim-expired", "workerGroup": "wg", "workerId": "w1",
                 "takenUntil": "2026-03-01T10:20:05.250Z",
                 "scheduled": "2026-03-01T10:00:00.123Z",
                 "started": "2026-03-01T10:00:05.250Z", "resolved": "2026-03-01T10:20:08.001Z"},
                {"runId": 1, "state": "pending", "reasonCreated": "retry",
                 "scheduled": "2026-03-01T10:20:08.001Z"},
            ],
        })
    }

    /// What is told when `change` is made to the smallest task.
    fn told(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut task = smallest_task();
        change(&mut task);
        match schemas().validate(CREATE_TASK, &mut task) {
            Ok(()) => Vec::new(),
            Err(violations) => violations.iter().map(Violation::to_string).collect(),
        }
    }

    #[test]
    fn every_file_in_the_folder_is_built_in_under_its_own_name() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        let mut files = BTreeSet::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir().unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.insert(
                        path.strip_prefix(&root)
                            .unwrap()
                            .to_str()
                            .unwrap()
                            .to_owned(),
                    );
                }
            }
        }
        let built_in: BTreeSet<_> = DOCUMENTS
            .iter()
            .map(|(path, _)| (*path).to_owned())
            .collect();
        assert_eq!(files, built_in);
        for (path, document) in schemas().documents() {
            assert_eq!(document["$id"], format!("/schemas/{path}#"));
        }
    }

    #[test]
    fn every_reference_leads_to_something() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(object) => {
                    found.extend(object.get("$ref").and_then(Value::as_str));
                    object.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let schemas = schemas();
        let documents = schemas.documents();
        let by_path = documents
            .iter()
            .map(|(path, value)| (*path, (*value).clone()))
            .collect();
        for (path, document) in &documents {
            let mut found = Vec::new();
            references(document, &mut found);
            for reference in found
                .into_iter()
                .filter(|reference| !reference.contains("://"))
            {
                assert!(
                    resolve(&by_path, path, reference).is_some(),
                    "{path}: {reference}"
                );
            }
        }
    }

    #[test]
    fn the_smallest_task_passes_and_gets_its_defaults() {
        let mut task = smallest_task();
        schemas().validate(CREATE_TASK, &mut task).unwrap();
        let mut expected = smallest_task();
        let defaults = json!({
            "schedulerId": "-", "projectId": "none", "dependencies": [],
            "requires": "all-completed", "routes": [], "priority": "lowest", "retries": 5,
            "scopes": [], "tags": {}, "extra": {},
        });
        expected
            .as_object_mut()
            .unwrap()
            .extend(defaults.as_object().unwrap().clone());
        assert_eq!(task, expected);
    }

    #[test]
    fn a_task_of_either_generation_of_clients_passes() {
        let schemas = schemas();
        for change in [
            json!({"provisionerId": "p", "workerType": "w", "taskQueueId": "p/w"}),
            json!({"priority": "normal"}),
            json!({"created": "2026-03-01T10:00:00.196000+00:00"}),
            json!({"deadline": "2026-03-01 12:00:00"}),
            json!({"expires": "2027-03-01T12:00:00Z", "taskGroupId": TASK_ID, "retries": 49}),
            json!({"dependencies": [TASK_ID], "routes": ["index.a"], "scopes": ["a", "a", "*"]}),
            json!({"tags": {"k": "v"}, "extra": {"any": [null]}, "payload": {"any": 1}}),
        ] {
            let mut task = smallest_task();
            task.as_object_mut()
                .unwrap()
                .extend(change.as_object().unwrap().clone());
            assert_eq!(schemas.validate(CREATE_TASK, &mut task), Ok(()), "{change}");
        }
    }

    #[test]
    fn a_task_out_of_bounds_is_refused_with_the_place_named() {
        let bad_word = "must match pattern \"^([a-zA-Z0-9-_]*)$\"";
        for (field, value, expected) in [
            (
                "retries",
                json!(50),
                "data/retries must be at most 49".to_owned(),
            ),
            (
                "retries",
                json!(-1),
                "data/retries must be at least 0".to_owned(),
            ),
            (
                "retries",
                json!(1.5),
                "data/retries must be integer".to_owned(),
            ),
            (
                "payload",
                json!([]),
                "data/payload must be object".to_owned(),
            ),
            (
                "schedulerId",
                json!("a.b"),
                format!("data/schedulerId {bad_word}"),
            ),
            (
                "schedulerId",
                json!(""),
                "data/schedulerId must not be shorter than 1 characters".to_owned(),
            ),
            (
                "deadline",
                json!("tomorrow"),
                "data/deadline must be a date and time such as 2026-03-01T10:00:00.000Z".to_owned(),
            ),
            (
                "requires",
                json!("some"),
                "data/requires must be one of \"all-completed\", \"all-resolved\"".to_owned(),
            ),
            (
                "dependencies",
                json!([TASK_ID, TASK_ID]),
                "data/dependencies must not have the same item twice".to_owned(),
            ),
            (
                "routes",
                json!(["x".repeat(250)]),
                "data/routes/0 must not be longer than 249 characters".to_owned(),
            ),
            (
                "routes",
                (0..65).map(|n| n.to_string()).collect(),
                "data/routes must not have more than 64 items".to_owned(),
            ),
            (
                "tags",
                json!({"a/b": 1}),
                "data/tags/a~1b must be string".to_owned(),
            ),
            (
                "more",
                json!(1),
                "data must not have additional properties: 'more'".to_owned(),
            ),
        ] {
            assert_eq!(told(|task| task[field] = value), [expected]);
        }
    }

    #[test]
    fn identifiers_with_a_stray_character_are_refused() {
        for (field, value) in [
            ("taskQueueId", "proj-a/Linux"),
            ("taskQueueId", "proj-a"),
            ("taskQueueId", "proj-a/linux\n"),
            ("provisionerId", "a/b"),
            ("workerType", "-a"),
            ("taskGroupId", "not-a-slugid"),
            ("projectId", "a b"),
        ] {
            let told = told(|task| task[field] = json!(value));
            assert_eq!(told.len(), 1, "{field} {value:?}: {told:?}");
            assert!(
                told[0].starts_with(&format!("data/{field} must match pattern")),
                "{told:?}"
            );
        }
        let told = told(|task| task["scopes"] = json!(["ok", "tab\t"]));
        assert!(
            told[0].starts_with("data/scopes/1 must match pattern"),
            "{told:?}"
        );
    }

    #[test]
    fn all_violations_are_told_at_once_but_not_more_than_a_hundred() {
        let mut several = told(|task| {
            task["retries"] = json!(50);
            task["metadata"]
                .as_object_mut()
                .unwrap()
                .shift_remove("name");
            task.as_object_mut().unwrap().shift_remove("created");
        });
        several.sort();
        assert_eq!(
            several,
            [
                "data must have required property 'created'",
                "data/metadata must have required property 'name'",
                "data/retries must be at most 49",
            ]
        );
        let many = told(|task| task["scopes"] = vec![json!(1); 5000].into());
        assert_eq!(many.len(), MAX_VIOLATIONS);
    }

    #[test]
    fn a_long_list_of_surplus_properties_is_shortened() {
        let told = told(|task| {
            for n in 0..60 {
                task[format!("x{n}")] = json!(n);
            }
        });
        assert_eq!(told.len(), 1);
        assert!(
            told[0].contains("'x49'") && told[0].ends_with(" and 10 more"),
            "{told:?}"
        );
    }

    #[test]
    fn a_required_property_with_a_default_may_be_left_out() {
        let schemas = schemas();
        let mut claim = json!({"workerGroup": "g", "workerId": "w"});
        schemas
            .validate("queue/v1/claim-work-request.json#", &mut claim)
            .unwrap();
        assert_eq!(claim["tasks"], 1);
        let mut tasks = json!({});
        schemas
            .validate("queue/v1/tasks-request.json", &mut tasks)
            .unwrap();
        assert_eq!(tasks, json!({"taskIds": []}));
    }

    #[test]
    fn a_new_artifact_is_measured_by_the_form_it_names() {
        let schemas = schemas();
        let check = |mut artifact: Value| {
            schemas
                .validate("queue/v1/post-artifact-request.json#", &mut artifact)
                .map_err(|told| told.iter().map(Violation::to_string).collect::<Vec<_>>())
        };
        let expires = "2026-11-22T05:40:00.196000+00:00";
        for artifact in [
            json!({"storageType": "s3", "expires": expires, "contentType": "text/plain"}),
            json!({"storageType": "link", "expires": expires, "artifact": "public/a"}),
            json!({"storageType": "reference", "expires": expires, "contentType": "text/html",
                   "url": "https://example.com/a?b=c"}),
            json!({"storageType": "error", "expires": expires, "message": "m",
                   "reason": "file-missing-on-worker"}),
        ] {
            assert_eq!(check(artifact), Ok(()));
        }
        assert_eq!(
            check(json!({"storageType": "reference", "expires": expires, "url": "://"})),
            Err(vec![
                "data must have required property 'contentType'".to_owned(),
                "data/url must match format \"uri\"".to_owned(),
            ])
        );
        let told = check(json!({"storageType": "tape", "expires": expires})).unwrap_err();
        assert!(
            told.contains(&"data/storageType must be one of \"s3\"".to_owned()),
            "{told:?}"
        );
        assert!(
            told.iter().all(|line| line.starts_with("data/storageType")),
            "{told:?}"
        );
    }

    #[test]
    fn answers_have_the_shape_their_schemas_tell() {
        let schemas = schemas();
        let mut task = smallest_task();
        schemas.validate(CREATE_TASK, &mut task).unwrap();
        task["provisionerId"] = json!("proj-a");
        task["workerType"] = json!("linux-small");
        task["taskGroupId"] = json!(TASK_ID);
        let claim = json!({
            "status": status(), "runId": 1, "workerGroup": "wg", "workerId": "w1",
            "takenUntil": "2026-03-01T10:20:05.250Z", "task": task,
            "credentials": {"clientId": "c", "accessToken": "t", "certificate": "{}"},
        });
        for (name, answer) in [
            ("task-status-response", json!({"status": status()})),
            ("claim-work-response", json!({"tasks": [claim]})),
            ("task-claim-response", claim.clone()),
            (
                "list-dependent-tasks-response",
                json!({"taskId": TASK_ID, "tasks": [{"task": task, "status": status()}]}),
            ),
        ] {
            let name = format!("queue/v1/{name}.json#");
            let mut wrong = answer.clone();
            assert_eq!(
                schemas.validate(&name, &mut answer.clone()),
                Ok(()),
                "{name}"
            );
            wrong["surplus"] = json!(1);
            assert!(schemas.validate(&name, &mut wrong).is_err(), "{name}");
        }
    }

    #[test]
    fn a_schema_that_does_not_exist_lets_nothing_pass() {
        assert!(
            schemas()
                .validate("queue/v1/nothing.json#", &mut json!({}))
                .is_err()
        );
        assert!(schemas().document("queue/v1/nothing.json").is_none());
    }

    #[test]
    fn served_documents_have_absolute_names_and_relative_references() {
        let schemas = schemas();
        let document = schemas
            .document("queue/v1/create-task-request.json")
            .unwrap();
        assert_eq!(
            document["$id"],
            "https://tc.example.com/schemas/queue/v1/create-task-request.json#"
        );
        assert_eq!(
            document["$schema"],
            "https://tc.example.com/schemas/common/metaschema.json#"
        );
        assert_eq!(
            document["properties"]["tags"]["$ref"],
            "task.json#/properties/tags"
        );
        assert_eq!(document["$id"], schemas.url(CREATE_TASK));
        let metaschema = schemas.document("common/metaschema.json").unwrap();
        assert_eq!(
            metaschema["$schema"],
            "http://json-schema.org/draft-06/schema#"
        );
    }

    #[test]
    fn dates_are_taken_as_laxly_as_clients_write_them() {
        for good in [
            "2026-03-01T10:00:00.000Z",
            "2026-03-01t10:00:00z",
            "2026-03-01 10:00:00",
            "2026-03-01T10:00:00.123456789+02",
            "2026-03-01T10:00:00-0230",
            "2026-03-01T23:59:59+14:00",
            "2024-02-29T00:00:00Z",
            "2000-02-29T00:00:00Z",
        ] {
            assert!(is_date_time(good), "{good}");
        }
        for bad in [
            "",
            "2026-03-01",
            "2026-03-01T10:00Z",
            "2026-03-01T10:00:00.Z",
            "2026-03-01T24:00:00Z",
            "2026-03-01T10:60:00Z",
            "2016-12-31T23:59:60Z",
            "2026-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-03-00T00:00:00Z",
            "2026-03-01T10:00:00+24:00",
            "2026-03-01T10:00:00+2",
            "2026-03-01T10:00:00Zulu",
            "2026-03-01_10:00:00Z",
            "2o26-03-01T10:00:00Z",
            "+2026-03-01T10:00:00Z",
            "2026-03-01T10:00:00.1\u{0661}Z",
        ] {
            assert!(!is_date_time(bad), "{bad}");
        }
    }
}
