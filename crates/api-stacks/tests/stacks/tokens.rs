//! Tokens of clusters and of single jobs, and what is counted for autoscalers.

use std::time::Duration;

use serde_json::{Value, json};
use taskyard_store::on_both_databases;

use crate::yard::{STACK, Wanted, Yard, ids, strings, task_id};

on_both_databases! {
    async fn a_cluster_token_is_shown_once_and_can_be_revoked(kind) {
        let yard = Yard::new(kind).await;
        let admin = yard.client("admin", &["stacks:*"]).await;
        let body = json!({"description": "for gpus", "queues": ["gpu", "stacks/default"]});
        let made = yard.call(&admin, "POST", "stack-tokens", Some(&body)).await.expect(201);
        let token = made["token"].as_str().expect("a token").to_owned();
        assert!(token.starts_with("bkct_") && token.len() > 40);
        let listed = yard.call(&admin, "GET", "stack-tokens", None).await.expect(200);
        let found = listed["tokens"].as_array().expect("a list").iter()
            .find(|it| it["id"] == made["id"]).expect("it is listed").clone();
        let expected = json!({
            "id": made["id"], "description": "for gpus", "queues": ["gpu", "default"],
            "created_by": "admin", "created_at": made["created_at"], "expires_at": null,
        });
        assert_eq!(found, expected);
        assert!(!listed.to_string().contains(&token[5..]));

        let known = yard.call(&token, "GET", "token", None).await.expect(200);
        assert_eq!(known["uuid"], made["id"]);
        assert_eq!(known["token_type"], "cluster");
        assert_eq!(known["organization_slug"], "taskyard");
        assert_eq!(known["organization_queue_key"], "gpu");
        for field in ["organization_uuid", "cluster_uuid", "organization_queue_uuid"] {
            assert_eq!(known[field].as_str().map(str::len), Some(36), "{field}");
        }
        assert!(known.as_object().expect("an object").values().all(Value::is_string));

        let path = format!("stack-tokens/{}", made["id"].as_str().expect("an id"));
        assert_eq!(yard.call(&admin, "DELETE", &path, None).await.status, 204);
        yard.call(&admin, "DELETE", &path, None).await.refused(404);
        yard.call(&token, "GET", "token", None).await.refused(401);
    }

    async fn a_token_ends_when_it_was_told_to(kind) {
        let yard = Yard::new(kind).await;
        let at = yard.now().plus(Duration::from_mins(5)).to_iso();
        let token = yard.issue(&json!({"expires_at": at})).await;
        yard.call(&token, "GET", "token", None).await.expect(200);
        yard.advance(Duration::from_mins(6));
        yard.call(&token, "GET", "token", None).await.refused(401);
        let admin = yard.client("admin", &["stacks:*"]).await;
        for body in [
            json!({"expires_at": at}),
            json!({"expires_at": "soon"}),
            json!({"queues": []}),
            json!({"queues": "a"}),
            json!({"description": "x".repeat(1025)}),
        ] {
            yard.call(&admin, "POST", "stack-tokens", Some(&body)).await.refused(422);
        }
        let body = json!({"queues": ["no queue"]});
        yard.call(&admin, "POST", "stack-tokens", Some(&body)).await.refused(404);
    }

    async fn an_acquisition_token_is_good_for_its_job(kind) {
        let yard = Yard::new(kind).await;
        let jobs = yard.jobs(vec![Wanted::default(); 2]).await;
        yard.reserve(STACK, &jobs[..1]).await;
        let path = format!("stacks/{STACK}/job-acquisition-tokens");
        let asked = json!({"job_uuids": jobs, "token_lifetime_seconds": 600});
        let answer = yard.post(&path, &asked).await.expect(201);
        assert_eq!(strings(&answer["not_issued"]), jobs[1..]);
        let issued = &answer["job_acquisition_tokens"];
        assert_eq!(ids(issued, "job_uuid"), jobs[..1]);
        let token = issued[0]["job_acquisition_token"].as_str().expect("a token");
        assert!(token.starts_with("bkjat_"));

        let agent = yard.call(token, "POST", "register", Some(&json!({"name": "a"}))).await;
        let access = agent.expect(200)["access_token"].as_str().expect("a token").to_owned();
        let acquire = |id: &str| format!("jobs/{id}/acquire");
        yard.call(&access, "PUT", &acquire(&jobs[1]), None).await.refused(422);
        yard.call(&access, "PUT", &acquire(&jobs[0]), None).await.expect(200);
        yard.call(token, "GET", &format!("stacks/{STACK}/scheduled-jobs?queue_key=default"), None)
            .await
            .refused(403);
        yard.advance(Duration::from_secs(601));
        yard.call(token, "POST", "register", Some(&json!({"name": "a"}))).await.refused(401);
        yard.post(&path, &json!({"job_uuids": [], "token_lifetime_seconds": 3601}))
            .await
            .refused(422);
    }

    async fn autoscalers_are_told_how_much_there_is_to_do(kind) {
        let yard = Yard::new(kind).await;
        let jobs = yard.jobs(vec![Wanted::default(); 3]).await;
        yard.job(Wanted { dependencies: vec![task_id(&jobs[0])], ..Wanted::default() }).await;
        yard.job(Wanted { task_queue: "stacks/gpu", ..Wanted::default() }).await;
        yard.reserve(STACK, &jobs[..1]).await;
        let agent = yard.call(&yard.token, "POST", "register", Some(&json!({"name": "a"}))).await;
        let access = agent.expect(200)["access_token"].as_str().expect("a token").to_owned();
        yard.call(&access, "PUT", &format!("jobs/{}/acquire", jobs[1]), None).await.expect(200);
        let counts = yard.get("metrics").await.expect(200);
        let expected = json!({
            "agents": {
                "idle": 0, "busy": 1, "total": 1,
                "queues": {"default": {"idle": 0, "busy": 1, "total": 1}},
            },
            "jobs": {
                "scheduled": 3, "running": 1, "waiting": 1, "total": 5,
                "queues": {
                    "default": {"scheduled": 2, "running": 1, "waiting": 1, "total": 4},
                    "gpu": {"scheduled": 1, "running": 0, "waiting": 0, "total": 1},
                },
            },
            "organization": {"slug": "taskyard"},
        });
        assert_eq!(counts, expected);
        let gpu = yard.issue(&json!({"queues": ["gpu"]})).await;
        let counts = yard.call(&gpu, "GET", "metrics", None).await.expect(200);
        assert_eq!(counts["jobs"]["total"], 1);
        assert_eq!(counts["agents"]["total"], 0);
    }
}
