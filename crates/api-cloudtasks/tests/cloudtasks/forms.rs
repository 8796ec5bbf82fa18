//! The forms of HTTP/JSON: paths, queries, bodies, refusals.

use serde_json::{Value, json};
use taskyard_store::on_both_databases;

use crate::yard::{PARENT, Yard, queue, simple};

on_both_databases! {
    async fn refusals_carry_what_clients_read(kind) {
        let yard = Yard::new(kind).await;
        yard.make_queue("q", json!({})).await;
        let mut task = simple();
        task["name"] = json!(format!("{}/tasks/a.b", queue("q")));
        let refused = yard.make_task("q", task).await;
        assert_eq!(refused.json["error"]["details"], json!([{
            "@type": "type.googleapis.com/google.rpc.Help",
            "links": [{
                "description": "Definition of task ID",
                "url": "https://cloud.google.com/tasks/docs/reference/rest/v2/\
                        projects.locations.queues.tasks#Task.FIELDS.name",
            }],
        }]));
        let unknown = yard.post(&format!("/v2/{}/tasks", queue("q")), json!({"task": {"x": 1}})).await;
        let text = "Invalid JSON payload received. Unknown name \"x\" at 'task': Cannot find field.";
        assert_eq!(unknown.refusal(), (400, "INVALID_ARGUMENT", text));
        assert_eq!(unknown.json["error"]["details"], json!([{
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "task", "description": text}],
        }]));
        let query = yard.get(&format!("/v2/{}?x=1", queue("q"))).await;
        assert!(query.refusal().2.ends_with("Field 'x' could not be found in request message."));
    }

    async fn what_is_nowhere_is_not_found(kind) {
        let yard = Yard::new(kind).await;
        for path in ["/v2/projects", "/v2/x", "/v3/projects/p/locations/l/queues", "/projects/p/locations/l/x"] {
            assert_eq!(yard.get(path).await.refusal().1, "NOT_FOUND", "{path}");
        }
        let wrong = yard.send(yard.request("PUT", &format!("/v2/{}", queue("q")))).await;
        assert_eq!(wrong.refusal().1, "NOT_FOUND");
    }

    async fn a_get_may_come_as_a_post(kind) {
        let yard = Yard::new(kind).await;
        for id in ["a", "b"] {
            yard.make_queue(id, json!({})).await;
        }
        let request = yard.request("POST", &format!("/v2/{PARENT}/queues"))
            .header("x-http-method-override", "GET")
            .header("content-type", "application/x-www-form-urlencoded")
            .body("pageSize=1&alt=json");
        assert_eq!(yard.send(request).await.ok()["queues"].as_array().expect("queues").len(), 1);
    }

    async fn bodies_are_bounded_and_checked(kind) {
        let yard = Yard::new(kind).await;
        yard.make_queue("q", json!({})).await;
        let path = format!("/v2/{}/tasks", queue("q"));
        let mut task = simple();
        // Base64 of just under and just over what a task may be.
        task["httpRequest"]["body"] = json!("AAAA".repeat(1_048_200 / 3));
        yard.make_task("q", task.clone()).await.ok();
        task["httpRequest"]["body"] = json!("AAAA".repeat(1_048_600 / 3));
        assert_eq!(yard.make_task("q", task).await.refusal().2, "Task size too large");
        // The rest of such a body is not read, so its connection serves nothing else.
        let huge = yard.request("POST", &path).header("connection", "close");
        let huge = yard.send(huge.body(vec![b' '; 5 * 1024 * 1024])).await;
        assert_eq!(huge.refusal().1, "INVALID_ARGUMENT");
        for body in ["{", "[]", "1", "\u{0}", "{\"task\": {\"httpRequest\": {\"url\": \"https://a\", \"body\": \"%\"}}}"] {
            let refused = yard.send(yard.request("POST", &path).body(body)).await;
            assert_eq!(refused.refusal().1, "INVALID_ARGUMENT", "{body}");
        }
        // An empty body is an empty message.
        yard.send(yard.request("POST", &format!("/v2/{}:pause", queue("q")))).await.ok();
    }

    async fn everyone_may_see_the_keys(kind) {
        let yard = Yard::open(kind, false).await;
        let discovery = yard.get("/.well-known/openid-configuration").await.ok();
        assert_eq!(discovery["issuer"], "https://tasks.example.com");
        assert_eq!(yard.get("/jwks").await.ok(), json!({"keys": []}));
    }

    async fn numbers_for_enums_are_written_on_request(kind) {
        let yard = Yard::new(kind).await;
        yard.make_queue("q", json!({"type": 2})).await;
        let path = format!("/v2beta3/{}?%24alt=json%3Benum-encoding%3Dint&prettyPrint=false", queue("q"));
        let shown = yard.get(&path).await.ok();
        assert_eq!((&shown["state"], &shown["type"]), (&json!(1), &json!(2)));
        let plain: Value = yard.get(&format!("/v2beta3/{}", queue("q"))).await.ok();
        assert_eq!(plain["state"], "RUNNING");
    }
}
