//! Requests that no method can make sense of, and in which order they are told so.

use axum::body::Body;
use http::Request;
use serde_json::json;
use taskyard_store::on_both_databases;

use crate::house::{Answer, HOST, House};

/// Sends a signed request with this body as it is.
async fn put(house: &House, id: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Answer {
    let target = format!("/api/auth/v1/clients/{id}");
    let header = house.header(&house.root(), "PUT", &target, None);
    let request = Request::put(&target)
        .header("host", HOST)
        .header("content-type", content_type)
        .header("authorization", header)
        .body(Body::from(body.into()));
    house.send(request.unwrap()).await
}

on_both_databases! {
    async fn bodies_are_read_checked_and_told_apart(kind) {
        let house = House::new(kind).await;
        let json = "application/json";
        for body in ["{", "1", "null", "\"text\"", "{\"a\":\"\\u0000\"}"] {
            put(&house, "c", json, body).await.refused(400, "MalformedPayload");
        }
        put(&house, "c", json, b"{\"a\":\"\xff\"}".to_vec()).await.refused(400, "MalformedPayload");
        let good = house.definition(&[]).to_string();
        put(&house, "c", "text/plain", good.clone()).await.refused(400, "MalformedPayload");
        for body in ["", "[]", "{}"] {
            let text = put(&house, "c", json, body).await.refused(400, "InputValidationError");
            assert!(text.contains("/schemas/auth/v1/create-client-request.json#"), "{text}");
        }
        let mut large = b"{\"description\":\"".to_vec();
        large.resize(10 * 1024 * 1024 + 1, b'x');
        put(&house, "c", json, large).await.refused(413, "InputTooLarge");
        put(&house, "c", &format!("{json}; charset=utf-8"), good).await.granted();
    }

    async fn definitions_out_of_bounds_are_refused_and_make_nothing(kind) {
        let house = House::new(kind).await;
        for (name, value) in [
            ("expires", json!("tomorrow")),
            ("expires", json!(1)),
            ("expires", json!("2026-02-30T00:00:00Z")),
            ("description", json!("x".repeat(10_241))),
            ("description", json!(null)),
            ("scopes", json!(["a", "a"])),
            ("scopes", json!(["tab\t"])),
            ("scopes", json!(["\u{fc}"])),
            ("scopes", json!([1])),
            ("scopes", json!("a")),
            ("deleteOnExpiration", json!("yes")),
            ("accessToken", json!("mine")),
        ] {
            let mut body = house.definition(&[]);
            body[name] = value.clone();
            let answer = house.call("createClient", &["c"], Some(body)).await;
            let text = answer.refused(400, "InputValidationError");
            assert!(text.contains(name), "{name} {value}: {text}");
        }
        house.call("client", &["c"], None).await.refused(404, "ResourceNotFound");
    }

    async fn a_megabyte_of_scopes_is_taken_and_expands(kind) {
        let house = House::new(kind).await;
        house.role("r*", &["granted:<..>"]).await;
        let scopes: Vec<String> = (0..20_000).map(|n| format!("assume:r{n:044}")).collect();
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        let who = house.client("c", &scopes).await;
        let body = house.call("client", &["c"], None).await.granted();
        assert_eq!(body["expandedScopes"].as_array().unwrap().len(), 40_000);
        let answer = house.call_as(Some(&who), "currentScopes", &[], None).await;
        answer.refused(403, "InsufficientScopes");
    }

    async fn ids_and_queries_must_match_their_patterns(kind) {
        let house = House::new(kind).await;
        for id in ["a b", "a#b", "\u{e9}", "a%b"] {
            house.call("client", &[id], None).await.refused(400, "InvalidRequestArguments");
        }
        let answer = house.call("role", &["a\u{e9}"], None).await;
        answer.refused(400, "InvalidRequestArguments");
        for query in ["limit=x", "limit=-1", "prefix=", "prefix=%20", "more=1", "limit=1&limit=2",
            "continuationToken="] {
            let answer = house.get("listClients", &[], query).await;
            answer.refused(400, "InvalidRequestArguments");
        }
        // Who may not ask is not told that the question was wrong.
        let answer = house.call_as(None, "client", &["a b"], None).await;
        answer.refused(403, "InsufficientScopes");
        let answer = house.call_as(None, "createClient", &["a b"], Some(json!({}))).await;
        answer.refused(400, "InvalidRequestArguments");
    }

    async fn paths_that_lead_nowhere_are_not_found(kind) {
        let house = House::new(kind).await;
        let root = house.root();
        for (verb, path) in [
            ("GET", "/nothing"),
            ("GET", "/clients//"),
            ("POST", "/clients/"),
            ("PATCH", "/clients/c"),
            ("GET", "/clients/a/b"),
            ("GET", "/aws/s3/read-only/bucket"),
        ] {
            let target = format!("/api/auth/v1{path}");
            let answer = house.ask(Some(&root), verb, &target, None).await;
            assert_eq!((answer.status, answer.json), (404, json!({"error": "Not found"})), "{path}");
        }
        for path in ["/clients", "/clients/", "/roles", "/test-authenticate-get"] {
            let target = format!("/api/auth/v1{path}");
            let answer = house.ask(Some(&root), "GET", &target, None).await;
            assert_ne!(answer.status, 404, "{path}");
        }
        let answer = house.ask(Some(&root), "GET", "/api/auth/v1/clients/%zz", None).await;
        answer.refused(400, "InvalidRequestArguments");
        let options = Request::options("/api/auth/v1/clients/c").body(Body::empty()).unwrap();
        let options = house.service.answer(options).await;
        assert_eq!(options.headers()["allow"], "DELETE, GET, HEAD, OPTIONS, POST, PUT");
    }

    async fn hosts_that_are_none_are_refused(kind) {
        let house = House::new(kind).await;
        let target = "/api/auth/v1/scopes/current";
        let header = house.header(&house.root(), "GET", target, None);
        for host in [None, Some("a/b"), Some("")] {
            let mut request = Request::get(target).header("authorization", &header);
            if let Some(host) = host {
                request = request.header("host", host);
            }
            let answer = house.send(request.body(Body::empty()).unwrap()).await;
            assert!(answer.status == 400 || answer.status == 401, "{host:?}: {answer:?}");
        }
    }

    async fn descriptions_of_requests_must_be_whole(kind) {
        let house = House::new(kind).await;
        let good = json!({"method": "get", "resource": "/", "host": "a.test", "port": 80});
        for (name, value) in [
            ("method", json!("GET")),
            ("method", json!("brew")),
            ("host", json!("a b")),
            ("host", json!("[::1]")),
            ("port", json!(65_536)),
            ("port", json!(-1)),
            ("port", json!(80.5)),
            ("sourceIp", json!("somewhere")),
            ("more", json!(1)),
            ("resource", json!(null)),
        ] {
            let mut body = good.clone();
            body[name] = value.clone();
            let answer = house.call("authenticateHawk", &[], Some(body)).await;
            answer.refused(400, "InputValidationError");
        }
        house.call("authenticateHawk", &[], Some(good)).await.granted();
    }
}
