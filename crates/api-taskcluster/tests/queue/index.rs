//! Tasks are found by their paths.

use std::time::Duration;

use serde_json::{Value, json};
use taskyard_store::on_both_databases;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::house::{House, merged, moment};
use crate::who::Who;

const HOUR: Duration = Duration::from_hours(1);
const TASK: &str = "V2LXmxEuTWCHIEG8YLsXgA";

/// What another implementation made of paths, insertions and completed tasks.
fn known(what: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../vectors/index.json")).expect("JSON");
    all[what].as_array().expect("a list").clone()
}

fn entry(house: &House, rank: f64) -> Value {
    json!({"taskId": TASK, "rank": rank, "data": {}, "expires": house.later(48 * HOUR)})
}

async fn insert(house: &House, path: &str, body: Value) -> Value {
    house
        .call("insertTask", &[path], Some(body))
        .await
        .granted()
}

async fn find(house: &House, path: &str) -> Answer {
    house.call("findTask", &[path], None).await
}

/// Everything that is found below the root, one list after the other.
async fn everything(house: &House) -> (Vec<Value>, Vec<Value>) {
    let (mut tasks, mut namespaces) = (Vec::new(), Vec::new());
    let mut open = vec![String::new()];
    while let Some(namespace) = open.pop() {
        let found = house.call("listTasks", &[&namespace], None).await.granted();
        tasks.extend(found["tasks"].as_array().expect("tasks").clone());
        let found = house
            .call("listNamespaces", &[&namespace], None)
            .await
            .granted();
        for each in found["namespaces"].as_array().expect("namespaces") {
            open.push(each["namespace"].as_str().expect("a path").to_owned());
            namespaces.push(each.clone());
        }
    }
    let by_path = |each: &Value| each["namespace"].as_str().expect("a path").to_owned();
    tasks.sort_by_key(by_path);
    namespaces.sort_by_key(by_path);
    (tasks, namespaces)
}

/// The same as the vectors have it.
fn expected(vector: &Value) -> (Vec<Value>, Vec<Value>) {
    let list = |what: &str| vector[what].as_array().expect("a list").clone();
    let tasks = list("tasks").into_iter().map(|task| {
        json!({"namespace": task["indexPath"], "taskId": task["taskId"], "rank": task["rank"],
            "data": task["data"], "expires": task["expires"]})
    });
    let namespaces = list("namespaces").into_iter().map(|each| {
        json!({"namespace": each["namespace"], "name": each["name"], "expires": each["expires"]})
    });
    (tasks.collect(), namespaces.collect())
}

/// The paths of a page of tasks.
fn paths(page: &Value) -> Vec<&str> {
    let tasks = page["tasks"].as_array().expect("tasks").iter();
    tasks
        .map(|task| task["namespace"].as_str().expect("a path"))
        .collect()
}

/// Runs a task with these fields to its end.
async fn complete(house: &House, fields: Value) -> String {
    let (id, _) = house.taken(fields).await;
    house
        .call("reportCompleted", &[&id, "0"], None)
        .await
        .granted();
    id
}

on_both_databases! {
    async fn insertions_end_in_the_store_that_is_known(kind) {
        for vector in known("insertSequences") {
            let house = House::new(kind).await;
            let steps = vector["steps"].as_array().expect("steps");
            for (step, response) in steps.iter().zip(vector["responses"].as_array().expect("some")) {
                let body = merged(step.clone(), json!({"ns": null}));
                let answer = insert(&house, step["ns"].as_str().expect("a path"), body).await;
                assert_eq!(&answer, response, "{}", vector["name"]);
            }
            assert_eq!(everything(&house).await, expected(&vector), "{}", vector["name"]);
        }
    }

    async fn only_paths_of_names_are_taken(kind) {
        let house = House::new(kind).await;
        for vector in known("paths") {
            let path = vector["path"].as_str().expect("a path");
            let answer = house.call("insertTask", &[path], Some(entry(&house, 0.0))).await;
            if path.len() > 255 {
                answer.refused(400, "InputError");
            } else if vector["valid"] == json!(true) {
                assert_eq!(answer.granted()["namespace"], path);
                assert_eq!(find(&house, path).await.granted()["taskId"], TASK);
            } else {
                answer.refused(400, "InvalidRequestArguments");
            }
        }
    }

    async fn completed_tasks_are_found_by_their_routes(kind) {
        for vector in known("completedMessages") {
            let task = &vector["task"];
            // Here every task expires.
            if task.get("expires").is_none() {
                continue;
            }
            let house = House::new(kind).await;
            let created = moment(&task["created"]);
            house.wait(Duration::from_micros((created.0 - house.clock.now().0) as u64));
            let id = complete(&house, merged(task.clone(), json!({"routes": vector["routes"]}))).await;
            let (mut tasks, namespaces) = expected(&vector);
            for task in &mut tasks {
                task["taskId"] = json!(id);
            }
            assert_eq!(everything(&house).await, (tasks, namespaces), "{}", vector["name"]);
        }
    }

    async fn only_completion_lets_a_task_be_found_and_again_after_a_rerun(kind) {
        let house = House::new(kind).await;
        let fields = json!({"routes": ["index.a.b"]});
        let (failed, _) = house.taken(fields.clone()).await;
        house.call("reportFailed", &[&failed, "0"], None).await.granted();
        let (canceled, _) = house.taken(fields.clone()).await;
        house.call("cancelTask", &[&canceled], None).await.granted();
        find(&house, "a.b").await.refused(404, "ResourceNotFound");
        house.call("rerunTask", &[&failed], None).await.granted();
        let claim = Some(json!({"workerGroup": "group", "workerId": "worker"}));
        house.call("claimTask", &[&failed, "1"], claim).await.granted();
        house.call("reportCompleted", &[&failed, "1"], None).await.granted();
        assert_eq!(find(&house, "a.b").await.granted()["taskId"], failed);
        let later = complete(&house, fields).await;
        assert_eq!(find(&house, "a.b").await.granted()["taskId"], later);
    }

    async fn of_many_at_once_the_highest_rank_stays(kind) {
        let house = std::sync::Arc::new(House::new(kind).await);
        let inserted = (0..40).map(|rank| {
            let house = std::sync::Arc::clone(&house);
            tokio::spawn(async move {
                let body = entry(&house, f64::from(rank * 7 % 40));
                insert(&house, "some.where.else", body).await
            })
        });
        for answer in inserted.collect::<Vec<_>>() {
            answer.await.expect("it is answered");
        }
        assert_eq!(find(&house, "some.where.else").await.granted()["rank"], 39);
    }

    async fn what_has_expired_is_not_found_and_stands_in_nobodys_way(kind) {
        let house = House::new(kind).await;
        let soon = merged(entry(&house, 9.0), json!({"expires": house.later(HOUR)}));
        insert(&house, "a.b", soon).await;
        house.wait(HOUR);
        find(&house, "a.b").await.refused(404, "ResourceNotFound");
        let page = house.call("listTasks", &["a"], None).await.granted();
        assert!(paths(&page).is_empty());
        let indexes = Some(json!({"indexes": ["a.b"]}));
        let page = house.call("findTasksAtIndex", &[], indexes).await.granted();
        assert!(paths(&page).is_empty());
        insert(&house, "a.b", entry(&house, 1.0)).await;
        assert_eq!(find(&house, "a.b").await.granted()["rank"], 1);
        // The past is taken, and found by nobody.
        let past = merged(entry(&house, 1.0), json!({"expires": house.earlier(HOUR)}));
        insert(&house, "past", past).await;
        find(&house, "past").await.refused(404, "ResourceNotFound");
        house.wait(100 * 24 * HOUR);
        house.sweep().await;
        let rows = house.store.read(|tx| {
            tx.query("SELECT count(*) FROM indexed_tasks", &[], |row| row.get::<i64>(0))
        });
        assert_eq!(rows.await.expect("a count"), [0]);
        assert_eq!(everything(&house).await, (vec![], vec![]));
    }

    async fn a_task_that_is_gone_promises_nothing(kind) {
        let house = House::new(kind).await;
        let expires = house.later(2 * HOUR);
        house.create(json!({"routes": ["index.a.b"], "expires": expires})).await;
        let count = "SELECT count(*) FROM index_promises";
        let promises = || house.store.read(move |tx| {
            tx.query(count, &[], |row| row.get::<i64>(0))
        });
        assert_eq!(promises().await.expect("a count"), [1]);
        for _ in 0..2 {
            house.wait(3 * HOUR);
            house.sweep().await;
        }
        assert_eq!(promises().await.expect("a count"), [0]);
    }

    async fn lists_are_read_in_pages_that_others_do_not_shift(kind) {
        let house = House::new(kind).await;
        for name in ["b", "d", "f", "h"] {
            insert(&house, &format!("list.{name}"), entry(&house, 0.0)).await;
            insert(&house, &format!("list.{name}.more"), entry(&house, 0.0)).await;
        }
        let first = house.get_with("listTasks", &["list"], "limit=2").await.granted();
        assert_eq!(paths(&first), ["list.b", "list.d"]);
        insert(&house, "list.a", entry(&house, 0.0)).await;
        insert(&house, "list.e", entry(&house, 0.0)).await;
        let token = first["continuationToken"].as_str().expect("more");
        let rest = house.get_with("listTasks", &["list"], &format!("continuationToken={token}")).await;
        let rest = rest.granted();
        assert_eq!(paths(&rest), ["list.e", "list.f", "list.h"]);
        assert!(rest.get("continuationToken").is_none());
        // As clients of another age ask, and at the root with and without the slash.
        let body = json!({"limit": 2, "continuationToken": token});
        let ask = Ask::new("POST", "/api/index/v1/tasks/list").by(house.root()).json(&body);
        assert_eq!(paths(&house.ask(ask).await.granted()), ["list.e", "list.f"]);
        let mut names = Vec::new();
        let mut token = Value::Null;
        loop {
            let body = merged(json!({"limit": 3, "continuationToken": token}), json!({}));
            let body = if token.is_null() { json!({"limit": 3}) } else { body };
            let ask = Ask::new("POST", "/api/index/v1/namespaces/list").by(house.root()).json(&body);
            let page = house.ask(ask).await.granted();
            names.extend(page["namespaces"].as_array().expect("some").clone());
            token = page["continuationToken"].clone();
            if token.is_null() {
                break;
            }
        }
        let names: Vec<_> = names.iter().map(|each| each["name"].as_str().expect("a name")).collect();
        assert_eq!(names, ["b", "d", "f", "h"]);
        for root in ["/api/index/v1/namespaces", "/api/index/v1/namespaces/"] {
            let found = house.ask(Ask::new("GET", root).by(house.root())).await.granted();
            assert_eq!(found["namespaces"][0]["namespace"], "list");
        }
        house.get_with("listTasks", &["list"], "continuationToken=%21").await.refused(400, "InputError");
    }

    async fn several_paths_are_looked_up_at_once(kind) {
        let house = House::new(kind).await;
        for path in ["top", "a.b", "a.c"] {
            insert(&house, path, entry(&house, 0.0)).await;
        }
        let wanted = json!({"indexes": ["a.c", "nowhere", "top", "a.c", "a.b"]});
        let page = house.call("findTasksAtIndex", &[], Some(wanted.clone())).await.granted();
        assert_eq!(paths(&page), ["a.c", "top", "a.b"]);
        let page = async |body: &Value, query: &str| {
            let target = format!("/api/index/v1/tasks/indexes?{query}");
            house.ask(Ask::new("POST", &target).by(house.root()).json(body)).await.granted()
        };
        let first = page(&wanted, "limit=2").await;
        assert_eq!(paths(&first), ["a.c"]);
        let token = format!("continuationToken={}", first["continuationToken"].as_str().expect("more"));
        assert_eq!(paths(&page(&wanted, &token).await), ["top", "a.b"]);
        assert!(paths(&page(&json!({"indexes": ["a.b"]}), &token).await).is_empty());
        assert!(paths(&page(&json!({}), "").await).is_empty());
        let who = house.with(["index:find-task:a.*"]);
        house.call_as(&who, "findTasksAtIndex", &[], Some(wanted)).await.refused(403, "InsufficientScopes");
        let own = Some(json!({"indexes": ["a.b"]}));
        house.call_as(&who, "findTasksAtIndex", &[], own).await.granted();
    }

    async fn nobody_finds_or_changes_anything_without_the_scope(kind) {
        let house = House::new(kind).await;
        insert(&house, "a.b", entry(&house, 0.0)).await;
        let body = || Some(entry(&house, 1.0));
        for (method, scope, body) in [
            ("findTask", "index:find-task:", None),
            ("insertTask", "index:insert-task:", body()),
            ("listTasks", "index:list-tasks:", None),
            ("listNamespaces", "index:list-namespaces:", None),
            ("deleteTask", "index:delete-task:", None),
        ] {
            for who in [Who::Nobody, house.with([format!("{scope}a.bc")])] {
                let refused = house.call_as(&who, method, &["a.b"], body.clone()).await;
                refused.refused(403, "InsufficientScopes");
            }
            let who = house.with([format!("{scope}a.b")]);
            house.call_as(&who, method, &["a.b"], body).await.granted();
        }
        find(&house, "a.b").await.refused(404, "ResourceNotFound");
        house.call("deleteTask", &["a.b"], None).await.granted();
        house.call("insertTask", &[""], body()).await.refused(400, "InvalidRequestArguments");
        let large = merged(entry(&house, 0.0), json!({"data": {"x": "x".repeat(32 * 1024)}}));
        house.call("insertTask", &["a.b"], Some(large)).await.refused(400, "InputError");
    }

    async fn an_artifact_is_found_by_the_path_of_its_task(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.taken(json!({"routes": ["index.a.b"]})).await;
        for name in ["public/log.txt", "private/key & more"] {
            let body = json!({"storageType": "reference", "contentType": "text/plain",
                "expires": house.later(HOUR), "url": "https://example.com/there"});
            house.call("createArtifact", &[&id, "0", name], Some(body)).await.granted();
        }
        house.call("reportCompleted", &[&id, "0"], None).await.granted();
        let now = house.clock.now().millis();
        let public = ["queue:get-artifact:public/*"];
        house.directory.ensure_role(now, "anonymous", &public, "").await.expect("a role");

        let args = ["a.b", "public/log.txt"];
        let found = house.call_as(&Who::Nobody, "findArtifactFromTask", &args, None).await;
        let plain = format!("/api/queue/v1/task/{id}/artifacts/public%2Flog.txt");
        assert_eq!((found.status, found.header("location")), (303, &*format!("http://queue.test{plain}")));
        let there = house.ask(Ask::new("GET", found.header("location"))).await;
        assert_eq!((there.status, there.header("location")), (303, "https://example.com/there"));

        let args = ["a.b", "private/key & more"];
        let refused = house.call_as(&Who::Nobody, "findArtifactFromTask", &args, None).await;
        refused.refused(403, "InsufficientScopes");
        let who = house.with(["queue:get-artifact:private/*"]);
        let found = house.call_as(&who, "findArtifactFromTask", &args, None).await;
        assert_eq!(found.status, 303);
        let signed = found.header("location").to_owned();
        assert!(signed.contains("?bewit="), "{signed}");
        assert_eq!(house.ask(Ask::new("GET", &signed)).await.header("location"), "https://example.com/there");
        // What it lets have is this artifact, and only for a while.
        let other = signed.replace("private%2Fkey%20%26%20more", "private%2Fother");
        house.ask(Ask::new("GET", &other)).await.refused(401, "AuthenticationFailed");
        house.wait(Duration::from_mins(16));
        house.ask(Ask::new("GET", &signed)).await.refused(401, "AuthenticationFailed");
        let args = ["no.where", "public/log.txt"];
        house.call("findArtifactFromTask", &args, None).await.refused(404, "ResourceNotFound");
    }
}
