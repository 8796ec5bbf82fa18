//! Workers are asked to forget caches.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use taskyard_api_taskcluster::translators;
use taskyard_events::log;
use taskyard_store::on_both_databases;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::house::{House, moment};
use crate::who::Who;

const POOL: &str = "proj-a/linux";
const HOUR: Duration = Duration::from_hours(1);

async fn purge(house: &House, pool: &str, cache: &str) {
    let answer = house
        .call("purgeCache", &[pool], Some(json!({"cacheName": cache})))
        .await;
    assert_eq!((answer.status, answer.body.len()), (204, 0), "{answer:?}");
}

async fn requests(house: &House, pool: &str) -> Vec<Value> {
    let page = house.call("purgeRequests", &[pool], None).await.granted();
    page["requests"].as_array().expect("requests").clone()
}

fn names(requests: &[Value]) -> Vec<&str> {
    requests
        .iter()
        .map(|it| it["cacheName"].as_str().expect("a name"))
        .collect()
}

on_both_databases! {
    async fn workers_hear_once_of_each_cache_and_of_later_requests_with_a_later_time(kind) {
        let house = House::new(kind).await;
        assert_eq!(requests(&house, POOL).await, Vec::<Value>::new());
        let begun = house.clock.now().trunc_millis();
        for cache in ["checkouts", "a cache: with/all", "checkouts"] {
            purge(&house, POOL, cache).await;
        }
        purge(&house, "proj-a/other", "checkouts").await;
        let first = requests(&house, POOL).await;
        assert_eq!(names(&first), ["a cache: with/all", "checkouts"]);
        assert_eq!((&first[0]["provisionerId"], &first[0]["workerType"]), (&json!("proj-a"), &json!("linux")));
        assert!(first.iter().all(|it| moment(&it["before"]) >= begun), "{first:?}");
        let mut before = moment(&first[1]["before"]);
        // Also where the clock stands still, or goes back.
        for step in [0, 0, -5000] {
            house.clock.move_by(step * 1000);
            purge(&house, POOL, "checkouts").await;
            let now = moment(&requests(&house, POOL).await[1]["before"]);
            assert!(now > before);
            before = now;
        }
        // As clients ask that know a pool by two names.
        let path = "/api/purge-cache/v1/purge-cache/proj-a/linux";
        let asked = house.ask(Ask::new("GET", path).by(house.root())).await.granted();
        assert_eq!(asked["requests"], json!(requests(&house, POOL).await));
        let ask = Ask::new("POST", path).by(house.root()).json(&json!({"cacheName": "more"}));
        assert_eq!(house.ask(ask).await.status, 204);
        assert_eq!(names(&requests(&house, POOL).await), ["a cache: with/all", "checkouts", "more"]);
    }

    async fn what_was_asked_for_before_a_moment_is_left_out(kind) {
        let house = House::new(kind).await;
        purge(&house, POOL, "c").await;
        let before = moment(&requests(&house, POOL).await[0]["before"]);
        let since = async |text: &str| -> Answer {
            let query = format!("since={}", crate::house::escaped(text));
            house.get_with("purgeRequests", &[POOL], &query).await
        };
        let count = |answer: &Answer| answer.granted()["requests"].as_array().expect("some").len();
        assert_eq!(count(&since(&before.to_iso()).await), 1);
        assert_eq!(count(&since(&before.plus(Duration::from_millis(1)).to_iso()).await), 0);
        assert_eq!(count(&since("Mon Oct 07 2019 15:46:01 GMT+0000 (UTC)").await), 1);
        since("whenever").await.refused(400, "InvalidRequestArguments");
    }

    async fn all_requests_are_listed_in_pages_and_the_list_is_no_pool(kind) {
        let house = House::new(kind).await;
        for (pool, cache) in [("b/b", "1"), ("a/b", "2"), ("a/b", "1"), ("a/c", "0")] {
            purge(&house, pool, cache).await;
        }
        let mut found = Vec::new();
        let mut query = "limit=3".to_owned();
        loop {
            let page = house.get_with("allPurgeRequests", &[], &query).await.granted();
            found.extend(page["requests"].as_array().expect("requests").clone());
            let Some(token) = page["continuationToken"].as_str() else {
                break;
            };
            query = format!("limit=3&continuationToken={token}");
        }
        let found: Vec<String> = found
            .iter()
            .map(|it| format!("{}/{}", it["workerType"], it["cacheName"]).replace('"', ""))
            .collect();
        assert_eq!(found, ["b/1", "b/2", "c/0", "b/1"]);
        for pool in ["list", "no-pool", "a/b/c", "a b/c"] {
            let path = format!("/api/purge-cache/v1/purge-cache/{}", crate::house::escaped(pool));
            let ask = Ask::new("POST", &path).by(house.root()).json(&json!({"cacheName": "x"}));
            house.ask(ask).await.refused(400, "InvalidRequestArguments");
        }
    }

    async fn a_request_is_told_for_a_day(kind) {
        let house = House::new(kind).await;
        purge(&house, POOL, "c").await;
        house.wait(24 * HOUR);
        house.sweep().await;
        assert_eq!(requests(&house, POOL).await.len(), 1);
        house.wait(2 * HOUR);
        house.sweep().await;
        assert_eq!(requests(&house, POOL).await.len(), 0);
    }

    async fn nobody_asks_without_the_scope(kind) {
        let house = House::new(kind).await;
        let body = json!({"cacheName": "c"});
        for who in [Who::Nobody, house.with(["purge-cache:proj-a/linux:other"])] {
            let refused = house.call_as(&who, "purgeCache", &[POOL], Some(body.clone())).await;
            refused.refused(403, "InsufficientScopes");
            house.call_as(&who, "purgeRequests", &[POOL], None).await.refused(403, "InsufficientScopes");
            house.call_as(&who, "allPurgeRequests", &[], None).await.refused(403, "InsufficientScopes");
        }
        let who = house.with(["purge-cache:proj-a/linux:c", "purge-cache:purge-requests::proj-a/*"]);
        assert_eq!(house.call_as(&who, "purgeCache", &[POOL], Some(body)).await.status, 204);
        let found = house.call_as(&who, "purgeRequests", &[POOL], None).await.granted();
        assert_eq!(found["requests"].as_array().map(Vec::len), Some(1));
        let long = Some(json!({"cacheName": "x".repeat(5000)}));
        house.call("purgeCache", &[POOL], long).await.refused(400, "InputError");
    }

    async fn each_request_is_told_to_those_who_listen(kind) {
        let house = House::new(kind).await;
        for _ in 0..2 {
            purge(&house, POOL, "c").await;
        }
        let translators = translators();
        let messages = house.store.read(move |tx| {
            let events = log::between(tx, 0, i64::MAX, 10)?;
            translators.translate(tx, &events)
        });
        let mut messages = messages.await.expect("the messages");
        // Clients were made before.
        messages.retain(|it| !it.message.exchange.contains("-auth/"));
        assert_eq!(messages.len(), 2);
        for delivery in messages {
            let message = &delivery.message;
            assert_eq!(message.exchange, Arc::from("exchange/taskcluster-purge-cache/v1/purge-cache"));
            assert_eq!(message.routing_key, "primary.proj-a.linux");
            let mut payload: Value = serde_json::from_slice(&message.payload).expect("JSON");
            let schema = "purge-cache/v1/purge-cache-message.json#";
            assert_eq!(house.schemas.validate(schema, &mut payload), Ok(()));
            assert_eq!(payload["cacheName"], "c");
        }
    }
}
