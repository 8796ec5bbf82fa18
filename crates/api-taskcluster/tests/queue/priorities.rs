//! Tasks are to be claimed sooner, or later.

use std::time::Duration;

use serde_json::{Value, json};
use taskyard_access::slugid;
use taskyard_store::on_both_databases;

use crate::house::{House, merged};

fn to(priority: &str) -> Value {
    json!({"newPriority": priority})
}

on_both_databases! {
    async fn a_task_takes_its_new_priority_everywhere(kind) {
        let house = House::new(kind).await;
        let first = house.create(json!({"extra": {"n": 1.5}})).await;
        let second = house.create(json!({})).await;
        let before = house.call("task", &[&second], None).await.granted();
        let status = house.call("changeTaskPriority", &[&second], Some(to("very-high"))).await.status_of();
        assert_eq!(status["priority"], "very-high");
        assert_eq!(house.status(&second).await, status);
        let task = house.call("task", &[&second], None).await.granted();
        assert_eq!(task, merged(before.clone(), json!({"priority": "very-high"})));
        // The same again is no conflict.
        house.call("changeTaskPriority", &[&second], Some(to("very-high"))).await.status_of();
        let claims = house.claim(2).await;
        assert_eq!(claims[0]["status"]["taskId"], second.as_str());
        assert_eq!(claims[0]["task"]["priority"], "very-high");
        assert_eq!(claims[1]["status"]["taskId"], first.as_str());
        // A running one is not touched, but may be told again.
        let running = house.call("changeTaskPriority", &[&first], Some(to("low"))).await.status_of();
        assert_eq!((&running["state"], &running["priority"]), (&json!("running"), &json!("low")));
        // The first definition is another one by now.
        house.call("createTask", &[&second], Some(before)).await.refused(409, "RequestConflict");
    }

    async fn a_priority_that_comes_too_late_is_a_conflict(kind) {
        let house = House::new(kind).await;
        let (done, _) = house.claimed(json!({})).await;
        house.call("reportFailed", &[&done, "0"], None).await.status_of();
        house.call("changeTaskPriority", &[&done], Some(to("high"))).await.refused(409, "RequestConflict");
        house.call("rerunTask", &[&done], None).await.status_of();
        house.call("changeTaskPriority", &[&done], Some(to("high"))).await.refused(409, "RequestConflict");
        let nowhere = slugid::nice();
        house.call("changeTaskPriority", &[&nowhere], Some(to("high"))).await.refused(404, "ResourceNotFound");
        let late = house.create(json!({})).await;
        for bad in [json!({}), json!({"newPriority": "normal"}), json!({"newPriority": 1}),
            json!({"newPriority": "high", "more": 1})] {
            for method in ["changeTaskPriority", "changeTaskGroupPriority"] {
                house.call(method, &[&late], Some(bad.clone())).await
                    .refused(400, "InputValidationError");
            }
        }
        assert_eq!(house.status(&late).await["priority"], "lowest");
        house.wait(Duration::from_hours(1));
        house.call("changeTaskPriority", &[&late], Some(to("high"))).await.refused(409, "RequestConflict");
    }

    async fn a_group_takes_its_new_priority_where_it_still_matters(kind) {
        let house = House::new(kind).await;
        let group = slugid::nice();
        house.call("changeTaskGroupPriority", &[&group], Some(to("high"))).await
            .refused(404, "ResourceNotFound");
        let member = |more: Value| merged(json!({"taskGroupId": group, "schedulerId": "s"}), more);
        let done = house.create(member(json!({"priority": "highest"}))).await;
        let running = house.create(member(json!({"priority": "very-high"}))).await;
        house.claim(2).await;
        house.call("reportCompleted", &[&done, "0"], None).await.status_of();
        let same = house.create(member(json!({"priority": "medium"}))).await;
        let mut moved = vec![running, house.create(member(json!({}))).await];
        moved.push(house.create(member(json!({"dependencies": [same]}))).await);
        let stranger = house.create(json!({})).await;
        let told = house.call("changeTaskGroupPriority", &[&group], Some(to("medium"))).await.granted();
        assert_eq!(told, json!({"taskGroupId": group, "schedulerId": "s", "newPriority": "medium",
            "tasksAffected": 3, "taskIds": moved}));
        for id in &moved {
            assert_eq!(house.status(id).await["priority"], "medium");
        }
        assert_eq!(house.status(&done).await["priority"], "highest");
        assert_eq!(house.status(&stranger).await["priority"], "lowest");
        let again = house.call("changeTaskGroupPriority", &[&group], Some(to("medium"))).await.granted();
        assert_eq!(again["tasksAffected"], 0);
    }
}
