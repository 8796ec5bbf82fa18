//! Known answers, computed with the implementations that the protocol's clients are made for.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use taskyard_access::hawk::{Header, Purpose, Signed};
use taskyard_access::sign::Destination;
use taskyard_access::*;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KnownClient {
    access_token: String,
    scopes: Vec<String>,
    expires: Option<String>,
    #[serde(default)]
    disabled: bool,
}

#[derive(Deserialize)]
struct ServerCase {
    name: String,
    now: String,
    request: ServerRequest,
    expect: Value,
}

#[derive(Deserialize)]
struct ServerRequest {
    method: String,
    resource: String,
    host: String,
    port: u16,
    authorization: Option<String>,
}

fn read<T: DeserializeOwned>(file: &str, part: &str) -> T {
    let path = format!("{}/tests/vectors/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let mut file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    serde_json::from_value(file[part].take()).unwrap()
}

fn clients() -> BTreeMap<String, Arc<Client>> {
    let known: BTreeMap<String, KnownClient> = read("hawk", "clients");
    let client = |(client_id, known): (String, KnownClient)| {
        let expires = known
            .expires
            .unwrap_or("3020-01-01T00:00:00Z".parse().unwrap());
        let client = Client {
            client_id: client_id.clone(),
            access_token: known.access_token.into(),
            expires_ms: milliseconds(&expires),
            disabled: known.disabled,
            scopes: known.scopes.into(),
        };
        (client_id, Arc::new(client))
    };
    known.into_iter().map(client).collect()
}

fn text(value: &Value, key: &str) -> Option<String> {
    value[key].as_str().map(str::to_owned)
}

fn milliseconds(time: &str) -> i64 {
    time.parse::<DateTime<Utc>>().unwrap().timestamp_millis()
}

fn time(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms)
        .unwrap()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The answer in the form in which the vectors have it.
fn describe(outcome: Outcome) -> Value {
    match outcome {
        Outcome::Failed { message } => json!({"status": "auth-failed", "message": message}),
        Outcome::Anonymous { scopes, expires_ms } => json!({
            "status": "no-auth", "scheme": "none", "expires": time(expires_ms), "scopes": scopes,
        }),
        Outcome::Success(who) => {
            let mut described = json!({
                "status": "auth-success", "scheme": "hawk", "expires": time(who.expires_ms),
                "scopes": who.scopes, "clientId": who.client_id,
            });
            if let Some(hash) = who.hash {
                described["hash"] = hash.into();
            }
            described
        }
    }
}

/// Whether we give the reason in words of our own.
fn is_own_wording(message: &str) -> bool {
    message.contains("authorizedScopes; credentials have scopes")
        || message.contains("doesn't satisfy all certificate scopes")
        || message.contains("doesn't have `auth:create-client:")
}

fn check_server_cases(file: &str) {
    let clients = clients();
    let roles = Roles::new(&read::<Vec<Role>>("hawk", "roles"));
    let cases: Vec<ServerCase> = read(file, "server");
    assert!(!cases.is_empty());
    for case in cases {
        let request = HawkRequest {
            method: &case.request.method,
            target: &case.request.resource,
            host: &case.request.host,
            port: case.request.port,
            authorization: case.request.authorization.as_deref(),
        };
        let now_ms = milliseconds(&case.now);
        let find = |client_id: &str| clients.get(client_id).cloned();
        let answer = describe(authenticate(&request, now_ms, &find, &roles));
        if case
            .name
            .starts_with("no scopes, as signed by the JS client")
        {
            // The one known answer we do better than: the client's mistake does no harm.
            assert_eq!(answer["status"], "auth-success", "{}", case.name);
        } else if text(&case.expect, "message").is_some_and(|message| is_own_wording(&message)) {
            assert_eq!(answer["status"], "auth-failed", "{}", case.name);
            assert_ne!(answer["message"], "Unauthorized: Bad mac", "{}", case.name);
        } else {
            assert_eq!(answer, case.expect, "{}", case.name);
        }
    }
}

#[test]
fn signed_requests_are_judged_as_known() {
    check_server_cases("hawk");
}

#[test]
fn requests_with_temporary_credentials_are_judged_as_known() {
    check_server_cases("tempcreds");
}

#[test]
fn signed_urls_are_judged_as_known() {
    check_server_cases("bewit");
}

#[test]
fn payload_hashes_are_as_known() {
    for case in read::<Vec<Value>>("hawk", "payload_hash") {
        let content_type = text(&case, "contentType").unwrap_or_default();
        let body = text(&case, "payload").unwrap();
        assert_eq!(
            payload_hash(&content_type, body.as_bytes()),
            case["hash"],
            "{case}"
        );
    }
}

/// Splits a URL into what a signature covers.
fn split_url(url: &str) -> (String, u16, String) {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, target) = rest.split_at(rest.find('/').unwrap());
    let found = host_and_port(Some(authority), None, None, scheme == "https").unwrap();
    (found.host, found.port, target.to_owned())
}

#[test]
fn headers_are_signed_as_known() {
    for case in read::<Vec<Value>>("hawk", "header_mac") {
        let (host, port, target) = split_url(&text(&case, "url").unwrap());
        let (id, nonce) = (text(&case, "id").unwrap(), text(&case, "nonce").unwrap());
        let method = text(&case, "method").unwrap();
        let key = text(&case, "key").unwrap();
        let ts = case["ts"].to_string();
        let [hash, ext, app, dlg] = ["hash", "ext", "app", "dlg"].map(|name| text(&case, name));
        let signed = Signed {
            purpose: Purpose::Header,
            ts: &ts,
            nonce: &nonce,
            method: &method,
            target: &target,
            host: &host,
            port,
            hash: hash.as_deref(),
            ext: ext.as_deref(),
            app: app.as_deref(),
            dlg: dlg.as_deref(),
        };
        assert_eq!(signed.normalized(), case["normalized"], "{}", case["name"]);
        let mac = signed.mac(&key);
        assert_eq!(mac, case["mac"], "{}", case["name"]);
        let header = Header {
            id: &id,
            ts: &ts,
            nonce: &nonce,
            hash: hash.as_deref(),
            ext: ext.as_deref(),
            mac: &mac,
            app: app.as_deref(),
            dlg: dlg.as_deref(),
        };
        let expected = text(&case, "authorization").unwrap();
        assert_eq!(header.to_string(), expected, "{}", case["name"]);
        assert_eq!(Header::parse(&expected), Ok(header), "{}", case["name"]);

        // The client's side, for what it sends: it has neither `app` nor other ways to write `ext`.
        let authorized: Option<Vec<String>> = match case["name"].as_str() {
            Some("ext authorizedScopes") => {
                Some(vec!["auth:current-scopes".into(), "scope:a".into()])
            }
            Some("ext empty authorizedScopes") => Some(Vec::new()),
            _ if ext.is_some() || app.is_some() => continue,
            _ => None,
        };
        let credentials = Credentials {
            client_id: id.clone(),
            access_token: key.into(),
            certificate: None,
        };
        let signer = Signer::new(&credentials, authorized.as_deref()).unwrap();
        let payload = text(&case, "payload");
        let content_type = text(&case, "contentType").unwrap_or_default();
        let payload = hash.is_some().then(|| Payload {
            content_type: &content_type,
            body: payload.as_deref().unwrap_or_default().as_bytes(),
        });
        let to = Destination {
            target: &target,
            host: &host,
            port,
        };
        let ts = case["ts"].as_i64().unwrap();
        let written = signer.authorization_header(&method, &to, ts, &nonce, payload);
        assert_eq!(written, expected, "{}", case["name"]);
    }
}

#[test]
fn host_and_port_are_found_as_known() {
    for case in read::<Vec<Value>>("hawk", "host_port") {
        let header = |name: &str| case["headers"][name].as_str();
        let found = host_and_port(
            header("host"),
            header("x-forwarded-port"),
            header("x-forwarded-proto"),
            case["tls"].as_bool().unwrap(),
        );
        let found = found
            .ok()
            .map(|found| json!({"host": found.host, "port": found.port}));
        assert_eq!(found.unwrap_or(Value::Null), case["expect"], "{case}");
    }
}

#[test]
fn temporary_credentials_are_made_as_known() {
    for case in read::<Vec<Value>>("tempcreds", "create") {
        let name = &case["name"];
        let scopes: Vec<String> = serde_json::from_value(case["scopes"].clone()).unwrap();
        let made = temporary::create(
            &text(&case, "issuerClientId").unwrap(),
            &text(&case, "issuerAccessToken").unwrap(),
            text(&case, "tempClientId").as_deref(),
            case["start"].as_i64().unwrap(),
            case["expiry"].as_i64().unwrap(),
            &scopes,
            &text(&case, "seed").unwrap(),
        )
        .unwrap();
        assert_eq!(made.client_id, case["clientId"], "{name}");
        assert_eq!(made.access_token.expose(), case["accessToken"], "{name}");
        let certificate: Value = serde_json::from_str(&made.certificate).unwrap();
        let expected: Value = serde_json::from_str(&text(&case, "certificate").unwrap()).unwrap();
        assert_eq!(certificate, expected, "{name}");

        let credentials = Credentials {
            client_id: made.client_id,
            access_token: made.access_token,
            certificate: Some(text(&case, "certificate").unwrap()),
        };
        let signer = Signer::new(&credentials, None).unwrap();
        let to = Destination {
            target: "/",
            host: "localhost",
            port: 80,
        };
        let header = signer.authorization_header("GET", &to, 1, "n", None);
        assert_eq!(
            Header::parse(&header).unwrap().ext,
            case["ext"].as_str(),
            "{name}"
        );
    }
}

#[test]
fn signed_urls_are_made_as_known() {
    for case in read::<Vec<Value>>("bewit", "create") {
        let url = text(&case, "url").unwrap();
        let (host, port, target) = split_url(&url);
        let expires = case["exp"].as_i64().unwrap();
        let ext = text(&case, "ext");
        let signed = Signed {
            purpose: Purpose::Bewit,
            ts: &expires.to_string(),
            nonce: "",
            method: "GET",
            target: &target,
            host: &host,
            port,
            hash: None,
            ext: ext.as_deref(),
            app: None,
            dlg: None,
        };
        assert_eq!(signed.normalized(), case["normalized"], "{}", case["name"]);
        assert_eq!(
            signed.mac(&text(&case, "key").unwrap()),
            case["mac"],
            "{}",
            case["name"]
        );
        if case["name"] == "python style ext" {
            continue; // We leave an empty `ext` out.
        }
        let (authorized, certificate) = match case["name"].as_str() {
            Some("authorizedScopes") => (Some(vec!["scope:a".to_owned()]), None),
            Some("temporary credentials") => (None, Some("unnamed, two scopes")),
            Some("named temporary credentials") => (None, Some("named, two scopes")),
            _ => (None, None),
        };
        let certificate = certificate.map(|name| {
            let made: Vec<Value> = read("tempcreds", "create");
            let made = made.into_iter().find(|made| made["name"] == name).unwrap();
            text(&made, "certificate").unwrap()
        });
        let credentials = Credentials {
            client_id: text(&case, "id").unwrap(),
            access_token: text(&case, "key").unwrap().into(),
            certificate,
        };
        let signer = Signer::new(&credentials, authorized.as_deref()).unwrap();
        let to = Destination {
            target: &target,
            host: &host,
            port,
        };
        assert_eq!(
            signer.bewit(&to, expires),
            case["bewit"],
            "{}",
            case["name"]
        );
        let signed_url = text(&case, "signedUrl").unwrap();
        assert!(
            signed_url.ends_with(&signer.signed_target(&to, expires)),
            "{}",
            case["name"]
        );
    }
}

#[test]
fn slugids_are_written_and_recognized_as_known() {
    for case in read::<Vec<Value>>("slugid", "encode") {
        let uuid: uuid::Uuid = case["uuid"].as_str().unwrap().parse().unwrap();
        let slug = text(&case, "slug").unwrap();
        assert_eq!(slugid::encode(uuid.into_bytes()), slug);
        assert_eq!(slugid::decode(&slug), Some(uuid.into_bytes()));
        assert_eq!(slugid::is_valid(&slug), case["isV4"], "{slug}");
        assert_eq!(slugid::is_nice(&slug), case["isNice"], "{slug}");
    }
    for case in read::<Vec<Value>>("slugid", "not_slugs") {
        let slug = text(&case, "s").unwrap();
        assert_eq!(slugid::is_valid(&slug), case["isV4"], "{slug}");
        assert_eq!(slugid::is_nice(&slug), case["isNice"], "{slug}");
    }
}
