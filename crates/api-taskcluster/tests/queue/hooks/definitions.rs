//! What hooks there are, and what they do.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use taskyard_store::on_both_databases;

use super::{GROUP, HOOK, create, definition, fires, told};
use crate::house::{House, merged};
use crate::messages::Ear;

/// A method, its arguments and body, and the scopes it wants.
type Wants<'a> = (&'a str, &'a [&'a str], Option<Value>, Vec<String>);

/// How a definition with these fields is refused.
async fn refusal(house: &House, fields: Value) -> String {
    let body = definition(fields);
    let created = house
        .call("createHook", &[GROUP, "new"], Some(body.clone()))
        .await;
    let refused = created.refused(400, "InputError");
    let updated = house.call("updateHook", &[GROUP, HOOK], Some(body)).await;
    assert_eq!(updated.refused(400, "InputError"), refused);
    refused
}

on_both_databases! {
    async fn a_hook_is_told_as_it_was_made(kind) {
        let house = House::new(kind).await;
        let fields = json!({
            "schedule": ["0 0 1 * * *", "@daily"],
            "bindings": [{"exchange": "exchange/a", "routingKeyPattern": "#.b"}],
            "triggerSchema": {"type": "object", "properties": {"z": {}, "a": {"type": "string"}}},
        });
        assert_eq!(create(&house, HOOK, fields.clone()).await, told(HOOK, fields.clone()));
        let found = house.call("hook", &[GROUP, HOOK], None).await.granted();
        assert_eq!(found, told(HOOK, fields.clone()));
        // The same once more changes nothing, another one of the same name is refused.
        create(&house, HOOK, fields.clone()).await;
        let other = definition(merged(fields, json!({"schedule": []})));
        let answer = house.call("createHook", &[GROUP, HOOK], Some(other)).await;
        assert_eq!(
            answer.refused(409, "RequestConflict"),
            format!("hook `{GROUP}/{HOOK}` already exists.")
        );
    }

    async fn what_is_left_out_has_a_default(kind) {
        let house = House::new(kind).await;
        let mut little = definition(json!({"schedule": null, "triggerSchema": null, "bindings": null}));
        little["metadata"].as_object_mut().unwrap().remove("emailOnError");
        for _ in 0..2 {
            let created = house.call("createHook", &[GROUP, HOOK], Some(little.clone())).await;
            assert_eq!(created.granted(), told(HOOK, json!({})));
        }
        // An update keeps bindings of which it says nothing, and resets everything else.
        let bindings = json!([{"exchange": "exchange/a", "routingKeyPattern": "#"}]);
        let full = json!({
            "bindings": bindings, "schedule": ["@daily"], "triggerSchema": {"type": "object"}
        });
        let update = async |body: Value| {
            let updated = house.call("updateHook", &[GROUP, HOOK], Some(body)).await.granted();
            let found = house.call("hook", &[GROUP, HOOK], None).await.granted();
            assert_eq!(updated, found);
            found
        };
        assert_eq!(update(definition(full.clone())).await, told(HOOK, full));
        assert_eq!(update(little).await, told(HOOK, json!({"bindings": bindings})));
        assert_eq!(update(definition(json!({}))).await, told(HOOK, json!({})));
        let body = Some(definition(json!({})));
        house.call("updateHook", &[GROUP, "none"], body).await.refused(404, "ResourceNotFound");
    }

    async fn what_makes_no_sense_is_refused(kind) {
        let house = House::new(kind).await;
        create(&house, HOOK, json!({})).await;
        assert_eq!(
            refusal(&house, json!({"hookGroupId": "other"})).await,
            "Hook Group Ids do not match"
        );
        assert_eq!(refusal(&house, json!({"hookId": "other"})).await, "Hook Ids do not match");
        let cron = refusal(&house, json!({"schedule": ["@daily", "0 0 0 30 2 *"]})).await;
        assert!(cron.ends_with(" in 0 0 0 30 2 *"), "{cron}");
        let schema = refusal(&house, json!({"triggerSchema": {"type": "nothing"}})).await;
        assert!(schema.starts_with("triggerSchema is not a valid JSON schema:\n"), "{schema}");
        for exchange in ["taskcluster-queue/v1/task-created", "taskcluster-hooks/v1/hook-created"] {
            let exchange = format!("exchange/{exchange}");
            let bindings = json!([
                {"exchange": exchange, "routingKeyPattern": "#"},
                {"exchange": "exchange/fine", "routingKeyPattern": "#"},
            ]);
            let denied = refusal(&house, json!({"bindings": bindings})).await;
            assert!(denied.contains("denied access to hooks"), "{denied}");
            assert!(denied.contains(&exchange) && !denied.contains("fine"), "{denied}");
        }
        assert_eq!(
            house.call("hook", &[GROUP, HOOK], None).await.granted(),
            told(HOOK, json!({}))
        );
        house.call("hook", &[GROUP, "new"], None).await.refused(404, "ResourceNotFound");
    }

    async fn hooks_are_listed_by_group(kind) {
        let house = House::new(kind).await;
        let groups = async || house.call("listHookGroups", &[], None).await.granted();
        assert_eq!(groups().await, json!({"groups": []}));
        for hook in ["b", "a/x", "a"] {
            create(&house, hook, json!({})).await;
        }
        let body = definition(json!({}));
        house.call("createHook", &["Another", "a"], Some(body)).await.granted();
        let found: BTreeSet<String> =
            serde_json::from_value(groups().await["groups"].clone()).expect("names");
        assert_eq!(found, BTreeSet::from(["Another".to_owned(), GROUP.to_owned()]));
        let hooks = house.call("listHooks", &[GROUP], None).await.granted();
        let all = ["a", "a/x", "b"].map(|hook| told(hook, json!({})));
        assert_eq!(hooks, json!({"hooks": all}));
        for _ in 0..2 {
            let removed = house.call("removeHook", &["Another", "a"], None).await;
            assert_eq!(removed.granted(), json!({}));
        }
        assert_eq!(groups().await, json!({"groups": [GROUP]}));
        house.call("listHooks", &["Another"], None).await.refused(404, "ResourceNotFound");
        house.call("hook", &["Another", "a"], None).await.refused(404, "ResourceNotFound");
    }

    async fn every_method_wants_its_scope(kind) {
        let house = House::new(kind).await;
        create(&house, HOOK, json!({})).await;
        let name = format!("{GROUP}/{HOOK}");
        let modify = [format!("hooks:modify-hook:{name}"), format!("assume:hook-id:{name}")];
        let one = |scope: &str| vec![scope.to_owned()];
        let body = Some(definition(json!({})));
        let hook: &[&str] = &[GROUP, HOOK];
        let calls: [Wants<'_>; 11] = [
            ("listHookGroups", &[], None, one("hooks:list-hooks:")),
            ("listHooks", &[GROUP], None, one("hooks:list-hooks:group")),
            ("hook", hook, None, one("hooks:get:group:one/of-them")),
            ("getHookStatus", hook, None, one(&format!("hooks:status:{name}"))),
            ("createHook", hook, body.clone(), modify.to_vec()),
            ("updateHook", hook, body, modify.to_vec()),
            ("getTriggerToken", hook, None, one(&format!("hooks:get-trigger-token:{name}"))),
            ("resetTriggerToken", hook, None, one(&format!("hooks:reset-trigger-token:{name}"))),
            ("listLastFires", hook, None, one(&format!("hooks:list-last-fires:{name}"))),
            ("triggerHook", hook, Some(json!({})), one(&format!("hooks:trigger-hook:{name}"))),
            ("removeHook", hook, None, modify[..1].to_vec()),
        ];
        for (method, args, body, scopes) in calls {
            for missing in &scopes {
                let others = scopes.iter().filter(|scope| *scope != missing);
                let who = house.with(others.cloned().chain(["hooks:get:group/one*".to_owned()]));
                let answer = house.call_as(&who, method, args, body.clone()).await;
                answer.refused(403, "InsufficientScopes");
            }
            let answer = house.call_as(&house.with(scopes), method, args, body).await;
            assert!(![401, 500].contains(&answer.status), "{method}: {answer:?}");
            if answer.status == 403 {
                // The caller may fire the hook; the hook's role may not make its task.
                assert!(answer.refused(403, "InsufficientScopes").starts_with("The role"));
            }
        }
    }

    async fn changes_are_told_of_and_written_down(kind) {
        let house = House::new(kind).await;
        let mut ear = Ear::new(&house).await;
        for _ in 0..2 {
            create(&house, HOOK, json!({})).await;
        }
        let body = definition(json!({"schedule": ["@daily"]}));
        house.call("updateHook", &[GROUP, HOOK], Some(body)).await.granted();
        house.call("removeHook", &[GROUP, HOOK], None).await.granted();
        let heard = ear.listen(&house).await;
        let of_hooks: Vec<_> = heard.iter().filter(|it| it.exchange.starts_with("hook-")).collect();
        let exchanges: Vec<&str> = of_hooks.iter().map(|it| it.exchange.as_str()).collect();
        // That it was made is told as often as somebody asks for it.
        assert_eq!(exchanges, ["hook-created", "hook-created", "hook-updated", "hook-deleted"]);
        for message in of_hooks {
            assert_eq!(message.payload, json!({"hookGroupId": GROUP, "hookId": HOOK}));
        }
        let name = format!("{GROUP}/{HOOK}");
        let history = house.directory.entity_history("hook", &name, 0, 10).await;
        let history: Vec<_> = history
            .expect("the directory answers")
            .into_iter()
            .map(|entry| (entry.action, entry.actor))
            .collect();
        let by_root = |action: &str| (action.to_owned(), "root".to_owned());
        assert_eq!(history, ["created", "updated", "deleted"].map(by_root));
    }

    async fn a_hook_that_is_removed_leaves_nothing(kind) {
        let house = House::new(kind).await;
        create(&house, HOOK, json!({})).await;
        house.call("triggerHook", &[GROUP, HOOK], Some(json!({}))).await.refused(403, "InsufficientScopes");
        assert_eq!(fires(&house, HOOK).await.len(), 1);
        house.call("removeHook", &[GROUP, HOOK], None).await.granted();
        let hook: &[&str] = &[GROUP, HOOK];
        for method in ["hook", "getHookStatus", "getTriggerToken", "resetTriggerToken", "listLastFires"] {
            house.call(method, hook, None).await.refused(404, "ResourceNotFound");
        }
        house.call("triggerHook", hook, Some(json!({}))).await.refused(404, "ResourceNotFound");
        create(&house, HOOK, json!({})).await;
        assert_eq!(fires(&house, HOOK).await, Vec::<Value>::new());
    }
}
