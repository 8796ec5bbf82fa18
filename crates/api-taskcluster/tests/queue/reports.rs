//! reportCompleted, reportFailed and reportException.

use std::time::Duration;

use serde_json::json;
use taskyard_access::slugid;
use taskyard_store::on_both_databases;

use crate::answer::Answer;
use crate::house::{House, QUEUE};

/// Reports that a run ended this way; anything but completed and failed is an exception's reason.
async fn report(house: &House, id: &str, run: &str, how: &str) -> Answer {
    match how {
        "completed" => house.call("reportCompleted", &[id, run], None).await,
        "failed" => house.call("reportFailed", &[id, run], None).await,
        reason => {
            let body = Some(json!({"reason": reason}));
            house.call("reportException", &[id, run], body).await
        }
    }
}

const ENDS: [&str; 8] = [
    "completed",
    "failed",
    "worker-shutdown",
    "malformed-payload",
    "resource-unavailable",
    "internal-error",
    "intermittent-task",
    "superseded",
];

on_both_databases! {
    async fn each_way_to_end_is_recorded_and_may_lead_to_a_retry(kind) {
        let house = House::new(kind).await;
        for how in ENDS {
            let (id, claim) = house.claimed(json!({})).await;
            let status = report(&house, &id, "0", how).await.status_of();
            let state = if ["completed", "failed"].contains(&how) { how } else { "exception" };
            let run = &status["runs"][0];
            assert_eq!((&run["state"], &run["reasonResolved"]), (&json!(state), &json!(how)));
            assert_eq!(run["takenUntil"], claim["takenUntil"], "it stays");
            let retry = match how {
                "worker-shutdown" => Some("retry"),
                "intermittent-task" => Some("task-retry"),
                _ => None,
            };
            if let Some(created) = retry {
                assert_eq!(status["state"], "pending");
                assert_eq!(status["retriesLeft"], 4);
                assert_eq!(status["runs"][1]["reasonCreated"], created);
            } else {
                assert_eq!((&status["state"], &status["retriesLeft"]), (&json!(state), &json!(5)));
                assert!(status["runs"].get(1).is_none());
            }
            house.call("cancelTask", &[&id], None).await.status_of();
        }
    }

    async fn without_retries_left_every_exception_is_final(kind) {
        let house = House::new(kind).await;
        for how in ["worker-shutdown", "intermittent-task"] {
            let (id, _) = house.claimed(json!({"retries": 0})).await;
            let status = report(&house, &id, "0", how).await.status_of();
            assert_eq!(status["state"], "exception");
            assert!(status["runs"].get(1).is_none());
        }
    }

    async fn the_same_report_again_is_granted_and_any_other_is_a_conflict(kind) {
        let house = House::new(kind).await;
        for first in ENDS {
            let (id, _) = house.claimed(json!({})).await;
            let status = report(&house, &id, "0", first).await.status_of();
            for second in ENDS {
                let answer = report(&house, &id, "0", second).await;
                if first == second {
                    assert_eq!(answer.status_of(), status, "{first}");
                } else {
                    let message = answer.refused(409, "RequestConflict");
                    assert!(message.contains(&id), "{first} {second}: {message}");
                }
            }
            assert_eq!(house.status(&id).await, status);
            house.call("cancelTask", &[&id], None).await.status_of();
        }
    }

    async fn only_a_run_that_runs_is_resolved(kind) {
        let house = House::new(kind).await;
        let id = house.create(json!({})).await;
        for how in ENDS {
            report(&house, &id, "0", how).await.refused(409, "RequestConflict");
            report(&house, &id, "1", how).await.refused(404, "ResourceNotFound");
            report(&house, &id, &"9".repeat(30), how).await.refused(404, "ResourceNotFound");
            report(&house, &slugid::nice(), "0", how).await.refused(404, "ResourceNotFound");
        }
        assert_eq!(house.status(&id).await["state"], "pending");
    }

    async fn a_report_for_a_run_that_has_followers_is_late(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        report(&house, &id, "0", "worker-shutdown").await.status_of();
        house.claim(1).await;
        report(&house, &id, "0", "completed").await.refused(409, "RequestConflict");
        report(&house, &id, "0", "worker-shutdown").await.status_of();
        report(&house, &id, "1", "intermittent-task").await.status_of();
        // Two runs behind it: not even the same report is.
        report(&house, &id, "0", "worker-shutdown").await.refused(409, "RequestConflict");
    }

    async fn reasons_that_workers_do_not_report_are_refused(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        for body in [
            json!({}), json!({"reason": "canceled"}), json!({"reason": "claim-expired"}),
            json!({"reason": "deadline-exceeded"}), json!({"reason": 1}),
            json!({"reason": "internal-error", "more": 1}),
        ] {
            let answer = house.call("reportException", &[&id, "0"], Some(body)).await;
            answer.refused(400, "InputValidationError");
        }
        let answer = house.call("reportException", &[&id, "0"], None).await;
        answer.refused(400, "MalformedPayload");
        assert_eq!(house.status(&id).await["state"], "running");
    }

    async fn a_late_report_counts_while_nobody_has_acted(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        house.wait(Duration::from_hours(1) + Duration::from_secs(30));
        let status = report(&house, &id, "0", "completed").await.status_of();
        assert_eq!(status["state"], "completed");
        house.wait(Duration::from_mins(1));
        house.sweep().await;
        assert_eq!(house.status(&id).await, status);
    }

    async fn of_many_reports_at_once_one_wins(kind) {
        let house = std::sync::Arc::new(House::new(kind).await);
        for _ in 0..5 {
            let (id, _) = house.claimed(json!({})).await;
            let reports = ENDS.map(|how| {
                let (house, id) = (std::sync::Arc::clone(&house), id.clone());
                tokio::spawn(async move { (how, report(&house, &id, "0", how).await) })
            });
            let mut won = Vec::new();
            for reported in reports {
                let (how, answer) = reported.await.unwrap();
                if answer.status == 200 {
                    won.push(how);
                } else {
                    answer.refused(409, "RequestConflict");
                }
            }
            assert_eq!(won.len(), 1, "{won:?}");
            let status = house.status(&id).await;
            assert_eq!(status["runs"][0]["reasonResolved"], won[0]);
            house.call("cancelTask", &[&id], None).await.status_of();
        }
        let counts = house.call("taskQueueCounts", &[QUEUE], None).await.granted();
        assert_eq!((&counts["pendingTasks"], &counts["claimedTasks"]), (&json!(0), &json!(0)));
    }
}
