//! Hooks fire on a schedule.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use taskyard_api_taskcluster::hooks;
use taskyard_engine::Timestamp;
use taskyard_engine::hook::{self, Name};
use taskyard_store::on_both_databases;

use super::{ENOUGH, GROUP, HOOK, create, definition, fired, fires, grant, template};
use crate::house::{House, SOON, moment};

const HOUR: Duration = Duration::from_hours(1);

/// When a hook fires next.
async fn next(house: &House, hook_id: &str) -> Timestamp {
    let status = house
        .call("getHookStatus", &[GROUP, hook_id], None)
        .await
        .granted();
    moment(&status["nextScheduledDate"])
}

/// Moves the clock on to a time, and a bit more.
fn advance(house: &House, to: Timestamp) {
    house.wait(to.since(house.clock.now()) + Duration::from_millis(10));
}

/// The task that a fire has made.
async fn task(house: &House, fire: &Value) -> Value {
    let id = fire["taskId"].as_str().expect("a task");
    house.call("task", &[id], None).await.granted()
}

on_both_databases! {
    async fn a_hook_fires_at_its_times(kind) {
        let house = House::new(kind).await;
        create(&house, HOOK, json!({"schedule": ["@hourly", "0 30 * * * *"]})).await;
        grant(&house, HOOK, &ENOUGH).await;
        let scheduler = tokio::spawn(hooks::schedule(Arc::clone(&house.firing)));
        for times in 1..=3 {
            let planned = next(&house, HOOK).await;
            let now = house.clock.now();
            assert!(planned > now && planned.since(now) <= HOUR / 2);
            advance(&house, planned);
            let fires = fired(&house, HOOK, times).await;
            assert_eq!(fires[0]["firedBy"], "schedule");
            assert_eq!(fires[0]["result"], "success", "{fires:?}");
            let task = task(&house, &fires[0]).await;
            assert_eq!(moment(&task["created"]), planned);
            assert_eq!(task["metadata"]["name"], "by schedule");
        }
        scheduler.abort();
    }

    async fn times_that_were_missed_give_one_fire(kind) {
        let house = House::new(kind).await;
        create(&house, HOOK, json!({"schedule": ["@hourly"]})).await;
        grant(&house, HOOK, &ENOUGH).await;
        let planned = next(&house, HOOK).await;
        advance(&house, planned.plus(5 * HOUR + Duration::from_mins(30)));
        let now = house.clock.now();
        let scheduler = tokio::spawn(hooks::schedule(Arc::clone(&house.firing)));
        let fires = fired(&house, HOOK, 1).await;
        assert_eq!(fires[0]["result"], "success", "{fires:?}");
        // A task must not have been created long ago.
        assert!(moment(&task(&house, &fires[0]).await["created"]) >= now.trunc_millis());
        assert_eq!(next(&house, HOOK).await, planned.plus(6 * HOUR));
        scheduler.abort();
    }

    async fn many_nodes_make_one_task(kind) {
        let house = House::new(kind).await;
        grant(&house, "*", &ENOUGH).await;
        let names: Vec<String> = (0..40).map(|number| format!("hook-{number}")).collect();
        for name in &names {
            create(&house, name, json!({"schedule": ["@hourly"]})).await;
        }
        let planned = next(&house, &names[0]).await;
        advance(&house, planned);
        let schedulers: Vec<_> = (0..4)
            .map(|_| tokio::spawn(hooks::schedule(Arc::clone(&house.firing))))
            .collect();
        for name in &names {
            let fires = fired(&house, name, 1).await;
            assert_eq!(fires[0]["result"], "success", "{fires:?}");
        }
        let pending = house.call("pendingTasks", &["prov/type"], None).await.granted();
        assert_eq!(pending["pendingTasks"], 40);
        for scheduler in schedulers {
            scheduler.abort();
        }
    }

    async fn a_fire_that_is_tried_again_is_the_same_task(kind) {
        let house = House::new(kind).await;
        create(&house, HOOK, json!({"schedule": ["@hourly"]})).await;
        grant(&house, HOOK, &ENOUGH).await;
        let name = Name::new(GROUP, HOOK);
        let wanted = name.clone();
        let before = house.store.read(move |tx| hook::load(tx, &wanted)).await.unwrap().unwrap();
        let planned = next(&house, HOOK).await;
        advance(&house, planned);
        // Somebody has made the task, and died before anything was noted.
        house.create_as(&before.next.task_id, json!({})).await;
        let scheduler = tokio::spawn(hooks::schedule(Arc::clone(&house.firing)));
        let fires = fired(&house, HOOK, 1).await;
        scheduler.abort();
        assert_eq!(fires[0]["taskId"], before.next.task_id.as_str());
        assert_eq!((&fires[0]["result"], &fires[0]["taskState"]), (&json!("success"), &json!("pending")));
        assert_eq!(next(&house, HOOK).await, planned.plus(HOUR));
    }

    async fn a_fire_that_fails_is_over(kind) {
        let house = House::new(kind).await;
        create(&house, HOOK, json!({"schedule": ["@hourly"]})).await;
        let broken = json!({"$eval": "nothing"});
        create(&house, "broken", json!({"schedule": ["@hourly"], "task": broken})).await;
        let declines = json!({"$if": "false", "then": template()});
        create(&house, "declines", json!({"schedule": ["@hourly"], "task": declines})).await;
        let planned = next(&house, HOOK).await;
        let scheduler = tokio::spawn(hooks::schedule(Arc::clone(&house.firing)));
        advance(&house, planned);
        for (hook, error) in [(HOOK, "InsufficientScopes"), ("broken", "nothing")] {
            let fires = fired(&house, hook, 1).await;
            assert_eq!(fires[0]["result"], "error");
            assert!(fires[0]["error"].as_str().unwrap().contains(error), "{fires:?}");
            assert_eq!(next(&house, hook).await, planned.plus(HOUR));
        }
        let mut changes = house.store.wait_for(hook::topic());
        let moves_on = async {
            while next(&house, "declines").await == planned {
                changes.woken().await;
            }
        };
        tokio::time::timeout(SOON, moves_on).await.expect("it goes on soon");
        assert_eq!(fires(&house, "declines").await, Vec::<Value>::new());
        scheduler.abort();
    }

    async fn a_hook_without_a_schedule_never_fires(kind) {
        let house = House::new(kind).await;
        create(&house, HOOK, json!({"schedule": ["@hourly"]})).await;
        create(&house, "other", json!({"schedule": ["@hourly"]})).await;
        grant(&house, "*", &ENOUGH).await;
        let planned = next(&house, HOOK).await;
        let update = Some(definition(json!({})));
        house.call("updateHook", &[GROUP, HOOK], update).await.granted();
        let status = house.call("getHookStatus", &[GROUP, HOOK], None).await.granted();
        assert_eq!(status, json!({"lastFire": {"result": "no-fire"}}));
        let scheduler = tokio::spawn(hooks::schedule(Arc::clone(&house.firing)));
        advance(&house, planned);
        fired(&house, "other", 1).await;
        assert_eq!(fires(&house, HOOK).await, Vec::<Value>::new());
        scheduler.abort();
    }
}
