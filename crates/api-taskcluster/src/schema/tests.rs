//! Tests of the schemas that are built in.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;

use super::defaults::resolve;
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
