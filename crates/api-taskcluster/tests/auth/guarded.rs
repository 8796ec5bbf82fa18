//! Credentials for services outside.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};
use taskyard_api_taskcluster::auth::{Guarded, Statsum, Webhooktunnel};
use taskyard_store::on_both_databases;

use crate::house::House;

fn claims(token: &Value, secret: &str) -> Value {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let key = DecodingKey::from_secret(secret.as_bytes());
    decode(token.as_str().unwrap(), &key, &validation)
        .unwrap()
        .claims
}

fn seconds(time: &Value) -> i64 {
    chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap())
        .unwrap()
        .timestamp()
}

on_both_databases! {
    async fn what_is_not_configured_is_not_found_but_only_for_who_may_ask(kind) {
        let house = House::new(kind).await;
        let stranger = house.client("stranger", &[]).await;
        for (method, args) in [
            ("awsS3Credentials", &["read-only", "bucket", "a/b"][..]),
            ("awsS3Credentials", &["read-write", "bucket", ""]),
            ("azureTables", &["account"]),
            ("azureTableSAS", &["account", "table", "read-write"]),
            ("azureContainers", &["account"]),
            ("azureContainerSAS", &["account", "container", "read-only"]),
            ("sentryDSN", &["project"]),
            ("statsumToken", &["project"]),
            ("webhooktunnelToken", &[]),
            ("websocktunnelToken", &["audience", "client.x"]),
        ] {
            house.call(method, args, None).await.refused(404, "ResourceNotFound");
            let answer = house.call_as(Some(&stranger), method, args, None).await;
            answer.refused(403, "InsufficientScopes");
        }
        let accounts = house.call("azureAccounts", &[], None).await.granted();
        assert_eq!(accounts, json!({"accounts": []}));
        let gcp = house.call("gcpCredentials", &["-", "x@y.example.com"], None).await;
        gcp.refused(400, "InvalidRequestArguments");
    }

    async fn reading_takes_less_than_writing(kind) {
        let house = House::new(kind).await;
        let reader = house.client("reader", &["auth:aws-s3:read-only:bucket/a/*"]).await;
        let writer = house.client("writer", &["auth:aws-s3:read-write:bucket/a/*"]).await;
        for (who, level, prefix, status) in [
            (&reader, "read-only", "a/b/", 404),
            (&reader, "read-write", "a/b/", 403),
            (&reader, "read-only", "b", 403),
            (&writer, "read-only", "a/b/", 404),
            (&writer, "read-write", "a/b/", 404),
            (&writer, "read-most", "a/b/", 400),
        ] {
            let args = [level, "bucket", prefix];
            let answer = house.call_as(Some(who), "awsS3Credentials", &args, None).await;
            assert_eq!(answer.status, status, "{level} {prefix}");
        }
    }

    async fn each_repository_and_permission_takes_a_scope(kind) {
        let house = House::new(kind).await;
        let scope = "auth:github-repo-token:app/owner/repo:contents:write";
        let who = house.client("c", &[scope]).await;
        let ask = async |repositories: Value, permissions: Value| {
            let body = json!({"repositories": repositories, "permissions": permissions});
            house.call_as(Some(&who), "githubRepoToken", &["app", "Owner"], Some(body)).await
        };
        let write = json!({"contents": "write"});
        ask(json!(["Repo"]), write.clone()).await.refused(404, "ResourceNotFound");
        ask(json!(["repo", "x"]), write).await.refused(403, "InsufficientScopes");
        let read = json!({"contents": "read"});
        ask(json!(["repo"]), read).await.refused(403, "InsufficientScopes");
        for (repositories, permissions) in [
            (json!([]), json!({"contents": "read"})),
            (json!(["a/b"]), json!({"contents": "read"})),
            (json!(["a"]), json!({})),
            (json!(["a"]), json!({"workflows": "read"})),
            (json!(["a"]), json!({"world": "read"})),
        ] {
            ask(repositories, permissions).await.refused(400, "InputValidationError");
        }
    }

    async fn tokens_say_what_their_services_expect(kind) {
        let guarded = Guarded {
            statsum: Some(Statsum {
                base_url: "https://statsum.example.com".to_owned(),
                secret: "statsum-secret".into(),
            }),
            webhooktunnel: Some(Webhooktunnel {
                proxy_url: "https://tunnel.example.com".to_owned(),
                secret: "tunnel-secret".into(),
            }),
            websocktunnel: Some("socket-secret".into()),
            ..Guarded::default()
        };
        let house = House::guarding(kind, guarded).await;
        let now = house.clock.now().millis() / 1000;
        let body = house.call("statsumToken", &["proj"], None).await.granted();
        let said = claims(&body["token"], "statsum-secret");
        assert_eq!(said["project"], "proj");
        let hour = 3600;
        assert_eq!(said["exp"].as_i64().unwrap() - seconds(&body["expires"]), hour);
        assert_eq!(body["baseUrl"], "https://statsum.example.com");

        let body = house.call("webhooktunnelToken", &[], None).await.granted();
        let said = claims(&body["token"], "tunnel-secret");
        let id = body["tunnelId"].as_str().unwrap();
        assert!(id.len() == 44 && id == id.to_lowercase(), "{id}");
        assert_eq!((&said["tid"], &said["aud"]), (&json!(id), &json!("webhooktunnel")));
        assert_eq!((&said["sub"], &said["iss"]), (&json!("root"), &json!("taskcluster-auth")));

        let args = ["aud", "group.worker~1%"];
        let body = house.call("websocktunnelToken", &args, None).await.granted();
        let said = claims(&body["token"], "socket-secret");
        assert_eq!((&said["tid"], &said["aud"]), (&json!(args[1]), &json!(args[0])));
        let iat = said["iat"].as_i64().unwrap();
        assert!((now..now + 60).contains(&iat));
        assert_eq!(said["exp"].as_i64(), Some(iat + 345_600));
        assert_eq!(said["nbf"].as_i64(), Some(iat - 900));
        assert_eq!(seconds(&body["expires"]), iat + 345_600);
        house.wait(Duration::from_secs(1));
        let later = house.call("websocktunnelToken", &args, None).await.granted();
        assert_ne!(later["token"], body["token"]);
    }
}
