//! Hooks fire because somebody asks for it.

use std::time::Duration;

use serde_json::{Value, json};
use taskyard_access::slugid;
use taskyard_store::on_both_databases;

use super::{ENOUGH, GROUP, HOOK, create, definition, fires, grant, template};
use crate::house::{House, merged, moment};
use crate::who::Who;

const ANY: &str = r#"{"type": "object"}"#;

/// Whatever fits no schema but this one.
fn any() -> Value {
    serde_json::from_str(ANY).expect("JSON")
}

async fn trigger(house: &House, payload: Value) -> crate::answer::Answer {
    house
        .call("triggerHook", &[GROUP, HOOK], Some(payload))
        .await
}

async fn token(house: &House) -> String {
    let told = house
        .call("getTriggerToken", &[GROUP, HOOK], None)
        .await
        .granted();
    told["token"].as_str().expect("a token").to_owned()
}

on_both_databases! {
    async fn a_trigger_makes_a_task_of_the_template(kind) {
        let house = House::new(kind).await;
        let task = merged(template(), json!({
            "payload": {"$eval": "payload"},
            "tags": {"by": "${clientId}", "id": "${taskId}"},
        }));
        create(&house, HOOK, json!({"task": task, "triggerSchema": any()})).await;
        grant(&house, HOOK, &ENOUGH).await;
        let payload = json!({"location": ["EU", 1, null]});
        // The caller may do nothing but this.
        let who = house.with([format!("hooks:trigger-hook:{GROUP}/{HOOK}")]);
        let args: &[&str] = &[GROUP, HOOK];
        let fired = house.call_as(&who, "triggerHook", args, Some(payload.clone())).await.granted();
        let id = fired["taskId"].as_str().expect("a task");
        assert_eq!(fired["status"], json!({"taskId": id}));
        let made = house.call("task", &[id], None).await.granted();
        assert_eq!(made["payload"], payload);
        assert_eq!(made["metadata"]["name"], "by triggerHook");
        assert_eq!(made["tags"], json!({"by": "root", "id": id}));
        assert_eq!(made["taskGroupId"], id);
        let created = moment(&made["created"]);
        assert_eq!(moment(&made["deadline"]), created.plus(Duration::from_hours(24)));
        assert_eq!(moment(&made["expires"]), created.plus(Duration::from_hours(30 * 24)));
        let fires = fires(&house, HOOK).await;
        let [fire] = fires.as_slice() else { panic!("{fires:?}") };
        assert_eq!((&fire["taskId"], &fire["firedBy"]), (&json!(id), &json!("triggerHook")));
        assert_eq!((&fire["result"], &fire["error"]), (&json!("success"), &json!("")));
        assert_eq!(fire["taskState"], "pending");
        let status = house.call("getHookStatus", &[GROUP, HOOK], None).await.granted();
        let last = json!({"result": "success", "taskId": id, "time": fire["taskCreateTime"]});
        assert_eq!(status, json!({"lastFire": last}));
    }

    async fn a_hook_may_do_what_its_role_may_and_no_more(kind) {
        let house = House::new(kind).await;
        create(&house, HOOK, json!({})).await;
        // Not even for a caller who may do everything.
        let refused = trigger(&house, json!({})).await.refused(403, "InsufficientScopes");
        assert!(
            refused.starts_with(&format!("The role `hook-id:{GROUP}/{HOOK}` does not have")),
            "{refused}"
        );
        let fires = fires(&house, HOOK).await;
        assert_eq!((&fires[0]["result"], &fires[0]["taskState"]), (&json!("error"), &json!("unknown")));
        let error: Value = serde_json::from_str(fires[0]["error"].as_str().unwrap()).expect("JSON");
        assert_eq!((&error["code"], &error["statusCode"]), (&json!("InsufficientScopes"), &json!(403)));
        let status = house.call("getHookStatus", &[GROUP, HOOK], None).await.granted();
        assert_eq!(status["lastFire"]["error"], error);
        grant(&house, HOOK, &ENOUGH).await;
        trigger(&house, json!({})).await.granted();
    }

    async fn a_payload_must_fit_the_schema(kind) {
        let house = House::new(kind).await;
        let schema = json!({
            "type": "object",
            "properties": {"location": {"type": "string", "default": "EU"}},
            "additionalProperties": false,
        });
        create(&house, HOOK, json!({"triggerSchema": schema})).await;
        grant(&house, HOOK, &ENOUGH).await;
        let refused = trigger(&house, json!({"location": 1, "more": 2})).await;
        let refused = refused.refused(400, "InputError");
        assert!(refused.contains("data/location must be string"), "{refused}");
        assert!(refused.contains("; "), "{refused}");
        assert_eq!(fires(&house, HOOK).await, Vec::<Value>::new());
        trigger(&house, json!({})).await.granted();
    }

    async fn a_template_that_declines_makes_nothing(kind) {
        let house = House::new(kind).await;
        let task = json!({"$if": "payload.go", "then": template()});
        create(&house, HOOK, json!({"task": task, "triggerSchema": any()})).await;
        grant(&house, HOOK, &ENOUGH).await;
        assert_eq!(trigger(&house, json!({"go": false})).await.granted(), json!({}));
        assert_eq!(fires(&house, HOOK).await, Vec::<Value>::new());
        assert!(trigger(&house, json!({"go": true})).await.granted()["taskId"].is_string());
        let refused = trigger(&house, json!({})).await.refused(400, "InputError");
        assert!(refused.starts_with("While firing hook:\n\n"), "{refused}");
        let told = fires(&house, HOOK).await;
        assert_eq!(told.len(), 2);
        let error = told[0]["error"].as_str().unwrap();
        assert!(refused.ends_with(error) && !error.is_empty(), "{error}");
        let status = house.call("getHookStatus", &[GROUP, HOOK], None).await.granted();
        assert_eq!(status["lastFire"]["error"], json!({"message": error}));
    }

    async fn a_caller_may_name_the_task(kind) {
        let house = House::new(kind).await;
        create(&house, HOOK, json!({"triggerSchema": any()})).await;
        grant(&house, HOOK, &ENOUGH).await;
        let id = slugid::nice();
        assert_eq!(trigger(&house, json!({"taskId": id})).await.granted()["taskId"], id.as_str());
        for wrong in [json!("no-slugid"), json!(1), json!(null)] {
            let refused = trigger(&house, json!({"taskId": wrong})).await.refused(400, "InputError");
            assert!(refused.starts_with("Invalid taskId format"), "{refused}");
        }
        house.wait(Duration::from_secs(1));
        let refused = trigger(&house, json!({"taskId": id})).await.refused(400, "InputError");
        assert!(refused.starts_with("While calling createTask: RequestConflict"), "{refused}");
    }

    async fn who_knows_the_token_may_fire_the_hook(kind) {
        let house = House::new(kind).await;
        let guarded = json!({"$if": "defined('clientId')", "then": "somebody", "else": "nobody"});
        let task = merged(template(), json!({"tags": {"by": guarded}}));
        create(&house, HOOK, json!({"task": task})).await;
        grant(&house, HOOK, &ENOUGH).await;
        let old = token(&house).await;
        assert!(slugid::is_valid(&old) && token(&house).await == old);
        let fire = async |token: &str| {
            let args: &[&str] = &[GROUP, HOOK, token];
            house.call_as(&Who::Nobody, "triggerHookWithToken", args, Some(json!({}))).await
        };
        let id = fire(&old).await.granted()["taskId"].clone();
        let made = house.call("task", &[id.as_str().unwrap()], None).await.granted();
        assert_eq!(made["tags"], json!({"by": "nobody"}));
        assert_eq!(made["metadata"]["name"], "by triggerHookWithToken");
        let reset = house.call("resetTriggerToken", &[GROUP, HOOK], None).await.granted();
        let new = reset["token"].as_str().expect("a token");
        assert!(new != old && token(&house).await == new);
        for wrong in [&old, &new[1..], "no-token"] {
            let answer = fire(wrong).await;
            assert_eq!(answer.refused(401, "AuthenticationFailed"), "invalid hook token");
        }
        fire(new).await.granted();
        assert_eq!(fires(&house, HOOK).await.len(), 2);
        // An update keeps it; nothing that is listed has it.
        let body = definition(json!({}));
        house.call("updateHook", &[GROUP, HOOK], Some(body)).await.granted();
        assert_eq!(token(&house).await, new);
        for (method, args) in [("hook", vec![GROUP, HOOK]), ("listHooks", vec![GROUP])] {
            let answer = house.call(method, &args, None).await;
            assert!(!String::from_utf8_lossy(&answer.body).contains(new));
        }
    }

    async fn an_error_does_not_repeat_a_token(kind) {
        let house = House::new(kind).await;
        create(&house, HOOK, json!({})).await;
        let token = token(&house).await;
        // Wrong payload, right token; and another hook's.
        for hook in [HOOK, "none"] {
            let args: &[&str] = &[GROUP, hook, &token];
            let body = Some(json!({"more": 1}));
            let answer = house.call_as(&Who::Nobody, "triggerHookWithToken", args, body).await;
            assert!([400, 404].contains(&answer.status), "{answer:?}");
            assert!(!String::from_utf8_lossy(&answer.body).contains(&token), "{answer:?}");
        }
    }

    async fn last_fires_come_in_pages(kind) {
        let house = House::new(kind).await;
        create(&house, HOOK, json!({})).await;
        grant(&house, HOOK, &ENOUGH).await;
        let mut ids = Vec::new();
        for _ in 0..5 {
            house.wait(Duration::from_secs(1));
            ids.insert(0, trigger(&house, json!({})).await.granted()["taskId"].clone());
        }
        let (mut seen, mut query) = (Vec::new(), "limit=2".to_owned());
        loop {
            let page = house.get_with("listLastFires", &[GROUP, HOOK], &query).await.granted();
            let fires = page["lastFires"].as_array().expect("fires");
            assert!(fires.len() <= 2);
            seen.extend(fires.iter().map(|fire| fire["taskId"].clone()));
            match page["continuationToken"].as_str() {
                Some(token) => query = format!("limit=2&continuationToken={token}"),
                None => break,
            }
        }
        assert_eq!(seen, ids);
        // They are remembered for a year.
        house.wait(Duration::from_hours(366 * 24));
        house.sweep().await;
        assert_eq!(fires(&house, HOOK).await, Vec::<Value>::new());
    }
}
