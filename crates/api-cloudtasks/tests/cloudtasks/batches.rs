//! Batches and the operations they become.

use serde_json::{Value, json};
use taskyard_store::on_both_databases;

use crate::yard::{PARENT, Yard, queue, simple};

const ID: &str = "3f2b8a76-5d0f-4c3e-9a57-0a1b2c3d4e5f";

fn create(names: &[&str]) -> Value {
    let request = |name: &&str| {
        let mut task = simple();
        task["name"] = json!(format!("{}/tasks/{name}", queue("q")));
        json!({"parent": queue("q"), "task": task})
    };
    json!({"requests": names.iter().map(request).collect::<Vec<_>>()})
}

on_both_databases! {
    async fn members_fail_by_themselves(kind) {
        let yard = Yard::new(kind).await;
        yard.make_queue("q", json!({})).await;
        let path = format!("/v2/{}/tasks:batchCreate", queue("q"));
        let done = yard.post(&path, create(&["a", "b"])).await.ok();
        assert_eq!((&done["done"], &done["metadata"]["state"]), (&json!(true), &json!("SUCCEEDED")));
        let kind = "type.googleapis.com/google.cloud.tasks.v2.BatchCreateTasksResponse";
        assert_eq!(done["response"]["@type"], kind);
        assert_eq!(done["response"]["tasks"].as_array().expect("tasks").len(), 2);

        let mut requests = create(&["a", "c", "d.e"]);
        requests["requests"][1]["task"]["httpRequest"]["url"] = json!("ftp://x");
        let failed = yard.post(&path, requests).await.ok();
        assert_eq!(failed["metadata"]["state"], "PARTIALLY_SUCCEEDED");
        let codes: Vec<&Value> = ["0", "1", "2"].iter()
            .map(|index| &failed["metadata"]["failedRequests"][index]["code"]).collect();
        assert_eq!(codes, [6, 3, 3]);
        assert_eq!(failed["error"]["code"], 10);
        assert!(failed["error"]["message"].as_str().expect("a text").contains("BatchCreateTasksMetadata"));
        assert_eq!(yard.get(&format!("/v2/{}/tasks", queue("q"))).await.ok()["tasks"].as_array().expect("tasks").len(), 2);

        let names = |ids: &[&str]| json!({"names": ids.iter().map(|id| format!("{}/tasks/{id}", queue("q"))).collect::<Vec<_>>()});
        let path = format!("/v2beta3/{}/tasks:batchDelete", queue("q"));
        let deleted = yard.post(&path, names(&["a", "x"])).await.ok();
        assert_eq!(deleted["metadata"]["failedRequests"], json!({"1": {"code": 5, "message": "Requested entity was not found."}}));
        assert_eq!(deleted["response"], json!({"@type": "type.googleapis.com/google.protobuf.Empty", "value": {}}));
    }

    async fn a_batch_is_done_once(kind) {
        let yard = Yard::new(kind).await;
        yard.make_queue("q", json!({})).await;
        let path = format!("/v2/{}/tasks:batchCreate", queue("q"));
        let mut batch = create(&["a"]);
        batch["requestId"] = json!(ID);
        let first = yard.post(&path, batch.clone()).await.ok();
        assert_eq!(first["name"], format!("{PARENT}/operations/{ID}"));
        assert_eq!(yard.post(&path, batch).await.ok(), first);
        assert_eq!(yard.get(&format!("/v2/{PARENT}/operations/{ID}")).await.ok(), first);
        let beta3 = yard.get(&format!("/v2beta3/{PARENT}/operations/{ID}")).await.ok();
        assert_eq!(beta3["metadata"]["@type"], "type.googleapis.com/google.cloud.tasks.v2beta3.BatchCreateTasksMetadata");
        let other = json!({"names": [format!("{}/tasks/a", queue("q"))], "requestId": ID});
        let other = yard.post(&format!("/v2/{}/tasks:batchDelete", queue("q")), other).await;
        assert_eq!(other.refusal().1, "INVALID_ARGUMENT");
        yard.clock.move_by(24 * 3_600_000_000 + 1);
        assert_eq!(yard.get(&format!("/v2/{PARENT}/operations/{ID}")).await.status, 404);
    }

    async fn a_batch_of_the_wrong_shape_does_nothing(kind) {
        let yard = Yard::new(kind).await;
        yard.make_queue("q", json!({})).await;
        yard.make_queue("other", json!({})).await;
        let path = format!("/v2/{}/tasks:batchCreate", queue("q"));
        let many: Vec<String> = (0..101).map(|n| format!("t{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let mut elsewhere = create(&["a", "b"]);
        elsewhere["requests"][1]["parent"] = json!(queue("other"));
        let mut odd = create(&["a"]);
        odd["requestId"] = json!("1");
        for body in [create(&many), create(&[]), elsewhere, odd] {
            assert_eq!(yard.post(&path, body).await.refusal().1, "INVALID_ARGUMENT");
        }
        assert_eq!(yard.get(&format!("/v2/{}/tasks", queue("q"))).await.ok(), json!({}));
        let missing = yard.post(&format!("/v2/{}/tasks:batchDelete", queue("no")), json!({"names": [format!("{}/tasks/a", queue("no"))]})).await;
        assert_eq!(missing.refusal().1, "NOT_FOUND");
    }
}
