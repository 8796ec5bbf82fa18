//! No call does anything for those who lack its scope.

use base64::Engine as _;
use serde_json::json;
use taskyard_store::on_both_databases;

use crate::yard::{STACK, Wanted, Yard};

on_both_databases! {
    async fn nobody_without_a_good_token_is_let_in(kind) {
        let yard = Yard::new(kind).await;
        let paths = [
            ("POST", "stacks/register"),
            ("POST", "stacks/my-stack/deregister"),
            ("GET", "stacks/my-stack/scheduled-jobs?queue_key=default"),
            ("PUT", "stacks/my-stack/scheduled-jobs/batch-reserve"),
            ("POST", "stacks/my-stack/jobs/get-states"),
            ("GET", "stacks/my-stack/jobs/x"),
            ("POST", "stacks/my-stack/jobs/x/finish"),
            ("POST", "stacks/my-stack/notifications"),
            ("POST", "stacks/my-stack/job-acquisition-tokens"),
            ("GET", "token"),
            ("GET", "metrics"),
            ("GET", "stack-tokens"),
            ("POST", "queues/default/pause"),
            ("POST", "register"),
            ("POST", "connect"),
            ("POST", "heartbeat"),
            ("GET", "ping"),
            ("PUT", "jobs/x/acquire"),
            ("POST", "jobs/01234567-89ab-4def-8123-456789abcdef/data/get"),
        ];
        for (method, path) in paths {
            let line = format!("{method} /v3/{path} HTTP/1.1");
            let body = br#"{"key":"k","type":"custom","queue_key":"q","job_uuids":[]}"#;
            let length = format!("Content-Length: {}", body.len());
            for authorization in [
                "X-Nothing: at all",
                "Authorization: Token bkct_wrong",
                "Authorization: Token bkaa_wrong",
                "Authorization: Token root:wrong",
                "Authorization: Token",
                "Authorization: Basic !",
                "Authorization: Hawk id=\"a\"",
            ] {
                let head = [line.as_str(), authorization, length.as_str()];
                let answer = yard.raw(&head, body).await;
                assert_eq!(answer.status, 401, "{path} {authorization}");
                answer.refused(401);
            }
        }
    }

    async fn a_token_sees_and_does_nothing_beyond_its_queues(kind) {
        let yard = Yard::new(kind).await;
        let id = yard.job(Wanted::default()).await;
        let gpu = yard.issue(&json!({"queues": ["gpu"]})).await;
        let body = json!({"key": "gpus", "type": "custom", "queue_key": "gpu"});
        yard.call(&gpu, "POST", "stacks/register", Some(&body)).await.expect(201);
        let body = json!({"key": "gpus", "type": "custom", "queue_key": "default"});
        yard.call(&gpu, "POST", "stacks/register", Some(&body)).await.refused(403);
        // Nor does it take over, or end, the stack of another queue.
        let body = json!({"key": STACK, "type": "custom", "queue_key": "gpu"});
        yard.call(&gpu, "POST", "stacks/register", Some(&body)).await.refused(403);
        yard.call(&gpu, "POST", &format!("stacks/{STACK}/deregister"), None).await.refused(404);

        let path = "stacks/gpus/scheduled-jobs?queue_key=default";
        yard.call(&gpu, "GET", path, None).await.refused(403);
        let path = "stacks/gpus/scheduled-jobs?queue_key=gpu";
        yard.call(&gpu, "GET", path, None).await.expect(200);
        let uuids = json!({"job_uuids": [id]});
        let path = "stacks/gpus/scheduled-jobs/batch-reserve";
        let answer = yard.call(&gpu, "PUT", path, Some(&uuids)).await.expect(200);
        assert_eq!(answer, json!({"reserved": [], "not_reserved": [id]}));
        let path = "stacks/gpus/jobs/get-states";
        let answer = yard.call(&gpu, "POST", path, Some(&uuids)).await.expect(200);
        assert_eq!(answer, json!({"states": {}}));
        yard.call(&gpu, "GET", &format!("stacks/gpus/jobs/{id}"), None).await.refused(404);
        let path = format!("stacks/gpus/jobs/{id}/finish");
        yard.call(&gpu, "POST", &path, Some(&json!({"detail": "x"}))).await.refused(404);
        let notes = json!({"notifications": [{"job_uuid": id, "detail": "x"}]});
        let answer = yard.call(&gpu, "POST", "stacks/gpus/notifications", Some(&notes)).await;
        assert_eq!(answer.expect(200)["errors"][0]["error"], "job not found");
        yard.call(&gpu, "GET", &format!("jobs/{id}/events"), None).await.refused(404);

        let agent = yard.call(&gpu, "POST", "register", Some(&json!({"name": "a"}))).await;
        let access = agent.expect(200)["access_token"].as_str().expect("a token").to_owned();
        yard.call(&access, "PUT", &format!("jobs/{id}/acquire"), None).await.refused(422);
        assert_eq!(yard.state(&id).await, "scheduled");
    }

    async fn nobody_makes_a_token_that_is_good_for_more_than_their_own(kind) {
        let yard = Yard::new(kind).await;
        let scopes = ["stacks:manage-tokens", "stacks:stack:gpu", "stacks:agent:gpu"];
        let some = yard.client("some", &scopes).await;
        let make = async |body| yard.call(&some, "POST", "stack-tokens", Some(&body)).await;
        make(json!({"queues": ["gpu"]})).await.expect(201);
        make(json!({"queues": ["default"]})).await.refused(403);
        make(json!({})).await.refused(403);
        let none = yard.client("none", &["stacks:stack:*", "stacks:agent:*"]).await;
        yard.call(&none, "POST", "stack-tokens", Some(&json!({}))).await.refused(403);
        yard.call(&none, "GET", "stack-tokens", None).await.refused(403);
        // A cluster token makes none at all.
        yard.get("stack-tokens").await.refused(403);
    }

    async fn a_client_may_be_a_stack(kind) {
        let yard = Yard::new(kind).await;
        let client = yard.client("a/b", &["stacks:stack:default"]).await;
        let path = format!("/v3/stacks/{STACK}/scheduled-jobs?queue_key=default");
        let line = format!("GET {path} HTTP/1.1");
        let basic = base64::engine::general_purpose::STANDARD.encode(&client);
        for authorization in [
            format!("Authorization: Token {client}"),
            format!("Authorization: Bearer {client}"),
            format!("Authorization: Basic {basic}"),
        ] {
            yard.raw(&[line.as_str(), authorization.as_str()], b"").await.expect(200);
        }
        yard.call(&client, "POST", "register", Some(&json!({"name": "a"}))).await.refused(403);
    }
}
