//! Workers: what is known of them, and how they are kept from work.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use taskyard_store::on_both_databases;

use crate::answer::Answer;
use crate::groups::pages;
use crate::house::{House, QUEUE, SOON, moment};

const DAY: Duration = Duration::from_hours(24);
const W: [&str; 4] = ["prov", "type", "g", "w"];

async fn claim(house: &House, worker: &str, tasks: usize) -> Answer {
    let body = json!({"workerGroup": "g", "workerId": worker, "tasks": tasks});
    house.call("claimWork", &[QUEUE], Some(body)).await
}

fn ids(items: &[Value]) -> Vec<&str> {
    items
        .iter()
        .map(|item| item["workerId"].as_str().expect("an id"))
        .collect()
}

on_both_databases! {
    async fn a_worker_is_known_with_its_last_twenty_claims(kind) {
        let house = House::new(kind).await;
        house.call("getWorker", &W, None).await.refused(404, "ResourceNotFound");
        let mut created = Vec::new();
        for _ in 0..23 {
            created.push(house.create(json!({})).await);
        }
        claim(&house, "w", 1).await.granted();
        let first = house.call("getWorker", &W, None).await.granted();
        let seen = moment(&first["firstClaim"]);
        assert_eq!(first, json!({
            "provisionerId": "prov", "workerType": "type", "taskQueueId": QUEUE,
            "workerGroup": "g", "workerId": "w",
            "recentTasks": [{"taskId": created[0], "runId": 0}],
            "expires": seen.plus(DAY).to_iso(), "quarantineUntil": "1970-01-01T00:00:00.000Z",
            "firstClaim": first["firstClaim"], "lastDateActive": first["firstClaim"],
            "actions": [],
        }));
        claim(&house, "w", 22).await.granted();
        let later = house.call("getWorker", &W, None).await.granted();
        let recent: Vec<&str> = later["recentTasks"].as_array().unwrap().iter()
            .map(|run| run["taskId"].as_str().unwrap()).collect();
        assert_eq!(recent, created[3..]);
        let listed = house.call("listWorkers", &["prov", "type"], None).await.granted();
        assert_eq!(listed, json!({"workers": [{
            "workerGroup": "g", "workerId": "w", "firstClaim": first["firstClaim"],
            "lastDateActive": first["firstClaim"],
            "latestTask": {"taskId": created[22], "runId": 0},
        }]}));
        // A renewal is a sign of life, too.
        house.wait(Duration::from_mins(19));
        house.call("reclaimTask", &[&created[22], "0"], None).await.granted();
        house.wait(Duration::from_mins(12));
        house.call("reclaimTask", &[&created[22], "0"], None).await.granted();
        let seen_again = house.call("getWorker", &W, None).await.granted();
        assert!(moment(&seen_again["lastDateActive"]) >= seen.plus(Duration::from_mins(31)));
        assert_eq!(seen_again["firstClaim"], first["firstClaim"]);
        house.wait(DAY + Duration::from_mins(1));
        house.call("getWorker", &W, None).await.refused(404, "ResourceNotFound");
    }

    /// Invariant 12, through the door.
    async fn a_quarantined_worker_gets_nothing_until_it_is_let_go(kind) {
        let house = Arc::new(House::new(kind).await);
        let later = house.later(Duration::from_hours(2));
        let body = json!({"quarantineUntil": later, "quarantineInfo": "it smokes"});
        house.call("quarantineWorker", &W, Some(body.clone())).await.refused(404, "ResourceNotFound");
        house.create(json!({})).await;
        claim(&house, "w", 1).await.granted();
        let told = house.call("quarantineWorker", &W, Some(body)).await.granted();
        assert_eq!(told["quarantineUntil"], later);
        let details = told["quarantineDetails"].as_array().unwrap();
        assert_eq!(details.len(), 1);
        assert_eq!((&details[0]["clientId"], &details[0]["quarantineInfo"]),
            (&json!("root"), &json!("it smokes")));
        assert_eq!(house.call("getWorker", &W, None).await.granted(), told);
        let id = house.create(json!({})).await;
        let args = [id.as_str(), "0"];
        let named = Some(json!({"workerGroup": "g", "workerId": "w"}));
        house.call("claimTask", &args, named).await.refused(409, "RequestConflict");
        // It waits as long as if there were nothing, and stands in nobody's way.
        let waiting = tokio::spawn({
            let house = Arc::clone(&house);
            async move { claim(&house, "w", 1).await }
        });
        let other = tokio::time::timeout(SOON, claim(&house, "other", 1)).await.expect("soon");
        assert_eq!(other.granted()["tasks"][0]["status"]["taskId"], id.as_str());
        assert!(!waiting.is_finished());
        house.draining.cancel();
        assert_eq!(waiting.await.unwrap().granted(), json!({"tasks": []}));
        let past = Some(json!({"quarantineUntil": house.earlier(Duration::from_secs(1))}));
        let told = house.call("quarantineWorker", &W, past).await.granted();
        assert_eq!(told["quarantineDetails"][1]["quarantineInfo"], "[unspecified]");
        house.create(json!({})).await;
        assert_eq!(claim(&house, "w", 1).await.granted()["tasks"].as_array().unwrap().len(), 1);
    }

    /// A task that wakes a quarantined worker goes to the next one that waits.
    async fn a_waiting_worker_that_is_quarantined_passes_the_task_on(kind) {
        let house = Arc::new(House::new(kind).await);
        house.create(json!({})).await;
        claim(&house, "w", 1).await.granted();
        let wait_for = |worker: &'static str| {
            let house = Arc::clone(&house);
            tokio::spawn(async move { claim(&house, worker, 1).await })
        };
        let quarantined = wait_for("w");
        let body = Some(json!({"quarantineUntil": house.later(DAY)}));
        house.call("quarantineWorker", &W, body).await.granted();
        let free = wait_for("free");
        let id = house.create(json!({})).await;
        let got = tokio::time::timeout(SOON, free).await.expect("soon").unwrap().granted();
        assert_eq!(got["tasks"][0]["status"]["taskId"], id.as_str());
        house.draining.cancel();
        assert_eq!(quarantined.await.unwrap().granted(), json!({"tasks": []}));
    }

    async fn workers_are_listed_by_whether_they_are_quarantined(kind) {
        let house = House::new(kind).await;
        house.draining.cancel();
        for worker in ["a", "b", "c", "d"] {
            claim(&house, worker, 1).await.granted();
        }
        for worker in ["b", "d"] {
            let body = Some(json!({"quarantineUntil": house.later(DAY * 3)}));
            house.call("quarantineWorker", &["prov", "type", "g", worker], body).await.granted();
        }
        let of = ["prov", "type"];
        for limit in [1, 2, 3, 1000] {
            let all = pages(&house, "listWorkers", &of, limit, "workers").await;
            assert_eq!(ids(&all), ["a", "b", "c", "d"]);
            assert!(all[1]["quarantineUntil"].is_string() && all[0].get("quarantineUntil").is_none());
        }
        let listed = async |query: &str| house.get_with("listWorkers", &of, query).await.granted();
        assert_eq!(ids(listed("quarantined=true").await["workers"].as_array().unwrap()), ["b", "d"]);
        assert_eq!(ids(listed("quarantined=false").await["workers"].as_array().unwrap()), ["a", "c"]);
        let first = listed("quarantined=true&limit=1").await;
        assert_eq!(ids(first["workers"].as_array().unwrap()), ["b"]);
        assert!(first["continuationToken"].is_string());
        house.get_with("listWorkers", &of, "quarantined=yes").await
            .refused(400, "InvalidRequestArguments");
        // The others are forgotten, these are not.
        house.wait(DAY * 2);
        house.sweep().await;
        assert_eq!(ids(listed("limit=9").await["workers"].as_array().unwrap()), ["b", "d"]);
        // Their queue is, so that only the listing tells of them.
        house.call("getWorker", &["prov", "type", "g", "b"], None).await
            .refused(404, "ResourceNotFound");
    }

    async fn a_worker_is_declared(kind) {
        let house = House::new(kind).await;
        let expires = house.later(DAY * 3);
        let told = house.call("declareWorker", &W, Some(json!({"expires": expires}))).await.granted();
        assert_eq!((&told["expires"], &told["recentTasks"]), (&json!(expires), &json!([])));
        assert_eq!(house.call("getWorker", &W, None).await.granted(), told);
        house.call("getTaskQueue", &[QUEUE], None).await.granted();
        let sooner = Some(json!({"expires": house.later(Duration::from_secs(5))}));
        let again = house.call("declareWorker", &W, sooner).await.granted();
        assert_eq!(again["expires"], expires.as_str(), "never earlier");
        house.call("declareWorker", &["prov", "type", "g", "v"], Some(json!({}))).await.granted();
        for bad in [json!({"expires": "soon"}), json!({"quarantineUntil": expires}), json!([])] {
            house.call("declareWorker", &W, Some(bad)).await.refused(400, "InputValidationError");
        }
        for bad in [json!({}), json!({"quarantineUntil": 5}),
            json!({"quarantineUntil": expires, "quarantineInfo": "x".repeat(4001)})] {
            house.call("quarantineWorker", &W, Some(bad)).await.refused(400, "InputValidationError");
        }
        assert_eq!(house.call("getWorker", &W, None).await.granted(), again);
    }
}
