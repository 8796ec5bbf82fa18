//! What the client of the hooks service sends, and what it makes of the answers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod stand_in;

use serde_json::{Value, json};
use stand_in::{Answer, StandIn, json as answer};
use taskyard_client::{
    Options,
    taskcluster::{HookDefinition, HookMetadata, Hooks, Page},
};

const HOOK: &str = r#"{"hookGroupId":"g","hookId":"a/b","task":{},"schedule":[],"bindings":[],
    "triggerSchema":{},"metadata":{"name":"n","description":"d","owner":"o@example.com",
    "emailOnError":true}}"#;

fn hooks(server: &StandIn) -> Hooks {
    Hooks::new(Options::new(&server.root_url)).unwrap()
}

fn ok(body: &str) -> Answer {
    answer("200 OK", body)
}

fn fires(task: &str, token: Option<&str>) -> Answer {
    let fire = json!({"hookGroupId": "g", "hookId": "a/b", "firedBy": "schedule", "taskId": task,
        "taskCreateTime": "2026-03-01T10:00:00.000Z", "result": "success",
        "taskState": "completed", "error": ""});
    let mut page = json!({"lastFires": [fire]});
    if let Some(token) = token {
        page["continuationToken"] = token.into();
    }
    ok(&page.to_string())
}

#[tokio::test]
async fn every_method_has_its_route() {
    let server = StandIn::start(vec![
        ok(r#"{"groups":["g"]}"#),
        ok(&format!(r#"{{"hooks":[{HOOK}]}}"#)),
        ok(HOOK),
        ok(r#"{"lastFire":{"result":"no-fire"}}"#),
        ok(HOOK),
        ok(HOOK),
        ok("{}"),
        ok(r#"{"taskId":"t","status":{"taskId":"t"}}"#),
        ok("{}"),
        ok(r#"{"token":"secret"}"#),
        ok(r#"{"token":"other"}"#),
        fires("first", Some("1")),
        fires("second", None),
    ])
    .await;
    let hooks = hooks(&server);
    assert_eq!(hooks.list_hook_groups().await.unwrap(), ["g"]);
    assert_eq!(hooks.list_hooks("g").await.unwrap().len(), 1);
    let hook = hooks.hook("g", "a/b").await.unwrap().unwrap();
    assert_eq!(hook.hook_id, "a/b");
    hooks.get_hook_status("g", "a/b").await.unwrap().unwrap();
    let metadata = HookMetadata {
        name: "n".to_owned(),
        description: "d".to_owned(),
        owner: "o@example.com".to_owned(),
        email_on_error: true,
    };
    let definition = HookDefinition::new(metadata, json!({}));
    hooks.create_hook("g", "a/b", &definition).await.unwrap();
    hooks.update_hook("g", "a/b", &definition).await.unwrap();
    hooks.remove_hook("g", "a/b").await.unwrap();
    let payload = json!({"x": 1});
    let task = hooks.trigger_hook("g", "a/b", &payload).await.unwrap();
    assert_eq!(task.as_deref(), Some("t"));
    let declined = hooks
        .trigger_hook_with_token("g", "a/b", "secret", &payload)
        .await;
    assert_eq!(declined.unwrap(), None);
    let token = hooks.get_trigger_token("g", "a/b").await.unwrap();
    assert_eq!(token.as_deref(), Some("secret"));
    let token = hooks.reset_trigger_token("g", "a/b").await.unwrap();
    assert_eq!(token, "other");
    let all = hooks.list_last_fires_all("g", "a/b").await.unwrap();
    let tasks: Vec<&str> = all.iter().map(|fire| fire.task_id.as_str()).collect();
    assert_eq!(tasks, ["first", "second"]);

    let seen = server.seen();
    let sent: Vec<(&str, &str)> = seen
        .iter()
        .map(|request| {
            let target = request.target.strip_prefix("/api/hooks/v1/hooks").unwrap();
            (request.method.as_str(), target)
        })
        .collect();
    assert_eq!(
        sent,
        [
            ("GET", ""),
            ("GET", "/g"),
            ("GET", "/g/a%2Fb"),
            ("GET", "/g/a%2Fb/status"),
            ("PUT", "/g/a%2Fb"),
            ("POST", "/g/a%2Fb"),
            ("DELETE", "/g/a%2Fb"),
            ("POST", "/g/a%2Fb/trigger"),
            ("POST", "/g/a%2Fb/trigger/secret"),
            ("GET", "/g/a%2Fb/token"),
            ("POST", "/g/a%2Fb/token"),
            ("GET", "/g/a%2Fb/last-fires"),
            ("GET", "/g/a%2Fb/last-fires?continuationToken=1"),
        ]
    );
    let body = |at: usize| serde_json::from_slice::<Value>(&seen[at].body).unwrap();
    assert_eq!(body(4), serde_json::to_value(&definition).unwrap());
    assert_eq!(body(4), body(5));
    assert_eq!((body(7), body(8)), (payload.clone(), payload));
}

#[tokio::test]
async fn what_is_not_there_is_no_error_to_whoever_looks_for_it() {
    let body = r#"{"code":"ResourceNotFound","message":"No such hook"}"#;
    let server = StandIn::start(vec![answer("404 Not Found", body)]).await;
    let hooks = hooks(&server);
    assert!(hooks.list_hooks("g").await.unwrap().is_empty());
    assert_eq!(hooks.hook("g", "h").await.unwrap(), None);
    assert_eq!(hooks.get_hook_status("g", "h").await.unwrap(), None);
    assert_eq!(hooks.get_trigger_token("g", "h").await.unwrap(), None);
    let page = hooks.list_last_fires("g", "h", &Page::default()).await;
    assert!(page.unwrap().last_fires.is_empty());
    assert!(
        hooks
            .list_last_fires_all("g", "h")
            .await
            .unwrap()
            .is_empty()
    );
    let refused = hooks.trigger_hook("g", "h", &json!({})).await.unwrap_err();
    assert_eq!(refused.status(), Some(404));
    let refused = hooks.reset_trigger_token("g", "h").await.unwrap_err();
    assert_eq!(refused.status(), Some(404));
}
