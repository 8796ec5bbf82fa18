//! Stacks register and leave, poll and are limited.

use std::time::Duration;

use serde_json::{Value, json};
use taskyard_store::on_both_databases;

use crate::yard::{Options, STACK, Yard};

on_both_databases! {
    /// A stack keeps its id for as long as it keeps its key.
    async fn a_stack_that_registers_again_is_the_same(kind) {
        let yard = Yard::with(kind, Options::default()).await;
        let body = json!({
            "key": "my-stack", "type": "custom", "queue_key": "default",
            "metadata": {"version": "1.0.0"},
        });
        let answer = yard.post("stacks/register", &body).await;
        let first = answer.expect(201);
        let expected = json!({
            "id": first["id"], "organization_uuid": first["organization_uuid"],
            "cluster_queue_key": "default", "key": "my-stack", "type": "custom",
            "metadata": {"version": "1.0.0"}, "last_connected_on": first["last_connected_on"],
            "state": "connected",
        });
        assert_eq!(first, expected);
        for field in ["id", "organization_uuid"] {
            assert_eq!(first[field].as_str().map(str::len), Some(36));
        }
        assert!(first["last_connected_on"].as_str().is_some_and(|it| it.ends_with('Z')));
        // What a client sends that was given no metadata.
        let again = json!({
            "key": "my-stack", "type": "kubernetes", "queue_key": "_default", "metadata": null,
        });
        let again = yard.post("stacks/register", &again).await.expect(200);
        assert_eq!(again["id"], first["id"]);
        assert_eq!((&again["type"], &again["metadata"]), (&json!("kubernetes"), &json!({})));
        assert_eq!(again["cluster_queue_key"], "default");
    }

    async fn what_is_missing_or_wrong_is_named(kind) {
        let yard = Yard::with(kind, Options::default()).await;
        let good = json!({"key": "k", "type": "custom", "queue_key": "q", "metadata": {}});
        let long_key = "k".repeat(81);
        let many: serde_json::Map<String, Value> =
            (0..101).map(|at| (at.to_string(), json!("x"))).collect();
        for (field, value, status) in [
            ("key", Value::Null, 422),
            ("key", json!(""), 422),
            ("key", json!("a.b"), 422),
            ("key", json!(long_key), 422),
            ("key", json!(1), 422),
            ("type", Value::Null, 422),
            ("type", json!("other"), 422),
            ("queue_key", Value::Null, 422),
            ("queue_key", json!("no queue"), 404),
            ("metadata", json!([]), 422),
            ("metadata", json!({"a": 1}), 422),
            ("metadata", json!({"a": "x".repeat(257)}), 422),
            ("metadata", json!({"x".repeat(65): "a"}), 422),
            ("metadata", Value::Object(many), 422),
        ] {
            let mut body = good.clone();
            body[field] = value;
            let message = yard.post("stacks/register", &body).await.refused(status);
            assert!(message.contains(field.split('_').next().unwrap_or(field)), "{message}");
        }
        for body in [&b"{"[..], b"[]", b"\"\xff\""] {
            let line = format!("Authorization: Token {}", yard.token);
            let length = format!("Content-Length: {}", body.len());
            let head = ["POST /v3/stacks/register HTTP/1.1", line.as_str(), length.as_str()];
            yard.raw(&head, body).await.refused(400);
        }
        yard.get("stacks/k/scheduled-jobs?queue_key=q").await.refused(404);
    }

    /// The client sends the deregistration as a chunked body without a chunk, and says it is JSON.
    async fn goodbye_comes_without_a_body_but_in_chunks(kind) {
        let yard = Yard::new(kind).await;
        let authorization = format!("Authorization: Token {}", yard.token);
        for key in ["my-stack", "my%2Dstack"] {
            let line = format!("POST /v3/stacks/{key}/deregister HTTP/1.1");
            let head = [
                line.as_str(),
                authorization.as_str(),
                "Accept: application/json",
                "Content-Type: application/json",
                "User-Agent: stackspi/v1.0.0",
                "Transfer-Encoding: chunked",
            ];
            let answer = yard.raw(&head, b"0\r\n\r\n").await;
            assert_eq!((answer.status, answer.text().as_str()), (204, ""));
        }
        // One that polls again is back.
        yard.listed().await;
        let body = json!({"key": STACK, "type": "custom", "queue_key": "default"});
        assert_eq!(yard.post("stacks/register", &body).await.expect(200)["state"], "connected");
        let path = "stacks/my%2Estack%2Fa%20b%25%C3%A9~/deregister";
        let message = yard.post(path, &json!({})).await.refused(404);
        assert!(message.contains("my.stack/a b%é~"), "{message}");
    }

    async fn a_stack_that_falls_silent_is_lost_until_it_polls(kind) {
        let yard = Yard::new(kind).await;
        let id = STACK.to_owned();
        let last = {
            let store = yard.store.clone();
            async move || {
                let id = id.clone();
                let stack = store.read(move |tx| taskyard_engine::stacks::stack(tx, &id)).await;
                stack.expect("it is read").expect("it is there").last_connected_at
            }
        };
        let before = last().await;
        yard.advance(Duration::from_secs(1));
        yard.listed().await;
        assert_eq!(last().await, before, "not every poll is written down");
        yard.advance(Duration::from_mins(7));
        yard.listed().await;
        assert!(last().await > before);
    }

    async fn the_eleventh_listing_of_a_second_is_refused(kind) {
        let yard = Yard::with(kind, Options { rate_limits: true, ..Options::default() }).await;
        yard.register(STACK).await;
        let path = format!("stacks/{STACK}/scheduled-jobs?queue_key=default");
        let first = yard.get(&path).await;
        first.expect(200);
        let told = |answer: &crate::raw::Answer| {
            ["scope", "limit", "remaining", "reset"]
                .map(|name| answer.header(&format!("ratelimit-{name}")).map(str::to_owned))
        };
        let expected = ["list-scheduled-jobs", "10", "9", "1"].map(|it| Some(it.to_owned()));
        assert_eq!(told(&first), expected);
        // However slow the machine, one day it answers eleven requests within a second.
        let refused = loop {
            let answers = futures_util::future::join_all((0..40).map(|_| yard.get(&path))).await;
            if let Some(refused) = answers.into_iter().find(|answer| answer.status == 429) {
                break refused;
            }
        };
        let body = refused.json();
        assert_eq!(body["scope"], "list-scheduled-jobs");
        assert_eq!((&body["limit"], &body["current"], &body["reset"]),
            (&json!(10), &json!(11), &json!(1)));
        assert_eq!(refused.header("retry-after"), Some("1"));
        let expected = ["list-scheduled-jobs", "10", "0", "1"].map(|it| Some(it.to_owned()));
        assert_eq!(told(&refused), expected);
        // Other endpoints have their own counts, and time heals.
        let states = json!({"job_uuids": []});
        yard.post(&format!("stacks/{STACK}/jobs/get-states"), &states).await.expect(200);
        yard.advance(Duration::from_secs(2));
        yard.get(&path).await.expect(200);
    }

    /// Each endpoint has a count of its own, for each stack.
    async fn every_endpoint_of_a_stack_is_held_to_its_rate(kind) {
        let yard = Yard::with(kind, Options { rate_limits: true, ..Options::default() }).await;
        for key in [STACK, "other"] {
            yard.register(key).await;
        }
        let job = "01234567-89ab-4def-8123-456789abcdef";
        let (none, notes) = (json!({"job_uuids": []}), json!({"notifications": []}));
        let told = json!({"detail": "x"});
        for (method, path, body, scope, limit) in [
            ("GET", "scheduled-jobs?queue_key=default", None, "list-scheduled-jobs", 10),
            ("PUT", "scheduled-jobs/batch-reserve", Some(&none), "batch-reserve", 10),
            ("POST", "scheduled_jobs/batch_reserve", Some(&none), "batch-reserve", 10),
            ("GET", &format!("jobs/{job}"), None, "show-job", 1000),
            ("POST", "jobs/get-states", Some(&none), "batch-load-job-states", 20),
            ("POST", &format!("jobs/{job}/finish"), Some(&told), "finish-job", 100),
            ("POST", &format!("jobs/{job}/fail"), Some(&told), "finish-job", 100),
            ("POST", "notifications", Some(&notes), "stack-notification", 200),
            ("POST", &format!("jobs/{job}/stack_notifications"), Some(&told), "stack-notification",
                200),
            ("POST", "job-acquisition-tokens", Some(&none), "default", 10),
            ("POST", "deregister", None, "default", 10),
        ] {
            // The second of this endpoint begins with nothing counted.
            yard.advance(Duration::from_secs(2));
            for key in [STACK, "other"] {
                let path = format!("stacks/{key}/{path}");
                let answer = yard.call(&yard.token, method, &path, body).await;
                let header = |name: &str| answer.header(&format!("ratelimit-{name}"));
                assert_ne!(answer.status, 429, "{path}");
                assert_eq!(header("scope"), Some(scope), "{path}");
                assert_eq!(header("limit"), Some(limit.to_string().as_str()), "{path}");
                assert_eq!(header("remaining"), Some((limit - 1).to_string().as_str()), "{path}");
                assert_eq!(header("reset"), Some("1"), "{path}");
            }
        }
        // What belongs to no stack is not counted.
        for path in ["token", "metrics"] {
            let answer = yard.get(path).await;
            answer.expect(200);
            assert_eq!(answer.header("ratelimit-scope"), None);
        }
    }

    async fn a_thousand_stacks_are_enough_and_those_that_are_lost_or_left_do_not_count(kind) {
        let yard = Yard::new(kind).await;
        let now = yard.now();
        yard.write(move |tx| {
            for at in 1..1000 {
                let new = taskyard_engine::stacks::NewStack {
                    id: format!("id-{at}"),
                    key: format!("stack-{at}"),
                    queue_key: "default".to_owned(),
                    kind: taskyard_engine::stacks::Kind::Custom,
                    metadata: "{}".to_owned(),
                };
                taskyard_engine::stacks::register(tx, now, &new, (1000, now))?;
            }
            Ok(())
        })
        .await;
        let new = async |key: &str| {
            let body = json!({"key": key, "type": "custom", "queue_key": "default"});
            yard.post("stacks/register", &body).await
        };
        assert!(new("more").await.refused(403).contains("1000"));
        // One that is known may come back at any time.
        new("stack-7").await.expect(200);
        yard.call(&yard.token, "POST", "stacks/stack-7/deregister", None).await;
        new("more").await.expect(201);
        new("too-many").await.refused(403);
        yard.advance(Duration::from_mins(5));
        yard.listed().await;
        new("too-many").await.refused(403);
        yard.advance(Duration::from_mins(2));
        new("enough").await.expect(201);
    }

    async fn paths_that_lead_nowhere_say_so(kind) {
        let yard = Yard::new(kind).await;
        for (method, path) in [
            ("POST", "jobs/01234567-89ab-4def-8123-456789abcdef/pipelines?async=true"),
            ("POST", "jobs/01234567-89ab-4def-8123-456789abcdef/oidc/tokens"),
            ("GET", "jobs/01234567-89ab-4def-8123-456789abcdef/secrets?key=a"),
            ("GET", "jobs/01234567-89ab-4def-8123-456789abcdef/pipelines/a"),
            ("PUT", "jobs/01234567-89ab-4def-8123-456789abcdef/promise_failure"),
            ("POST", "jobs/01234567-89ab-4def-8123-456789abcdef/repository_access_token"),
            ("POST", "jobs/01234567-89ab-4def-8123-456789abcdef/github_code_access_token"),
            ("POST", "builds/01234567-89ab-4def-8123-456789abcdef/cancel"),
            ("GET", "cache_registries/a"),
            ("POST", "cache_registries/a/peek"),
            ("PUT", "cache_registries/a/store"),
            ("PUT", "cache_registries/a/commit"),
            ("POST", "cache_registries/a/retrieve"),
            ("POST", "cache_registries/a/expire"),
            ("POST", "steps/a/export"),
            ("PUT", "steps/a"),
            ("POST", "steps/a/cancel"),
        ] {
            let answer = yard.call(&yard.token, method, path, Some(&json!({}))).await;
            assert!(answer.refused(404).contains("nothing"), "{path}");
        }
        yard.call(&yard.token, "PATCH", "token", None).await.refused(405);
    }
}
