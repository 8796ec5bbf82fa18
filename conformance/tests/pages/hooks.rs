//! Hooks, triggered by a button.

use serde_json::json;

use crate::browser::Browser;
use crate::house::{House, TASK_QUEUE, metadata};
use crate::on_both_databases;
use crate::visitors::sign_in;

on_both_databases! { a_hook_is_triggered_with_a_payload }

async fn a_hook_is_triggered_with_a_payload(house: &House, browser: &Browser) {
    let hook = json!({
        "metadata": {"name": "Deploy", "description": "Puts it there", "owner": "someone@example.com"},
        "schedule": ["0 0 2 * * *"],
        "task": {
            "taskQueueId": TASK_QUEUE,
            "payload": {},
            "metadata": metadata("deploy ${payload.version}"),
        },
        "triggerSchema": {
            "type": "object",
            "properties": {"version": {"type": "string"}},
            "required": ["version"],
            "additionalProperties": false,
        },
    });
    house
        .hooks()
        .createHook("team", "deploy/now", &hook)
        .await
        .unwrap();
    let role = json!({
        "description": "what the hook may do",
        "scopes": ["queue:create-task:*", "queue:scheduler-id:*"],
    });
    let name = "hook-id:team/deploy/now";
    house.auth().createRole(name, &role).await.unwrap();
    browser.goes_to("/hooks").await;
    sign_in(browser).await;
    browser.presses("team/deploy/now").await;
    browser.reads("h1", "Deploy").await;
    browser.reads("main", "It has not fired yet.").await;

    browser.writes("payload", "{version: 1}").await;
    browser.presses("Trigger").await;
    browser.reads(".reason", "The payload is no JSON").await;
    browser.goes_to("/hooks/team/deploy%2Fnow").await;
    browser.writes("payload", "{}").await;
    browser.presses("Trigger").await;
    browser.reads(".reason", "version").await;

    browser.goes_to("/hooks/team/deploy%2Fnow").await;
    browser.writes("payload", r#"{"version": "1.2"}"#).await;
    browser.presses("Trigger").await;
    browser.reads("h1", "deploy 1.2 pending").await;
    browser.goes_to("/hooks/team/deploy%2Fnow").await;
    browser.reads("tbody tr", "success").await;
}
