//! createTask: what it accepts, what it makes of it, and what it refuses.

use std::time::Duration;

use serde_json::{Value, json};
use taskyard_access::slugid;
use taskyard_store::on_both_databases;

use crate::house::{House, QUEUE, merged};

/// Asserts that a definition with these fields is refused, and that there is no task then.
async fn refused(house: &House, fields: Value, status: u16, code: &str) -> String {
    let id = slugid::nice();
    let body = merged(house.definition(), fields.clone());
    let answer = house.call("createTask", &[&id], Some(body)).await;
    assert_eq!(answer.status, status, "{fields} {answer:?}");
    let message = answer.refused(status, code);
    house
        .call("status", &[&id], None)
        .await
        .refused(404, "ResourceNotFound");
    message
}

on_both_databases! {
    async fn the_smallest_definition_is_filled_in(kind) {
        let house = House::new(kind).await;
        let id = slugid::nice();
        let definition = house.definition();
        let status = house.create_as(&id, json!({})).await;
        let task = house.call("task", &[&id], None).await.granted();
        let deadline = definition["deadline"].as_str().unwrap();
        let year: i32 = deadline[..4].parse().unwrap();
        let expected = merged(definition.clone(), json!({
            "provisionerId": "prov", "workerType": "type", "schedulerId": "-", "projectId": "none",
            "taskGroupId": id, "dependencies": [], "requires": "all-completed", "routes": [],
            "priority": "lowest", "retries": 5, "scopes": [], "tags": {}, "extra": {},
            "created": task["created"], "deadline": task["deadline"], "expires": task["expires"],
        }));
        assert_eq!(task, expected);
        assert_eq!(task["expires"].as_str().unwrap()[..4], (year + 1).to_string());
        let run = &status["runs"][0];
        let expected = json!({
            "taskId": id, "provisionerId": "prov", "workerType": "type", "taskQueueId": QUEUE,
            "schedulerId": "-", "projectId": "none", "taskGroupId": id, "priority": "lowest",
            "deadline": task["deadline"], "expires": task["expires"], "retriesLeft": 5,
            "state": "pending",
            "runs": [{"runId": 0, "state": "pending", "reasonCreated": "scheduled",
                      "scheduled": run["scheduled"]}],
        });
        assert_eq!(status, expected);
        assert_eq!(house.status(&id).await, expected);
    }

    async fn every_field_is_kept_as_it_was_given(kind) {
        let house = House::new(kind).await;
        let (id, group) = (slugid::nice(), slugid::nice());
        let fields = json!({
            "taskQueueId": null, "provisionerId": "Prov_1-x", "workerType": "a-1",
            "schedulerId": "sched_1", "projectId": "a/b.c-d_e", "taskGroupId": group,
            "requires": "all-resolved", "routes": ["index.a.b", "any thing ä"],
            "priority": "very-high", "retries": 49, "scopes": ["a:b", "a:b", "*"],
            "payload": {"ä\u{10ffff}": [1, 1.5, 1e300, -0.0, null, true, {"x": {}}], "": ""},
            "tags": {"k": "v", "": "x".repeat(4096)},
            "extra": {"big": 12_345_678_901_234_567_890_u64, "small": -9_007_199_254_740_993_i64},
        });
        house.create_as(&id, fields.clone()).await;
        let task = house.call("task", &[&id], None).await.granted();
        assert_eq!(task["taskQueueId"], "Prov_1-x/a-1");
        for (name, value) in fields.as_object().unwrap() {
            if !value.is_null() {
                assert_eq!(task[name], *value, "{name}");
            }
        }
    }

    async fn a_definition_that_breaks_its_schema_is_refused_with_every_reason(kind) {
        let house = House::new(kind).await;
        let long = |count: usize| "x".repeat(count);
        let metadata = |over: Value| json!({"metadata": merged(house.definition()["metadata"].clone(), over)});
        let cases = [
            (json!({"payload": null}), "payload"),
            (json!({"metadata": null}), "metadata"),
            (json!({"created": null}), "created"),
            (json!({"deadline": null}), "deadline"),
            (json!({"deadline": "soon"}), "data/deadline"),
            (json!({"deadline": "2026-02-30T00:00:00Z"}), "data/deadline"),
            (json!({"deadline": "2026-02-28T23:59:60Z"}), "data/deadline"),
            (json!({"created": 5}), "data/created"),
            (json!({"payload": []}), "data/payload"),
            (json!({"unknown": 1}), "unknown"),
            (json!({"taskQueueId": "prov/Type"}), "data/taskQueueId"),
            (json!({"taskQueueId": "prov/type\n"}), "data/taskQueueId"),
            (json!({"provisionerId": "a.b"}), "data/provisionerId"),
            (json!({"workerType": "UPPER"}), "data/workerType"),
            (json!({"schedulerId": ""}), "data/schedulerId"),
            (json!({"schedulerId": long(39)}), "data/schedulerId"),
            (json!({"projectId": "a b"}), "data/projectId"),
            (json!({"projectId": long(501)}), "data/projectId"),
            (json!({"taskGroupId": "short"}), "data/taskGroupId"),
            (json!({"dependencies": ["short"]}), "data/dependencies/0"),
            (json!({"requires": "some"}), "data/requires"),
            (json!({"routes": [""]}), "data/routes/0"),
            (json!({"routes": [long(250)]}), "data/routes/0"),
            (json!({"routes": ["a", "a"]}), "data/routes"),
            (json!({"routes": (0..65).map(|n| n.to_string()).collect::<Vec<_>>()}), "data/routes"),
            (json!({"priority": "urgent"}), "data/priority"),
            (json!({"retries": 50}), "data/retries"),
            (json!({"retries": -1}), "data/retries"),
            (json!({"retries": 1.5}), "data/retries"),
            (json!({"scopes": ["ü"]}), "data/scopes/0"),
            (json!({"tags": {"a": 1}}), "data/tags/a"),
            (json!({"tags": {"a": long(4097)}}), "data/tags/a"),
            (json!({"extra": []}), "data/extra"),
            (metadata(json!({"name": null})), "name"),
            (metadata(json!({"more": 1})), "more"),
            (metadata(json!({"name": long(256)})), "data/metadata/name"),
            (metadata(json!({"description": long(32_769)})), "data/metadata/description"),
            (metadata(json!({"source": "ftp://x"})), "data/metadata/source"),
        ];
        for (fields, named) in cases {
            let message = refused(&house, fields.clone(), 400, "InputValidationError").await;
            assert!(message.contains(named), "{fields}: {message}");
            assert!(
                message.contains("http://queue.test/schemas/queue/v1/create-task-request.json#"),
                "{message}"
            );
        }
        let message = refused(&house, json!({"retries": 50, "payload": 1}), 400, "InputValidationError").await;
        assert!(message.contains("data/retries") && message.contains("data/payload"), "{message}");
    }

    async fn the_queue_may_be_named_by_its_id_or_by_its_two_halves(kind) {
        let house = House::new(kind).await;
        let cases = [
            (json!({"provisionerId": "prov", "workerType": "type"}), Some(QUEUE)),
            (json!({"provisionerId": "other"}), Some(QUEUE)),
            (json!({"workerType": "other"}), Some(QUEUE)),
            (json!({"taskQueueId": null, "provisionerId": "a", "workerType": "b"}), Some("a/b")),
            (json!({"provisionerId": "prov", "workerType": "other"}), None),
            (json!({"taskQueueId": null, "provisionerId": "a"}), None),
            (json!({"taskQueueId": null, "workerType": "b"}), None),
            (json!({"taskQueueId": null}), None),
        ];
        for (fields, expected) in cases {
            match expected {
                Some(queue) => {
                    let id = house.create(fields.clone()).await;
                    let status = house.status(&id).await;
                    assert_eq!(status["taskQueueId"], queue, "{fields}");
                    let halves = (status["provisionerId"].as_str(), status["workerType"].as_str());
                    assert_eq!(halves, (queue.split('/').next(), queue.split('/').nth(1)));
                }
                None => drop(refused(&house, fields, 400, "InputError").await),
            }
        }
    }

    async fn an_old_name_of_the_lowest_priority_is_accepted(kind) {
        let house = House::new(kind).await;
        let id = house.create(json!({"priority": "normal"})).await;
        assert_eq!(house.status(&id).await["priority"], "lowest");
        assert_eq!(house.call("task", &[&id], None).await.granted()["priority"], "lowest");
    }

    async fn times_that_do_not_fit_together_are_refused(kind) {
        let house = House::new(kind).await;
        let (minutes, days) = (Duration::from_mins, |days: u64| Duration::from_hours(24 * days));
        let second = Duration::from_secs(1);
        let refusals = [
            (json!({"created": house.earlier(minutes(15) + second)}), "15 minutes in the past"),
            (json!({"created": house.later(minutes(16))}), "15 minutes in the future"),
            (json!({"created": house.later(minutes(5)), "deadline": house.later(minutes(4))}), "before `created`"),
            (json!({"created": house.earlier(minutes(9)), "deadline": house.earlier(second)}), "in the past"),
            (json!({"deadline": house.later(days(5) + minutes(16))}), "5 days"),
            (json!({"expires": house.later(minutes(59))}), "before `deadline`"),
        ];
        for (fields, told) in refusals {
            let message = refused(&house, fields.clone(), 400, "InputError").await;
            assert!(message.contains(told), "{fields}: {message}");
        }
        let deadline = house.later(minutes(60));
        let accepted = [
            json!({"created": house.earlier(minutes(14))}),
            json!({"created": house.later(minutes(14))}),
            json!({"created": house.later(minutes(1)), "deadline": house.later(minutes(1))}),
            json!({"deadline": house.later(days(5) + minutes(14))}),
            json!({"deadline": deadline, "expires": deadline}),
        ];
        for fields in accepted {
            house.create(fields).await;
        }
    }

    async fn a_scope_that_ends_in_two_stars_is_refused(kind) {
        let house = House::new(kind).await;
        let message = refused(&house, json!({"scopes": ["fine:*", "a:**"]}), 400, "InputError").await;
        assert!(message.contains("a:**"), "{message}");
    }

    async fn text_that_a_database_cannot_keep_is_refused(kind) {
        let house = House::new(kind).await;
        for fields in [
            json!({"payload": {"a": "x\u{0}y"}}),
            json!({"payload": {"a\u{0}": 1}}),
            json!({"routes": ["a\u{0}"]}),
            json!({"tags": {"a": "\u{0}"}}),
        ] {
            refused(&house, fields, 400, "MalformedPayload").await;
        }
        // What only looks like one is kept.
        let id = house.create(json!({"payload": {"a": "\\u0000", "b": "\\\\u0000"}})).await;
        let task = house.call("task", &[&id], None).await.granted();
        assert_eq!(task["payload"], json!({"a": "\\u0000", "b": "\\\\u0000"}));
    }

    async fn a_group_has_one_scheduler(kind) {
        let house = House::new(kind).await;
        let group = house.create(json!({"schedulerId": "one"})).await;
        house.create(json!({"schedulerId": "one", "taskGroupId": group})).await;
        let message = refused(
            &house,
            json!({"schedulerId": "two", "taskGroupId": group}),
            409,
            "RequestConflict",
        )
        .await;
        assert!(message.contains("one") && message.contains("two"), "{message}");
    }

    async fn many_fields_at_their_largest_fit(kind) {
        let house = House::new(kind).await;
        let fields = json!({
            "taskQueueId": format!("{}/{}", "p".repeat(38), "w".repeat(38)),
            "schedulerId": "s".repeat(38), "projectId": "p".repeat(500),
            "routes": (0..64).map(|n| format!("{n:0>249}")).collect::<Vec<_>>(),
            "metadata": {"name": "n".repeat(255), "description": "ü".repeat(32_768),
                "owner": "o".repeat(255), "source": format!("https://{}", "s".repeat(4088))},
        });
        let id = house.create(fields.clone()).await;
        let task = house.call("task", &[&id], None).await.granted();
        assert_eq!(task["metadata"], fields["metadata"]);
        assert_eq!(task["routes"], fields["routes"]);
    }
}
