//! Who may do what: Basic and Hawk, and scopes on groups.

use base64::Engine as _;
use serde_json::json;
use taskyard_access::sign::{Credentials, Destination, Payload, Signer, nonce};
use taskyard_store::on_both_databases;

use crate::yard::{Answer, Yard, ids};

const TOKEN: &str = "abcdefghijklmnopqrstuvwxyz";

/// A taskstore with one client, called `proj:me/a`, that has `scopes`.
async fn yard_with(kind: taskyard_store::testing::Kind, scopes: &[&str]) -> Yard {
    let yard = Yard::open(kind, false).await;
    let now = yard.now().millis();
    yard.directory
        .ensure_client(now, "proj:me/a", scopes, "", Some(&TOKEN.into()))
        .await
        .expect("a client");
    yard.directory
        .ensure_client(now, "root", &["*"], "", Some(&TOKEN.into()))
        .await
        .expect("a client");
    yard
}

async fn call(yard: &Yard, user: &str, method: &str, path: &str, body: &str) -> Answer {
    let request = yard.request(method, path).basic_auth(user, Some(TOKEN));
    yard.send(request.body(body.to_owned())).await
}

async fn get(yard: &Yard, path: &str) -> Answer {
    call(yard, "proj:me/a", "GET", path, "").await
}

async fn post(yard: &Yard, path: &str, body: &serde_json::Value) -> Answer {
    call(yard, "proj:me/a", "POST", path, &body.to_string()).await
}

on_both_databases! {
    async fn nobody_does_anything_without_credentials(kind) {
        let yard = yard_with(kind, &[]).await;
        let answer = yard.request("GET", "/groups").send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 401);
        assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic"));
        for path in ["/group/g", "/task/1", "/tasks/1", "/tasks/", "/stats", "/stats/g"] {
            assert_eq!(yard.get(path).await.status, 401, "{path}");
        }
        assert_eq!(yard.post("/update", r#"{"adds":[{"group":"g"}]}"#).await.status, 401);
        assert_eq!(yard.post("/update", r#"{"deletes":[1]}"#).await.status, 401);
        assert_eq!(yard.post("/claim", r#"{"group":"g"}"#).await.status, 401);
        let known = call(&yard, "root", "GET", "/groups", "").await;
        assert_eq!(known.body, "[]");
    }

    async fn wrong_credentials_are_refused_even_where_none_are_needed(kind) {
        let yard = Yard::new(kind).await;
        let basic = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        for authorization in [
            format!("Basic {}", basic("nobody:token")), "Basic !".to_owned(),
            "Bearer nobody:token".to_owned(), "Bearer opaque".to_owned(),
            "Hawk id=\"nobody\", ts=\"1\", nonce=\"a\", mac=\"b\"".to_owned(), "Other x".to_owned(),
        ] {
            let request = yard.request("GET", "/groups").header("authorization", &authorization);
            assert_eq!(yard.send(request).await.status, 401, "{authorization}");
        }
    }

    async fn scopes_open_their_groups_and_no_others(kind) {
        let scopes = ["taskstore:read:a*", "taskstore:update:a1", "taskstore:claim:a1"];
        let yard = yard_with(kind, &scopes).await;
        let add = json!({"adds": [{"group": "a1"}, {"group": "a2"}, {"group": "b"}]}).to_string();
        let added = call(&yard, "root", "POST", "/update", &add).await.json();
        assert_eq!(ids(&added), [1, 2, 3]);
        // Reading.
        assert_eq!(get(&yard, "/groups").await.body, "[\"a1\",\"a2\"]");
        assert_eq!(get(&yard, "/stats").await.json().as_array().map(Vec::len), Some(2));
        for (path, status) in [("/group/a2", 200), ("/group/b", 403), ("/task/2", 200),
            ("/task/3", 403), ("/tasks/1,3", 403), ("/task/9", 200), ("/stats/b", 403)] {
            assert_eq!(get(&yard, path).await.status, status, "{path}");
        }
        // The name of a group that may not be read is not told.
        assert!(!get(&yard, "/task/3").await.body.contains(":b"));
        // Changing.
        for (body, status) in [
            (json!({"adds": [{"group": "a1"}, {"group": "a2"}]}), 403),
            (json!({"deletes": [2]}), 403),
            (json!({"updates": [{"id": 3}]}), 403),
            (json!({"updates": [{"id": 0, "group": "b"}]}), 403),
            (json!({"deletes": [1], "depends": [3]}), 403),
            (json!({"deletes": [99]}), 200),
            (json!({"adds": [{"group": "a1"}], "depends": [1, 2]}), 200),
        ] {
            assert_eq!(post(&yard, "/update", &body).await.status, status, "{body}");
        }
        // Claiming.
        for (body, status) in [
            (json!({"group": "a2"}), 403),
            (json!({"groups": ["a1", "a2"]}), 403),
            (json!({"group": "a1", "depends": [3]}), 403),
            (json!({"group": "a1", "max_attempts": 1, "error_group": "b"}), 403),
            (json!({"group": "a1", "depends": [2], "duration": 1_000_000_000}), 200),
        ] {
            assert_eq!(post(&yard, "/claim", &body).await.status, status, "{body}");
        }
        // What was refused changed nothing.
        let tasks = call(&yard, "root", "GET", "/tasks/2,3", "").await;
        assert_eq!(ids(&json!({"tasks": tasks.json()})), [2, 3]);
    }

    async fn a_request_signed_with_hawk_is_as_good(kind) {
        let yard = yard_with(kind, &["taskstore:update:g"]).await;
        let credentials = Credentials {
            client_id: "proj:me/a".to_owned(),
            access_token: TOKEN.into(),
            certificate: None,
        };
        let signer = Signer::new(&credentials, None).expect("credentials");
        let body = br#"{"adds":[{"group":"g"}]}"#;
        let request = yard.request("POST", "/update");
        let url = request.try_clone().expect("a copy").build().expect("a request").url().clone();
        let to = Destination {
            target: "/update",
            host: url.host_str().expect("a host"),
            port: url.port().expect("a port"),
        };
        let json = "application/json";
        let seconds = yard.now().millis() / 1000;
        let payload = Payload { content_type: json, body };
        let header = signer.authorization_header("POST", &to, seconds, &nonce(), Some(payload));
        let signed = |body: &'static [u8]| {
            yard.request("POST", "/update")
                .header("authorization", &header)
                .header("content-type", json)
                .body(body)
        };
        assert_eq!(yard.send(signed(br#"{"adds":[{"group":"h"}]}"#)).await.status, 401);
        assert_eq!(ids(&yard.send(signed(body)).await.json()), [1]);
    }
}
