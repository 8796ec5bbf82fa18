//! Hooks make tasks: because somebody asks for it, upon messages, and on a schedule.

mod definitions;
mod messages;
mod schedules;
mod triggers;

use serde_json::{Value, json};
use taskyard_access::Deed;
use taskyard_access::directory::RoleDefinition;

use crate::house::{House, SOON, merged};

/// The hook of tests that need only one.
const GROUP: &str = "group";
const HOOK: &str = "one/of-them";
/// What a role grants that lets hooks make the tasks of [`template`].
const ENOUGH: [&str; 3] = [
    "queue:create-task:project:none",
    "queue:create-task:lowest:prov/type",
    "queue:scheduler-id:-",
];

/// What a hook's template needs to make a task.
fn template() -> Value {
    json!({
        "taskQueueId": "prov/type",
        "payload": {"command": ["true"]},
        "metadata": {
            "name": "by ${firedBy}",
            "description": "for a test",
            "owner": "somebody@example.com",
            "source": "https://example.com/source",
        },
    })
}

/// A definition with some fields of its own.
fn definition(fields: Value) -> Value {
    let base = json!({
        "metadata": {
            "name": "a hook",
            "description": "for a test",
            "owner": "somebody@example.com",
            "emailOnError": true,
        },
        "bindings": [],
        "schedule": [],
        "task": template(),
        "triggerSchema": {"type": "object", "additionalProperties": false},
    });
    merged(base, fields)
}

/// A definition as it is told.
fn told(hook_id: &str, fields: Value) -> Value {
    merged(
        definition(fields),
        json!({"hookGroupId": GROUP, "hookId": hook_id}),
    )
}

async fn create(house: &House, hook_id: &str, fields: Value) -> Value {
    let body = definition(fields);
    let created = house
        .call("createHook", &[GROUP, hook_id], Some(body))
        .await;
    created.granted()
}

/// Lets the hooks of a house make tasks.
async fn grant(house: &House, hook_id: &str, scopes: &[&str]) {
    let role = format!("hook-id:{GROUP}/{hook_id}");
    let deed = Deed {
        actor: "root",
        now_ms: house.clock.now().millis(),
    };
    let definition = RoleDefinition {
        description: String::new(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
    };
    let made = house.directory.create_role(deed, &role, &definition).await;
    made.expect("the directory answers")
        .expect("the role is made");
}

/// The last fires of a hook, the newest first; none if it has not fired.
async fn fires(house: &House, hook_id: &str) -> Vec<Value> {
    let answer = house.call("listLastFires", &[GROUP, hook_id], None).await;
    if answer.status == 404 {
        return Vec::new();
    }
    let fires = answer.granted()["lastFires"].clone();
    fires.as_array().expect("fires").clone()
}

/// Waits until a hook has fired so often; its last fires.
async fn fired(house: &House, hook_id: &str, times: usize) -> Vec<Value> {
    let looking = async {
        loop {
            let fires = fires(house, hook_id).await;
            if fires.len() >= times {
                assert_eq!(fires.len(), times, "{fires:?}");
                return fires;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, looking)
        .await
        .expect("it fires soon")
}
