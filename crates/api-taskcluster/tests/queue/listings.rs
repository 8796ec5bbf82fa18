//! How full a queue is.

use serde_json::json;
use taskyard_store::on_both_databases;

use crate::house::{House, QUEUE};

on_both_databases! {
    async fn a_queue_counts_what_waits_and_what_runs(kind) {
        let house = House::new(kind).await;
        let counts = async |pending: usize, claimed: usize| {
            let both = house.call("taskQueueCounts", &[QUEUE], None).await.granted();
            assert_eq!(both, json!({"provisionerId": "prov", "workerType": "type",
                "taskQueueId": QUEUE, "pendingTasks": pending, "claimedTasks": claimed}));
            let one = house.call("pendingTasks", &[QUEUE], None).await.granted();
            assert_eq!(one, json!({"provisionerId": "prov", "workerType": "type",
                "taskQueueId": QUEUE, "pendingTasks": pending}));
        };
        counts(0, 0).await;
        let mut ids = Vec::new();
        for _ in 0..5 {
            ids.push(house.create(json!({})).await);
        }
        let own = taskyard_access::slugid::nice();
        house.create_as(&own, json!({"dependencies": [own]})).await;
        counts(5, 0).await;
        house.claim(3).await;
        counts(2, 3).await;
        house.call("reclaimTask", &[&ids[0], "0"], None).await.granted();
        counts(2, 3).await;
        house.call("reportCompleted", &[&ids[0], "0"], None).await.status_of();
        counts(2, 2).await;
        let reason = Some(json!({"reason": "worker-shutdown"}));
        house.call("reportException", &[&ids[1], "0"], reason).await.status_of();
        counts(3, 1).await;
        house.call("cancelTask", &[&ids[4]], None).await.status_of();
        house.call("cancelTask", &[&ids[2]], None).await.status_of();
        counts(2, 0).await;
        house.call("scheduleTask", &[&own], None).await.status_of();
        counts(3, 0).await;
    }
}
