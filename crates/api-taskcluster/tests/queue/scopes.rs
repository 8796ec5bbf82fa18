//! Who may call what: every method with exactly the scopes it needs, and with all but one of them.

use serde_json::{Value, json};
use taskyard_access::slugid;
use taskyard_store::on_both_databases;

use crate::house::{House, QUEUE, merged};
use crate::who::Who;

/// A call, and the sets of scopes each of which is enough for it.
struct Case {
    method: &'static str,
    args: Vec<String>,
    body: Option<Value>,
    enough: Vec<Vec<String>>,
}

fn case(method: &'static str, args: &[&str], body: Option<Value>, enough: &[&[&str]]) -> Case {
    let owned = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect();
    Case {
        method,
        args: owned(args),
        body,
        enough: enough.iter().map(|set| owned(set)).collect(),
    }
}

/// Every method that looks at scopes. Where the call would be granted it may still be refused for
/// another reason: here only 403 counts.
fn cases(house: &House, id: &str, group: &str) -> Vec<Case> {
    let worker = json!({"workerGroup": "g", "workerId": "w"});
    let run = [id, "0"];
    let artifact = [id, "0", "private/x"];
    let latest = [id, "private/x"];
    let s = |text: &str| text.replace("ID", id).replace("GROUP", group);
    let expires = house.later(crate::house::CLAIM);
    let reference = json!({"storageType": "reference", "expires": expires, "url": "https://x",
        "contentType": "text/plain"});
    let one = |scope: &str| vec![s(scope)];
    let moves = |verb: &str| {
        let texts = [
            vec![format!("queue:{verb}-task:sched/GROUP/ID")],
            vec![format!("queue:{verb}-task-in-project:proj")],
            vec![
                format!("queue:{verb}-task"),
                "assume:scheduler-id:sched/GROUP".to_owned(),
            ],
        ];
        texts
            .map(|set| set.iter().map(|scope| s(scope)).collect())
            .to_vec()
    };
    let create = ["lowest", "low", "highest"].map(|priority| {
        vec![
            "task:scope".to_owned(),
            "queue:route:some.route".to_owned(),
            "queue:create-task:project:proj".to_owned(),
            "queue:scheduler-id:sched".to_owned(),
            format!("queue:create-task:{priority}:{QUEUE}"),
        ]
    });
    let definition = merged(
        house.definition(),
        json!({"scopes": ["task:scope"],
        "routes": ["some.route"], "projectId": "proj", "schedulerId": "sched"}),
    );
    let mut all = vec![
        Case {
            method: "createTask",
            args: vec![slugid::nice()],
            body: Some(definition),
            enough: create.to_vec(),
        },
        case("claimWork", &["other/queue"], Some(worker.clone()), &[]),
        case("claimTask", &run, Some(worker), &[]),
    ];
    all[1].enough = vec![vec![
        "queue:claim-work:other/queue".to_owned(),
        "queue:worker-id:g/w".to_owned(),
    ]];
    all[2].enough = vec![vec![
        format!("queue:claim-task:{QUEUE}"),
        "queue:worker-id:g/w".to_owned(),
    ]];
    for (method, args, body, scope) in [
        ("task", &[id][..], None, "queue:get-task:ID"),
        ("status", &[id], None, "queue:status:ID"),
        (
            "listTaskGroup",
            &[group],
            None,
            "queue:list-task-group:GROUP",
        ),
        (
            "getTaskGroup",
            &[group],
            None,
            "queue:list-task-group:GROUP",
        ),
        (
            "listDependentTasks",
            &[id],
            None,
            "queue:list-dependent-tasks:ID",
        ),
        ("reclaimTask", &run, None, "queue:reclaim-task:ID/0"),
        ("reportCompleted", &run, None, "queue:resolve-task:ID/0"),
        ("reportFailed", &run, None, "queue:resolve-task:ID/0"),
        (
            "reportException",
            &run,
            Some(json!({"reason": "internal-error"})),
            "queue:resolve-task:ID/0",
        ),
        (
            "createArtifact",
            &artifact,
            Some(reference),
            "queue:create-artifact:ID/0",
        ),
        ("listArtifacts", &run, None, "queue:list-artifacts:ID:0"),
        (
            "listLatestArtifacts",
            &[id],
            None,
            "queue:list-artifacts:ID",
        ),
        ("artifactInfo", &artifact, None, "queue:list-artifacts:ID:0"),
        (
            "latestArtifactInfo",
            &latest,
            None,
            "queue:list-artifacts:ID",
        ),
        (
            "getArtifact",
            &artifact,
            None,
            "queue:get-artifact:private/x",
        ),
        (
            "getLatestArtifact",
            &latest,
            None,
            "queue:get-artifact:private/x",
        ),
        ("artifact", &artifact, None, "queue:get-artifact:private/x"),
        (
            "latestArtifact",
            &latest,
            None,
            "queue:get-artifact:private/x",
        ),
        (
            "pendingTasks",
            &[QUEUE],
            None,
            "queue:pending-count:prov/type",
        ),
    ] {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        all.push(Case {
            method,
            args,
            body,
            enough: vec![one(scope)],
        });
    }
    all.push(Case {
        method: "taskQueueCounts",
        args: vec![QUEUE.to_owned()],
        body: None,
        enough: vec![vec![
            format!("queue:pending-count:{QUEUE}"),
            format!("queue:claimed-count:{QUEUE}"),
        ]],
    });
    for (method, verb) in [
        ("scheduleTask", "schedule"),
        ("rerunTask", "rerun"),
        ("cancelTask", "cancel"),
    ] {
        all.push(Case {
            method,
            args: vec![id.to_owned()],
            body: None,
            enough: moves(verb),
        });
    }
    all
}

on_both_databases! {
    async fn each_method_wants_exactly_its_scopes(kind) {
        let house = House::new(kind).await;
        // An empty claim would be waited for; this one is answered at once.
        house.draining.cancel();
        let group = slugid::nice();
        let fields = json!({"schedulerId": "sched", "projectId": "proj", "taskGroupId": group});
        let id = house.create(fields).await;
        let before = house.status(&id).await;
        let cases = cases(&house, &id, &group);
        let scoped = house.reference["entries"].as_array().unwrap().iter()
            .filter(|entry| !entry["scopes"].is_null())
            .map(|entry| entry["name"].as_str().unwrap());
        let implemented = ["task", "status", "listTaskGroup", "getTaskGroup", "listDependentTasks",
            "createTask", "scheduleTask", "rerunTask", "cancelTask", "claimWork", "claimTask",
            "reclaimTask", "reportCompleted", "reportFailed", "reportException", "createArtifact",
            "listArtifacts", "listLatestArtifacts", "getArtifact", "getLatestArtifact",
            "artifactInfo", "latestArtifactInfo", "artifact", "latestArtifact", "pendingTasks",
            "taskQueueCounts"];
        for name in scoped.filter(|name| implemented.contains(name)) {
            assert!(cases.iter().any(|case| case.method == name), "{name} has no case here");
        }
        for case in &cases {
            let args: Vec<&str> = case.args.iter().map(String::as_str).collect();
            for enough in &case.enough {
                for missing in 0..enough.len() {
                    let mut scopes = enough.clone();
                    let missing = scopes.remove(missing);
                    let who = house.with(scopes);
                    let answer = house.call_as(&who, case.method, &args, case.body.clone()).await;
                    let message = answer.refused(403, "InsufficientScopes");
                    assert!(message.contains("root"), "it says who: {message}");
                    // Where several sets are enough, any of them may be asked for.
                    if case.enough.len() == 1 {
                        assert!(message.contains(&missing), "{message}");
                    }
                }
            }
            for who in [Who::Nobody, house.with(["unrelated"])] {
                let answer = house.call_as(&who, case.method, &args, case.body.clone()).await;
                let message = answer.refused(403, "InsufficientScopes");
                assert!(case.enough.iter().flatten().any(|scope| message.contains(scope)), "{message}");
            }
        }
        assert_eq!(house.status(&id).await, before, "nothing has changed");
        let created = cases.iter().find(|case| case.method == "createTask").unwrap();
        house.call("status", &[&created.args[0]], None).await.refused(404, "ResourceNotFound");

        for case in &cases {
            let args: Vec<&str> = case.args.iter().map(String::as_str).collect();
            for enough in &case.enough {
                let who = house.with(enough.clone());
                let answer = house.call_as(&who, case.method, &args, case.body.clone()).await;
                assert!(![401, 403].contains(&answer.status), "{} {enough:?} {answer:?}", case.method);
            }
        }
    }

    async fn a_task_needs_the_scope_of_its_priority_or_of_a_higher_one(kind) {
        let house = House::new(kind).await;
        let names = ["lowest", "very-low", "low", "medium", "high", "very-high", "highest"];
        for (wanted, name) in names.iter().enumerate() {
            for (held, holder) in names.iter().enumerate() {
                let who = house.with([
                    "queue:create-task:project:none".to_owned(),
                    "queue:scheduler-id:-".to_owned(),
                    format!("queue:create-task:{holder}:{QUEUE}"),
                ]);
                let body = merged(house.definition(), json!({"priority": name}));
                let answer = house.call_as(&who, "createTask", &[&slugid::nice()], Some(body)).await;
                assert_eq!(answer.status, if held >= wanted { 200 } else { 403 }, "{name} {holder}");
            }
        }
    }

    async fn what_the_anonymous_role_grants_needs_no_credentials(kind) {
        let house = House::new(kind).await;
        let id = house.create(json!({})).await;
        house.call_as(&Who::Nobody, "status", &[&id], None).await.refused(403, "InsufficientScopes");
        let now = house.clock.now().millis();
        house.directory.ensure_role(now, "anonymous", &["queue:status:*"], "").await.unwrap();
        house.call_as(&Who::Nobody, "status", &[&id], None).await.status_of();
        // Others have it on top of their own.
        house.call_as(&house.with(["other"]), "status", &[&id], None).await.status_of();
        house.call_as(&Who::Nobody, "task", &[&id], None).await.refused(403, "InsufficientScopes");
        // Wrong credentials are not the same as none.
        let mut wrong = house.root();
        if let Who::Holder(credentials) = &mut wrong {
            credentials.access_token = "wrong".into();
        }
        house.call_as(&wrong, "status", &[&id], None).await.refused(401, "AuthenticationFailed");
    }
}
