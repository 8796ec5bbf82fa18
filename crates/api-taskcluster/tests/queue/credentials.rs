//! The credentials that come with a claim: what they open, and until when.

use std::time::Duration;

use serde_json::{Value, json};
use taskyard_store::on_both_databases;

use crate::house::{CLAIM, House, QUEUE, moment};
use crate::who::Who;

/// Seconds as JavaScript prints them.
fn seconds(time: &Value) -> String {
    let millis = moment(time).millis();
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

on_both_databases! {
    async fn they_name_the_run_and_hold_its_scopes_and_those_of_the_task(kind) {
        let house = House::new(kind).await;
        let scopes = json!(["queue:status:*", "some:scope", "some:scope"]);
        let (id, claim) = house.claimed(json!({"scopes": scopes})).await;
        let credentials = &claim["credentials"];
        let until = seconds(&claim["takenUntil"]);
        let name = format!("task-client/{id}/0/on/group/worker/until/{until}");
        assert_eq!(credentials["clientId"], name);
        let certificate: Value =
            serde_json::from_str(credentials["certificate"].as_str().unwrap()).unwrap();
        assert_eq!(certificate["scopes"], json!([
            format!("queue:reclaim-task:{id}/0"), format!("queue:resolve-task:{id}/0"),
            format!("queue:create-artifact:{id}/0"), "queue:status:*", "some:scope", "some:scope",
        ]));
        assert_eq!(certificate["expiry"], moment(&claim["takenUntil"]).millis());
        let started = &claim["status"]["runs"][0]["started"];
        assert_eq!(certificate["start"], moment(started).millis());
        assert_eq!(certificate["issuer"], taskyard_api_taskcluster::queue::ISSUER);
    }

    async fn they_open_their_run_and_no_other(kind) {
        let house = House::new(kind).await;
        let (id, claim) = house.claimed(json!({"scopes": ["queue:status:*"]})).await;
        let (other, _) = house.claimed(json!({})).await;
        let task = Who::of_claim(&claim);
        house.call_as(&task, "status", &[&other], None).await.status_of();
        let artifact = || Some(json!({"storageType": "error", "reason": "file-missing-on-worker",
            "message": "", "expires": house.later(CLAIM)}));
        let runs = [(other.as_str(), "0"), (id.as_str(), "1"), (id.as_str(), "00")];
        for (task_id, run_id) in runs {
            for (method, body) in [
                ("reclaimTask", None), ("reportCompleted", None), ("reportFailed", None),
                ("reportException", Some(json!({"reason": "internal-error"}))),
            ] {
                let answer = house.call_as(&task, method, &[task_id, run_id], body).await;
                answer.refused(403, "InsufficientScopes");
            }
            let answer = house.call_as(&task, "createArtifact", &[task_id, run_id, "a"], artifact()).await;
            answer.refused(403, "InsufficientScopes");
        }
        for (method, args, body) in [
            ("task", vec![id.as_str()], None),
            ("cancelTask", vec![&id], None),
            ("rerunTask", vec![&id], None),
            ("claimWork", vec![QUEUE], Some(json!({"workerGroup": "group", "workerId": "worker"}))),
        ] {
            house.call_as(&task, method, &args, body).await.refused(403, "InsufficientScopes");
        }
        house.call_as(&task, "createArtifact", &[&id, "0", "a"], artifact()).await.granted();
        house.call_as(&task, "reclaimTask", &[&id, "0"], None).await.granted();
        house.call_as(&task, "reportCompleted", &[&id, "0"], None).await.status_of();
    }

    async fn those_of_an_earlier_claim_end_with_it_five_minutes_of_grace_later(kind) {
        let house = House::new(kind).await;
        let (id, first) = house.claimed(json!({})).await;
        let first = Who::of_claim(&first);
        house.wait(Duration::from_mins(19));
        let renewed = house.call_as(&first, "reclaimTask", &[&id, "0"], None).await.granted();
        let renewed = Who::of_claim(&renewed);
        // 5 minutes and 30 seconds short of its end, then 30 seconds over.
        house.wait(Duration::from_mins(5) + Duration::from_secs(30));
        house.call_as(&first, "reclaimTask", &[&id, "0"], None).await.granted();
        house.wait(Duration::from_secs(45));
        let answer = house.call_as(&first, "reclaimTask", &[&id, "0"], None).await;
        let message = answer.refused(401, "AuthenticationFailed");
        assert!(message.contains("expir"), "{message}");
        house.call_as(&renewed, "reportCompleted", &[&id, "0"], None).await.status_of();
    }

    async fn those_of_a_run_that_was_taken_away_resolve_nothing(kind) {
        let house = House::new(kind).await;
        let (id, first) = house.claimed(json!({})).await;
        house.wait(CLAIM + Duration::from_secs(1));
        house.sweep().await;
        let second = house.claim(1).await.remove(0);
        let (first, second) = (Who::of_claim(&first), Who::of_claim(&second));
        // Still valid, and of no use.
        house.call_as(&first, "reportCompleted", &[&id, "0"], None).await.refused(409, "RequestConflict");
        house.call_as(&first, "reclaimTask", &[&id, "0"], None).await.refused(409, "RequestConflict");
        house.call_as(&first, "reportCompleted", &[&id, "1"], None).await.refused(403, "InsufficientScopes");
        assert_eq!(house.status(&id).await["state"], "running");
        house.call_as(&second, "reportCompleted", &[&id, "1"], None).await.status_of();
    }

    async fn a_damaged_certificate_opens_nothing(kind) {
        let house = House::new(kind).await;
        let (id, claim) = house.claimed(json!({})).await;
        let certificate = claim["credentials"]["certificate"].as_str().unwrap();
        let parsed: Value = serde_json::from_str(certificate).unwrap();
        let more = [("expiry", json!(parsed["expiry"].as_i64().unwrap() + 60_000)),
            ("scopes", json!(["*"])), ("issuer", json!("root")), ("signature", json!("AAAA"))];
        for (field, value) in more {
            let mut damaged = parsed.clone();
            damaged[field] = value;
            let mut claim = claim.clone();
            claim["credentials"]["certificate"] = damaged.to_string().into();
            let answer = house.call_as(&Who::of_claim(&claim), "reclaimTask", &[&id, "0"], None).await;
            answer.refused(401, "AuthenticationFailed");
        }
    }
}
