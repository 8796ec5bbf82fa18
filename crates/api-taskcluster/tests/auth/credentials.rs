//! Good and bad credentials, at a method that takes any that are good.

use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Request};
use serde_json::{Value, json};
use taskyard_access::sign::Destination;
use taskyard_access::{Credentials, Signer, temporary};
use taskyard_store::on_both_databases;

use crate::house::{Answer, HOST, House};

const TARGET: &str = "/api/auth/v1/scopes/current";

/// Calls currentScopes with these Authorization headers.
async fn current(house: &House, headers: &[HeaderValue]) -> Answer {
    let mut request = Request::get(TARGET).header("host", HOST);
    for header in headers {
        request = request.header("authorization", header);
    }
    house.send(request.body(Body::empty()).unwrap()).await
}

async fn refusal(house: &House, header: impl AsRef<[u8]>) -> String {
    let header = HeaderValue::from_bytes(header.as_ref()).unwrap();
    current(house, &[header])
        .await
        .refused(401, "AuthenticationFailed")
}

/// What `issuer` can issue to others, from `start_s` to `end_s` after now.
fn issue(
    house: &House,
    issuer: &Credentials,
    name: Option<&str>,
    scopes: &[&str],
    (start_s, end_s): (i64, i64),
) -> Credentials {
    let now = house.clock.now().millis();
    let scopes: Vec<String> = scopes.iter().map(|&scope| scope.to_owned()).collect();
    let (id, token) = (&issuer.client_id, issuer.access_token.expose());
    let (start, end) = (now + start_s * 1000, now + end_s * 1000);
    let seed = temporary::new_seed();
    let made = temporary::create(id, token, name, start, end, &scopes, &seed).unwrap();
    Credentials {
        client_id: made.client_id,
        access_token: made.access_token,
        certificate: Some(made.certificate),
    }
}

/// The same with something else in the certificate.
fn altered(credentials: &Credentials, name: &str, value: Value) -> Credentials {
    let text = credentials.certificate.as_deref().unwrap();
    let mut certificate: Value = serde_json::from_str(text).unwrap();
    certificate[name] = value;
    Credentials {
        certificate: Some(certificate.to_string()),
        ..credentials.clone()
    }
}

on_both_databases! {
    async fn headers_that_are_none_are_told_why(kind) {
        let house = House::new(kind).await;
        let good = house.header(&house.root(), "GET", TARGET, None);
        for (header, reason) in [
            ("Hawk".to_owned(), "Bad Request: Invalid header syntax"),
            ("Basic cm9vdDp4".to_owned(), "Unauthorized: Unauthorized"),
            ("Bearer x".to_owned(), "Unauthorized: Unauthorized"),
            ("Hawk id=root".to_owned(), "Bad Request: Bad header format"),
            (format!("{good}, more=\"x\""), "Bad Request: Unknown attribute: more"),
            (format!("{good}, id=\"x\""), "Bad Request: Duplicate attribute: id"),
            ("Hawk id=\"root\"".to_owned(), "Bad Request: Missing attributes"),
            (format!("Hawk {}", "x".repeat(4096)), "Bad Request: Header length too long"),
            (good[..good.len() - 8].to_owned(), "Bad Request: Bad header format"),
        ] {
            assert_eq!(refusal(&house, &header).await, reason, "{header}");
        }
        refusal(&house, b"Hawk id=\"\xff\xfe\"").await;
        refusal(&house, format!("Hawk {}", "x".repeat(1 << 20))).await;
        let twice = HeaderValue::from_str(&good).unwrap();
        let twice = current(&house, &[twice.clone(), twice]).await;
        assert!(twice.refused(401, "AuthenticationFailed").contains("several"));
    }

    async fn a_signature_covers_all_of_the_request(kind) {
        let house = House::new(kind).await;
        let root = house.root();
        let header = house.header(&root, "GET", TARGET, None);
        for (method, target, host) in [
            ("GET", "/api/auth/v1/scopes/current/", HOST),
            ("GET", "/api/auth/v1/clients/", HOST),
            ("GET", TARGET, "other.test"),
            ("GET", TARGET, "auth.test:8080"),
        ] {
            let request = Request::builder()
                .method(method)
                .uri(target)
                .header("host", host)
                .header("authorization", &header)
                .body(Body::empty());
            let answer = house.send(request.unwrap()).await;
            let reason = answer.refused(401, "AuthenticationFailed");
            assert_eq!(reason, "Unauthorized: Bad mac", "{target} {host}");
        }
        let body = r#"{"scopes":["a"]}"#;
        let target = "/api/auth/v1/scopes/expand";
        let header = house.header(&root, "POST", target, Some(body));
        for (sent, status) in [(body, 200), (r#"{"scopes":["b"]}"#, 401)] {
            let request = Request::post(target)
                .header("host", HOST)
                .header("content-type", "application/json; charset=utf-8")
                .header("authorization", &header)
                .body(Body::from(sent));
            assert_eq!(house.send(request.unwrap()).await.status, status);
        }
        // A hash of another length is wrong, not our fault.
        let hash = header.split("hash=\"").nth(1).unwrap().split('"').next().unwrap();
        let short = header.replace(hash, "AAAA");
        let request = Request::post(target)
            .header("host", HOST)
            .header("content-type", "application/json")
            .header("authorization", short)
            .body(Body::from(body));
        house.send(request.unwrap()).await.refused(401, "AuthenticationFailed");
    }

    async fn clocks_may_differ_by_a_quarter_of_an_hour_and_a_repeat_is_no_crime(kind) {
        let house = House::new(kind).await;
        let header = HeaderValue::from_str(&house.header(&house.root(), "GET", TARGET, None));
        let header = [header.unwrap()];
        for _ in 0..2 {
            current(&house, &header).await.granted();
        }
        house.wait(Duration::from_mins(14));
        current(&house, &header).await.granted();
        house.wait(Duration::from_mins(2));
        let late = current(&house, &header).await.refused(401, "AuthenticationFailed");
        assert_eq!(late, "Unauthorized: Stale timestamp");
        let ahead = HeaderValue::from_str(&house.header(&house.root(), "GET", TARGET, None));
        house.clock.move_by(-16 * 60_000_000);
        current(&house, &[ahead.unwrap()]).await.refused(401, "AuthenticationFailed");
    }

    async fn issued_credentials_are_worth_what_their_issuer_is(kind) {
        let house = House::new(kind).await;
        house.role("r", &["granted:*"]).await;
        let scopes = ["a:*", "assume:r", "auth:current-scopes", "auth:create-client:named/*"];
        let issuer = house.client("issuer", &scopes).await;
        let span = (-60, 3600);
        let wanted = ["a:1", "granted:x", "auth:current-scopes"];
        let currently = async |who: &Credentials| {
            house.call_as(Some(who), "currentScopes", &[], None).await
        };
        let unnamed = issue(&house, &issuer, None, &wanted, span);
        let body = currently(&unnamed).await.granted();
        let expected = json!(["a:1", "assume:anonymous", "auth:current-scopes", "granted:x"]);
        assert_eq!(body["scopes"], expected);
        let named = issue(&house, &issuer, Some("named/x"), &wanted, span);
        currently(&named).await.granted();
        let refused = async |who: Credentials| {
            currently(&who).await.refused(401, "AuthenticationFailed")
        };
        refused(issue(&house, &issuer, Some("other"), &wanted, span)).await;
        refused(issue(&house, &issuer, None, &["b"], span)).await;
        refused(issue(&house, &issuer, None, &wanted, (-7200, -3600))).await;
        refused(issue(&house, &issuer, None, &wanted, (3600, 7200))).await;
        // Five minutes of difference are allowed at either end.
        currently(&issue(&house, &issuer, None, &wanted, (240, 3600))).await.granted();
        currently(&issue(&house, &issuer, None, &wanted, (-3600, -240))).await.granted();
        // What was issued cannot issue.
        refused(issue(&house, &named, None, &wanted, span)).await;
        for (name, value) in [
            ("version", json!(2)),
            ("version", json!("1")),
            ("seed", json!("short")),
            ("start", json!("0")),
            ("expiry", json!(32_503_680_000_000_i64)),
            ("scopes", json!("a:1")),
            ("scopes", json!(["a:1", "a:2"])),
            ("scopes", json!(["tab\t"])),
            ("signature", json!("AAAA")),
            ("clientId", json!("issuer")),
        ] {
            refused(altered(&unnamed, name, value)).await;
        }
        refused(altered(&named, "issuer", json!("named/x"))).await;
        refused(altered(&named, "issuer", json!("root"))).await;
        house.call("disableClient", &["issuer"], None).await.granted();
        assert!(refused(unnamed).await.contains("disabled"));
        assert!(refused(named).await.contains("disabled"));
    }

    async fn what_was_signed_in_time_is_worth_nothing_when_its_credentials_have_ended(kind) {
        let house = House::new(kind).await;
        let mut body = house.definition(&["auth:current-scopes"]);
        let end = house.clock.now().plus(Duration::from_mins(10)).to_iso();
        body["expires"] = end.into();
        let made = house.call("createClient", &["short"], Some(body)).await.granted();
        let short = crate::house::credentials(&made);
        let long = house.client("long", &["auth:current-scopes"]).await;
        let wanted = ["auth:current-scopes"];
        let issued = issue(&house, &long, None, &wanted, (0, 300));
        let sign = |who: &Credentials| {
            let header = house.header(who, "GET", TARGET, None);
            [HeaderValue::from_str(&header).unwrap()]
        };
        let signed = [sign(&short), sign(&issued), sign(&long)];
        for header in &signed {
            current(&house, header).await.granted();
        }
        // Within the quarter of an hour in which a repeat is fine, were it not for that.
        house.wait(Duration::from_mins(14));
        for header in &signed[..2] {
            let text = current(&house, header).await.refused(401, "AuthenticationFailed");
            assert!(text.contains("expir"), "{text}");
        }
        current(&house, &signed[2]).await.granted();
    }

    async fn nobody_issues_in_the_name_of_another(kind) {
        let house = House::new(kind).await;
        let victim = house.client("victim", &["*"]).await;
        let forger = house.client("forger", &["auth:current-scopes", "auth:create-client:*"]).await;
        let wanted = ["auth:current-scopes"];
        // A certificate that is whole in itself, signed with a token that is somebody else's.
        let disguised = Credentials { access_token: forger.access_token.clone(), ..victim };
        for name in [None, Some("forger/x")] {
            let forged = issue(&house, &disguised, name, &wanted, (-60, 3600));
            let answer = house.call_as(Some(&forged), "currentScopes", &[], None).await;
            let text = answer.refused(401, "AuthenticationFailed");
            assert!(text.contains("signature"), "{text}");
        }
    }

    async fn authorized_scopes_narrow_and_never_widen(kind) {
        let house = House::new(kind).await;
        house.role("anonymous", &["public:*"]).await;
        let who = house.client("c", &["a:*", "auth:current-scopes"]).await;
        let call = async |scopes: &[&str]| {
            let scopes: Vec<String> = scopes.iter().map(|&scope| scope.to_owned()).collect();
            let header = house.header_with(&who, Some(&scopes), "GET", TARGET, None);
            current(&house, &[HeaderValue::from_str(&header).unwrap()]).await
        };
        let body = call(&["auth:current-scopes", "public:x", "a:1"]).await.granted();
        let expected = ["a:1", "assume:anonymous", "auth:current-scopes", "public:*"];
        assert_eq!(body["scopes"], json!(expected));
        call(&["a:1"]).await.refused(403, "InsufficientScopes");
        call(&[]).await.refused(403, "InsufficientScopes");
        call(&["auth:current-scopes", "b"]).await.refused(401, "AuthenticationFailed");
        let ext = |text: &str| STANDARD.encode(text);
        let good = house.header(&who, "GET", TARGET, None);
        for ext in [ext("null"), ext("not json"), "%%%".to_owned(),
            ext(r#"{"authorizedScopes": "a:1"}"#), ext(r#"{"authorizedScopes": ["\u0001"]}"#),
            ext(r#"{"certificate": "text"}"#), ext(r#"{"certificate": []}"#)] {
            refusal(&house, format!("{good}, ext=\"{ext}\"")).await;
        }
    }

    async fn signed_addresses_open_until_they_expire(kind) {
        let house = House::new(kind).await;
        let who = house.client("c", &["auth:current-scopes"]).await;
        let signer = Signer::new(&who, None).unwrap();
        let to = Destination { target: TARGET, host: HOST, port: 80 };
        let seconds = house.clock.now().millis() / 1000;
        let url = format!("{TARGET}?bewit={}", signer.bewit(&to, seconds + 60));
        house.ask(None, "GET", &url, None).await.granted();
        house.ask(None, "HEAD", &url, None).await.granted();
        for (url, reason) in [
            (url.replace("?bewit", "?more=1&bewit"), "Bad mac"),
            (format!("{TARGET}?bewit="), "Empty bewit"),
            (format!("{TARGET}?bewit=!"), "Invalid bewit encoding"),
            (format!("{TARGET}?bewit=YWJj"), "Invalid bewit structure"),
            (format!("{TARGET}?bewit={}", "x".repeat(4096)), "exceeds max length"),
        ] {
            let text = house.ask(None, "GET", &url, None).await;
            let text = text.refused(401, "AuthenticationFailed");
            assert!(text.contains(reason), "{text}");
        }
        house.wait(Duration::from_secs(61));
        let late = house.ask(None, "GET", &url, None).await;
        assert_eq!(late.refused(401, "AuthenticationFailed"), "Unauthorized: Access expired");
    }

    async fn nobody_may_do_what_the_anonymous_role_grants_and_nothing_else(kind) {
        let house = House::new(kind).await;
        for method in ["currentScopes", "listClients", "listRoles"] {
            let answer = house.call_as(None, method, &[], None).await;
            let text = answer.refused(403, "InsufficientScopes");
            assert!(!text.contains("Client ID"), "{text}");
        }
        house.role("anonymous", &["auth:current-scopes"]).await;
        let body = house.call_as(None, "currentScopes", &[], None).await.granted();
        assert_eq!(body["scopes"], json!(["assume:anonymous", "auth:current-scopes"]));
        // Methods without scopes do not look at credentials.
        let request = Request::get("/api/auth/v1/ping")
            .header("host", HOST)
            .header("authorization", "garbage")
            .body(Body::empty());
        assert_eq!(house.send(request.unwrap()).await.granted()["alive"], true);
    }
}
