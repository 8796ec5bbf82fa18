//! What each method refuses: method by method, with the error that its callers are promised.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use taskyard_access::slugid;
use taskyard_store::on_both_databases;
use taskyard_store::testing::Kind;

use crate::ask::Ask;
use crate::house::{House, QUEUE, escaped, merged};

/// Methods that answer whoever asks whatever they ask.
const INFALLIBLE: [&str; 4] = ["ping", "lbheartbeat", "heartbeat", "version"];

/// An argument of each kind that could be one.
fn argument(name: &str) -> String {
    match name {
        "taskId" | "taskGroupId" => slugid::nice(),
        "runId" => "0".to_owned(),
        "taskQueueId" => QUEUE.to_owned(),
        "workerType" => "type".to_owned(),
        "name" => "public/x".to_owned(),
        _ => "some".to_owned(),
    }
}

/// Arguments that cannot be one.
fn wrong(name: &str) -> Vec<&'static str> {
    match name {
        "runId" => vec!["-1", "x", "1.5", " 0"],
        "name" => vec!["ü", "a\nb", "a\u{7f}"],
        "taskQueueId" => vec!["prov", "prov/Type", "prov/type/more", "a b/type"],
        "taskId" | "taskGroupId" => vec!["short", "AAAAAAAAAAAAAAAAAAAAAA", "../../../../../etc"],
        _ => vec!["a b", "ü", "a/b", "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"],
    }
}

struct Entry {
    name: String,
    verb: String,
    route: String,
    args: Vec<String>,
    query: Vec<String>,
    has_input: bool,
}

impl Entry {
    fn all(house: &House) -> Vec<Self> {
        let texts = |value: &Value| -> Vec<String> {
            let all = value.as_array().into_iter().flatten();
            all.map(|one| one.as_str().expect("text").to_owned())
                .collect()
        };
        let entries = house.reference()["entries"].as_array().expect("entries");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        entries
            .iter()
            .map(|entry| Entry {
                name: text(&entry["name"]),
                verb: text(&entry["method"]).to_uppercase(),
                route: text(&entry["route"]),
                args: texts(&entry["args"]),
                query: texts(&entry["query"]),
                has_input: !entry["input"].is_null(),
            })
            .filter(|entry| !INFALLIBLE.contains(&entry.name.as_str()))
            .collect()
    }

    fn target(&self, args: &[String]) -> String {
        let mut path = self.route.clone();
        for (name, arg) in self.args.iter().zip(args) {
            path = path.replace(&format!("<{name}>"), &escaped(arg));
        }
        format!("/api/queue/v1{path}")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_refuses_what_cannot_be_meant() {
    let house = House::new(Kind::Sqlite).await;
    let ask = async |ask: Ask| house.ask(ask.by(house.root())).await;
    for entry in Entry::all(&house) {
        let good: Vec<String> = entry.args.iter().map(|name| argument(name)).collect();
        let target = entry.target(&good);
        let asked = || Ask::new(&entry.verb, &target);
        // Arguments.
        for (at, name) in entry.args.iter().enumerate() {
            for bad in wrong(name) {
                let mut args = good.clone();
                bad.clone_into(&mut args[at]);
                let mut wrong = Ask::new(&entry.verb, &entry.target(&args));
                if entry.has_input {
                    wrong = wrong.json(&json!({}));
                }
                let answer = ask(wrong).await;
                assert_eq!(answer.status, 400, "{} {args:?} {answer:?}", entry.name);
                answer.refused(400, "InvalidRequestArguments");
            }
        }
        // Queries.
        let mut queries = vec!["noSuchOption=1", "limit=1&limit=2"];
        if entry.query.iter().any(|option| option == "limit") {
            queries.extend(["limit=x", "limit=-1", "continuationToken="]);
        }
        if entry.query.iter().any(|option| option == "quarantined") {
            queries.push("quarantined=maybe");
        }
        for query in queries {
            let mut wrong = Ask::new(&entry.verb, &format!("{target}?{query}"));
            if entry.has_input {
                wrong = wrong.json(&json!({}));
            }
            let answer = ask(wrong).await;
            assert_eq!(answer.status, 400, "{} {query} {answer:?}", entry.name);
            answer.refused(400, "InvalidRequestArguments");
        }
        // Bodies.
        for text in ["{", "1", "\"text\"", "null"] {
            let answer = ask(asked().json_text(text)).await;
            assert_eq!(answer.status, 400, "{} {text} {answer:?}", entry.name);
            answer.refused(400, "MalformedPayload");
        }
        if !entry.has_input {
            continue;
        }
        ask(asked()).await.refused(400, "MalformedPayload");
        for body in [json!({"noSuchProperty": 1}), json!([])] {
            let answer = ask(asked().json(&body)).await;
            assert_eq!(answer.status, 400, "{} {body} {answer:?}", entry.name);
            answer.refused(400, "InputValidationError");
        }
        let large = format!("{{\"x\":\"{}\"}}", "x".repeat(10 * 1024 * 1024));
        ask(asked().json_text(large))
            .await
            .refused(413, "InputTooLarge");
    }
}

/// Tasks that stand in all the ways that calls may find them.
struct Scene {
    /// Its deadline has passed, and nobody has looked yet.
    late: String,
    /// The same, with a run that is running.
    late_running: String,
    pending: String,
    running: String,
    completed: String,
    /// Its group is sealed.
    sealed: String,
    /// Artifacts of its run: `s3`, `reference`, `object`, `blob`.
    holder: String,
}

impl Scene {
    async fn new(house: &House) -> Self {
        let late = house.create(json!({})).await;
        let (late_running, _) = house.taken(json!({})).await;
        house.wait(Duration::from_mins(61));
        let (running, _) = house.taken(json!({})).await;
        let (completed, _) = house.taken(json!({})).await;
        house
            .call("reportCompleted", &[&completed, "0"], None)
            .await
            .status_of();
        let (holder, _) = house.taken(json!({})).await;
        let expires = house.later(Duration::from_hours(1));
        for (name, more) in [
            ("s3", json!({"contentType": "text/plain"})),
            (
                "reference",
                json!({"contentType": "text/plain", "url": "https://x"}),
            ),
            ("object", json!({"contentType": "text/plain"})),
            (
                "blob",
                json!({
                    "contentType": "text/plain", "contentSha256": "00".repeat(32), "contentLength": 5,
                }),
            ),
        ] {
            let body = merged(json!({"storageType": name, "expires": expires}), more);
            house
                .call("createArtifact", &[&holder, "0", name], Some(body))
                .await
                .granted();
        }
        let sealed = house.create(json!({})).await;
        house
            .call("sealTaskGroup", &[&sealed], None)
            .await
            .granted();
        let pending = house.create(json!({})).await;
        Scene {
            late,
            late_running,
            pending,
            running,
            completed,
            sealed,
            holder,
        }
    }
}

/// One call and how it is refused.
struct Case(&'static str, Vec<String>, Option<Value>, u16, &'static str);

const MISSING: &str = "ResourceNotFound";
const CONFLICT: &str = "RequestConflict";
const INPUT: &str = "InputError";

fn case(
    method: &'static str,
    args: &[&str],
    body: Option<Value>,
    status: u16,
    code: &'static str,
) -> Case {
    Case(
        method,
        args.iter().map(|arg| (*arg).to_owned()).collect(),
        body,
        status,
        code,
    )
}

/// What does not exist.
fn missing(house: &House, scene: &Scene) -> Vec<Case> {
    let none = slugid::nice();
    let worker = Some(json!({"workerGroup": "g", "workerId": "w"}));
    let reason = Some(json!({"reason": "internal-error"}));
    let priority = Some(json!({"newPriority": "high"}));
    let until = Some(json!({"quarantineUntil": house.later(Duration::from_hours(1))}));
    let mut cases = Vec::new();
    let mut add = |method, args: &[&str], body: &Option<Value>| {
        cases.push(case(method, args, body.clone(), 404, MISSING));
    };
    for method in [
        "task",
        "status",
        "listDependentTasks",
        "scheduleTask",
        "rerunTask",
        "cancelTask",
        "listTaskGroup",
        "getTaskGroup",
        "sealTaskGroup",
        "cancelTaskGroup",
        "listLatestArtifacts",
    ] {
        add(method, &[&none], &None);
    }
    add("changeTaskPriority", &[&none], &priority);
    add("changeTaskGroupPriority", &[&none], &priority);
    for (task, run) in [(none.as_str(), "0"), (&scene.running, "1")] {
        add("claimTask", &[task, run], &worker);
        add("reclaimTask", &[task, run], &None);
        add("reportCompleted", &[task, run], &None);
        add("reportFailed", &[task, run], &None);
        add("reportException", &[task, run], &reason);
        add("listArtifacts", &[task, run], &None);
        for method in ["getArtifact", "artifact", "artifactInfo"] {
            add(method, &[task, run, "reference"], &None);
        }
        add(
            "finishArtifact",
            &[task, run, "object"],
            &Some(json!({"uploadId": none})),
        );
        add(
            "completeArtifact",
            &[task, run, "blob"],
            &Some(json!({"etags": []})),
        );
    }
    // Not there, or not there yet.
    for name in ["nothing", "object", "blob"] {
        for method in ["getArtifact", "artifact", "artifactInfo"] {
            add(method, &[&scene.holder, "0", name], &None);
        }
        for method in ["getLatestArtifact", "latestArtifact", "latestArtifactInfo"] {
            add(method, &[&scene.holder, name], &None);
            add(method, &[&none, name], &None);
        }
    }
    add(
        "finishArtifact",
        &[&scene.holder, "0", "nothing"],
        &Some(json!({"uploadId": none})),
    );
    add(
        "completeArtifact",
        &[&scene.holder, "0", "nothing"],
        &Some(json!({"etags": []})),
    );
    add("getProvisioner", &["nobody"], &None);
    add("getWorkerType", &["nobody", "type"], &None);
    add("getTaskQueue", &["nobody/type"], &None);
    add("getWorker", &["prov", "type", "nobody", "w"], &None);
    add("quarantineWorker", &["prov", "type", "nobody", "w"], &until);
    cases
}

/// What comes too late, twice, or in between.
fn conflicts(house: &House, scene: &Scene) -> Vec<Case> {
    let worker = Some(json!({"workerGroup": "g", "workerId": "w"}));
    let reason = Some(json!({"reason": "internal-error"}));
    let other = Some(json!({"reason": "malformed-payload"}));
    let priority = Some(json!({"newPriority": "high"}));
    let definition = |more: Value| Some(merged(house.definition(), more));
    let expires = house.later(Duration::from_hours(1));
    let error = Some(json!({
        "storageType": "error", "reason": "too-large-file-on-worker", "message": "", "expires": expires,
    }));
    let mut cases = Vec::new();
    let mut add = |method, args: &[&str], body: &Option<Value>| {
        cases.push(case(method, args, body.clone(), 409, CONFLICT));
    };
    for method in ["scheduleTask", "rerunTask", "cancelTask"] {
        add(method, &[&scene.late], &None);
    }
    add("changeTaskPriority", &[&scene.late], &priority);
    add("changeTaskPriority", &[&scene.completed], &priority);
    add("cancelTaskGroup", &[&scene.pending], &None);
    for task in [&scene.late, &scene.running, &scene.completed] {
        add("claimTask", &[task, "0"], &worker);
    }
    for task in [
        &scene.late,
        &scene.late_running,
        &scene.pending,
        &scene.completed,
    ] {
        add("reclaimTask", &[task, "0"], &None);
    }
    for task in [&scene.late, &scene.pending, &scene.completed] {
        if *task != scene.completed {
            add("reportCompleted", &[task, "0"], &None);
        }
        add("reportFailed", &[task, "0"], &None);
        add("reportException", &[task, "0"], &reason);
        add("reportException", &[task, "0"], &other);
    }
    for method in ["createTask", "defineTask"] {
        add(
            method,
            &[&scene.pending],
            &definition(json!({"retries": 7})),
        );
        let group = json!({"taskGroupId": scene.sealed});
        add(method, &[&slugid::nice()], &definition(group));
        let scheduler = json!({"taskGroupId": scene.pending, "schedulerId": "other"});
        add(method, &[&slugid::nice()], &definition(scheduler));
    }
    add("createArtifact", &[&scene.completed, "0", "a"], &error);
    for name in ["s3", "reference", "object", "blob"] {
        add("createArtifact", &[&scene.holder, "0", name], &error);
    }
    cases
}

/// What makes no sense.
fn bad_input(house: &House, scene: &Scene) -> Vec<Case> {
    let none = slugid::nice();
    let hours = |hours| house.later(Duration::from_hours(hours));
    let definition = |more: Value| Some(merged(house.definition(), more));
    let error = |expires: String| {
        Some(json!({
            "storageType": "error", "reason": "too-large-file-on-worker", "message": "",
            "expires": expires,
        }))
    };
    let mut cases = Vec::new();
    let mut add = |method, args: &[&str], body: &Option<Value>| {
        cases.push(case(method, args, body.clone(), 400, INPUT));
    };
    for method in ["createTask", "defineTask"] {
        for more in [
            json!({"taskQueueId": null}),
            json!({"provisionerId": "prov", "workerType": "other"}),
            json!({"dependencies": [none]}),
            json!({"created": house.earlier(Duration::from_hours(1))}),
            json!({"created": hours(1)}),
            json!({"deadline": hours(24 * 6)}),
            json!({"deadline": house.earlier(Duration::from_mins(1))}),
            json!({"expires": house.later(Duration::from_mins(1))}),
            json!({"scopes": ["a**"]}),
        ] {
            add(method, &[&slugid::nice()], &definition(more));
        }
    }
    for (task, run) in [
        (none.as_str(), "0"),
        (&scene.running, "1"),
        (&scene.pending, "0"),
    ] {
        add("createArtifact", &[task, run, "a"], &error(hours(1)));
    }
    let early = house.earlier(Duration::from_mins(16));
    add("createArtifact", &[&scene.running, "0", "a"], &error(early));
    add(
        "createArtifact",
        &[&scene.running, "0", "a"],
        &error(hours(24 * 400)),
    );
    let upload = Some(json!({"uploadId": none}));
    for name in ["s3", "reference", "blob", "object"] {
        add("finishArtifact", &[&scene.holder, "0", name], &upload);
    }
    for name in ["s3", "reference", "object", "blob"] {
        let etags = Some(json!({"etags": ["wrong"]}));
        add("completeArtifact", &[&scene.holder, "0", name], &etags);
    }
    cases
}

on_both_databases! {
    async fn every_method_refuses_what_it_cannot_do_and_changes_nothing(kind) {
        let house = House::new(kind).await;
        let scene = Scene::new(&house).await;
        let ids = [
            &scene.late, &scene.late_running, &scene.pending, &scene.running, &scene.completed,
            &scene.sealed, &scene.holder,
        ];
        let standing = async || {
            let mut all = Vec::new();
            for id in ids {
                all.push(house.status(id).await);
                all.push(house.call("task", &[id], None).await.granted());
                all.push(house.call("getTaskGroup", &[id], None).await.granted());
            }
            let artifacts = house.call("listArtifacts", &[&scene.holder, "0"], None).await;
            all.push(artifacts.granted());
            all
        };
        let before = standing().await;
        let mut refused: BTreeMap<&str, BTreeSet<u16>> = BTreeMap::new();
        let cases = [missing(&house, &scene), conflicts(&house, &scene), bad_input(&house, &scene)];
        for Case(method, args, body, status, code) in cases.into_iter().flatten() {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let answer = house.call(method, &args, body.clone()).await;
            assert_eq!(answer.status, status, "{method} {args:?} {body:?} {answer:?}");
            answer.refused(status, code);
            if ["createTask", "defineTask"].contains(&method) && !ids.iter().any(|id| *id == args[0]) {
                house.call("status", &[args[0]], None).await.refused(404, MISSING);
            }
            refused.entry(method).or_default().insert(status);
        }
        assert_eq!(standing().await, before);
        for entry in Entry::all(&house) {
            let known = refused.get(entry.name.as_str());
            let is_refused = |status| known.is_some_and(|known| known.contains(&status));
            // Whatever names a task or a group may name one that is not there.
            let names = entry.args.iter().any(|arg| arg == "taskId" || arg == "taskGroupId");
            if names && !["createTask", "defineTask", "createArtifact"].contains(&entry.name.as_str()) {
                assert!(is_refused(404), "{} has no case of what is missing", entry.name);
            }
            // Whatever changes a task may come at the wrong time.
            let changes = names && entry.verb != "GET";
            let always = [
                "sealTaskGroup", "changeTaskGroupPriority", "finishArtifact", "completeArtifact",
            ];
            if changes && !always.contains(&entry.name.as_str()) {
                assert!(is_refused(409), "{} has no case of a conflict", entry.name);
            }
        }
    }
}
