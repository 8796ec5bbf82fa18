//! What stacks say about jobs.

use std::time::Duration;

use serde_json::{Value, json};
use taskyard_store::on_both_databases;

use crate::yard::{STACK, Wanted, Yard};

on_both_databases! {
    async fn notes_are_taken_one_by_one_and_refused_by_reason(kind) {
        let yard = Yard::new(kind).await;
        let id = yard.job(Wanted::default()).await;
        let now = yard.now();
        let early = now.minus(Duration::from_hours(1)).to_iso();
        let late = now.plus(Duration::from_hours(1)).to_iso();
        let precise = now.to_iso().replace('Z', "456789Z");
        let unknown = "01234567-89ab-4def-8123-456789abcdef";
        let notes = json!({"notifications": [
            {"job_uuid": id, "detail": "Pod created", "timestamp": precise},
            {"job_uuid": id, "detail": ""},
            {"job_uuid": id, "detail": "x".repeat(256)},
            {"job_uuid": id, "detail": "x".repeat(257)},
            {"job_uuid": unknown, "detail": "x"},
            {"job_uuid": id},
            {"job_uuid": id, "detail": "x", "timestamp": early},
            {"job_uuid": id, "detail": "x", "timestamp": late},
            {"job_uuid": id, "detail": "x", "timestamp": ""},
            {"job_uuid": "y", "detail": "x"},
        ]});
        let path = format!("stacks/{STACK}/notifications");
        let answer = yard.post(&path, &notes).await.expect(200);
        let expected = json!({"errors": [
            {"error": "detail is required", "indexes": [1, 5]},
            {"error": "detail exceeds its length limit of 256", "indexes": [3]},
            {"error": "job not found", "indexes": [4, 9]},
            {"error": "timestamp is before the job was created", "indexes": [6]},
            {"error": "timestamp is in the future", "indexes": [7]},
            {"error": "timestamp is no RFC 3339 time", "indexes": [8]},
        ]});
        assert_eq!(answer, expected);
        let events = yard.get(&format!("jobs/{id}/events")).await.expect(200);
        let details: Vec<&Value> = events["events"].as_array().expect("a list").iter()
            .map(|event| &event["detail"]).collect();
        assert_eq!(details, [&json!("Pod created"), &json!("x".repeat(256))]);
        assert_eq!(events["events"][0]["at"], now.to_iso());
        for nothing in [json!({}), json!({"notifications": null}), json!({"notifications": []})] {
            let answer = yard.post(&path, &nothing).await.expect(200);
            assert_eq!(answer, json!({"errors": []}));
        }
        let many = vec![json!({"job_uuid": id, "detail": "x"}); 1001];
        yard.post(&path, &json!({ "notifications": many })).await.refused(400);
        yard.post(&path, &json!({"notifications": 1})).await.refused(400);
    }

    async fn a_job_has_at_most_a_hundred_notes(kind) {
        let yard = Yard::new(kind).await;
        let id = yard.job(Wanted::default()).await;
        let notes = vec![json!({"job_uuid": id, "detail": "x"}); 99];
        let path = format!("stacks/{STACK}/notifications");
        let body = json!({ "notifications": notes });
        assert_eq!(yard.post(&path, &body).await.expect(200), json!({"errors": []}));
        let body = json!({"notifications": [notes[0], notes[0], notes[0]]});
        let expected = json!({"errors": [
            {"error": "job stack notification count exceeded", "indexes": [1, 2]},
        ]});
        assert_eq!(yard.post(&path, &body).await.expect(200), expected);
    }

    async fn a_job_that_is_over_is_spoken_of_for_five_minutes(kind) {
        let yard = Yard::new(kind).await;
        let id = yard.job(Wanted::default()).await;
        yard.cancel(&id).await;
        let path = format!("stacks/{STACK}/notifications");
        let body = json!({"notifications": [{"job_uuid": id, "detail": "x"}]});
        yard.advance(Duration::from_secs(200));
        assert_eq!(yard.post(&path, &body).await.expect(200), json!({"errors": []}));
        yard.advance(Duration::from_secs(110));
        let expected = json!({"errors": [
            {"error": "job has been finished for too long", "indexes": [0]},
        ]});
        assert_eq!(yard.post(&path, &body).await.expect(200), expected);
    }

    async fn older_stacks_send_one_note_at_a_time(kind) {
        let yard = Yard::new(kind).await;
        let id = yard.job(Wanted::default()).await;
        let path = format!("stacks/{STACK}/jobs/{id}/stack_notifications");
        yard.post(&path, &json!({"detail": "Pod created"})).await.expect(200);
        yard.post(&path, &json!({"detail": ""})).await.refused(422);
        let path = format!("stacks/{STACK}/jobs/x/stack_notifications");
        yard.post(&path, &json!({"detail": "Pod created"})).await.refused(404);
        let events = yard.get(&format!("jobs/{id}/events")).await.expect(200);
        assert_eq!(events["events"][0]["kind"], "stack-notification");
        assert_eq!(events["events"].as_array().map(Vec::len), Some(1));
    }
}
