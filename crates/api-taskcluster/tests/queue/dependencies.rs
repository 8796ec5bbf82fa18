//! Tasks that wait for others.

use std::time::Duration;

use serde_json::json;
use taskyard_access::slugid;
use taskyard_store::on_both_databases;

use crate::house::{House, merged};

/// Ends a pending task this way.
async fn end(house: &House, id: &str, run: usize, how: &str) {
    let run = run.to_string();
    let body = Some(json!({"workerGroup": "g", "workerId": "w"}));
    house.call("claimTask", &[id, &run], body).await.granted();
    match how {
        "completed" => house.call("reportCompleted", &[id, &run], None).await,
        "failed" => house.call("reportFailed", &[id, &run], None).await,
        _ => house.call("cancelTask", &[id], None).await,
    }
    .status_of();
}

on_both_databases! {
    async fn a_task_is_scheduled_when_the_last_of_its_dependencies_completes(kind) {
        let house = House::new(kind).await;
        let (a, b) = (house.create(json!({})).await, house.create(json!({})).await);
        let dependent = house.create(json!({"dependencies": [a, b]})).await;
        assert_eq!(house.status(&dependent).await["state"], "unscheduled");
        end(&house, &a, 0, "completed").await;
        assert_eq!(house.status(&dependent).await["state"], "unscheduled");
        end(&house, &b, 0, "completed").await;
        let status = house.status(&dependent).await;
        assert_eq!(status["state"], "pending");
        assert_eq!(status["runs"][0]["reasonCreated"], "scheduled");
    }

    async fn what_counts_as_done_is_the_dependents_choice(kind) {
        let house = House::new(kind).await;
        for how in ["completed", "failed", "exception"] {
            let required = house.create(json!({})).await;
            let picky = house.create(json!({"dependencies": [required]})).await;
            let easy = json!({"dependencies": [required], "requires": "all-resolved"});
            let easy = house.create(easy).await;
            end(&house, &required, 0, how).await;
            let expected = if how == "completed" { "pending" } else { "unscheduled" };
            assert_eq!(house.status(&picky).await["state"], expected, "{how}");
            assert_eq!(house.status(&easy).await["state"], "pending", "{how}");
            // Those that come later find it done, or not.
            let late = house.create(json!({"dependencies": [required]})).await;
            assert_eq!(house.status(&late).await["state"], expected, "{how}");
            if how != "completed" {
                house.call("rerunTask", &[&required], None).await.status_of();
                end(&house, &required, 1, "completed").await;
                assert_eq!(house.status(&picky).await["state"], "pending", "after a rerun");
            }
        }
    }

    async fn a_retry_is_no_end_that_dependents_wait_for(kind) {
        let house = House::new(kind).await;
        let (required, _) = house.claimed(json!({})).await;
        let fields = json!({"dependencies": [required], "requires": "all-resolved"});
        let dependent = house.create(fields).await;
        let reason = Some(json!({"reason": "worker-shutdown"}));
        house.call("reportException", &[&required, "0"], reason).await.status_of();
        assert_eq!(house.status(&dependent).await["state"], "unscheduled");
    }

    async fn dependencies_that_cannot_be_waited_for_are_refused_and_leave_nothing(kind) {
        let house = House::new(kind).await;
        let (id, missing) = (slugid::nice(), slugid::nice());
        let body = merged(house.definition(), json!({"dependencies": [missing]}));
        let message = house.call("createTask", &[&id], Some(body)).await.refused(400, "InputError");
        assert!(message.contains(&missing), "{message}");
        house.call("status", &[&id], None).await.refused(404, "ResourceNotFound");
        let soon = house.later(Duration::from_mins(30));
        let expiring = house.create(json!({"deadline": soon, "expires": soon})).await;
        let body = merged(house.definition(), json!({"dependencies": [expiring]}));
        let message = house.call("createTask", &[&id], Some(body)).await.refused(400, "InputError");
        assert!(message.contains(&expiring), "{message}");
        house.create_as(&id, json!({})).await;
    }

    async fn a_task_that_waits_for_itself_waits_to_be_scheduled(kind) {
        let house = House::new(kind).await;
        let id = slugid::nice();
        let status = house.create_as(&id, json!({"dependencies": [id]})).await;
        assert_eq!((&status["state"], &status["runs"]), (&json!("unscheduled"), &json!([])));
        let status = house.call("scheduleTask", &[&id], None).await.status_of();
        assert_eq!(status["state"], "pending");
    }

    async fn all_of_many_dependents_follow(kind) {
        let house = House::new(kind).await;
        let required = house.create(json!({"priority": "highest"})).await;
        let mut dependents = Vec::new();
        for _ in 0..250 {
            dependents.push(house.create(json!({"dependencies": [required]})).await);
        }
        end(&house, &required, 0, "completed").await;
        house.sweep().await;
        for id in &dependents {
            assert_eq!(house.status(id).await["state"], "pending");
        }
        let answer = house.call("taskQueueCounts", &[crate::house::QUEUE], None).await.granted();
        assert_eq!(answer["pendingTasks"], 250);
    }
}
