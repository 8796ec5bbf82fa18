//! Stacks end jobs that never ran.

use serde_json::{Value, json};
use taskyard_engine::task::State;
use taskyard_store::on_both_databases;

use crate::yard::{STACK, Wanted, Yard, task_id};

fn path(id: &str, word: &str) -> String {
    format!("stacks/{STACK}/jobs/{id}/{word}")
}

on_both_databases! {
    async fn how_a_stack_ends_a_job_decides_how_its_run_ends(kind) {
        let yard = Yard::new(kind).await;
        let exception = |reason| (State::Exception, Some(reason));
        for (word, body, expected) in [
            ("finish", json!({"exit_status": 0, "detail": "cached"}),
                (State::Completed, Some("completed"))),
            // The client leaves out a status of 0, which then means -1.
            ("finish", json!({"detail": "no pod"}), exception("resource-unavailable")),
            ("finish", json!({"exit_status": -1, "detail": "no pod"}),
                exception("resource-unavailable")),
            ("finish", json!({"exit_status": 1, "detail": "x", "signal_reason": "stack_error"}),
                exception("resource-unavailable")),
            ("finish", json!({"exit_status": 1, "detail": "x", "signal_reason": "agent_refused"}),
                (State::Failed, Some("failed"))),
            ("fail", json!({"exit_status": 7, "error_detail": "no pod"}),
                exception("resource-unavailable")),
            ("fail", json!({"error_detail": "no pod"}), exception("resource-unavailable")),
        ] {
            let id = yard.job(Wanted::default()).await;
            yard.reserve(STACK, std::slice::from_ref(&id)).await;
            // Whatever is answered may be lost, and is asked for again.
            for _ in 0..2 {
                assert_eq!(yard.post(&path(&id, word), &body).await.expect(200), json!({}));
            }
            assert_eq!(yard.runs(&id).await, [expected], "{body}");
            assert_eq!(yard.state(&id).await, "finished");
            let events = yard.get(&format!("jobs/{id}/events")).await.expect(200);
            assert_eq!(events["events"].as_array().map(Vec::len), Some(1));
        }
    }

    async fn what_a_stack_says_is_kept_with_the_job(kind) {
        let yard = Yard::new(kind).await;
        let id = yard.job(Wanted::default()).await;
        // Cut within a character by the client, which JSON made longer again.
        let detail = format!("{}\u{fffd}\u{fffd}", "x".repeat(4096));
        let body = json!({"detail": detail});
        yard.post(&path(&id, "finish"), &body).await.expect(200);
        let events = yard.get(&format!("jobs/{id}/events")).await.expect(200);
        let event = &events["events"][0];
        assert_eq!((&event["kind"], &event["actor"]), (&json!("stack-errored"), &json!(STACK)));
        let said: Value = serde_json::from_str(event["detail"].as_str().expect("text"))
            .expect("JSON");
        let expected = json!({
            "exit_status": -1, "signal_reason": "stack_error", "detail": "x".repeat(4096),
        });
        assert_eq!(said, expected);
    }

    async fn a_job_that_a_stack_cannot_end_stays_as_it_is(kind) {
        let yard = Yard::new(kind).await;
        yard.register("other").await;
        let body = json!({"detail": "x"});
        let reserved = yard.job(Wanted::default()).await;
        yard.reserve("other", std::slice::from_ref(&reserved)).await;
        let waits = yard.job(Wanted {
            dependencies: vec![task_id(&reserved)],
            ..Wanted::default()
        }).await;
        let canceled = yard.job(Wanted::default()).await;
        yard.cancel(&canceled).await;
        for (id, status) in [
            (reserved.as_str(), 422),
            (waits.as_str(), 422),
            (canceled.as_str(), 422),
            ("01234567-89ab-4def-8123-456789abcdef", 404),
            ("x", 404),
        ] {
            yard.post(&path(id, "finish"), &body).await.refused(status);
        }
        assert_eq!(yard.runs(&reserved).await, [(State::Pending, None)]);
        for (word, body) in [
            ("finish", json!({})),
            ("finish", json!({"detail": ""})),
            ("finish", json!({"detail": 1})),
            ("finish", json!({"detail": "x", "exit_status": "0"})),
            ("finish", json!({"detail": "\0"})),
            ("fail", json!({"detail": "x"})),
        ] {
            yard.post(&path(&reserved, word), &body).await.refused(422);
        }
        // Another way of ending it is no repetition.
        let id = yard.job(Wanted::default()).await;
        yard.post(&path(&id, "finish"), &body).await.expect(200);
        let other = json!({"detail": "x", "exit_status": 0});
        yard.post(&path(&id, "finish"), &other).await.refused(422);
    }
}
