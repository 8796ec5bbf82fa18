//! What was done, and by whom.

use serde_json::{Value, json};
use taskyard_store::on_both_databases;

use crate::house::House;

fn actions(page: &Value) -> Vec<(&str, &str)> {
    let entries = page["auditHistory"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| {
            (
                entry["clientId"].as_str().unwrap(),
                entry["actionType"].as_str().unwrap(),
            )
        })
        .collect()
}

on_both_databases! {
    async fn every_change_is_written_down_with_its_actor(kind) {
        let house = House::new(kind).await;
        house.client("c", &[]).await;
        house.call("updateClient", &["c"], Some(house.definition(&[]))).await.granted();
        for method in ["disableClient", "enableClient", "resetAccessToken"] {
            house.call(method, &["c"], None).await.granted();
        }
        house.call("deleteClient", &["c"], None).await;
        let page = house.call("getEntityHistory", &["client", "c"], None).await.granted();
        let expected = [
            "created", "updated", "client disabled", "client enabled", "access token reset",
            "deleted",
        ];
        assert_eq!(actions(&page), expected.map(|action| ("root", action)));
        let actor = house.client("actor", &["auth:create-role:r", "auth:delete-role:r"]).await;
        let body = Some(json!({"description": "", "scopes": []}));
        house.call_as(Some(&actor), "createRole", &["r"], body).await.granted();
        house.call_as(Some(&actor), "deleteRole", &["r"], None).await;
        let page = house.call("getEntityHistory", &["role", "r"], None).await.granted();
        assert_eq!(actions(&page), [("actor", "created"), ("actor", "deleted")]);
        let page = house.call("listAuditHistory", &["actor"], None).await.granted();
        assert_eq!(page["auditHistory"][1]["entityType"], "role");
        let first = house.get("listAuditHistory", &["actor"], "limit=1").await.granted();
        let token = first["continuationToken"].as_str().unwrap();
        let query = format!("limit=1&continuationToken={token}");
        let second = house.get("listAuditHistory", &["actor"], &query).await.granted();
        assert_eq!(actions(&second), [("actor", "deleted")]);
        assert_eq!(second["continuationToken"], Value::Null);
    }

    async fn what_was_refused_is_not_written_down(kind) {
        let house = House::new(kind).await;
        house.client("c", &["a"]).await;
        let other = Some(house.definition(&["b"]));
        house.call("createClient", &["c"], other).await.refused(409, "RequestConflict");
        let body = Some(json!({"description": "", "scopes": ["assume:r"]}));
        house.call("createRole", &["r"], body).await.refused(400, "InputError");
        let page = house.call("getEntityHistory", &["client", "c"], None).await.granted();
        assert_eq!(actions(&page), [("root", "created")]);
        let page = house.call("getEntityHistory", &["role", "r"], None).await.granted();
        assert!(actions(&page).is_empty());
        let answer = house.call("getEntityHistory", &["planet", "r"], None).await;
        answer.refused(400, "InvalidRequestArguments");
    }

    async fn what_is_older_than_thirty_days_is_forgotten(kind) {
        let house = House::new(kind).await;
        house.client("c", &[]).await;
        let day = 86_400_000;
        let now = house.clock.now().millis();
        assert_eq!(house.directory.forget_old_history(now + 29 * day).await.unwrap(), 0);
        assert_eq!(house.directory.forget_old_history(now + 31 * day).await.unwrap(), 2);
        // Nodes that know everything up to then are not confused.
        house.client("d", &[]).await;
        assert!(house.directory.snapshot().client("d").is_some());
    }
}
