//! Judging requests, and testing whether a client signs as it should.

use std::time::Duration;

use http::Request;
use serde_json::{Value, json};
use taskyard_access::sign::Destination;
use taskyard_access::{Credentials, Signer, temporary};
use taskyard_store::on_both_databases;

use crate::house::{HOST, House};

const TARGET: &str = "/api/auth/v1/test-authenticate-get/";

fn tester() -> Credentials {
    Credentials {
        client_id: "tester".to_owned(),
        access_token: "no-secret".into(),
        certificate: None,
    }
}

/// Credentials that the tester issues.
fn issued(house: &House, name: Option<&str>, scopes: &[&str]) -> Credentials {
    let now = house.clock.now().millis();
    let scopes: Vec<String> = scopes.iter().map(|&scope| scope.to_owned()).collect();
    let seed = temporary::new_seed();
    let made = temporary::create(
        "tester",
        "no-secret",
        name,
        now,
        now + 60_000,
        &scopes,
        &seed,
    );
    let made = made.unwrap();
    Credentials {
        client_id: made.client_id,
        access_token: made.access_token,
        certificate: Some(made.certificate),
    }
}

fn description(authorization: Option<&str>) -> Value {
    let mut body = json!({
        "method": "get",
        "resource": "/api/queue/v1/task/x",
        "host": "queue.test",
        "port": 443,
        "sourceIp": "::1",
    });
    if let Some(authorization) = authorization {
        body["authorization"] = authorization.into();
    }
    body
}

on_both_databases! {
    async fn a_described_request_is_judged_whole(kind) {
        let house = House::new(kind).await;
        house.role("anonymous", &["public"]).await;
        let who = house.client("c", &["a"]).await;
        let signer = Signer::new(&who, None).unwrap();
        let to = Destination { target: "/api/queue/v1/task/x", host: "queue.test", port: 443 };
        let seconds = house.clock.now().millis() / 1000;
        let header = signer.authorization_header("GET", &to, seconds, "nonce", None);
        let judge = async |header: Option<&str>| {
            house.call_as(None, "authenticateHawk", &[], Some(description(header))).await.granted()
        };
        let good = judge(Some(&header)).await;
        assert_eq!(good["status"], "auth-success");
        assert_eq!(good["clientId"], "c");
        assert_eq!(good["scopes"], json!(["a", "assume:anonymous", "public"]));
        assert_eq!(good["hash"], Value::Null);
        let forged = judge(Some(&header.replace("\"nonce\"", "\"other\""))).await;
        assert_eq!(forged, json!({"status": "auth-failed", "message": "Unauthorized: Bad mac"}));
        let none = judge(None).await;
        assert_eq!(none["status"], "no-auth");
        assert_eq!(none["scopes"], json!(["assume:anonymous", "public"]));
        house.wait(Duration::from_mins(16));
        assert_eq!(judge(Some(&header)).await["message"], "Unauthorized: Stale timestamp");
    }

    async fn a_hash_is_handed_on_and_a_bewit_counts_without_a_header(kind) {
        let house = House::new(kind).await;
        let who = house.client("c", &["a"]).await;
        let signer = Signer::new(&who, None).unwrap();
        let target = "/api/queue/v1/task/x?a=b";
        let to = Destination { target, host: "queue.test", port: 443 };
        let seconds = house.clock.now().millis() / 1000;
        let payload = taskyard_access::Payload { content_type: "application/json", body: b"{}" };
        let header = signer.authorization_header("GET", &to, seconds, "n", Some(payload));
        let mut body = description(Some(&header));
        body["resource"] = target.into();
        let good = house.call_as(None, "authenticateHawk", &[], Some(body)).await.granted();
        assert_eq!(good["hash"], taskyard_access::payload_hash("application/json", b"{}"));
        let mut body = description(None);
        body["resource"] = format!("{target}&bewit={}", signer.bewit(&to, seconds + 600)).into();
        let good = house.call_as(None, "authenticateHawk", &[], Some(body.clone())).await.granted();
        assert_eq!((&good["status"], &good["scheme"]), (&json!("auth-success"), &json!("hawk")));
        house.wait(Duration::from_secs(602));
        let late = house.call_as(None, "authenticateHawk", &[], Some(body)).await.granted();
        assert_eq!(late["message"], "Unauthorized: Access expired");
    }

    async fn the_tester_learns_whether_it_signs_as_it_should(kind) {
        let house = House::new(kind).await;
        let test = async |who: Option<&Credentials>, granted: Value, required: Value| {
            let body = json!({"clientScopes": granted, "requiredScopes": required});
            house.call_as(who, "testAuthenticate", &[], Some(body)).await
        };
        let tester = tester();
        let good = test(Some(&tester), json!(["scope:2", "scope:1"]), json!(["scope:1"])).await;
        let scopes = json!(["assume:anonymous", "scope:2", "scope:1"]);
        assert_eq!(good.granted(), json!({"clientId": "tester", "scopes": scopes}));
        let lacking = test(Some(&tester), json!(["a"]), json!(["b"])).await;
        lacking.refused(403, "InsufficientScopes");
        let nobody = test(None, json!([]), json!([])).await.granted();
        let expected = json!({"clientId": "auth-failed:no-auth", "scopes": ["assume:anonymous"]});
        assert_eq!(nobody, expected);
        test(None, json!(["a"]), json!(["a"])).await.refused(403, "InsufficientScopes");
        let forged = Credentials { access_token: "other-secret".into(), ..tester.clone() };
        test(Some(&forged), json!([]), json!([])).await.refused(401, "AuthenticationFailed");
        // Clients of the deployment are not known here.
        test(Some(&house.root()), json!([]), json!([])).await.refused(401, "AuthenticationFailed");
        let empty = house.call_as(Some(&tester), "testAuthenticate", &[], Some(json!({}))).await;
        assert_eq!(empty.granted()["scopes"], json!(["assume:anonymous"]));
    }

    async fn issued_credentials_are_tested_as_well(kind) {
        let house = House::new(kind).await;
        let test = async |who: &Credentials, granted: Value| {
            let body = json!({"clientScopes": granted, "requiredScopes": ["a:1"]});
            house.call_as(Some(who), "testAuthenticate", &[], Some(body)).await
        };
        let unnamed = issued(&house, None, &["a:1"]);
        assert_eq!(test(&unnamed, json!(["a:*"])).await.granted()["clientId"], "tester");
        test(&unnamed, json!(["b"])).await.refused(401, "AuthenticationFailed");
        let named = issued(&house, Some("my-name"), &["a:1"]);
        test(&named, json!(["a:*"])).await.refused(401, "AuthenticationFailed");
        let allowed = json!(["a:*", "auth:create-client:my-name"]);
        assert_eq!(test(&named, allowed).await.granted()["clientId"], "my-name");
    }

    async fn the_test_by_get_takes_headers_and_bewits(kind) {
        let house = House::new(kind).await;
        let good = house.ask(Some(&tester()), "GET", TARGET, None).await.granted();
        let scopes = json!(["assume:anonymous", "test:*", "auth:create-client:test:*"]);
        assert_eq!(good, json!({"clientId": "tester", "scopes": scopes}));
        house.ask(None, "GET", TARGET, None).await.refused(403, "InsufficientScopes");
        let signer = Signer::new(&tester(), None).unwrap();
        let to = Destination { target: TARGET, host: HOST, port: 80 };
        let seconds = house.clock.now().millis() / 1000;
        let url = format!("{TARGET}?bewit={}", signer.bewit(&to, seconds + 60));
        assert_eq!(house.ask(None, "GET", &url, None).await.granted()["clientId"], "tester");
        let both = house.header(&tester(), "GET", &url, None);
        let request = Request::get(&url).header("host", HOST).header("authorization", both);
        let both = house.send(request.body(axum::body::Body::empty()).unwrap()).await;
        assert!(both.refused(401, "AuthenticationFailed").contains("two schemes"));
        let more = format!("{url}&limit=1");
        house.ask(None, "GET", &more, None).await.refused(400, "InvalidRequestArguments");
        let limited = ["test:authenticate-get".to_owned()];
        let header = house.header_with(&tester(), Some(&limited), "GET", TARGET, None);
        let request = Request::get(TARGET).header("host", HOST).header("authorization", header);
        let good = house.send(request.body(axum::body::Body::empty()).unwrap()).await.granted();
        assert_eq!(good["scopes"], json!(["assume:anonymous", "test:authenticate-get"]));
    }
}
