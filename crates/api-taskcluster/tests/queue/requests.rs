//! What holds for every method: paths, verbs, bodies, queries, credentials, and which error wins.

use serde_json::json;
use taskyard_access::slugid;
use taskyard_store::on_both_databases;
use taskyard_store::testing::Kind;

use crate::ask::Ask;
use crate::house::{House, QUEUE, ROOT_URL, merged};
use crate::who::Who;

const PREFIX: &str = "/api/queue/v1";

fn get(path: &str) -> Ask {
    Ask::new("GET", &format!("{PREFIX}{path}"))
}

#[tokio::test]
async fn monitoring_needs_nothing_and_looks_at_no_credentials() {
    let house = House::new(Kind::Sqlite).await;
    for who in [Who::Nobody, house.root()] {
        let ping = house.call_as(&who, "ping", &[], None).await.granted();
        assert_eq!(ping["alive"], true);
        assert!(ping["uptime"].as_f64().unwrap() >= 0.0);
        for method in ["heartbeat", "lbheartbeat"] {
            assert_eq!(
                house.call_as(&who, method, &[], None).await.granted(),
                json!({})
            );
        }
        let version = house.call_as(&who, "version", &[], None).await.granted();
        let keys: Vec<&str> = version
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(keys, ["version", "commit", "source", "build"]);
    }
    let garbage = get("/ping").header("authorization", "Hawk nothing");
    assert_eq!(house.ask(garbage).await.status, 200);
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_browsers_need() {
    let house = House::new(Kind::Sqlite).await;
    for ask in [
        get("/ping"),
        get("/nothing"),
        get("/task/x"),
        get("/ping").by(Who::Nobody),
    ] {
        let answer = house
            .ask(ask.header("x-taskcluster-trace-id", "trace-1"))
            .await;
        for (name, value) in [
            ("cache-control", "no-store no-cache must-revalidate"),
            ("access-control-allow-origin", "*"),
            ("access-control-max-age", "900"),
            (
                "access-control-allow-methods",
                "OPTIONS,GET,HEAD,POST,PUT,DELETE,TRACE,CONNECT",
            ),
            ("access-control-request-method", "*"),
            (
                "access-control-allow-headers",
                "X-Requested-With,Content-Type,Authorization,Accept,Origin,Cache-Control",
            ),
            ("x-content-type-options", "nosniff"),
            ("x-for-trace-id", "trace-1"),
            ("content-type", "application/json; charset=utf-8"),
        ] {
            assert_eq!(answer.header(name), value, "{name} {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_path_or_verb_that_is_no_method_is_not_found() {
    let house = House::new(Kind::Sqlite).await;
    let id = slugid::nice();
    for (verb, path) in [
        ("GET", "/nothing".to_owned()),
        ("GET", String::new()),
        ("GET", "/".to_owned()),
        ("GET", "//ping".to_owned()),
        ("GET", "/ping//".to_owned()),
        ("GET", "/PING".to_owned()),
        ("POST", "/ping".to_owned()),
        ("DELETE", format!("/task/{id}")),
        ("PATCH", format!("/task/{id}")),
        ("GET", format!("/task//{id}")),
        ("GET", format!("/task/{id}/nothing")),
        ("GET", format!("/task/{id}//status")),
        ("GET", "/task".to_owned()),
        ("GET", "/pending/a/b/c".to_owned()),
        ("GET", format!("/poll-task-url/{QUEUE}")),
        ("OPTIONS", "/nothing".to_owned()),
    ] {
        let answer = house
            .ask(Ask::new(verb, &format!("{PREFIX}{path}")).by(house.root()))
            .await;
        assert_eq!(
            (answer.status, &answer.json),
            (404, &json!({"error": "Not found"})),
            "{verb} {path}"
        );
    }
}

#[tokio::test]
async fn options_tell_the_verbs_of_a_path() {
    let house = House::new(Kind::Sqlite).await;
    let id = slugid::nice();
    for (path, allowed) in [
        ("/ping".to_owned(), "GET, HEAD, OPTIONS"),
        (format!("/task/{id}"), "GET, HEAD, OPTIONS, PUT"),
        (format!("/task/{id}/"), "GET, HEAD, OPTIONS, PUT"),
        (
            format!("/task/{id}/runs/0/artifacts/a%2Fb"),
            "GET, HEAD, OPTIONS, POST, PUT",
        ),
        (format!("/claim-work/{QUEUE}"), "OPTIONS, POST"),
    ] {
        // Browsers ask without credentials.
        let answer = house
            .ask(Ask::new("OPTIONS", &format!("{PREFIX}{path}")))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("allow"), allowed, "{path}");
        assert_eq!(answer.body, allowed.as_bytes());
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
}

on_both_databases! {
    async fn a_path_may_be_spelled_in_several_ways(kind) {
        let house = House::new(kind).await;
        let id = house.create(json!({})).await;
        let queue = |spelling: &str| format!("{PREFIX}/pending/{spelling}");
        for target in [
            format!("{PREFIX}/task/{id}/status"),
            format!("{PREFIX}/task/{id}/status/"),
            format!("/API/Queue/V1/task/{id}/status"),
            format!("{ROOT_URL}{PREFIX}/task/{id}/status"),
            queue("prov/type"), queue("prov%2Ftype"), queue("prov%2ftype"), queue("pro%76/type/"),
        ] {
            let answer = house.ask(Ask::new("GET", &target).by(house.root())).await;
            assert_eq!(answer.status, 200, "{target} {answer:?}");
        }
        for target in [queue("prov%252Ftype"), queue("prov"), queue("prov%2Ftype%2Fmore")] {
            let answer = house.ask(Ask::new("GET", &target).by(house.root())).await;
            answer.refused(400, "InvalidRequestArguments");
        }
    }

    async fn head_is_answered_like_get(kind) {
        let house = House::new(kind).await;
        let id = house.create(json!({})).await;
        let path = format!("{PREFIX}/task/{id}/status");
        let answer = house.ask(Ask::new("HEAD", &path).by(house.root())).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let missing = Ask::new("HEAD", &format!("{PREFIX}/task/{}", slugid::nice()));
        assert_eq!(house.ask(missing.by(house.root())).await.status, 404);
    }
}

#[tokio::test]
async fn an_id_that_cannot_be_one_is_refused_by_its_pattern() {
    let house = House::new(Kind::Sqlite).await;
    let id = slugid::nice();
    for path in [
        "/task/short".to_owned(),
        format!("/task/{id}x"),
        format!("/task/{id}%0A"),
        "/task/AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        "/task/%00/status".to_owned(),
        format!("/task/{id}/runs/-1/artifacts"),
        format!("/task/{id}/runs/x/artifacts"),
        format!("/task/{id}/runs/0%20/artifacts"),
        format!("/task/{id}/runs/0/artifacts/%C3%BC"),
        format!("/task/{id}/runs/0/artifacts/a%0Ab"),
        format!("/task/{id}/runs/0/artifacts/a%00b"),
        "/task-group/x/list".to_owned(),
        "/pending/prov/Type".to_owned(),
        format!("/pending/{}/type", "p".repeat(39)),
        // Escapes that are no UTF-8, or none at all.
        "/task/%ff".to_owned(),
        "/task/%zz".to_owned(),
        "/task/%2".to_owned(),
    ] {
        let answer = house.ask(get(&path).by(house.root())).await;
        let message = answer.refused(400, "InvalidRequestArguments");
        assert!(!message.is_empty(), "{path}");
    }
    // Numbers that no run can have are none that exists.
    let huge = "9".repeat(60);
    let answer = house.call("listArtifacts", &[&id, &huge], None).await;
    answer.refused(404, "ResourceNotFound");
}

#[tokio::test]
async fn a_query_is_checked_before_the_method_runs() {
    let house = House::new(Kind::Sqlite).await;
    let id = slugid::nice();
    for query in [
        "limit=x",
        "limit=-1",
        "limit=",
        "limit=1.5",
        "limit",
        "limit=1&limit=2",
        "limit[]=1",
        "continuationToken=",
        "continuationToken=a&continuationToken=b",
        "unknown=1",
        "Limit=1",
    ] {
        let answer = house.get_with("listTaskGroup", &[&id], query).await;
        let message = answer.refused(400, "InvalidRequestArguments");
        assert!(
            message.contains("Query-string parameter"),
            "{query}: {message}"
        );
    }
    house
        .get_with("status", &[&id], "limit=1")
        .await
        .refused(400, "InvalidRequestArguments");
    for query in [
        "",
        "limit=5",
        "limit=0",
        "limit=99999999999999999999999",
        "&&limit=5&",
    ] {
        house
            .get_with("listTaskGroup", &[&id], query)
            .await
            .refused(404, "ResourceNotFound");
    }
}

on_both_databases! {
    async fn without_the_scope_a_bad_argument_is_not_even_looked_at(kind) {
        let house = House::new(kind).await;
        // Authorized from the URL: 403 wins over every 400.
        for (verb, path, body) in [
            ("GET", "/task/short".to_owned(), None),
            ("GET", format!("/task/{}/status?unknown=1", slugid::nice()), None),
            ("POST", format!("/task/{}/runs/x/reclaim", slugid::nice()), None),
            ("POST", format!("/task/{}/runs/0/exception", slugid::nice()), Some(json!({"reason": 1}))),
            ("POST", format!("/task/{}/runs/0/artifacts/a", slugid::nice()), Some(json!({}))),
        ] {
            for who in [Who::Nobody, house.with(["other"])] {
                let mut ask = Ask::new(verb, &format!("{PREFIX}{path}")).by(who);
                if let Some(body) = &body {
                    ask = ask.json(body);
                }
                house.ask(ask).await.refused(403, "InsufficientScopes");
            }
        }
        // Only broken JSON comes first.
        let path = format!("{PREFIX}/task/{}/runs/0/exception", slugid::nice());
        house.ask(Ask::new("POST", &path).json_text("{")).await.refused(400, "MalformedPayload");
        // Authorized from the body: 400 wins over 403.
        let id = slugid::nice();
        for (verb, path, body) in [
            ("PUT", format!("/task/{id}"), json!({})),
            ("PUT", "/task/short".to_owned(), house.definition()),
            ("PUT", format!("/task/{id}"), merged(house.definition(), json!({"taskQueueId": null}))),
            ("POST", format!("/claim-work/{QUEUE}"), json!({"workerGroup": "a.b", "workerId": "c"})),
            ("POST", "/claim-work/prov/Type".to_owned(), json!({"workerGroup": "a", "workerId": "c"})),
        ] {
            let ask = Ask::new(verb, &format!("{PREFIX}{path}")).json(&body);
            let answer = house.ask(ask).await;
            assert_eq!(answer.status, 400, "{verb} {path} {answer:?}");
        }
        // Authorized from the task: 404 wins over 403.
        for verb in ["schedule", "rerun", "cancel"] {
            let path = format!("{PREFIX}/task/{id}/{verb}");
            house.ask(Ask::new("POST", &path)).await.refused(404, "ResourceNotFound");
        }
        let claim = Ask::new("POST", &format!("{PREFIX}/task/{id}/runs/0/claim"))
            .json(&json!({"workerGroup": "a", "workerId": "b"}));
        house.ask(claim).await.refused(404, "ResourceNotFound");
    }

    async fn a_body_that_nobody_asked_for_is_parsed_and_ignored(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        let body = Some(json!({"anything": [1, 2]}));
        house.call("reclaimTask", &[&id, "0"], body.clone()).await.granted();
        let status = house.call("reportCompleted", &[&id, "0"], body).await.status_of();
        assert_eq!(status["state"], "completed");
        // Very old workers said with a body that a run failed.
        let (id, _) = house.claimed(json!({})).await;
        let failed = house.call("reportCompleted", &[&id, "0"], Some(json!({"success": false}))).await;
        assert_eq!(failed.status_of()["state"], "failed");
    }
}

#[tokio::test]
async fn an_error_repeats_what_was_sent_and_never_a_token() {
    let house = House::new(Kind::Sqlite).await;
    let id = slugid::nice();
    let body = merged(house.definition(), json!({"retries": 99}));
    let answer = house.call("createTask", &[&id], Some(body.clone())).await;
    let repeated = &answer.json["requestInfo"]["payload"];
    for (name, value) in body.as_object().unwrap() {
        assert_eq!(repeated[name], *value);
    }
    assert_eq!(
        repeated["priority"], "lowest",
        "with the defaults filled in"
    );
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let Who::Holder(root) = house.root() else {
        unreachable!()
    };
    assert!(!text.contains(root.access_token.expose()));
    assert_eq!(
        house.call("status", &[&id], None).await.json["requestInfo"]["payload"],
        json!({})
    );
}
