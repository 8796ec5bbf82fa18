//! Credentials that are had from services outside: what is asked of those, and what becomes of what
//! they answer.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};
use taskyard_api_taskcluster::auth::{
    AzureAccount, BucketKeys, GcpKey, GcpProject, Guarded, Sentry,
};
use taskyard_store::on_both_databases;

use crate::house::House;
use crate::stand_in::StandIn;

fn sentry(at: &StandIn) -> Guarded {
    Guarded {
        sentry: Some(Sentry {
            url: at.url.clone(),
            organization: "org".to_owned(),
            team: "team".to_owned(),
            token: "sentry-token".into(),
            key_prefix: "yard".to_owned(),
        }),
        ..Guarded::default()
    }
}

/// A key as Sentry tells it.
fn key(id: &str, name: &str) -> Value {
    json!({
        "id": id,
        "name": name,
        "label": name,
        "dsn": {"secret": format!("https://s@{id}"), "public": format!("https://p@{id}"), "csp": ""},
    })
}

fn bucket(at: &StandIn) -> Guarded {
    Guarded {
        s3: vec![BucketKeys {
            access_key_id: "AKID".to_owned(),
            secret_access_key: "aws-secret".into(),
            buckets: vec!["bucket".to_owned()],
            sts_url: at.url.clone() + "/",
            region: "us-east-1".to_owned(),
        }],
        ..Guarded::default()
    }
}

fn azure(at: &StandIn) -> Guarded {
    let account = AzureAccount {
        key: STANDARD.encode([7; 64]).into(),
        table_url: at.url.clone(),
        blob_url: at.url.clone(),
    };
    Guarded {
        azure: BTreeMap::from([("acct".to_owned(), account)]),
        ..Guarded::default()
    }
}

/// A private key in PEM, and what its signatures are checked with.
pub(crate) fn signing_key() -> (String, DecodingKey) {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let private: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(private.as_ref())
    );
    let public = aws_lc_rs::signature::KeyPair::public_key(&pair);
    (pem, DecodingKey::from_rsa_der(public.as_ref()))
}

/// A project whose key file points to a stand-in, and what its signatures are checked with.
fn google(at: &StandIn) -> (Guarded, DecodingKey) {
    let (pem, check) = signing_key();
    let file = json!({
        "type": "service_account",
        "project_id": "proj",
        "private_key_id": "key-1",
        "private_key": pem,
        "client_email": "us@proj.iam.gserviceaccount.com",
        "token_uri": format!("{}/token", at.url),
    });
    let (project_id, key) = GcpKey::read(&file.to_string()).unwrap();
    let project = GcpProject {
        project_id,
        key,
        service_accounts: vec!["them@proj.iam.gserviceaccount.com".to_owned()],
        iam_url: at.url.clone(),
    };
    let guarded = Guarded {
        gcp: vec![project],
        ..Guarded::default()
    };
    (guarded, check)
}

on_both_databases! {
    async fn a_project_gets_a_key_at_sentry_that_is_used_while_it_lasts(kind) {
        let there = StandIn::start().await;
        let house = House::guarding(kind, sentry(&there)).await;
        there.answers(404, "{}");
        there.answers(201, json!({"slug": "proj"}));
        there.answers(200, json!([key("1", "default"), key("2", "other managed (expires-at:x)")]));
        there.answers(201, key("3", "made"));
        let body = house.call("sentryDSN", &["proj"], None).await.granted();
        assert_eq!(body["dsn"], json!({"secret": "https://s@3", "public": "https://p@3"}));
        let expires = house.clock.now().plus(Duration::from_hours(48)).millis();
        let told = chrono::DateTime::parse_from_rfc3339(body["expires"].as_str().unwrap()).unwrap();
        assert!((expires - told.timestamp_millis()).abs() < 60_000, "{told}");
        let asked = there.asked();
        let keys = "/api/0/projects/org/proj/keys/";
        let what: Vec<&str> = asked.iter().map(|it| it.what.as_str()).collect();
        let list = format!("GET {keys}");
        assert_eq!(
            what,
            [&list, "POST /api/0/teams/org/team/projects/", &list, &format!("POST {keys}")]
        );
        assert!(asked.iter().all(|it| it.header("authorization") == "Bearer sentry-token"));
        assert_eq!(asked[1].json(), json!({"name": "proj", "slug": "proj"}));
        let name = format!("yard managed (expires-at:{})", body["expires"].as_str().unwrap());
        assert_eq!(asked[3].json(), json!({"name": name}));

        house.wait(Duration::from_hours(22));
        let again = house.call("sentryDSN", &["proj"], None).await.granted();
        assert_eq!((again, there.asked().len()), (body, 0));
        // With 25 hours left another is looked for. One that ended is removed with the making.
        house.wait(Duration::from_mins(61));
        let ended = house.clock.now().minus(Duration::from_hours(1)).to_iso();
        let ended = key("4", &format!("yard managed (expires-at:{ended})"));
        there.answers(200, json!([key("3", &name), ended]));
        there.answers(201, key("5", "made"));
        there.answers(204, "");
        let body = house.call("sentryDSN", &["proj"], None).await.granted();
        assert_eq!(body["dsn"]["public"], "https://p@5");
        assert_eq!(there.asked()[2].what, format!("DELETE {keys}4/"));
    }

    async fn a_key_that_another_node_made_is_found(kind) {
        let there = StandIn::start().await;
        let house = House::guarding(kind, sentry(&there)).await;
        let ends = house.clock.now().plus(Duration::from_hours(30)).to_iso();
        there.answers(200, json!([key("1", &format!("yard managed (expires-at:{ends})"))]));
        let body = house.call("sentryDSN", &["proj"], None).await.granted();
        assert_eq!((&body["dsn"]["public"], &body["expires"]), (&json!("https://p@1"), &json!(ends)));
    }

    async fn a_service_account_is_impersonated_by_ours(kind) {
        let there = StandIn::start().await;
        let (guarded, check) = google(&there);
        let house = House::guarding(kind, guarded).await;
        let them = "them@proj.iam.gserviceaccount.com";
        there.answers(200, json!({"access_token": "ours", "expires_in": 3600, "token_type": "x"}));
        let token = json!({"accessToken": "theirs", "expireTime": "2030-01-02T03:04:05Z"});
        there.answers(200, &token);
        let args = ["proj", them];
        let body = house.call("gcpCredentials", &args, None).await.granted();
        let expected = json!({"accessToken": "theirs", "expireTime": "2030-01-02T03:04:05.000Z"});
        assert_eq!(body, expected);
        let asked = there.asked();
        assert_eq!(asked[0].what, "POST /token");
        let (grant, assertion) = asked[0].body.split_once("&assertion=").unwrap();
        assert_eq!(grant, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer");
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[format!("{}/token", there.url)]);
        let said = decode::<Value>(assertion, &check, &validation).unwrap();
        assert_eq!(said.claims["iss"], "us@proj.iam.gserviceaccount.com");
        assert_eq!(said.header.kid.as_deref(), Some("key-1"));
        let path = format!("POST /v1/projects/-/serviceAccounts/{them}:generateAccessToken");
        assert_eq!(asked[1].what, path);
        assert_eq!(asked[1].header("authorization"), "Bearer ours");
        assert_eq!(asked[1].json()["lifetime"], "3600s");
        // Our own token is asked for again only when it is about to end.
        for (wait, requests) in [(54, 1), (2, 2)] {
            house.wait(Duration::from_mins(wait));
            if requests == 2 {
                there.answers(200, json!({"access_token": "ours", "expires_in": 3600}));
            }
            there.answers(200, &token);
            house.call("gcpCredentials", &args, None).await.granted();
            assert_eq!(there.asked().len(), requests);
        }
        let answer = house.call("gcpCredentials", &["proj", "x@proj.example.com"], None).await;
        answer.refused(400, "InvalidRequestArguments");
        let answer = house.call("gcpCredentials", &["other", them], None).await;
        answer.refused(404, "ResourceNotFound");
        assert_eq!(there.asked().len(), 0);
        there.answers(403, "no such luck");
        let answer = house.call("gcpCredentials", &args, None).await;
        let text = answer.refused(404, "ResourceNotFound");
        assert!(!text.contains("luck"), "{text}");
    }

    async fn amazon_is_asked_with_a_signature_and_answers_as_machines_expect(kind) {
        let there = StandIn::start().await;
        let house = House::guarding(kind, bucket(&there)).await;
        let xml = "<GetFederationTokenResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
            <GetFederationTokenResult><Credentials><AccessKeyId>ID</AccessKeyId>\
            <SecretAccessKey>S&amp;K</SecretAccessKey><SessionToken>ST</SessionToken>\
            <Expiration>2030-01-02T03:04:05Z</Expiration></Credentials>\
            </GetFederationTokenResult></GetFederationTokenResponse>";
        there.answers(200, xml);
        let args = ["read-write", "bucket", "a/b/"];
        let body = house.call("awsS3Credentials", &args, None).await.granted();
        let expected = json!({
            "credentials": {"accessKeyId": "ID", "secretAccessKey": "S&K", "sessionToken": "ST"},
            "expires": "2030-01-02T03:04:05.000Z",
        });
        assert_eq!(body, expected);
        let asked = there.asked();
        let signed = asked[0].header("authorization");
        assert!(signed.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"), "{signed}");
        assert!(signed.contains("/us-east-1/sts/aws4_request"), "{signed}");
        assert!(asked[0].body.contains("Action=GetFederationToken&Version=2011-06-15"));
        assert!(asked[0].body.contains("DurationSeconds=3600"));
        assert!(asked[0].body.contains("s3%3APutObject"));

        // The shape that machines read has none of the schema that the reference promises.
        there.answers(200, xml);
        let root = house.root();
        let target = "/api/auth/v1/aws/s3/read-only/bucket/a?format=iam-role-compat";
        let body = house.ask(Some(&root), "GET", target, None).await.granted();
        assert_eq!((&body["Code"], &body["Type"]), (&json!("Success"), &json!("AWS-HMAC")));
        assert_eq!((&body["AccessKeyId"], &body["Token"]), (&json!("ID"), &json!("ST")));
        assert_eq!(body["Expiration"], "2030-01-02T03:04:05.000Z");
        assert!(!there.asked()[0].body.contains("PutObject"));

        for (bucket, prefix, code, status) in [
            ("other", "a", "ResourceNotFound", 404),
            ("bucket", "/a", "InputError", 400),
            ("bucket", &"x".repeat(1025), "InputError", 400),
        ] {
            let answer = house.call("awsS3Credentials", &["read-only", bucket, prefix], None).await;
            answer.refused(status, code);
        }
        assert_eq!(there.asked().len(), 0, "what is refused is not asked");
    }

    async fn tables_and_containers_are_made_once_and_listed_by_pages(kind) {
        let there = StandIn::start().await;
        let house = House::guarding(kind, azure(&there)).await;
        let write = ["acct", "table1", "read-write"];
        there.answers(409, r#"{"odata.error":{"code":"TableAlreadyExists"}}"#);
        let body = house.call("azureTableSAS", &write, None).await.granted();
        assert!(body["sas"].as_str().unwrap().contains("tn=table1"), "{body}");
        let asked = there.asked();
        assert!(asked[0].what.starts_with("POST /Tables?sv="), "{:?}", asked[0]);
        assert_eq!(asked[0].json(), json!({"TableName": "table1"}));
        house.call("azureTableSAS", &write, None).await.granted();
        house.call("azureTableSAS", &["acct", "table2", "read-only"], None).await.granted();
        assert_eq!(there.asked().len(), 0, "it is there, and readers make nothing");
        house.wait(Duration::from_hours(6));
        there.answers(201, "");
        house.call("azureTableSAS", &write, None).await.granted();
        assert_eq!(there.asked().len(), 1);

        there.answers(409, "<Error><Code>ContainerBeingDeleted</Code></Error>");
        let box_ = ["acct", "box", "read-write"];
        house.call("azureContainerSAS", &box_, None).await.refused(500, "InternalServerError");
        there.answers(201, "");
        house.call("azureContainerSAS", &box_, None).await.granted();
        let asked = there.asked();
        assert!(asked[1].what.starts_with("PUT /box?restype=container&sv="), "{:?}", asked[1]);

        there.answers(200, "<EnumerationResults><Containers><Container><Name>a</Name></Container>\
            <Container><Name>b</Name></Container></Containers><NextMarker>c</NextMarker>\
            </EnumerationResults>");
        let body = house.get("azureContainers", &["acct"], "continuationToken=x%26y").await;
        let expected = json!({"containers": ["a", "b"], "continuationToken": "c"});
        assert_eq!(body.granted(), expected);
        assert!(there.asked()[0].what.ends_with("&marker=x%26y"));
        assert_eq!(
            house.call("azureAccounts", &[], None).await.granted(),
            json!({"accounts": ["acct"]})
        );
        let other = house.call("azureTables", &["nobody"], None).await;
        other.refused(404, "ResourceNotFound");
    }

    async fn what_goes_wrong_outside_is_our_fault_and_not_told(kind) {
        let there = StandIn::start().await;
        let house = House::guarding(kind, bucket(&there)).await;
        let args = ["read-only", "bucket", "a"];
        let large = "x".repeat(1024 * 1024 + 1);
        for (status, body) in [
            (403, "<Error>secret reason</Error>"),
            (200, "<GetFederationTokenResponse/>"),
            (200, "{"),
            (302, ""),
            (200, &large),
        ] {
            there.answers(status, body);
            let answer = house.call("awsS3Credentials", &args, None).await;
            let text = answer.refused(500, "InternalServerError");
            assert!(!text.contains("reason"), "{text}");
        }
        drop(there);
        let answer = house.call("awsS3Credentials", &args, None).await;
        answer.refused(500, "InternalServerError");
    }
}
