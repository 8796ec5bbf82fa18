//! What goes beyond the original: waiting, several groups and tasks, giving up, pages, bytes.

use std::time::Duration;

use serde_json::{Value, json};
use taskyard_engine::lease::{self, NewEntry, Queue};
use taskyard_store::{Key, on_both_databases};

use crate::yard::{Yard, ids};

const MINUTE: i64 = 60_000_000_000;

fn data_of(answer: &Value) -> Vec<String> {
    let mut data: Vec<String> = answer["tasks"]
        .as_array()
        .expect("tasks")
        .iter()
        .map(|task| task["group"].as_str().expect("a group").to_owned())
        .collect();
    data.sort();
    data
}

on_both_databases! {
    async fn a_claim_waits_until_there_is_a_task(kind) {
        let yard = Yard::new(kind).await;
        let claim = json!({"clientid": 1, "groups": ["a", "b"], "duration": MINUTE,
            "wait_ms": 60_000});
        let (claimed, added) = tokio::join!(yard.claim(&claim), async {
            yard.until_waiting(1, "b").await;
            yard.add("b", 1).await
        });
        assert_eq!((ids(&claimed), added), (vec![2], vec![1]));
    }

    async fn a_claim_that_waits_gets_the_task_whose_holder_went_away(kind) {
        let yard = Yard::new(kind).await;
        yard.add("g", 1).await;
        let hold = json!({"clientid": 1, "group": "g", "duration_ms": 300_000});
        assert_eq!(ids(&yard.claim(&hold).await), [2]);
        let wait = json!({"clientid": 2, "group": "g", "duration_ms": 1000, "wait_ms": 60_000});
        let (claimed, ()) = tokio::join!(yard.claim(&wait), async {
            yard.until_waiting(1, "g").await;
            yard.advance(Duration::from_secs(301));
        });
        assert_eq!(ids(&claimed), [3]);
    }

    async fn each_of_many_waiting_claims_gets_one_of_as_many_tasks(kind) {
        let yard = Yard::new(kind).await;
        let claim = json!({"clientid": 1, "group": "g", "duration": MINUTE, "wait_ms": 60_000});
        let claims = (0..20).map(|_| yard.claim(&claim));
        let (claimed, _) = tokio::join!(futures_util::future::join_all(claims), async {
            yard.until_waiting(20, "g").await;
            yard.add("g", 20).await
        });
        let mut claimed: Vec<i64> = claimed.iter().flat_map(ids).collect();
        claimed.sort_unstable();
        assert_eq!(claimed, (21..=40).collect::<Vec<i64>>());
    }

    async fn a_wait_ends_by_itself_and_when_the_server_stops(kind) {
        let yard = Yard::new(kind).await;
        let nothing = yard.claim(&json!({"clientid": 1, "group": "g", "wait_ms": 10})).await;
        assert_eq!(nothing["tasks"], Value::Null);
        let unknown = yard.claim(&json!({"clientid": 1, "wait_ms": 10})).await;
        assert_eq!(unknown["tasks"], Value::Null);
        let claim = json!({"clientid": 1, "group": "g", "wait_ms": 60_000});
        let started = std::time::Instant::now();
        let (nothing, ()) = tokio::join!(yard.claim(&claim), async {
            yard.until_waiting(1, "g").await;
            yard.draining.cancel();
        });
        assert_eq!(nothing["tasks"], Value::Null);
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    async fn several_tasks_are_claimed_from_several_groups_at_once(kind) {
        let yard = Yard::new(kind).await;
        yard.add("a", 2).await;
        yard.add("b", 2).await;
        yard.add("c", 2).await;
        let claim = json!({"clientid": 1, "group": "a", "groups": ["b", ""], "count": 9,
            "duration": MINUTE});
        assert_eq!(data_of(&yard.claim(&claim).await), ["a", "a", "b", "b"]);
        assert_eq!(yard.claim(&claim).await["tasks"], Value::Null);
        let stats = yard.get("/stats").await.json();
        assert_eq!(stats, json!([
            {"group": "a", "available": 0, "claimed": 2, "total": 2},
            {"group": "b", "available": 0, "claimed": 2, "total": 2},
            {"group": "c", "available": 2, "claimed": 0, "total": 2},
        ]));
        let none = json!({"group": "x", "available": 0, "claimed": 0, "total": 0});
        assert_eq!(yard.get("/stats/x").await.json(), none);
    }

    async fn a_claim_without_duration_gives_each_task_once(kind) {
        let yard = Yard::new(kind).await;
        yard.add("g", 3).await;
        let claim = json!({"clientid": 1, "group": "g", "groups": ["g", "g"], "count": 100});
        let claimed = yard.claim(&claim).await;
        assert_eq!(ids(&claimed), [4, 5, 6]);
    }

    async fn what_is_claimed_too_often_moves_to_the_group_of_errors(kind) {
        let yard = Yard::new(kind).await;
        let add = json!({"clientid": 1, "adds": [{"group": "g", "data": "poison"}]});
        yard.update(&add).await;
        let claim = json!({"clientid": 1, "group": "g", "duration": MINUTE, "max_attempts": 2,
            "error_group": "g/err"});
        for attempts in [1, 2] {
            let claimed = yard.claim(&claim).await;
            assert_eq!(claimed["tasks"][0]["attempts"], attempts);
            yard.advance(Duration::from_secs(61));
        }
        assert_eq!(yard.claim(&claim).await["tasks"], Value::Null);
        assert_eq!(yard.get("/groups").await.body, "[\"g/err\"]");
        let moved = yard.get("/group/g/err").await.json();
        assert_eq!(moved[0]["data"], "poison");
        // Old clients see no attempts.
        assert_eq!(moved[0].get("attempts"), None);
    }

    async fn a_task_at_which_a_claimer_fails_does_not_keep_others_waiting(kind) {
        let yard = Yard::new(kind).await;
        yard.add("g", 10).await;
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            // Each claim ends at once, as if its holder had failed; only one task is new each time.
            let claimed = ids(&yard.claim(&json!({"clientid": 1, "group": "g"})).await);
            seen.insert(claimed[0]);
            let left = yard.get("/group/g?limit=1").await.json();
            if left[0]["id"].as_i64() > Some(10) {
                return;
            }
        }
        panic!("some task was never claimed in 200 claims: {seen:?}");
    }

    async fn large_groups_are_read_page_by_page(kind) {
        let yard = Yard::new(kind).await;
        let adds: Vec<Value> = (0..25).map(|n| json!({"group": "g", "at": 1 + n / 10})).collect();
        yard.update(&json!({"clientid": 1, "adds": adds})).await;
        let (mut after, mut seen) = (String::new(), Vec::new());
        loop {
            let page = yard.get(&format!("/group/g?limit=10{after}")).await.json();
            let page = json!({"tasks": page});
            let Some(last) = page["tasks"].as_array().and_then(|tasks| tasks.last()) else { break };
            after = format!("&after={}:{}", last["at"], last["id"]);
            seen.extend(ids(&page));
        }
        assert_eq!(seen, (1..=25).collect::<Vec<i64>>());
    }

    async fn bytes_that_are_no_text_come_back_as_they_were(kind) {
        let yard = Yard::new(kind).await;
        let add = json!({"clientid": 1, "adds": [{"group": "g", "data64": "/wD+"},
            {"group": "g", "data": "text"}]});
        yard.update(&add).await;
        let plain = yard.get("/tasks/1,2").await.json();
        assert_eq!(plain[0]["data64"], "/wD+");
        assert_eq!((&plain[1]["data"], plain[1].get("data64")), (&json!("text"), None));
        let bytes = yard.get("/tasks/1,2?encoding=base64").await.json();
        assert_eq!((&bytes[0]["data64"], &bytes[1]["data64"]), (&json!("/wD+"), &json!("dGV4dA==")));
        let claim = json!({"clientid": 1, "group": "g", "count": 2}).to_string();
        let claimed = yard.post("/claim?encoding=base64", claim).await.json();
        assert_eq!(claimed["tasks"][0].get("data"), None);
    }

    async fn durations_are_milliseconds_when_asked_for(kind) {
        let yard = Yard::new(kind).await;
        for (path, claim) in [
            ("/claim", json!({"clientid": 1, "group": "g", "duration_ms": 5000})),
            ("/claim?unit=ms", json!({"clientid": 1, "group": "g", "duration": 5000})),
            ("/claim?unit=ns", json!({"clientid": 1, "group": "g", "duration": 5_000_000_000_i64})),
        ] {
            yard.add("g", 1).await;
            let before = yard.now().0 * 1000;
            let claimed = yard.post(path, claim.to_string()).await.json();
            let at = claimed["tasks"][0]["at"].as_i64().expect("a time");
            let after = yard.now().0 * 1000;
            assert!((before + 5_000_000_000..=after + 5_000_000_000).contains(&at), "{path}");
        }
    }

    async fn what_is_no_task_of_a_group_does_not_exist_here(kind) {
        let yard = Yard::new(kind).await;
        let now = yard.now();
        let queue = Queue::runs("prov/type");
        let run = yard.store.write(Key::of(0), move |tx| {
            let entry = NewEntry { subject: "task", ..NewEntry::ready(&queue, now) };
            lease::put(tx, now, &[entry])
        });
        let run = run.await.expect("a run")[0];
        assert_eq!(yard.get(&format!("/task/{run}")).await.body, "null");
        assert_eq!(yard.get("/groups").await.body, "[]");
        assert_eq!(yard.get("/stats").await.body, "[]");
        let update = json!({"clientid": 0, "deletes": [run], "depends": [run],
            "updates": [{"id": run}]});
        let refused = yard.update(&update).await;
        for list in ["deletes", "depends", "changes"] {
            assert_eq!(refused["error"][list], json!([run]), "{list}");
        }
        let claim = json!({"clientid": 0, "group": "g", "depends": [run]});
        assert_eq!(yard.claim(&claim).await["error"]["depends"], json!([run]));
    }
}
