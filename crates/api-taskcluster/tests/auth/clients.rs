//! Clients, from their creation to their end.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use taskyard_api_taskcluster::Context;
use taskyard_api_taskcluster::auth::{Auth, Guarded};
use taskyard_store::on_both_databases;

use crate::house::{Answer, HOST, House, credentials, open};

fn over(mut base: Value, fields: Value) -> Value {
    let known = base.as_object_mut().unwrap();
    for (name, value) in fields.as_object().unwrap() {
        known.insert(name.clone(), value.clone());
    }
    base
}

on_both_databases! {
    async fn a_new_client_signs_at_once_and_is_told_without_its_token_afterwards(kind) {
        let house = House::new(kind).await;
        house.role("anonymous", &["auth:get-client:*"]).await;
        house.role("worker", &["queue:claim-work:a/b"]).await;
        let scopes = ["b", "assume:worker", "a", "a*", "auth:current-scopes"];
        let made = house.call("createClient", &["project/x@y"], Some(house.definition(&scopes)));
        let made = made.await.granted();
        assert_eq!(made["accessToken"].as_str().unwrap().len(), 44);
        let sorted = json!(["a*", "a", "assume:worker", "auth:current-scopes", "b"]);
        assert_eq!(made["scopes"], sorted, "sorted, but with what a star covers");
        let expanded = json!(["a*", "b", "queue:claim-work:a/b"]);
        assert_eq!(made["expandedScopes"], expanded);
        for time in ["created", "lastModified", "lastDateUsed", "lastRotated"] {
            assert_eq!(made[time], made["created"], "{time}");
        }
        let known = house.call("client", &["project/x@y"], None).await.granted();
        assert_eq!(known["accessToken"], Value::Null);
        let who = credentials(&made);
        let current = house.call_as(Some(&who), "currentScopes", &[], None).await.granted();
        assert_eq!(current["scopes"], expanded);
    }

    async fn creating_again_finds_the_same_client_for_a_quarter_of_an_hour(kind) {
        let house = House::new(kind).await;
        let body = house.definition(&["b", "a"]);
        let first = house.call("createClient", &["c"], Some(body.clone())).await.granted();
        let again = over(body.clone(), json!({"deleteOnExpiration": true}));
        let again = house.call("createClient", &["c"], Some(again)).await.granted();
        assert_eq!(again, first, "also the token, and deleteOnExpiration is not compared");
        for other in [
            json!({"scopes": ["a", "b"]}),
            json!({"description": "another"}),
            json!({"expires": "2099-01-01T00:00:00Z"}),
        ] {
            let other = over(body.clone(), other);
            let answer = house.call("createClient", &["c"], Some(other)).await;
            answer.refused(409, "RequestConflict");
        }
        house.call("disableClient", &["c"], None).await.granted();
        let answer = house.call("createClient", &["c"], Some(body.clone())).await;
        answer.refused(409, "RequestConflict");
        house.call("enableClient", &["c"], None).await.granted();
        house.call("createClient", &["c"], Some(body.clone())).await.granted();
        house.wait(Duration::from_mins(15));
        house.call("createClient", &["c"], Some(body)).await.refused(409, "RequestConflict");
    }

    async fn static_ids_are_refused_before_scopes_by_create_and_update_only(kind) {
        let house = House::new(kind).await;
        let body = Some(house.definition(&[]));
        for method in ["createClient", "updateClient"] {
            let answer = house.call_as(None, method, &["static/x"], body.clone()).await;
            answer.refused(400, "InputError");
        }
        for method in ["resetAccessToken", "enableClient", "disableClient", "deleteClient"] {
            let answer = house.call_as(None, method, &["static/x"], None).await;
            answer.refused(403, "InsufficientScopes");
            house.call(method, &["static/x"], None).await.refused(400, "InputError");
        }
    }

    async fn who_creates_must_hold_the_client_and_all_its_scopes(kind) {
        let house = House::new(kind).await;
        let maker = house.client("maker", &["auth:create-client:x/*", "a:*"]).await;
        let create = async |id, scopes: &[&str]| {
            let body = Some(house.definition(scopes));
            house.call_as(Some(&maker), "createClient", &[id], body).await
        };
        create("x/1", &["a:b", "a:*"]).await.granted();
        let text = create("x/2", &["a:b", "b"]).await.refused(403, "InsufficientScopes");
        assert!(text.contains("maker") && text.contains("missing"), "{text}");
        create("y/1", &[]).await.refused(403, "InsufficientScopes");
        create("x/3", &["b**"]).await.refused(400, "InputError");
        house.call("client", &["x/2"], None).await.refused(404, "ResourceNotFound");
    }

    async fn an_update_asks_only_for_scopes_that_are_new(kind) {
        let house = House::new(kind).await;
        let client = house.client("c", &["a", "b:*"]).await;
        let keeper = house.client("keeper", &["auth:update-client:c", "n"]).await;
        let update = async |fields| {
            let body = Some(over(house.definition(&["a", "b:*"]), fields));
            house.call_as(Some(&keeper), "updateClient", &["c"], body).await
        };
        house.wait(Duration::from_secs(1));
        let changed = update(json!({"description": "new", "scopes": ["n", "a"]})).await.granted();
        assert_eq!(changed["scopes"], json!(["a", "n"]));
        assert_ne!(changed["lastModified"], changed["created"]);
        assert_eq!(changed["lastRotated"], changed["created"]);
        // Satisfied by what was there, but not literally there.
        update(json!({"scopes": ["a", "n", "b:c"]})).await.refused(403, "InsufficientScopes");
        update(json!({"scopes": ["x**"]})).await.refused(400, "InputError");
        let mut without = house.definition(&[]);
        without.as_object_mut().unwrap().remove("scopes");
        let kept = house.call_as(Some(&keeper), "updateClient", &["c"], Some(without)).await;
        assert_eq!(kept.granted()["scopes"], json!(["a", "n"]));
        let body = Some(house.definition(&["whatever"]));
        let answer = house.call_as(Some(&keeper), "updateClient", &["nobody"], body).await;
        answer.refused(404, "ResourceNotFound");
        // The token is the old one.
        house.call_as(Some(&client), "ping", &[], None).await.granted();
    }

    async fn a_reset_token_replaces_the_old_one_and_what_was_issued_with_it(kind) {
        let house = House::new(kind).await;
        let old = house.client("c", &["auth:current-scopes"]).await;
        house.call_as(Some(&old), "currentScopes", &[], None).await.granted();
        house.wait(Duration::from_secs(1));
        let reset = house.call("resetAccessToken", &["c"], None).await.granted();
        assert_eq!(reset["lastRotated"], reset["lastModified"]);
        assert_ne!(reset["lastRotated"], reset["created"]);
        let refused = house.call_as(Some(&old), "currentScopes", &[], None).await;
        assert_eq!(refused.refused(401, "AuthenticationFailed"), "Unauthorized: Bad mac");
        let new = credentials(&reset);
        house.call_as(Some(&new), "currentScopes", &[], None).await.granted();
        house.call("resetAccessToken", &["none"], None).await.refused(404, "ResourceNotFound");
    }

    async fn disabled_expired_and_deleted_clients_are_told_so(kind) {
        let house = House::new(kind).await;
        let client = house.client("c", &["auth:current-scopes"]).await;
        let why = async || {
            let answer = house.call_as(Some(&client), "currentScopes", &[], None).await;
            answer.refused(401, "AuthenticationFailed")
        };
        for _ in 0..2 {
            let body = house.call("disableClient", &["c"], None).await.granted();
            assert_eq!(body["disabled"], true);
        }
        assert!(why().await.contains("is disabled"));
        for _ in 0..2 {
            let body = house.call("enableClient", &["c"], None).await.granted();
            assert_eq!(body["disabled"], false);
        }
        house.wait(Duration::from_hours(25));
        assert!(why().await.contains("has expired"));
        for _ in 0..2 {
            assert_eq!(house.call("deleteClient", &["c"], None).await.status, 204);
        }
        assert!(why().await.contains("not found"));
        for method in ["client", "enableClient", "disableClient"] {
            house.call(method, &["c"], None).await.refused(404, "ResourceNotFound");
        }
    }

    async fn clients_are_listed_by_id_with_prefix_and_in_pages(kind) {
        let house = House::new(kind).await;
        for id in ["b/2", "a/1", "b/1", "B/1", "b-"] {
            house.client(id, &[]).await;
        }
        let ids = |page: &Value| -> Vec<String> {
            let clients = page["clients"].as_array().unwrap();
            clients.iter().map(|c| c["clientId"].as_str().unwrap().to_owned()).collect()
        };
        let all = house.call("listClients", &[], None).await.granted();
        assert_eq!(ids(&all), ["B/1", "a/1", "b-", "b/1", "b/2", "root"]);
        assert_eq!(all["continuationToken"], Value::Null);
        let under = house.get("listClients", &[], "prefix=b%2F").await.granted();
        assert_eq!(ids(&under), ["b/1", "b/2"]);
        let mut seen = Vec::new();
        let mut query = "limit=2&prefix=b".to_owned();
        loop {
            let page = house.get("listClients", &[], &query).await.granted();
            assert!(ids(&page).len() <= 2);
            seen.extend(ids(&page));
            let Some(token) = page["continuationToken"].as_str() else { break };
            query = format!("limit=2&prefix=b&continuationToken={token}");
        }
        assert_eq!(seen, ["b-", "b/1", "b/2"]);
        let zero = house.get("listClients", &[], "limit=0").await.granted();
        assert_eq!(ids(&zero).len(), 6);
    }

    async fn a_client_that_asked_for_it_goes_some_time_after_it_expired(kind) {
        let house = House::new(kind).await;
        let body = over(house.definition(&[]), json!({"deleteOnExpiration": true}));
        house.call("createClient", &["passing"], Some(body)).await.granted();
        house.client("staying", &[]).await;
        let upkeep = taskyard_api_taskcluster::auth::upkeep(
            Arc::clone(&house.directory),
            house.clock.clone(),
        );
        let upkeep = tokio::spawn(upkeep);
        house.wait(Duration::from_hours(25));
        let gone = async {
            while house.directory.client("passing").await.unwrap().is_some() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), gone).await.expect("it goes");
        upkeep.abort();
        assert!(house.directory.client("staying").await.unwrap().is_some());
        let history = house.call("getEntityHistory", &["client", "passing"], None).await.granted();
        assert_eq!(history["auditHistory"][1]["actionType"], "expired");
        assert_eq!(history["auditHistory"][1]["clientId"], "static/taskcluster/auth");
    }

    async fn use_is_written_down_every_six_hours(kind) {
        let house = House::new(kind).await;
        let follower = Arc::clone(&house.directory);
        let following = tokio::spawn(async move { follower.follow().await });
        let client = house.client("c", &["auth:current-scopes"]).await;
        let created = house.directory.client("c").await.unwrap().unwrap().last_used_ms;
        house.wait(Duration::from_hours(7));
        house.call_as(Some(&client), "currentScopes", &[], None).await.granted();
        let used = async {
            loop {
                let used = house.directory.client("c").await.unwrap().unwrap().last_used_ms;
                if used != created {
                    return used;
                }
                tokio::task::yield_now().await;
            }
        };
        let used = tokio::time::timeout(Duration::from_mins(1), used).await.expect("it is noted");
        assert!(used - created >= 7 * 3_600_000);
        following.abort();
    }

    async fn many_changes_at_once_leave_nobody_out(kind) {
        let house = Arc::new(House::new(kind).await);
        let clients: Vec<_> = (0..40)
            .map(|number| {
                let house = Arc::clone(&house);
                tokio::spawn(async move {
                    let id = format!("c/{number}");
                    let who = house.client(&id, &["auth:current-scopes"]).await;
                    house.call_as(Some(&who), "currentScopes", &[], None).await.granted();
                    house.call("disableClient", &[&id], None).await.granted();
                    let answer = house.call_as(Some(&who), "currentScopes", &[], None).await;
                    answer.refused(401, "AuthenticationFailed");
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
    }
}

/// Two nodes share only PostgreSQL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_knows_a_client_as_soon_as_it_signs_there() {
    let house = House::new(taskyard_store::testing::Kind::Postgres).await;
    let other = open(&house.database).await;
    assert!(other.snapshot().client("c").is_none());
    let who = house.client("c", &["auth:current-scopes"]).await;
    house.role("r", &["b"]).await;
    let context = Context {
        clock: house.clock.clone(),
        directory: Arc::clone(&other),
        schemas: Arc::clone(&house.schemas),
        trust_forwarded: false,
    };
    let second = Auth::service(Guarded::default(), context);
    let target = "/api/auth/v1/scopes/current";
    let request = Request::get(target)
        .header("host", HOST)
        .header("authorization", house.header(&who, "GET", target, None))
        .body(Body::empty());
    let answer = Answer::read(second.answer(request.unwrap()).await).await;
    answer.granted();
    let known = other.catch_up().await.unwrap();
    assert!(known.client("c").is_some() && known.role("r").is_some());
    house.call("disableClient", &["c"], None).await.granted();
    house.call("deleteRole", &["r"], None).await.granted();
    let known = other.catch_up().await.unwrap();
    assert!(known.client("c").unwrap().disabled && known.role("r").is_none());
}
