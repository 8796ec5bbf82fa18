//! scheduleTask, rerunTask and cancelTask, in every state a task can be in.

use std::time::Duration;

use serde_json::{Value, json};
use taskyard_access::slugid;
use taskyard_store::on_both_databases;

use crate::house::{House, QUEUE};

/// A task in a state.
async fn in_state(house: &House, state: &str) -> String {
    let id = slugid::nice();
    let dependencies = if state == "unscheduled" {
        vec![id.clone()]
    } else {
        Vec::new()
    };
    house
        .create_as(&id, json!({"dependencies": dependencies}))
        .await;
    if !["unscheduled", "pending"].contains(&state) {
        house.claim(1).await;
    }
    match state {
        "completed" => drop(
            house
                .call("reportCompleted", &[&id, "0"], None)
                .await
                .status_of(),
        ),
        "failed" => drop(
            house
                .call("reportFailed", &[&id, "0"], None)
                .await
                .status_of(),
        ),
        "exception" => drop(house.call("cancelTask", &[&id], None).await.status_of()),
        _ => {}
    }
    let status = house.status(&id).await;
    assert_eq!(status["state"], state);
    id
}

const STATES: [&str; 6] = [
    "unscheduled",
    "pending",
    "running",
    "completed",
    "failed",
    "exception",
];

/// Takes what waits out of the way of the next task.
async fn tidy(house: &House, id: &str) {
    house.call("cancelTask", &[id], None).await.status_of();
}

fn runs(status: &Value) -> usize {
    status["runs"].as_array().expect("runs").len()
}

on_both_databases! {
    async fn scheduling_makes_an_unscheduled_task_pending_and_changes_no_other(kind) {
        let house = House::new(kind).await;
        for state in STATES {
            let id = in_state(&house, state).await;
            let before = house.status(&id).await;
            let after = house.call("scheduleTask", &[&id], None).await.status_of();
            if state == "unscheduled" {
                assert_eq!((&after["state"], runs(&after)), (&json!("pending"), 1));
                assert_eq!(after["runs"][0]["reasonCreated"], "scheduled");
            } else {
                assert_eq!(after, before);
            }
            assert_eq!(house.status(&id).await, after);
            tidy(&house, &id).await;
        }
    }

    async fn a_rerun_adds_a_run_to_whatever_is_not_under_way(kind) {
        let house = House::new(kind).await;
        for state in STATES {
            let id = in_state(&house, state).await;
            let before = house.status(&id).await;
            let after = house.call("rerunTask", &[&id], None).await.status_of();
            if ["pending", "running"].contains(&state) {
                assert_eq!(after, before);
            } else {
                assert_eq!((&after["state"], runs(&after)), (&json!("pending"), runs(&before) + 1));
                assert_eq!(after["runs"][runs(&before)]["reasonCreated"], "rerun");
                assert_eq!(after["retriesLeft"], 5);
                let claims = house.claim(1).await;
                assert_eq!(claims[0]["status"]["taskId"], id.as_str());
            }
            tidy(&house, &id).await;
        }
    }

    async fn cancelling_resolves_what_is_not_resolved(kind) {
        let house = House::new(kind).await;
        for state in STATES {
            let id = in_state(&house, state).await;
            let before = house.status(&id).await;
            let after = house.call("cancelTask", &[&id], None).await.status_of();
            if ["completed", "failed", "exception"].contains(&state) {
                assert_eq!(after, before);
                continue;
            }
            assert_eq!((&after["state"], runs(&after)), (&json!("exception"), 1));
            let run = &after["runs"][0];
            assert_eq!(run["reasonResolved"], "canceled");
            assert_eq!(run["reasonCreated"], if state == "unscheduled" { "exception" } else { "scheduled" });
            assert_eq!(run.get("workerId").is_some(), state == "running");
            assert_eq!(house.call("cancelTask", &[&id], None).await.status_of(), after, "again");
            assert_eq!(house.call("scheduleTask", &[&id], None).await.status_of(), after);
            for method in ["reportCompleted", "reclaimTask"] {
                house.call(method, &[&id, "0"], None).await.refused(409, "RequestConflict");
            }
        }
        let counts = house.call("taskQueueCounts", &[QUEUE], None).await.granted();
        assert_eq!((&counts["pendingTasks"], &counts["claimedTasks"]), (&json!(0), &json!(0)));
    }

    async fn nothing_moves_after_the_deadline(kind) {
        let house = House::new(kind).await;
        let mut ids = Vec::new();
        for state in STATES {
            let id = in_state(&house, state).await;
            if state == "pending" {
                // Out of the way of the claims to come, as it must stay pending.
                ids.push(id.clone());
                let body = Some(json!({"workerGroup": "g", "workerId": "w"}));
                house.call("claimTask", &[&id, "0"], body).await.granted();
            } else {
                ids.push(id);
            }
        }
        house.wait(Duration::from_hours(1) + Duration::from_secs(1));
        for id in ids {
            for method in ["scheduleTask", "rerunTask", "cancelTask"] {
                house.call(method, &[&id], None).await.refused(409, "RequestConflict");
            }
        }
    }

    async fn what_does_not_exist_cannot_be_moved(kind) {
        let house = House::new(kind).await;
        for method in ["scheduleTask", "rerunTask", "cancelTask", "task", "status"] {
            let id = slugid::nice();
            let message = house.call(method, &[&id], None).await.refused(404, "ResourceNotFound");
            assert!(message.contains(&id), "{message}");
        }
    }

    async fn a_task_has_fifty_runs_at_most(kind) {
        let house = House::new(kind).await;
        let id = house.create(json!({"retries": 49})).await;
        for run in 0..49 {
            let body = Some(json!({"workerGroup": "g", "workerId": "w"}));
            house.call("claimTask", &[&id, &run.to_string()], body).await.granted();
            house.call("reportFailed", &[&id, &run.to_string()], None).await.status_of();
            let status = house.call("rerunTask", &[&id], None).await.status_of();
            assert_eq!(status["retriesLeft"], 48 - run);
        }
        house.call("cancelTask", &[&id], None).await.status_of();
        house.call("rerunTask", &[&id], None).await.refused(409, "RequestConflict");
        assert_eq!(runs(&house.status(&id).await), 50);
    }
}
