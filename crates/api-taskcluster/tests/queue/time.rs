//! What time does to tasks: deadlines and expiry.

use std::time::Duration;

use serde_json::json;
use taskyard_store::on_both_databases;

use crate::house::{CLAIM, House, QUEUE};

const HOUR: Duration = Duration::from_hours(1);
/// A deadline takes effect a minute late.
const DELAY: Duration = Duration::from_secs(61);

on_both_databases! {
    async fn every_unresolved_task_ends_at_its_deadline(kind) {
        let house = House::new(kind).await;
        let pending = house.create(json!({})).await;
        let dependent = house.create(json!({"dependencies": [pending]})).await;
        let running = house.create(json!({"priority": "high"})).await;
        let completed = house.create(json!({"priority": "highest"})).await;
        house.claim(1).await;
        house.call("reportCompleted", &[&completed, "0"], None).await.status_of();
        house.wait(Duration::from_mins(50));
        house.claim(1).await;
        house.wait(CLAIM / 2);
        house.sweep().await;
        assert_eq!(house.status(&pending).await["state"], "pending", "not before its delay");
        house.wait(DELAY);
        house.sweep().await;
        for (id, created) in [(&pending, "scheduled"), (&running, "scheduled"), (&dependent, "exception")] {
            let status = house.status(id).await;
            assert_eq!(status["state"], "exception", "{status}");
            assert_eq!(status["runs"][0]["reasonResolved"], "deadline-exceeded");
            assert_eq!(status["runs"][0]["reasonCreated"], created);
            assert_eq!(status["runs"].as_array().unwrap().len(), 1);
        }
        assert_eq!(house.status(&running).await["runs"][0]["workerId"], "worker");
        assert_eq!(house.status(&completed).await["state"], "completed");
        let counts = house.call("taskQueueCounts", &[QUEUE], None).await.granted();
        assert_eq!((&counts["pendingTasks"], &counts["claimedTasks"]), (&json!(0), &json!(0)));
    }

    async fn a_task_past_its_deadline_is_neither_counted_nor_claimed(kind) {
        let house = House::new(kind).await;
        house.create(json!({})).await;
        house.wait(HOUR + Duration::from_secs(1));
        let counts = house.call("pendingTasks", &[QUEUE], None).await.granted();
        assert_eq!(counts["pendingTasks"], 0);
        let other = house.create(json!({})).await;
        let claims = house.claim(2).await;
        assert_eq!(claims.len(), 1);
        assert_eq!(claims[0]["status"]["taskId"], other.as_str());
    }

    async fn a_claim_that_ends_after_the_deadline_does_not_lead_to_a_retry(kind) {
        let house = House::new(kind).await;
        let id = house.create(json!({})).await;
        house.wait(Duration::from_mins(50));
        house.claim(1).await;
        house.wait(CLAIM);
        house.sweep().await;
        let status = house.status(&id).await;
        assert_eq!(status["runs"].as_array().unwrap().len(), 1, "{status}");
        assert_eq!(status["runs"][0]["reasonResolved"], "deadline-exceeded");
        assert_eq!(status["retriesLeft"], 5);
    }

    async fn a_task_is_forgotten_after_it_has_expired(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({"expires": house.later(2 * HOUR)})).await;
        let error = json!({"storageType": "error", "reason": "file-missing-on-worker",
            "message": "", "expires": house.later(CLAIM)});
        house.call("createArtifact", &[&id, "0", "a"], Some(error)).await.granted();
        house.call("reportCompleted", &[&id, "0"], None).await.status_of();
        house.wait(2 * HOUR + Duration::from_mins(29));
        house.sweep().await;
        house.status(&id).await;
        house.wait(Duration::from_mins(2));
        house.sweep().await;
        for method in ["task", "status", "listLatestArtifacts", "listDependentTasks"] {
            house.call(method, &[&id], None).await.refused(404, "ResourceNotFound");
        }
        // Its group is kept an hour longer.
        house.call("getTaskGroup", &[&id], None).await.granted();
        house.wait(Duration::from_mins(61));
        house.sweep().await;
        house.call("getTaskGroup", &[&id], None).await.refused(404, "ResourceNotFound");
        // The id is free again.
        house.create_as(&id, json!({})).await;
    }
}
