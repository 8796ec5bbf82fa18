//! Clients and roles that stand in the server's configuration.

use taskyard_access::Credentials;
use taskyard_access::directory::{StandingClient, StandingRole};
use taskyard_store::on_both_databases;

use serde_json::json;

use crate::house::House;

const TOKEN: &str = "a-token-of-the-configuration-0123456789";

fn client(client_id: &str, scopes: &[&str]) -> StandingClient {
    StandingClient {
        client_id: client_id.to_owned(),
        access_token: TOKEN.into(),
        description: "for a test".to_owned(),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
    }
}

fn role(role_id: &str, scopes: &[&str]) -> StandingRole {
    StandingRole {
        role_id: role_id.to_owned(),
        description: String::new(),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
    }
}

/// Starts the server once more with these in its configuration.
async fn restart(house: &House, clients: &[StandingClient], roles: &[StandingRole]) {
    let now = house.clock.now().millis();
    let applied = house.directory.apply_standing(now, clients, roles).await;
    applied.unwrap().unwrap();
}

fn credentials(client_id: &str, token: &str) -> Credentials {
    Credentials {
        client_id: client_id.to_owned(),
        access_token: token.into(),
        certificate: None,
    }
}

async fn entries(house: &House, kind: &str, id: &str) -> usize {
    let history = house
        .call("getEntityHistory", &[kind, id], None)
        .await
        .granted();
    history["auditHistory"].as_array().unwrap().len()
}

on_both_databases! {
    async fn what_stands_in_the_configuration_is_there_as_long_as_it_stands_there(kind) {
        let house = House::new(kind).await;
        let now = house.clock.now().millis();
        let own = "static/taskcluster/own";
        house.directory.ensure_client(now, own, &["*"], "", None).await.unwrap();
        house.client("other", &[]).await;
        let ci = client("static/ci", &["auth:current-scopes", "assume:static/ci"]);
        let may = role("static/ci", &["a:*"]);
        restart(&house, &[ci.clone(), client("static/gone", &[])], &[may, role("static/gone", &[])])
            .await;
        let who = credentials("static/ci", TOKEN);
        let body = house.call_as(Some(&who), "currentScopes", &[], None).await.granted();
        assert!(body["scopes"].as_array().unwrap().contains(&json!("a:*")), "{body}");
        let body = house.call("client", &["static/ci"], None).await.granted();
        let text = body["description"].as_str().unwrap();
        assert!(text.starts_with("for a test\n\n") && text.contains("configuration"), "{text}");

        let ci = [ci];
        restart(&house, &ci, &[role("static/ci", &["a:*"])]).await;
        assert_eq!(entries(&house, "client", "static/ci").await, 1, "the same is left alone");
        assert_eq!(entries(&house, "role", "static/ci").await, 1);
        for (method, id) in [("client", "static/gone"), ("role", "static/gone")] {
            house.call(method, &[id], None).await.refused(404, "ResourceNotFound");
        }
        for id in [own, "other", "root"] {
            house.call("client", &[id], None).await.granted();
        }

        let new = "another-token-of-the-configuration-0123";
        let changed = StandingClient { access_token: new.into(), ..ci[0].clone() };
        restart(&house, &[changed], &[role("static/ci", &["b"])]).await;
        let answer = house.call_as(Some(&who), "currentScopes", &[], None).await;
        answer.refused(401, "AuthenticationFailed");
        let who = credentials("static/ci", new);
        let body = house.call_as(Some(&who), "currentScopes", &[], None).await.granted();
        assert!(body["scopes"].as_array().unwrap().contains(&json!("b")), "{body}");
        restart(&house, &[], &[]).await;
        let answer = house.call_as(Some(&who), "currentScopes", &[], None).await;
        answer.refused(401, "AuthenticationFailed");
        house.call("role", &["static/ci"], None).await.refused(404, "ResourceNotFound");
    }

    async fn nobody_changes_it_through_the_api(kind) {
        let house = House::new(kind).await;
        restart(&house, &[client("static/ci", &["a"])], &[role("static/ci", &["a"])]).await;
        let client = house.definition(&["*"]);
        let role = json!({"description": "", "scopes": []});
        for (method, body) in [
            ("createClient", Some(&client)),
            ("updateClient", Some(&client)),
            ("resetAccessToken", None),
            ("disableClient", None),
            ("enableClient", None),
            ("deleteClient", None),
            ("createRole", Some(&role)),
            ("updateRole", Some(&role)),
            ("deleteRole", None),
        ] {
            let answer = house.call(method, &["static/ci"], body.cloned()).await;
            let text = answer.refused(400, "InputError");
            assert!(text.contains("configuration"), "{method}: {text}");
        }
        let who = credentials("static/ci", TOKEN);
        let answer = house.call_as(Some(&who), "currentScopes", &[], None).await;
        answer.refused(403, "InsufficientScopes");
        let body = house.call("role", &["static/ci"], None).await.granted();
        assert_eq!(body["scopes"], json!(["a"]));
    }

    async fn roles_that_lead_to_themselves_stop_the_start_and_change_nothing(kind) {
        let house = House::new(kind).await;
        house.role("mine", &["assume:static/ci"]).await;
        let circle = [role("static/ci", &["assume:mine"])];
        let clients = [client("static/ci", &[])];
        let now = house.clock.now().millis();
        let applied = house.directory.apply_standing(now, &clients, &circle).await.unwrap();
        assert!(applied.unwrap_err().to_string().contains("static/ci"));
        for method in ["client", "role"] {
            house.call(method, &["static/ci"], None).await.refused(404, "ResourceNotFound");
        }
    }
}
