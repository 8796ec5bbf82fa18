//! Secrets are kept for those who have the scope, and told to nobody else.

use std::time::Duration;

use serde_json::{Value, json};
use taskyard_store::on_both_databases;

use crate::ask::Ask;
use crate::house::{House, escaped};
use crate::who::Who;

const HOUR: Duration = Duration::from_hours(1);
/// What no answer to anybody else may have.
const VALUE: &str = "hunter2-Tr0ub4dor";

fn body(house: &House) -> Value {
    let secret = json!({"z": VALUE, "a": [1, 2.5, {"deep": null}]});
    json!({"secret": secret, "expires": house.later(HOUR)})
}

async fn set(house: &House, name: &str, body: Value) {
    let answer = house.call("set", &[name], Some(body)).await;
    assert_eq!(answer.granted(), json!({}));
}

async fn names(house: &House, query: &str) -> Value {
    house.get_with("list", &[], query).await.granted()
}

on_both_databases! {
    async fn a_secret_is_read_as_it_was_set_until_it_is_removed(kind) {
        let house = House::new(kind).await;
        let first = body(&house);
        for name in ["project/x:deploy key", "with/ü/in-it", "plain"] {
            set(&house, name, json!({"secret": {"old": 1}, "expires": house.later(HOUR)})).await;
            set(&house, name, first.clone()).await;
            let found = house.call("get", &[name], None).await;
            assert_eq!(found.granted(), first);
            // Also the order of its keys, and with slashes that were not escaped.
            let text = String::from_utf8(found.body.to_vec()).expect("text");
            assert!(text.contains(&first["secret"].to_string()), "{text}");
            let path = format!("/api/secrets/v1/secret/{}", escaped(name).replace("%2F", "/"));
            let found = house.ask(Ask::new("GET", &path).by(house.root())).await;
            assert_eq!(found.granted(), first);
            for _ in 0..2 {
                assert_eq!(house.call("remove", &[name], None).await.granted(), json!({}));
            }
            house.call("get", &[name], None).await.refused(404, "ResourceNotFound");
        }
    }

    async fn names_are_listed_in_order_and_in_pages(kind) {
        let house = House::new(kind).await;
        for name in ["c", "a", "b/x", "d"] {
            set(&house, name, body(&house)).await;
        }
        assert_eq!(names(&house, "").await, json!({"secrets": ["a", "b/x", "c", "d"]}));
        let first = names(&house, "limit=3").await;
        assert_eq!(first["secrets"], json!(["a", "b/x", "c"]));
        let token = first["continuationToken"].as_str().expect("more");
        let rest = names(&house, &format!("limit=3&continuationToken={token}")).await;
        assert_eq!(rest, json!({"secrets": ["d"]}));
    }

    async fn what_has_expired_is_told_to_nobody_and_removed_in_time(kind) {
        let house = House::new(kind).await;
        set(&house, "short", body(&house)).await;
        set(&house, "past", json!({"secret": {}, "expires": house.earlier(HOUR)})).await;
        let later = json!({"secret": {}, "expires": house.later(3 * HOUR)});
        set(&house, "long", later).await;
        house.wait(HOUR);
        for name in ["short", "past"] {
            house.call("get", &[name], None).await.refused(410, "ResourceExpired");
        }
        assert_eq!(names(&house, "").await, json!({"secrets": ["long"]}));
        let now = house.clock.now().millis();
        assert_eq!(house.kept.expire(now - 30_000, now).await.expect("it is done"), 1);
        assert_eq!(house.kept.expire(now + 1, now).await.expect("it is done"), 1);
        for name in ["short", "past"] {
            house.call("get", &[name], None).await.refused(404, "ResourceNotFound");
        }
        house.call("get", &["long"], None).await.granted();
    }

    async fn nobody_learns_anything_without_the_scope(kind) {
        let house = House::new(kind).await;
        set(&house, "there", body(&house)).await;
        for name in ["there", "not-there"] {
            for who in [Who::Nobody, house.with(["secrets:get:other", "secrets:set:there-too"])] {
                for (method, sent) in [("get", None), ("remove", None), ("set", Some(body(&house)))] {
                    let refused = house.call_as(&who, method, &[name], sent).await;
                    refused.refused(403, "InsufficientScopes");
                }
            }
        }
        house.call_as(&Who::Nobody, "list", &[], None).await.refused(403, "InsufficientScopes");
        let who = house.with(["secrets:get:there"]);
        let told = house.call_as(&who, "get", &["there"], None).await.granted();
        assert_eq!(told["secret"]["z"], VALUE);
        house.call_as(&who, "remove", &["there"], None).await.refused(403, "InsufficientScopes");
    }

    async fn a_value_stands_in_no_error_and_not_in_the_database(kind) {
        let house = House::new(kind).await;
        let broken = [
            json!({"secret": VALUE, "expires": house.later(HOUR)}),
            json!({"secret": {"x": VALUE}}),
            json!({"secret": {"x": VALUE}, "expires": "tomorrow"}),
            json!({"secret": {"x": VALUE}, "expires": house.later(HOUR), "more": 1}),
            json!([VALUE]),
        ];
        for sent in broken {
            let answer = house.call("set", &["name"], Some(sent)).await;
            answer.refused(400, "InputValidationError");
            let told = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(!told.contains(VALUE) && told.contains("(OMITTED)"), "{told}");
        }
        let who = house.with(["secrets:set:other"]);
        let answer = house.call_as(&who, "set", &["name"], Some(body(&house))).await;
        answer.refused(403, "InsufficientScopes");
        assert_eq!(answer.json["requestInfo"]["payload"]["secret"], "(OMITTED)");
        let half = format!(r#"{{"secret": {{"x": "{VALUE}""#);
        let ask = Ask::new("PUT", "/api/secrets/v1/secret/name").by(house.root()).json_text(half);
        let answer = house.ask(ask).await;
        answer.refused(400, "MalformedPayload");
        assert!(!String::from_utf8_lossy(&answer.body).contains(VALUE));

        set(&house, "name", body(&house)).await;
        let rows = house.store.read(|tx| {
            tx.query("SELECT sealed FROM secrets", &[], |row| row.get::<String>(0))
        });
        let rows = rows.await.expect("the rows");
        assert!(rows.len() == 1 && !rows[0].contains(VALUE), "{rows:?}");
        // What was sealed for one name cannot be read by another.
        let sealed = rows[0].clone();
        let moved = house.store.write(taskyard_store::Key::of("test"), move |tx| {
            const MOVE: &str = "INSERT INTO secrets (name, sealed, expires) VALUES ('mine', $1, $2)";
            tx.execute(MOVE, taskyard_store::params![&sealed, i64::MAX / 10_000])
        });
        moved.await.expect("it is moved");
        house.call("get", &["mine"], None).await.refused(500, "InternalServerError");
    }

    async fn who_changed_what_is_written_down(kind) {
        let house = House::new(kind).await;
        set(&house, "a/b", body(&house)).await;
        set(&house, "a/b", body(&house)).await;
        house.call("remove", &["a/b"], None).await.granted();
        house.call("remove", &["a/b"], None).await.granted();
        set(&house, "a/b", body(&house)).await;
        house.wait(2 * HOUR);
        let now = house.clock.now().millis();
        house.kept.expire(now, now).await.expect("it is done");
        let history = house.directory.entity_history("secret", "a/b", 0, 10).await;
        let history = history.expect("a history");
        let told: Vec<_> = history.iter().map(|it| (it.actor.as_str(), it.action.as_str())).collect();
        let server = "static/taskcluster/secrets";
        let expected = [("root", "created"), ("root", "updated"), ("root", "deleted"),
            ("root", "created"), (server, "expired")];
        assert_eq!(told, expected);
    }
}
