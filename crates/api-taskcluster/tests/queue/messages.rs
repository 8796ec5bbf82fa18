//! What the world hears: every message fits its schema and its exchange, in the order in which
//! things happened.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use taskyard_access::slugid;
use taskyard_api_taskcluster::auth::{Auth, Guarded};
use taskyard_api_taskcluster::{Context, References, Service, exchange_names, translators};
use taskyard_engine::task::{self, Priority, event};
use taskyard_events::exchange::{ABSENT, parse};
use taskyard_events::retention::{self, Retention};
use taskyard_events::{Frontier, Message};
use taskyard_store::{Key, on_both_databases};

use crate::answer::Answer;
use crate::ask::Ask;
use crate::house::{House, QUEUE, ROOT_URL};

/// A message, with the last part of its exchange's name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heard {
    pub(crate) exchange: String,
    pub(crate) key: String,
    pub(crate) cc: Vec<String>,
    pub(crate) payload: Value,
}

/// Somebody who hears everything that is published, and checks each message against what the
/// reference documents say of its exchange.
pub(crate) struct Ear {
    references: BTreeMap<String, (String, Value)>,
    frontier: Frontier,
}

impl Ear {
    /// Hears from the beginning.
    pub(crate) async fn new(house: &House) -> Self {
        Ear {
            references: references(house).await,
            frontier: Frontier::after(0),
        }
    }

    /// Everything that was published since the last time.
    pub(crate) async fn listen(&mut self, house: &House) -> Vec<Heard> {
        let mut heard = Vec::new();
        loop {
            let (translators, frontier) = (translators(), self.frontier);
            let (deliveries, portion) = house
                .store
                .read(move |tx| {
                    let portion = frontier.read(tx, 10_000)?;
                    Ok((translators.translate(tx, &portion.events)?, portion))
                })
                .await
                .expect("the database answers");
            for delivery in deliveries {
                heard.push(self.check(house, &delivery.message));
            }
            self.frontier = portion.frontier;
            if !portion.more && !portion.waiting {
                return heard;
            }
        }
    }

    fn check(&self, house: &House, message: &Message) -> Heard {
        assert!(exchange_names().contains(&message.exchange.to_string()));
        let (service, entry) = &self.references[&*message.exchange];
        let payload: Value = serde_json::from_slice(&message.payload).expect("JSON");
        let mut checked = payload.clone();
        let schema = format!("{service}/{}", entry["schema"].as_str().expect("a schema"));
        let fits = house.schemas.validate(&schema, &mut checked);
        assert_eq!(fits, Ok(()), "{payload}");
        assert_eq!(checked, payload, "nothing is left to defaults");
        check_key(entry, &message.routing_key);
        Heard {
            exchange: entry["exchange"].as_str().expect("a name").to_owned(),
            key: message.routing_key.clone(),
            cc: message.cc.clone(),
            payload,
        }
    }
}

/// Everything that was published until now.
async fn heard(house: &House) -> Vec<Heard> {
    Ear::new(house).await.listen(house).await
}

/// Each exchange by its full name, with its service and its entry in the reference document.
async fn references(house: &House) -> BTreeMap<String, (String, Value)> {
    let served = References::new(ROOT_URL, Arc::clone(&house.schemas), []);
    let mut exchanges = BTreeMap::new();
    for service in ["auth", "hooks", "notify", "purge-cache", "queue"] {
        let answer = served.answer(&format!("/references/{service}/v1/exchanges.json"));
        let document = Answer::read(answer).await.json;
        assert_eq!(document["serviceName"], service);
        let mut checked = document.clone();
        let fits = house
            .schemas
            .validate("common/exchanges-reference-v0.json#", &mut checked);
        assert_eq!(fits, Ok(()), "{document}");
        let prefix = document["exchangePrefix"].as_str().expect("a prefix");
        for entry in document["entries"].as_array().expect("entries") {
            let name = format!("{prefix}{}", entry["exchange"].as_str().expect("a name"));
            exchanges.insert(name, (service.to_owned(), entry.clone()));
        }
    }
    exchanges
}

fn check_key(entry: &Value, key: &str) {
    let declared = entry["routingKey"].as_array().expect("words");
    let words: Vec<(&str, bool)> = declared
        .iter()
        .map(|word| {
            let name = word["name"].as_str().expect("a name");
            (name, word["multipleWords"] == true)
        })
        .collect();
    let told: BTreeMap<&str, String> = parse(&words, key).into_iter().collect();
    for word in declared {
        let value = &told[word["name"].as_str().expect("a name")];
        if let Some(constant) = word.get("constant") {
            assert_eq!(value, constant, "{key}");
        }
        if word["required"] == true {
            assert_ne!(value, ABSENT, "{key}: {word}");
        }
        assert!(value.split('.').all(|word| !word.is_empty()), "{key}");
        let is_one = !value.contains('.');
        assert!(is_one || word["multipleWords"] == true, "{key}: {word}");
    }
}

/// The names of exchanges, in order.
fn names(heard: &[Heard]) -> Vec<&str> {
    heard.iter().map(|one| one.exchange.as_str()).collect()
}

/// What was published about tasks and groups since `before` messages.
async fn since(house: &House, before: usize) -> Vec<Heard> {
    heard(house).await.split_off(before)
}

/// How many messages there are already, of the clients that a house has.
async fn so_far(house: &House) -> usize {
    heard(house).await.len()
}

/// The service of clients and roles.
fn auth(house: &House) -> Service<Auth> {
    let context = Context {
        clock: house.clock.clone(),
        directory: Arc::clone(&house.directory),
        schemas: Arc::clone(&house.schemas),
        trust_forwarded: false,
    };
    Auth::service(Guarded::default(), context)
}

async fn call_auth(
    house: &House,
    auth: &Service<Auth>,
    verb: &str,
    path: &str,
    body: Option<&Value>,
) {
    let mut ask = Ask::new(verb, &format!("/api/auth/v1{path}")).by(house.root());
    if let Some(body) = body {
        ask = ask.json(body);
    }
    let answer = Answer::read(auth.answer(ask.sign(house.clock.now())).await).await;
    assert!(answer.status < 300, "{verb} {path}: {answer:?}");
}

fn routed() -> Value {
    json!({
        "routes": ["index.a.b", "notify.x"],
        "tags": {"kind": "test"},
        "schedulerId": "sched",
        "taskGroupId": "fN1SbArXTPSVFNUvaOlinQ",
    })
}

on_both_databases! {
    async fn a_task_is_told_of_from_its_definition_to_its_end(kind) {
        let house = House::new(kind).await;
        let before = so_far(&house).await;
        let (id, claim) = house.claimed(routed()).await;
        let completed = house.call("reportCompleted", &[&id, "0"], None).await.status_of();
        let heard = since(&house, before).await;
        assert_eq!(
            names(&heard),
            [
                "task-defined",
                "task-pending",
                "task-running",
                "task-completed",
                "task-group-resolved",
            ]
        );
        let group = "fN1SbArXTPSVFNUvaOlinQ";
        for (message, middle) in heard.iter().zip([
            "_._._",
            "0._._",
            "0.group.worker",
            "0.group.worker",
        ]) {
            assert_eq!(message.key, format!("primary.{id}.{middle}.prov.type.sched.{group}._"));
            assert_eq!(message.cc, ["route.index.a.b", "route.notify.x"]);
            assert_eq!(message.payload["version"], 1);
            assert_eq!(message.payload["task"], json!({"tags": {"kind": "test"}}));
            assert_eq!(message.payload["status"]["taskId"], id.as_str());
        }
        let [defined, pending, running, done, _] = &heard[..] else { panic!("five messages") };
        assert_eq!(defined.payload["status"]["state"], "unscheduled");
        assert_eq!(defined.payload["status"]["runs"], json!([]));
        assert_eq!(pending.payload["status"]["state"], "pending");
        assert_eq!(pending.payload["runId"], 0);
        assert_eq!(running.payload["status"], claim["status"]);
        assert_eq!(running.payload["takenUntil"], claim["takenUntil"]);
        assert_eq!(running.payload["workerGroup"], "group");
        assert_eq!(done.payload["status"], completed);
        assert_eq!(done.payload["workerId"], "worker");
    }

    async fn a_failure_is_told_and_a_renewed_claim_is_not(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        let before = so_far(&house).await;
        house.call("reclaimTask", &[&id, "0"], None).await.status_of();
        house.call("reportFailed", &[&id, "0"], None).await.status_of();
        let heard = since(&house, before).await;
        assert_eq!(names(&heard), ["task-failed", "task-group-resolved"]);
        assert_eq!(heard[0].payload["runId"], 0);
    }

    async fn a_retry_is_told_of_behind_the_exception_before_it(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(routed()).await;
        let before = so_far(&house).await;
        let body = Some(json!({"reason": "worker-shutdown"}));
        let status = house.call("reportException", &[&id, "0"], body.clone()).await.status_of();
        // The answer may have been lost, so the worker reports again, and the world hears again.
        house.call("reportException", &[&id, "0"], body.clone()).await.status_of();
        let heard = since(&house, before).await;
        let both = ["task-exception", "task-pending"];
        assert_eq!(names(&heard), [both, both].concat());
        assert_eq!(heard[..2], heard[2..]);
        assert_eq!(heard[0].payload["status"], status);
        assert_eq!(heard[0].payload["runId"], 0);
        assert_eq!(heard[0].payload["workerId"], "worker");
        assert_eq!(heard[1].payload["runId"], 1);
        assert_eq!(heard[1].payload["status"], status);
        // Once the retry is under way, only the exception is.
        house.claim(1).await;
        let before = so_far(&house).await;
        house.call("reportException", &[&id, "0"], body).await.status_of();
        assert_eq!(names(&since(&house, before).await), ["task-exception"]);
    }

    async fn time_that_runs_out_is_told(kind) {
        let house = House::new(kind).await;
        let (late, _) = house.claimed(json!({})).await;
        let before = so_far(&house).await;
        house.wait(Duration::from_mins(21));
        house.sweep().await;
        let expired = since(&house, before).await;
        assert_eq!(names(&expired), ["task-exception", "task-pending"]);
        let status = &expired[0].payload["status"];
        assert_eq!(status["runs"][0]["reasonResolved"], "claim-expired");
        assert_eq!(expired[0].payload["workerId"], "worker");

        house.claim(1).await;
        let before = so_far(&house).await;
        house.wait(Duration::from_hours(1));
        house.sweep().await;
        let over = since(&house, before).await;
        assert_eq!(names(&over), ["task-exception", "task-group-resolved"]);
        // The worker of that run is not to blame.
        assert_eq!(over[0].payload.get("workerId"), None);
        assert_eq!(over[0].payload["runId"], 1);
        assert!(over[0].key.starts_with(&format!("primary.{late}.1._._.")), "{}", over[0].key);
    }

    async fn what_is_asked_for_again_is_told_again(kind) {
        let house = House::new(kind).await;
        let id = slugid::nice();
        let definition = house.definition();
        let create =
            async || house.call("createTask", &[&id], Some(definition.clone())).await.status_of();
        create().await;
        let before = so_far(&house).await;
        create().await;
        house.call("rerunTask", &[&id], None).await.status_of();
        house.call("scheduleTask", &[&id], None).await.status_of();
        assert_eq!(
            names(&since(&house, before).await),
            ["task-defined", "task-pending", "task-pending"]
        );
        house.claim(1).await;
        let before = so_far(&house).await;
        create().await;
        assert_eq!(names(&since(&house, before).await), ["task-defined"]);
        house.call("reportCompleted", &[&id, "0"], None).await.status_of();
        let before = so_far(&house).await;
        house.call("reportCompleted", &[&id, "0"], None).await.status_of();
        house.call("cancelTask", &[&id], None).await.status_of();
        assert_eq!(names(&since(&house, before).await), ["task-completed"]);
    }

    async fn a_cancelled_task_is_told_each_time_it_is_cancelled(kind) {
        let house = House::new(kind).await;
        let id = slugid::nice();
        house.create_as(&id, json!({"dependencies": [id]})).await;
        let before = so_far(&house).await;
        for _ in 0..2 {
            house.call("cancelTask", &[&id], None).await.status_of();
        }
        let heard = since(&house, before).await;
        // The group is resolved once.
        let expected = ["task-exception", "task-group-resolved", "task-exception"];
        assert_eq!(names(&heard), expected);
        assert_eq!(heard[0], heard[2]);
        assert_eq!(heard[0].payload["runId"], 0);
        assert_eq!(heard[0].payload.get("workerGroup"), None);
        let before = so_far(&house).await;
        house.call("rerunTask", &[&id], None).await.status_of();
        let heard = since(&house, before).await;
        assert_eq!(names(&heard), ["task-pending"]);
        assert_eq!(heard[0].payload["runId"], 1);
    }

    async fn dependents_are_told_of_behind_what_they_waited_for(kind) {
        let house = House::new(kind).await;
        let (first, _) = house.claimed(json!({})).await;
        let second = house.create(json!({"dependencies": [first]})).await;
        let before = so_far(&house).await;
        house.call("reportCompleted", &[&first, "0"], None).await.status_of();
        let heard = since(&house, before).await;
        let expected = ["task-completed", "task-pending", "task-group-resolved"];
        assert_eq!(names(&heard), expected);
        assert_eq!(heard[1].payload["status"]["taskId"], second.as_str());
    }

    async fn artifacts_that_are_complete_are_told(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(routed()).await;
        let before = so_far(&house).await;
        let expires = house.later(Duration::from_mins(30));
        let bodies = [
            json!({"storageType": "s3", "contentType": "text/plain", "expires": expires}),
            json!({
                "storageType": "reference", "contentType": "text/html", "expires": expires,
                "url": "https://example.com/x",
            }),
            json!({
                "storageType": "error", "reason": "file-missing-on-worker", "message": "gone",
                "expires": expires,
            }),
        ];
        for (at, body) in bodies.iter().enumerate() {
            for _ in 0..2 {
                let name = format!("public/{at}");
                let answer = house
                    .call("createArtifact", &[&id, "0", &name], Some(body.clone()))
                    .await;
                assert_eq!(answer.status, 200, "{answer:?}");
            }
        }
        let heard = since(&house, before).await;
        assert_eq!(names(&heard), ["artifact-created"; 4]);
        assert_eq!(
            heard[0].payload["artifact"],
            json!({
                "storageType": "reference", "name": "public/1", "contentType": "text/html",
                "expires": expires,
            })
        );
        assert_eq!(heard[0], heard[1]);
        assert_eq!(heard[2].payload["artifact"]["storageType"], "error");
        assert_eq!(heard[0].payload["workerId"], "worker");
        assert_eq!(heard[0].cc.len(), 2);
    }

    async fn groups_and_priorities_are_told(kind) {
        let house = House::new(kind).await;
        let id = house.create(routed()).await;
        let before = so_far(&house).await;
        let now = house.clock.now();
        let group_id = "fN1SbArXTPSVFNUvaOlinQ";
        house
            .store
            .write(Key::of("a test"), move |tx| {
                let mut group = task::group(tx, group_id)?.expect("the group is there");
                let mut changed = task::load(tx, &id)?.expect("the task is there");
                changed.priority = Priority::High;
                event::priority_changed(tx, now, &changed, Priority::Lowest)?;
                event::group_priority_changed(tx, now, &group, Priority::Low, 3)?;
                event::group_resolved(tx, now, &group)?;
                group.sealed = Some(now);
                event::group_sealed(tx, now, &group)
            })
            .await
            .expect("the database answers");
        let heard = since(&house, before).await;
        assert_eq!(
            names(&heard),
            [
                "task-priority-changed",
                "task-group-priority-changed",
                "task-group-resolved",
                "task-group-sealed",
            ]
        );
        assert_eq!(heard[0].payload["oldPriority"], "lowest");
        assert_eq!(heard[0].payload["newPriority"], "high");
        assert_eq!(heard[0].payload["status"]["priority"], "high");
        assert_eq!(heard[0].cc.len(), 2);
        assert_eq!(heard[1].payload["tasksAffected"], 3);
        assert_eq!(heard[1].payload["newPriority"], "low");
        for message in &heard[1..] {
            assert_eq!(message.key, format!("primary.{group_id}.sched._"));
            assert_eq!(message.cc, Vec::<String>::new());
        }
        assert_eq!(heard[2].payload.get("sealed"), None);
        assert_eq!(heard[3].payload["sealed"], now.to_iso());
    }

    async fn a_task_that_is_forgotten_is_still_told_of_with_its_routes(kind) {
        let house = House::new(kind).await;
        let deadline = house.later(Duration::from_hours(1));
        // So much that no event repeats it: messages look it up.
        let tags = json!({"long": "x".repeat(4000)});
        let fields =
            json!({"expires": deadline, "deadline": deadline, "routes": ["x"], "tags": tags});
        let before = so_far(&house).await;
        let (id, _) = house.claimed(fields).await;
        house.call("reportCompleted", &[&id, "0"], None).await.status_of();
        house.wait(Duration::from_hours(2));
        house.sweep().await;
        assert_eq!(house.call("status", &[&id], None).await.status, 404);
        let heard = since(&house, before).await;
        assert_eq!(names(&heard)[3], "task-completed");
        let of_the_task = heard.iter().filter(|message| message.exchange != "task-group-resolved");
        for message in of_the_task {
            assert_eq!(message.cc, ["route.x"]);
            assert_eq!(message.payload["task"]["tags"], tags);
        }
        // What nobody can read of any more goes for good.
        let late = house.clock.now().plus(Duration::from_hours(100)).0;
        house
            .store
            .write(Key::of("a test"), move |tx| {
                retention::sweep(tx, late, &Retention::default())
            })
            .await
            .expect("the database answers");
        house.wait(Duration::from_mins(20));
        house.sweep().await;
        let left = house
            .store
            .read(|tx| {
                let count = "SELECT count(*) FROM task_definitions";
                tx.query_opt(count, &[], |row| row.get::<i64>(0))
            })
            .await;
        assert_eq!(left.expect("the database answers"), Some(0));
    }

    async fn clients_and_roles_are_told_of(kind) {
        let house = House::new(kind).await;
        let auth = auth(&house);
        let call = async |verb: &str, path: &str, body: Option<&Value>| {
            call_auth(&house, &auth, verb, path, body).await;
        };
        let before = so_far(&house).await;
        let expires = house.later(Duration::from_hours(9));
        let client = json!({"expires": expires, "description": "", "scopes": []});
        let role = json!({"description": "", "scopes": ["a"]});
        for (verb, path, body) in [
            ("PUT", "/clients/c", Some(&client)),
            ("PUT", "/clients/c", Some(&client)),
            ("POST", "/clients/c", Some(&client)),
            ("POST", "/clients/c/reset", None),
            ("POST", "/clients/c/disable", None),
            ("POST", "/clients/c/enable", None),
            ("DELETE", "/clients/c", None),
            ("DELETE", "/clients/c", None),
            ("PUT", "/roles/r", Some(&role)),
            ("PUT", "/roles/r", Some(&role)),
            ("POST", "/roles/r", Some(&role)),
            ("DELETE", "/roles/r", None),
        ] {
            call(verb, path, body).await;
        }
        let heard = since(&house, before).await;
        assert_eq!(
            names(&heard),
            [
                "client-created", "client-created", "client-updated", "client-updated",
                "client-updated", "client-updated", "client-deleted", "client-deleted",
                "role-created", "role-created", "role-updated", "role-deleted",
            ]
        );
        for (at, message) in heard.iter().enumerate() {
            let expected = if at < 8 {
                json!({"version": 1, "clientId": "c"})
            } else {
                json!({"version": 1, "roleId": "r"})
            };
            assert_eq!(message.payload, expected);
            assert_eq!((message.key.as_str(), message.cc.len()), ("_", 0));
        }
    }

    /// Every message fits its schema and its exchange; this is every exchange that there is.
    async fn every_exchange_is_heard_from(kind) {
        let house = House::new(kind).await;
        let before = so_far(&house).await;
        let ended = [
            ("reportCompleted", None),
            ("reportFailed", None),
            ("reportException", Some(json!({"reason": "internal-error"}))),
        ];
        for (method, body) in ended {
            let (id, _) = house.claimed(routed()).await;
            let artifact = json!({
                "storageType": "error", "reason": "file-missing-on-worker", "message": "gone",
                "expires": house.later(Duration::from_mins(30)),
            });
            house.call("createArtifact", &[&id, "0", "a"], Some(artifact)).await.granted();
            house.call(method, &[&id, "0"], body).await.status_of();
        }
        let id = house.create(routed()).await;
        let group = "fN1SbArXTPSVFNUvaOlinQ";
        let priority = |name: &str| Some(json!({"newPriority": name}));
        house.call("changeTaskPriority", &[&id], priority("high")).await.status_of();
        let answer = house.call("changeTaskGroupPriority", &[group], priority("low")).await;
        assert_eq!(answer.granted()["tasksAffected"], 1);
        for _ in 0..2 {
            house.call("sealTaskGroup", &[group], None).await.granted();
        }
        let auth = auth(&house);
        let client = json!({
            "expires": house.later(Duration::from_hours(9)), "description": "", "scopes": [],
        });
        let role = json!({"description": "", "scopes": []});
        for (path, body) in [("/clients/c", &client), ("/roles/r", &role)] {
            for (verb, body) in [("PUT", Some(body)), ("POST", Some(body)), ("DELETE", None)] {
                call_auth(&house, &auth, verb, path, body).await;
            }
        }
        let hook: &[&str] = &["group", "hook"];
        let metadata = json!({"name": "", "description": "", "owner": "a@example.com"});
        let body = Some(json!({"metadata": metadata, "task": {}}));
        for (method, body) in [("createHook", &body), ("updateHook", &body), ("removeHook", &None)] {
            house.call(method, hook, body.clone()).await.granted();
        }
        let cache = Some(json!({"cacheName": "cache"}));
        house.call("purgeCache", &["prov/type"], cache).await.granted();
        let message = json!({"routingKey": "a.b", "message": {"x": 1}});
        house.call("pulse", &[], Some(message)).await.granted();
        let said = json!({"channel": "#c", "message": "hello"});
        house.call("irc", &[], Some(said)).await.granted();
        let heard = since(&house, before).await;
        let count = |name: &str| heard.iter().filter(|it| it.exchange == name).count();
        assert_eq!(count("task-group-sealed"), 2);
        assert_eq!(count("task-group-priority-changed"), 1);
        assert_eq!(count("task-priority-changed"), 1);
        for (_, entry) in references(&house).await.values() {
            let name = entry["exchange"].as_str().expect("a name");
            assert!(count(name) > 0, "{name} is never heard from");
        }
    }

    async fn refusals_are_not_told(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        let before = so_far(&house).await;
        let other = json!({"taskQueueId": QUEUE, "priority": "high"});
        let conflict = crate::house::merged(house.definition(), other);
        assert_eq!(house.call("createTask", &[&id], Some(conflict)).await.status, 409);
        let nobody = slugid::nice();
        assert_eq!(house.call("reportFailed", &[&nobody, "0"], None).await.status, 404);
        assert_eq!(house.call("reportFailed", &[&id, "7"], None).await.status, 404);
        assert_eq!(since(&house, before).await, Vec::new());
    }
}
