//! createTask again: the same request finds the same task.

use serde_json::{Value, json};
use taskyard_access::slugid;
use taskyard_store::on_both_databases;

use crate::ask::Ask;
use crate::house::{House, QUEUE, merged};

/// Creates a task, then asks again with `fields` changed.
async fn again(house: &House, first: &Value, fields: Value) -> crate::answer::Answer {
    let id = slugid::nice();
    let created = house.call("createTask", &[&id], Some(first.clone())).await;
    created.status_of();
    house
        .call("createTask", &[&id], Some(merged(first.clone(), fields)))
        .await
}

/// The keys of all objects in the opposite order.
fn reversed(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .rev()
            .map(|(key, value)| (key.clone(), reversed(value)))
            .collect(),
        Value::Array(items) => items.iter().map(reversed).collect(),
        other => other.clone(),
    }
}

on_both_databases! {
    async fn the_same_definition_in_another_spelling_finds_the_task(kind) {
        let house = House::new(kind).await;
        let first = merged(house.definition(), json!({
            "payload": {"a": 1, "b": {"c": 2, "d": [3]}}, "retries": 3,
            "created": "2026-01-01T00:00:00.123Z", "deadline": "2026-01-01T01:00:00Z",
        }));
        let offset = crate::house::moment(&json!("2026-01-01T00:00:00.123Z"))
            .0 - house.clock.now().0;
        house.clock.move_by(offset);
        let spellings = [
            json!({}),
            json!({"payload": {"b": {"d": [3.0], "c": 2.0}, "a": 1.0}}),
            json!({"retries": 3.0}),
            json!({"created": "2026-01-01T00:00:00.123999Z"}),
            json!({"created": "2026-01-01T01:30:00.123+01:30"}),
            json!({"created": "2026-01-01T00:00:00.123", "deadline": "2026-01-01T01:00:00.000+00:00"}),
            json!({"taskQueueId": null, "provisionerId": "prov", "workerType": "type"}),
            json!({"provisionerId": "prov", "workerType": "type"}),
            json!({"expires": "2027-01-01T01:00:00.000Z"}),
            json!({"scopes": [], "tags": {}, "priority": "lowest", "projectId": "none"}),
        ];
        for fields in spellings {
            let answer = again(&house, &first, fields.clone()).await;
            assert_eq!(answer.status, 200, "{fields} {answer:?}");
            assert_eq!(answer.json["status"]["runs"].as_array().unwrap().len(), 1);
        }
        let id = slugid::nice();
        house.call("createTask", &[&id], Some(first.clone())).await.status_of();
        house.call("createTask", &[&id], Some(reversed(&first))).await.status_of();
    }

    async fn another_definition_under_the_same_id_is_a_conflict(kind) {
        let house = House::new(kind).await;
        let first = merged(house.definition(), json!({
            "payload": {"a": 1}, "routes": ["a", "b"], "scopes": ["a", "b"], "expires": house.later(2 * crate::house::CLAIM * 20),
        }));
        let differences = [
            json!({"payload": {"a": 2}}),
            json!({"payload": {"a": "1"}}),
            json!({"payload": {"a": 1, "b": null}}),
            json!({"routes": ["b", "a"]}),
            json!({"scopes": ["b", "a"]}),
            json!({"scopes": ["a", "b", "b"]}),
            json!({"priority": "low"}),
            json!({"retries": 4}),
            json!({"projectId": "other"}),
            json!({"taskQueueId": "prov/other"}),
            json!({"taskGroupId": slugid::nice()}),
            json!({"schedulerId": "other"}),
            json!({"requires": "all-resolved"}),
            json!({"tags": {"a": "b"}}),
            json!({"extra": {"a": "b"}}),
            json!({"expires": house.later(2 * crate::house::CLAIM * 21)}),
            json!({"deadline": house.later(crate::house::CLAIM)}),
            json!({"dependencies": [slugid::nice()]}),
        ];
        for fields in differences {
            let answer = again(&house, &first, fields.clone()).await;
            assert_eq!(answer.status, 409, "{fields} {answer:?}");
            answer.refused(409, "RequestConflict");
        }
    }

    async fn asking_again_tells_where_the_task_stands_now(kind) {
        let house = House::new(kind).await;
        let (id, body) = (slugid::nice(), house.definition());
        house.call("createTask", &[&id], Some(body.clone())).await.status_of();
        house.claim(1).await;
        let again = house.call("createTask", &[&id], Some(body.clone())).await.status_of();
        assert_eq!(again["state"], "running");
        house.call("reportCompleted", &[&id, "0"], None).await.status_of();
        let again = house.call("createTask", &[&id], Some(body)).await.status_of();
        assert_eq!(again["state"], "completed");
        assert_eq!(again["runs"].as_array().unwrap().len(), 1);
    }

    async fn many_who_create_the_same_task_at_once_all_find_one(kind) {
        let house = std::sync::Arc::new(House::new(kind).await);
        let (id, body) = (slugid::nice(), house.definition());
        let asking = (0..16).map(|_| {
            let (house, id, body) = (std::sync::Arc::clone(&house), id.clone(), body.clone());
            tokio::spawn(async move { house.call("createTask", &[&id], Some(body)).await.status_of() })
        });
        for asked in asking.collect::<Vec<_>>() {
            assert_eq!(asked.await.unwrap()["runs"].as_array().unwrap().len(), 1);
        }
        let counts = house.call("taskQueueCounts", &[QUEUE], None).await.granted();
        assert_eq!(counts["pendingTasks"], 1);
    }

    async fn numbers_of_any_spelling_are_kept_as_far_as_numbers_go(kind) {
        let house = House::new(kind).await;
        let body = house.definition().to_string();
        let (id, target) = (slugid::nice(), "/api/queue/v1/task/");
        for number in ["1", "1.0", "1e0", "10E-1", "1.00000000000000000001"] {
            let body = body.replace(r#"{"command":["true"]}"#, &format!(r#"{{"n":{number}}}"#));
            assert!(body.contains(number));
            let ask = Ask::new("PUT", &format!("{target}{id}")).by(house.root()).json_text(body);
            // The body's times are those of the first, so every one is the same request.
            let answer = house.ask(ask).await;
            assert_eq!(answer.status, 200, "{number} {answer:?}");
        }
    }
}
