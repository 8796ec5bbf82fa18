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
        (
            "finishArtifact",
            &artifact,
            Some(json!({"uploadId": slugid::v4()})),
            "queue:create-artifact:ID/0",
        ),
        (
            "completeArtifact",
            &artifact,
            Some(json!({"etags": []})),
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
    all.extend(metadata_cases(house));
    all.extend(group_cases(house, id, group));
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

fn of(
    method: &'static str,
    args: &[&str],
    body: Option<Value>,
    enough: impl IntoIterator<Item = Vec<String>>,
) -> Case {
    Case {
        method,
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        body,
        enough: enough.into_iter().collect(),
    }
}

/// Methods about queues, provisioners and workers.
fn metadata_cases(house: &House) -> Vec<Case> {
    let scopes = |list: &[&str]| [list.iter().map(|scope| (*scope).to_owned()).collect()];
    let expires = house.later(crate::house::CLAIM);
    let described = json!({"description": "d", "expires": expires});
    let declares = |what: &str| {
        [["description", "expires"]
            .map(|property| format!("queue:declare-{what}#{property}"))
            .to_vec()]
    };
    let worker = ["prov", "type", "g", "w"];
    let both = json!({"taskQueueIds": [QUEUE, "prov/other"]});
    vec![
        of(
            "listTaskQueues",
            &[],
            None,
            scopes(&["queue:list-task-queues"]),
        ),
        of(
            "getTaskQueue",
            &[QUEUE],
            None,
            scopes(&["queue:get-task-queue:prov/type"]),
        ),
        of(
            "listPendingTasks",
            &[QUEUE],
            None,
            scopes(&["queue:pending-list:prov/type"]),
        ),
        of(
            "listClaimedTasks",
            &[QUEUE],
            None,
            scopes(&["queue:claimed-list:prov/type"]),
        ),
        of(
            "taskQueueCountsBatch",
            &[],
            Some(both),
            scopes(&[
                "queue:pending-count:prov/type",
                "queue:claimed-count:prov/type",
                "queue:pending-count:prov/other",
                "queue:claimed-count:prov/other",
            ]),
        ),
        of(
            "listProvisioners",
            &[],
            None,
            scopes(&["queue:list-provisioners"]),
        ),
        of(
            "getProvisioner",
            &["prov"],
            None,
            scopes(&["queue:get-provisioner:prov"]),
        ),
        of(
            "declareProvisioner",
            &["prov"],
            Some(described.clone()),
            declares("provisioner:prov"),
        ),
        of(
            "listWorkerTypes",
            &["prov"],
            None,
            scopes(&["queue:list-worker-types:prov"]),
        ),
        of(
            "getWorkerType",
            &["prov", "type"],
            None,
            scopes(&["queue:get-worker-type:prov/type"]),
        ),
        of(
            "declareWorkerType",
            &["prov", "type"],
            Some(described),
            declares("worker-type:prov/type"),
        ),
        of(
            "listWorkers",
            &["prov", "type"],
            None,
            scopes(&["queue:list-workers:prov/type"]),
        ),
        of(
            "getWorker",
            &worker,
            None,
            scopes(&["queue:get-worker:prov/type/g/w"]),
        ),
        of(
            "quarantineWorker",
            &worker,
            Some(json!({"quarantineUntil": expires})),
            scopes(&["queue:quarantine-worker:prov/type/g/w"]),
        ),
        of(
            "declareWorker",
            &worker,
            Some(json!({"expires": expires})),
            scopes(&["queue:declare-worker:prov/type/g/w#expires"]),
        ),
    ]
}

/// Methods about groups, and about many tasks.
fn group_cases(house: &House, id: &str, group: &str) -> Vec<Case> {
    let ids = json!({"taskIds": [id, group]});
    let higher = Some(json!({"newPriority": "high"}));
    let each = |verb: &str| [[id, group].map(|id| format!("queue:{verb}:{id}")).to_vec()];
    let on_group = |verb: &str| [vec![format!("queue:{verb}:sched/{group}")]];
    let definition = json!({"scopes": ["task:scope"], "routes": ["some.route"],
        "projectId": "proj", "schedulerId": "sched"});
    let define = [
        "task:scope",
        "queue:route:some.route",
        "queue:create-task:project:proj",
        "queue:scheduler-id:sched",
        "queue:create-task:low:prov/type",
    ];
    vec![
        of("tasks", &[], Some(ids.clone()), each("get-task")),
        of("statuses", &[], Some(ids), each("status")),
        of(
            "changeTaskPriority",
            &[id],
            higher.clone(),
            [
                vec![format!("queue:change-task-priority:{id}")],
                vec!["queue:change-task-priority-in-queue:prov/type".to_owned()],
            ],
        ),
        of(
            "changeTaskGroupPriority",
            &[group],
            higher,
            on_group("change-task-group-priority"),
        ),
        of(
            "cancelTaskGroup",
            &[group],
            None,
            on_group("cancel-task-group"),
        ),
        of("sealTaskGroup", &[group], None, on_group("seal-task-group")),
        of(
            "defineTask",
            &[&slugid::nice()],
            Some(merged(house.definition(), definition)),
            [define.map(str::to_owned).to_vec()],
        ),
    ]
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
        let scoped = house.reference()["entries"].as_array().unwrap().iter()
            .filter(|entry| !entry["scopes"].is_null())
            .map(|entry| entry["name"].as_str().unwrap());
        for name in scoped {
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
        for created in cases.iter().filter(|case| ["createTask", "defineTask"].contains(&case.method)) {
            house.call("status", &[&created.args[0]], None).await.refused(404, "ResourceNotFound");
        }

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
