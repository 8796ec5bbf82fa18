//! Roles, and what scopes amount to through them.

use serde_json::{Value, json};
use taskyard_store::on_both_databases;

use crate::house::House;

fn ids(page: &Value) -> Vec<&str> {
    page["roleIds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_str().unwrap())
        .collect()
}

on_both_databases! {
    async fn a_role_is_created_once_and_found_again_when_it_is_the_same(kind) {
        let house = House::new(kind).await;
        house.role("inner", &["deep"]).await;
        let body = json!({"description": "d", "scopes": ["b", "assume:inner", "a"]});
        let made = house.call("createRole", &["outer"], Some(body.clone())).await.granted();
        assert_eq!(made["scopes"], json!(["a", "assume:inner", "b"]), "sorted");
        let expanded = json!(["a", "assume:inner", "assume:outer", "b", "deep"]);
        assert_eq!(made["expandedScopes"], expanded);
        let again = house.call("createRole", &["outer"], Some(body)).await.granted();
        assert_eq!(again, made);
        for other in [json!({"description": "e", "scopes": ["a", "assume:inner", "b"]}),
            json!({"description": "d", "scopes": ["a"]})] {
            let answer = house.call("createRole", &["outer"], Some(other)).await;
            answer.refused(409, "RequestConflict");
        }
        assert_eq!(house.call("role", &["outer"], None).await.granted(), made);
        house.call("role", &["none"], None).await.refused(404, "ResourceNotFound");
    }

    async fn a_change_takes_effect_for_the_next_request(kind) {
        let house = House::new(kind).await;
        house.role("r", &["auth:list-roles"]).await;
        let who = house.client("c", &["assume:r"]).await;
        house.call_as(Some(&who), "listRoles", &[], None).await.granted();
        let body = json!({"description": "", "scopes": ["z", "auth:current-scopes"]});
        let changed = house.call("updateRole", &["r"], Some(body)).await.granted();
        assert_eq!(changed["scopes"], json!(["z", "auth:current-scopes"]), "in the given order");
        house.call_as(Some(&who), "listRoles", &[], None).await.refused(403, "InsufficientScopes");
        let current = house.call_as(Some(&who), "currentScopes", &[], None).await.granted();
        let scopes = json!(["assume:anonymous", "assume:r", "auth:current-scopes", "z"]);
        assert_eq!(current["scopes"], scopes);
        for _ in 0..2 {
            assert_eq!(house.call("deleteRole", &["r"], None).await.status, 204);
        }
        let answer = house.call_as(Some(&who), "currentScopes", &[], None).await;
        answer.refused(403, "InsufficientScopes");
        let body = json!({"description": "", "scopes": []});
        house.call("updateRole", &["r"], Some(body)).await.refused(404, "ResourceNotFound");
    }

    async fn an_update_asks_only_for_scopes_beyond_what_the_role_amounted_to(kind) {
        let house = House::new(kind).await;
        house.role("inner", &["deep:*"]).await;
        house.role("r", &["assume:inner", "a"]).await;
        let keeper = house.client("keeper", &["auth:update-role:r"]).await;
        let update = async |scopes: Value| {
            let body = json!({"description": "", "scopes": scopes});
            house.call_as(Some(&keeper), "updateRole", &["r"], Some(body)).await
        };
        update(json!(["assume:inner", "a", "deep:x"])).await.granted();
        update(json!(["a", "new"])).await.refused(403, "InsufficientScopes");
        update(json!(["a**"])).await.refused(400, "InputError");
        // Once it is gone, it has to be asked for.
        update(json!(["a"])).await.granted();
        update(json!(["a", "deep:x"])).await.refused(403, "InsufficientScopes");
    }

    async fn roles_that_lead_to_themselves_are_refused_and_change_nothing(kind) {
        let house = House::new(kind).await;
        house.role("a", &["assume:b"]).await;
        house.role("p*", &["x:<..>"]).await;
        for (id, scopes) in [
            ("b", json!(["assume:a"])),
            ("b", json!(["*"])),
            ("b", json!(["assume:*"])),
            ("self", json!(["assume:self"])),
            ("q*", json!(["<..>"])),
            ("q*", json!(["x:<..>:<..>"])),
            ("q*", json!(["x:*<..>"])),
            ("q*", json!(["assume:q<..>"])),
        ] {
            let body = json!({"description": "", "scopes": scopes});
            let answer = house.call("createRole", &[id], Some(body)).await;
            answer.refused(400, "InputError");
            house.call("role", &[id], None).await.refused(404, "ResourceNotFound");
        }
        let body = json!({"description": "", "scopes": ["assume:a"]});
        let text = house.call("updateRole", &["a"], Some(body)).await.refused(400, "InputError");
        assert!(text.contains("assume:a"), "{text}");
        // A parameter in a role without a star is plain text.
        house.role("simple", &["x:<..>:<..>"]).await;
        let body = json!({"scopes": ["assume:p/1", "assume:simple"]});
        let expanded = house.call("expandScopes", &[], Some(body)).await.granted();
        assert_eq!(expanded["scopes"], json!(["assume:p/1", "assume:simple", "x:/1", "x:<..>:<..>"]));
    }

    async fn two_roles_made_at_once_never_close_a_circle(kind) {
        let house = std::sync::Arc::new(House::new(kind).await);
        for round in 0..8 {
            let (one, two) = (format!("one{round}"), format!("two{round}"));
            let create = |id: String, to: String| {
                let house = std::sync::Arc::clone(&house);
                tokio::spawn(async move {
                    let body = json!({"description": "", "scopes": [format!("assume:{to}")]});
                    house.call("createRole", &[&id], Some(body)).await.status
                })
            };
            let answers = tokio::join!(create(one.clone(), two.clone()), create(two, one));
            let mut statuses = [answers.0.unwrap(), answers.1.unwrap()];
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 400]);
        }
    }

    async fn roles_are_listed_whole_or_in_pages(kind) {
        let house = House::new(kind).await;
        for id in ["c", "a*", "b", "anonymous"] {
            house.role(id, &[]).await;
        }
        let all = house.call("listRoles", &[], None).await.granted();
        assert_eq!(all.as_array().unwrap().len(), 4);
        for query in ["", "limit=0", "continuationToken=ImIi"] {
            let page = house.get("listRoleIds", &[], query).await.granted();
            assert_eq!(ids(&page), ["a*", "anonymous", "b", "c"], "{query}");
            assert_eq!(page["continuationToken"], Value::Null);
        }
        let page = house.get("listRoleIds", &[], "limit=3").await.granted();
        assert_eq!(ids(&page), ["a*", "anonymous", "b"]);
        let token = page["continuationToken"].as_str().unwrap();
        let query = format!("limit=3&continuationToken={token}");
        let rest = house.get("listRoles2", &[], &query).await.granted();
        assert_eq!(rest["roles"][0]["roleId"], "c");
        assert_eq!(rest["continuationToken"], Value::Null);
        for method in ["listRoleIds", "listRoles2", "listClients"] {
            let answer = house.get(method, &[], "continuationToken=%21").await;
            answer.refused(400, "InputError");
        }
    }

    async fn scopes_are_expanded_by_post_and_by_get_with_a_body(kind) {
        let house = House::new(kind).await;
        house.role("anonymous", &["public"]).await;
        house.role("r", &["granted"]).await;
        let body = json!({"scopes": ["b*", "assume:r", "b1"]});
        for method in ["expandScopes", "expandScopesGet"] {
            let expanded = house.call(method, &[], Some(body.clone())).await.granted();
            assert_eq!(expanded["scopes"], json!(["assume:r", "b*", "granted"]), "{method}");
            let answer = house.call(method, &[], None).await;
            answer.refused(400, "MalformedPayload");
        }
    }

    async fn thousands_of_roles_that_multiply_still_expand_in_bounds(kind) {
        let house = House::new(kind).await;
        // Each passes its parameter on twice: without bounds, two to the thirtieth scopes.
        for level in 0..30 {
            let next = level + 1;
            let scopes = [
                format!("assume:level{next}/a<..>"),
                format!("assume:level{next}/b<..>"),
            ];
            let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
            house.directory
                .ensure_role(0, &format!("level{level}/*"), &scopes, "")
                .await
                .unwrap();
        }
        let known = house.directory.catch_up().await.unwrap();
        let expanded = known.roles.expand(&["assume:level0/x"]);
        assert!(expanded.len() > 1000 && expanded.len() < 2_000_000);
    }
}
