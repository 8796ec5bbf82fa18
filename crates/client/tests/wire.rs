//! What goes over the wire, seen by a stand-in that speaks just enough HTTP.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on should stop"
)]

mod stand_in;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use stand_in::{Seen, StandIn, json};
use taskyard_access::{Client, HawkRequest, Outcome, Role, Roles, authenticate, payload_hash};
use taskyard_client::{
    Content, Credentials, Error, Options, Retry,
    taskcluster::{ArtifactRequest, ClaimWorkRequest, Page, Queue},
};

const TASK: &str = "fN1SbArXTPSVFNUvaOlinQ";

/// The queue that a stand-in plays.
trait Plays {
    fn queue(&self) -> Queue;
}

impl Plays for StandIn {
    fn queue(&self) -> Queue {
        let retry = Retry {
            delay_factor: Duration::from_millis(1),
            ..Retry::default()
        };
        let options = Options::new(&self.root_url)
            .with_credentials(Credentials::new("tester", "no-secret"))
            .with_retry(retry);
        Queue::new(options).unwrap()
    }
}

/// Checks the signature as a server does and returns the scopes granted and the payload's hash.
fn verify(root_url: &str, seen: &Seen) -> (Vec<String>, Option<String>) {
    let address: std::net::SocketAddr = root_url.strip_prefix("http://").unwrap().parse().unwrap();
    let host = address.ip().to_string();
    let request = HawkRequest {
        method: &seen.method,
        target: &seen.target,
        host: &host,
        port: address.port(),
        authorization: seen.headers.get("authorization").map(String::as_str),
    };
    let client = Arc::new(Client {
        client_id: "tester".to_owned(),
        access_token: "no-secret".into(),
        expires_ms: i64::MAX,
        disabled: false,
        scopes: vec!["queue:*".to_owned()].into(),
    });
    let find = move |id: &str| (id == "tester").then(|| Arc::clone(&client));
    #[expect(
        clippy::disallowed_methods,
        reason = "the signature was made with the real clock"
    )]
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis();
    let roles = Roles::new(&[] as &[Role]);
    match authenticate(&request, i64::try_from(now).unwrap(), &find, &roles) {
        Outcome::Success(who) => (
            who.scopes.iter().map(ToString::to_string).collect(),
            who.hash,
        ),
        other => panic!("the signature was refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_signature_covers_the_query_and_escaped_arguments() {
    let server = StandIn::start(vec![json("200 OK", r#"{"artifacts":[]}"#)]).await;
    let page = Page {
        continuation_token: Some("a/b c&d='é".to_owned()),
        limit: Some(10),
    };
    server
        .queue()
        .list_artifacts("we ird/100%?#", 3, &page)
        .await
        .unwrap();
    let seen = &server.seen()[0];
    assert_eq!(
        seen.target,
        "/api/queue/v1/task/we%20ird%2F100%25%3F%23/runs/3/artifacts\
         ?continuationToken=a%2Fb%20c%26d%3D%27%C3%A9&limit=10"
    );
    verify(&server.root_url, seen);
}

#[tokio::test]
async fn a_signature_covers_the_payload() {
    let server = StandIn::start(vec![json("200 OK", r#"{"tasks":[]}"#)]).await;
    let request = ClaimWorkRequest {
        worker_group: "g".to_owned(),
        worker_id: "w".to_owned(),
        tasks: 2,
    };
    server.queue().claim_work("p/w", &request).await.unwrap();
    let seen = &server.seen()[0];
    assert_eq!(seen.target, "/api/queue/v1/claim-work/p%2Fw");
    assert_eq!(
        seen.body,
        br#"{"workerGroup":"g","workerId":"w","tasks":2}"#
    );
    let (_, hash) = verify(&server.root_url, seen);
    assert_eq!(hash, Some(payload_hash("application/json", &seen.body)));
}

#[tokio::test]
async fn a_call_without_payload_says_that_its_length_is_zero() {
    let server = StandIn::start(vec![json("409 Conflict", "{}")]).await;
    let refused = server.queue().reclaim_task(TASK, 0).await.unwrap_err();
    assert_eq!(refused.status(), Some(409));
    let seen = &server.seen()[0];
    assert_eq!(
        seen.headers.get("content-length").map(String::as_str),
        Some("0")
    );
    assert!(!seen.headers.contains_key("content-type"));
    verify(&server.root_url, seen);
}

#[tokio::test]
async fn authorized_scopes_limit_what_a_signature_grants() {
    let server = StandIn::start(vec![json("200 OK", r#"{"alive":true,"uptime":1.5}"#)]).await;
    let options = Options::new(&server.root_url)
        .with_credentials(Credentials::new("tester", "no-secret"))
        .with_authorized_scopes(vec!["queue:ping".to_owned()]);
    assert!(Queue::new(options).unwrap().ping().await.unwrap().alive);
    let (granted, _) = verify(&server.root_url, &server.seen()[0]);
    assert!(granted.contains(&"queue:ping".to_owned()), "{granted:?}");
    assert!(!granted.contains(&"queue:*".to_owned()), "{granted:?}");
}

#[tokio::test]
async fn server_errors_are_repeated_with_a_fresh_signature() {
    let failure = json(
        "500 Internal Server Error",
        r#"{"code":"InternalServerError"}"#,
    );
    let html = ("502 Bad Gateway", String::new(), b"<html>".to_vec());
    let success = json("200 OK", r#"{"alive":true,"uptime":1}"#);
    let server = StandIn::start(vec![failure, html, success]).await;
    server.queue().ping().await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    let signatures: std::collections::HashSet<_> = seen
        .iter()
        .map(|request| &request.headers["authorization"])
        .collect();
    assert_eq!(signatures.len(), 3, "every attempt has its own nonce");
}

#[tokio::test]
async fn retries_end() {
    let server = StandIn::start(vec![json("503 Service Unavailable", "{}")]).await;
    let error = server.queue().ping().await.unwrap_err();
    assert_eq!((error.status(), server.seen().len()), (Some(503), 6));
}

#[tokio::test]
async fn a_refusal_is_not_repeated() {
    let body = r#"{"code":"InsufficientScopes","message":"no","requestInfo":{}}"#;
    let server = StandIn::start(vec![json("403 Forbidden", body)]).await;
    let error = server.queue().task(TASK).await.unwrap_err();
    assert!(
        matches!(&error, Error::Api { status: 403, code, message, .. }
        if code == "InsufficientScopes" && message == "no")
    );
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn nobody_listening_is_a_connection_error() {
    // Bound to a port, which nobody else gets meanwhile, but not listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let root_url = format!("http://{}", socket.local_addr().unwrap());
    let retry = Retry {
        retries: 1,
        delay_factor: Duration::from_millis(1),
        ..Retry::default()
    };
    let queue = Queue::new(Options::new(&root_url).with_retry(retry)).unwrap();
    let error = queue.ping().await.unwrap_err();
    assert!(matches!(&error, Error::Connection { url, .. } if url.starts_with(&root_url)));
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_redirect_is_a_result_for_calls_and_followed_for_downloads() {
    let stored = StandIn::start(vec![(
        "200 OK",
        "Content-Type: text/plain\r\n".to_owned(),
        b"the bytes".to_vec(),
    )])
    .await;
    let hop = StandIn::start(vec![(
        "302 Found",
        format!("Location: {}/stored\r\n", stored.root_url),
        Vec::new(),
    )])
    .await;
    let location = format!("Location: {}/hop\r\n", hop.root_url);
    let server = StandIn::start(vec![("303 See Other", location, Vec::new())]).await;

    let redirect = server
        .queue()
        .get_latest_artifact(TASK, "public/a")
        .await
        .unwrap();
    assert_eq!(redirect.url, format!("{}/hop", hop.root_url));

    let mut bytes = Vec::new();
    let downloaded = server
        .queue()
        .download_artifact(TASK, Some(0), "public/a", &mut bytes)
        .await
        .unwrap();
    assert_eq!(
        (bytes.as_slice(), downloaded.length),
        (b"the bytes".as_slice(), 9)
    );
    assert_eq!(downloaded.content_type.as_deref(), Some("text/plain"));
    for request in hop.seen().iter().chain(&stored.seen()) {
        assert!(
            !request.headers.contains_key("authorization"),
            "credentials stay with the API"
        );
    }
}

#[tokio::test]
async fn a_file_is_uploaded_with_its_length_and_again_after_a_failure() {
    let failure = ("500 Oops", String::new(), Vec::new());
    let server = StandIn::start(vec![failure, ("200 OK", String::new(), Vec::new())]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, vec![b'x'; 300_000]).unwrap();
    let url = format!("{}/put?token=1", server.root_url);
    let content = Content::File(path);
    server
        .queue()
        .upload_artifact(&url, "text/plain", Some("gzip"), &content)
        .await
        .unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    for request in &seen {
        assert_eq!(
            (request.method.as_str(), request.target.as_str()),
            ("PUT", "/put?token=1")
        );
        assert_eq!(request.body.len(), 300_000);
        assert_eq!(request.headers["content-encoding"], "gzip");
        assert!(!request.headers.contains_key("authorization"));
    }
}

#[tokio::test]
async fn a_download_that_breaks_off_leaves_no_file() {
    let short = (
        "200 OK",
        "Transfer-Encoding: chunked\r\n".to_owned(),
        b"5\r\nhel".to_vec(),
    );
    let server = StandIn::start(vec![short]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let queue = server.queue();
    let outcome = queue
        .service()
        .download_to_file(&server.root_url, &path)
        .await;
    assert!(outcome.unwrap_err().is_transient());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn listings_go_on_through_empty_pages() {
    let entry = |name: &str| {
        format!(r#"{{"storageType":"s3","name":"{name}","expires":"2030-01-01T00:00:00.000Z"}}"#)
    };
    let first = format!(
        r#"{{"artifacts":[{}],"continuationToken":"1"}}"#,
        entry("a")
    );
    let last = format!(r#"{{"artifacts":[{}]}}"#, entry("b"));
    let server = StandIn::start(vec![
        json("200 OK", &first),
        json("200 OK", r#"{"artifacts":[],"continuationToken":"2"}"#),
        json("200 OK", &last),
    ])
    .await;
    let all = server
        .queue()
        .list_latest_artifacts_all(TASK)
        .await
        .unwrap();
    assert_eq!(
        all.iter()
            .map(|artifact| artifact.name.as_str())
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert!(server.seen()[2].target.ends_with("?continuationToken=2"));
}

#[tokio::test]
async fn an_artifact_request_names_its_storage_type() {
    let server = StandIn::start(vec![json("200 OK", r#"{"storageType":"link"}"#)]).await;
    let expires = "2030-01-01T00:00:00Z".parse().unwrap();
    let link = ArtifactRequest::Link {
        expires,
        content_type: None,
        artifact: "public/b".to_owned(),
    };
    let made = server
        .queue()
        .create_artifact(TASK, 0, "public/a", &link)
        .await
        .unwrap();
    assert_eq!(made.storage_type, "link");
    let sent: serde_json::Value = serde_json::from_slice(&server.seen()[0].body).unwrap();
    assert_eq!(
        sent,
        serde_json::json!({
            "storageType": "link", "expires": "2030-01-01T00:00:00.000Z", "artifact": "public/b"
        })
    );
}

#[tokio::test]
async fn a_signed_url_grants_a_get_to_whoever_has_it() {
    let server = StandIn::start(vec![json("200 OK", "{}")]).await;
    let queue = server.queue();
    let path = ["task", TASK, "artifacts", "private/a b"];
    let url = queue
        .service()
        .signed_url(&path, &[("x", "1")], Duration::from_mins(15))
        .unwrap();
    assert!(
        url.contains("/artifacts/private%2Fa%20b?x=1&bewit="),
        "{url}"
    );
    let anonymous = queue.anonymous();
    anonymous
        .service()
        .download(&url, &mut Vec::new())
        .await
        .unwrap();
    verify(&server.root_url, &server.seen()[0]);
    let refused = anonymous
        .service()
        .signed_url(&path, &[], Duration::from_mins(15));
    assert!(matches!(refused, Err(Error::Usage(_))));
}
