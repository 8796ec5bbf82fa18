//! Who may do what: scopes, policies, and what strangers are told.

use serde_json::{Value, json};
use taskyard_store::on_both_databases;

use crate::yard::{Yard, queue, simple};

const EVERYTHING: &[&str] = &["cloudtasks:*"];

on_both_databases! {
    async fn nobody_does_anything_without_a_right(kind) {
        let mut yard = Yard::open(kind, false).await;
        yard.call_as("root", EVERYTHING).await;
        yard.make_queue("q", json!({})).await;
        let task = yard.make_task("q", simple()).await.ok();
        let task = task["name"].as_str().expect("a name").to_owned();
        let before = yard.get(&format!("/v2/{}", queue("q"))).await.ok();

        let calls: Vec<(&str, String, Value)> = vec![
            ("GET", "projects/p/locations/us-central1/queues".to_owned(), Value::Null),
            ("GET", queue("q"), Value::Null),
            ("GET", queue("missing"), Value::Null),
            ("POST", "projects/p/locations/us-central1/queues".to_owned(), json!({"name": queue("x")})),
            ("PATCH", queue("q"), json!({"rateLimits": {"maxDispatchesPerSecond": 1}})),
            ("PATCH", queue("x"), json!({})),
            ("DELETE", queue("q"), Value::Null),
            ("POST", format!("{}:purge", queue("q")), json!({})),
            ("POST", format!("{}:pause", queue("q")), json!({})),
            ("POST", format!("{}:resume", queue("q")), json!({})),
            ("POST", format!("{}:getIamPolicy", queue("q")), json!({})),
            ("POST", format!("{}:setIamPolicy", queue("q")), json!({"policy": {}})),
            ("GET", format!("{}/tasks", queue("q")), Value::Null),
            ("POST", format!("{}/tasks", queue("q")), json!({"task": simple()})),
            ("POST", format!("{}/tasks:buffer", queue("q")), json!({})),
            ("POST", format!("{}/tasks:batchCreate", queue("q")), json!({"requests": [{"parent": queue("q"), "task": simple()}]})),
            ("POST", format!("{}/tasks:batchDelete", queue("q")), json!({"names": [task]})),
            ("GET", task.clone(), Value::Null),
            ("GET", format!("{}/attempts", queue("q")), Value::Null),
            ("GET", format!("{task}/attempts"), Value::Null),
            ("GET", format!("{}/failures", queue("q")), Value::Null),
            ("POST", format!("{task}:run"), json!({})),
            ("DELETE", task.clone(), Value::Null),
            ("GET", "projects/p/locations".to_owned(), Value::Null),
            ("GET", "projects/p/locations/us-central1".to_owned(), Value::Null),
            ("GET", "projects/p/locations/us-central1/cmekConfig".to_owned(), Value::Null),
            ("PATCH", "projects/p/locations/us-central1/cmekConfig".to_owned(), json!({})),
        ];
        let root = yard.caller();
        yard.call_as("nobody", &["cloudtasks:tasks.create:projects/other/*"]).await;
        let nobody = yard.caller();
        for (method, path, body) in &calls {
            let send = async |yard: &Yard| {
                let request = yard.request(method, &format!("/v2/{path}"));
                let body = if body.is_null() { String::new() } else { body.to_string() };
                yard.send(request.body(body)).await
            };
            yard.call_with(nobody.as_deref());
            let refused = send(&yard).await;
            assert_eq!(refused.refusal().1, "PERMISSION_DENIED", "{method} {path}");
            yard.call_with(None);
            let unknown = send(&yard).await;
            assert_eq!(unknown.refusal().1, "UNAUTHENTICATED", "{method} {path}");
            yard.call_with(Some("Bearer nobody:wrong"));
            let liar = send(&yard).await;
            assert_eq!(liar.refusal().1, "UNAUTHENTICATED", "{method} {path}");
        }
        yard.call_with(root.as_deref());
        assert_eq!(yard.get(&format!("/v2/{}", queue("q"))).await.ok(), before);
        assert_eq!(yard.get(&format!("/v2/{task}")).await.status, 200);
        assert_eq!(yard.get(&format!("/v2/{}", queue("x"))).await.status, 404);
        assert!(yard.sent.lock().is_empty());
    }

    async fn a_policy_gives_what_its_roles_hold(kind) {
        let mut yard = Yard::open(kind, false).await;
        yard.call_as("root", EVERYTHING).await;
        let root = yard.caller();
        yard.make_queue("q", json!({})).await;
        let policy = format!("/v2/{}:setIamPolicy", queue("q"));
        let set = json!({"policy": {"bindings": [
            {"role": "roles/cloudtasks.enqueuer", "members": ["user:me@example.com"]},
            {"role": "roles/cloudtasks.viewer", "members": ["domain:example.com", "group:watchers"]},
        ]}});
        let etag = yard.post(&policy, set).await.ok()["etag"].clone();

        yard.call_as("me@example.com", &[]).await;
        yard.make_task("q", simple()).await.ok();
        yard.get(&format!("/v2/{}/tasks?responseView=FULL", queue("q"))).await.ok();
        let purge = yard.post(&format!("/v2/{}:purge", queue("q")), json!({})).await;
        assert_eq!(purge.refusal(), (
            403,
            "PERMISSION_DENIED",
            "The principal (user or service account) lacks IAM permission \
             \"cloudtasks.queues.purge\" for the resource \
             \"projects/p/locations/us-central1/queues/q\" (or the resource may not exist).",
        ));
        let asked = json!({"permissions": ["cloudtasks.tasks.create", "cloudtasks.queues.purge", "x.y"]});
        let held = yard.post(&format!("/v2/{}:testIamPermissions", queue("q")), asked).await.ok();
        assert_eq!(held, json!({"permissions": ["cloudtasks.tasks.create"]}));

        yard.call_as("watcher", &["assume:watchers"]).await;
        yard.get(&format!("/v2/{}", queue("q"))).await.ok();
        assert_eq!(yard.make_task("q", simple()).await.status, 403);

        // With a policy that binds everyone, credentials are not needed.
        yard.call_with(root.as_deref());
        let all = json!({"policy": {"etag": etag, "bindings": [
            {"role": "roles/cloudtasks.enqueuer", "members": ["allUsers"]},
        ]}});
        yard.post(&policy, all.clone()).await.ok();
        let stale = yard.post(&policy, all).await;
        assert_eq!(stale.refusal().1, "ABORTED");
        yard.call_with(None);
        yard.make_task("q", simple()).await.ok();
        assert_eq!(yard.get(&format!("/v2/{}", queue("q"))).await.status, 401);
    }

    async fn a_condition_is_kept_and_never_met(kind) {
        let mut yard = Yard::open(kind, false).await;
        yard.call_as("root", EVERYTHING).await;
        yard.make_queue("q", json!({})).await;
        let policy = json!({"policy": {"version": 3, "bindings": [{
            "role": "roles/cloudtasks.admin", "members": ["allUsers"],
            "condition": {"expression": "true", "title": "always"},
        }]}});
        let set = yard.post(&format!("/v2/{}:setIamPolicy", queue("q")), policy).await.ok();
        assert_eq!(set["bindings"][0]["condition"]["title"], "always");
        yard.call_with(None);
        assert_eq!(yard.get(&format!("/v2/{}", queue("q"))).await.status, 401);
    }

    async fn tokens_are_sent_in_the_name_of_those_one_may_act_as(kind) {
        let mut yard = Yard::open(kind, false).await;
        yard.call_as("root", EVERYTHING).await;
        yard.make_queue("q", json!({})).await;
        yard.call_as("some", &[
            "cloudtasks:tasks.create:projects/p/*",
            "cloudtasks:queues.update:projects/p/*",
            "cloudtasks:iam.serviceAccounts.actAs:mine@example.com",
        ]).await;
        let task = |email: &str| {
            let mut task = simple();
            task["httpRequest"]["oidcToken"] = json!({"serviceAccountEmail": email});
            task
        };
        yard.make_task("q", task("mine@example.com")).await.ok();
        let other = yard.make_task("q", task("other@example.com")).await;
        assert!(other.refusal().2.contains("iam.serviceAccounts.actAs"), "{other:?}");
        let target = |email: &str| json!({"httpTarget": {"oidcToken": {"serviceAccountEmail": email, "audience": "a"}}});
        let path = format!("/v2/{}?updateMask=httpTarget", queue("q"));
        yard.patch(&path, target("mine@example.com")).await.ok();
        assert_eq!(yard.patch(&path, target("other@example.com")).await.status, 403);
    }

    async fn the_full_view_is_a_right_of_its_own(kind) {
        let mut yard = Yard::open(kind, false).await;
        yard.call_as("root", EVERYTHING).await;
        yard.make_queue("q", json!({})).await;
        let made = yard.make_task("q", simple()).await.ok();
        yard.call_as("reader", &["cloudtasks:tasks.get:*"]).await;
        let path = format!("/v2/{}", made["name"].as_str().expect("a name"));
        yard.get(&path).await.ok();
        let full = yard.get(&format!("{path}?responseView=FULL")).await;
        assert!(full.refusal().2.contains("cloudtasks.tasks.fullView"), "{full:?}");
    }

    async fn development_servers_take_any_token(kind) {
        let mut yard = Yard::new(kind).await;
        for caller in [None, Some("Bearer owner"), Some("Bearer ya29.token"), Some("")] {
            yard.call_with(caller);
            assert_eq!(yard.get("/v2/projects/p/locations/l/queues").await.status, 200, "{caller:?}");
        }
        yard.call_with(Some("Bearer who:wrong"));
        assert_eq!(yard.get("/v2/projects/p/locations/l/queues").await.status, 401);
    }
}
