//! Groups are sealed and cancelled; tasks are defined first and scheduled later.

use std::time::Duration;

use serde_json::{Value, json};
use taskyard_access::slugid;
use taskyard_store::on_both_databases;

use crate::house::{House, merged};

on_both_databases! {
    async fn a_sealed_group_tells_since_when_and_takes_no_more_tasks(kind) {
        let house = House::new(kind).await;
        let group = slugid::nice();
        house.call("sealTaskGroup", &[&group], None).await.refused(404, "ResourceNotFound");
        let fields = json!({"taskGroupId": group, "schedulerId": "s"});
        let id = house.create(fields.clone()).await;
        let definition = house.call("task", &[&id], None).await.granted();
        let sealed = house.call("sealTaskGroup", &[&group], None).await.granted();
        assert_eq!((&sealed["taskGroupId"], &sealed["schedulerId"]), (&json!(group), &json!("s")));
        house.wait(Duration::from_secs(7));
        let again = house.call("sealTaskGroup", &[&group], None).await.granted();
        assert_eq!(again, sealed, "the first seal counts");
        for method in ["getTaskGroup", "listTaskGroup"] {
            let told = house.call(method, &[&group], None).await.granted();
            assert_eq!(told["sealed"], sealed["sealed"]);
        }
        let late = slugid::nice();
        let body = merged(house.definition(), fields);
        let answer = house.call("createTask", &[&late], Some(body)).await;
        let message = answer.refused(409, "RequestConflict");
        assert!(message.contains("sealed"), "{message}");
        // What is there already may be asked for again.
        house.call("createTask", &[&id], Some(definition)).await.status_of();
    }

    async fn a_group_is_cancelled_once_it_is_sealed(kind) {
        let house = House::new(kind).await;
        let group = slugid::nice();
        house.call("cancelTaskGroup", &[&group], None).await.refused(404, "ResourceNotFound");
        let member = |more: Value| merged(json!({"taskGroupId": group, "schedulerId": "s"}), more);
        let done = house.create(member(json!({"priority": "high"}))).await;
        let running = house.create(member(json!({"priority": "low"}))).await;
        house.claim(2).await;
        house.call("reportCompleted", &[&done, "0"], None).await.status_of();
        let mut open = vec![running];
        for _ in 0..3 {
            open.push(house.create(member(json!({}))).await);
        }
        open.push(house.create(member(json!({"dependencies": [open[1]]}))).await);
        let answer = house.call("cancelTaskGroup", &[&group], None).await;
        let message = answer.refused(409, "RequestConflict");
        assert!(message.contains("seal it first"), "{message}");
        house.call("sealTaskGroup", &[&group], None).await.granted();
        let told = house.call("cancelTaskGroup", &[&group], None).await.granted();
        open.sort();
        let mut cancelled: Vec<&str> =
            told["taskIds"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        cancelled.sort_unstable();
        assert_eq!(cancelled, open);
        assert_eq!((&told["taskGroupSize"], &told["cancelledCount"]), (&json!(6), &json!(5)));
        for id in &open {
            let status = house.status(id).await;
            let last = status["runs"].as_array().unwrap().last().unwrap().clone();
            assert_eq!((&status["state"], &last["reasonResolved"]),
                (&json!("exception"), &json!("canceled")));
        }
        assert_eq!(house.status(&done).await["state"], "completed");
        let again = house.call("cancelTaskGroup", &[&group], None).await.granted();
        assert_eq!(again, json!({"taskGroupId": group, "taskGroupSize": 6, "cancelledCount": 0,
            "taskIds": []}));
    }

    /// More than are cancelled in one go.
    async fn a_large_group_is_cancelled_whole(kind) {
        let house = House::new(kind).await;
        let group = slugid::nice();
        for _ in 0..60 {
            house.create(json!({"taskGroupId": group})).await;
        }
        house.call("sealTaskGroup", &[&group], None).await.granted();
        let told = house.call("cancelTaskGroup", &[&group], None).await.granted();
        assert_eq!(told["cancelledCount"], 60);
        let counts = house.call("taskQueueCounts", &["prov/type"], None).await.granted();
        assert_eq!(counts["pendingTasks"], 0);
    }

    async fn a_defined_task_waits_until_somebody_schedules_it(kind) {
        let house = House::new(kind).await;
        let (id, other) = (slugid::nice(), house.create(json!({})).await);
        let body = merged(house.definition(), json!({"dependencies": [other]}));
        let status = house.call("defineTask", &[&id], Some(body.clone())).await.status_of();
        assert_eq!((&status["state"], &status["runs"]), (&json!("unscheduled"), &json!([])));
        let task = house.call("task", &[&id], None).await.granted();
        assert_eq!(task["dependencies"], json!([id, other]));
        // The same again, and what it amounts to.
        house.call("defineTask", &[&id], Some(body.clone())).await.status_of();
        house.call("createTask", &[&id], Some(task)).await.status_of();
        house.call("createTask", &[&id], Some(body)).await.refused(409, "RequestConflict");
        house.claim(1).await;
        house.call("reportCompleted", &[&other, "0"], None).await.status_of();
        assert_eq!(house.status(&id).await["state"], "unscheduled");
        let status = house.call("scheduleTask", &[&id], None).await.status_of();
        assert_eq!(status["state"], "pending");
        let bad = merged(house.definition(), json!({"deadline": house.earlier(Duration::from_hours(1))}));
        let nowhere = slugid::nice();
        house.call("defineTask", &[&nowhere], Some(bad)).await.refused(400, "InputError");
        house.call("defineTask", &[&nowhere], Some(json!({}))).await
            .refused(400, "InputValidationError");
    }
}
