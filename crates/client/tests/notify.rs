//! What the client of the notify service sends, and what it makes of the answers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod stand_in;

use serde_json::{Value, json};
use stand_in::{Answer, StandIn, json as answer};
use taskyard_client::{
    Options,
    taskcluster::{
        DenylistedAddress, Email, MatrixMessage, NotificationState, NotificationType, Notified,
        Notify, Page, SlackMessage,
    },
};

fn notify(server: &StandIn) -> Notify {
    Notify::new(Options::new(&server.root_url)).unwrap()
}

/// The answer of methods that have nothing to tell is no JSON.
fn ok() -> Answer {
    let headers = "Content-Type: text/plain; charset=utf-8\r\n";
    ("200 OK", headers.to_owned(), b"OK".to_vec())
}

fn discarded() -> Answer {
    ("204 No Content", String::new(), Vec::new())
}

fn denied(address: &str) -> DenylistedAddress {
    DenylistedAddress {
        notification_type: NotificationType::Email,
        notification_address: address.to_owned(),
    }
}

/// A page with one item, and perhaps another page after it.
fn page(list: &str, item: &Value, token: Option<&str>) -> Answer {
    let mut page = json!({list: [item]});
    if let Some(token) = token {
        page["continuationToken"] = token.into();
    }
    answer("200 OK", &page.to_string())
}

fn listed(address: &str, token: Option<&str>) -> Answer {
    let item = json!({"notificationType": "email", "notificationAddress": address});
    page("addresses", &item, token)
}

fn noted(number: u64, state: &str, token: Option<&str>) -> Answer {
    let item = json!({"number": number, "kind": "slack-channel", "address": "C0123",
        "created": "2026-03-01T10:00:00.000Z", "state": state, "attempts": 2, "error": "e",
        "body": {"channelId": "C0123", "text": "t"}});
    page("notifications", &item, token)
}

#[tokio::test]
async fn every_method_that_notifies_has_its_route() {
    let server = StandIn::start(vec![ok()]).await;
    let notify = notify(&server);
    let email = Email::new("someone@example.com", "s", "c");
    let matrix = MatrixMessage::new("!room:example.com", "b");
    let slack = SlackMessage::new("C0123", "t");
    let message = json!({"x": 1});
    for notified in [
        notify.email(&email).await,
        notify.pulse("a.b", &message).await,
        notify.matrix(&matrix).await,
        notify.slack(&slack).await,
        notify.irc_channel("#room", "m").await,
        notify.irc_user("someone", "m").await,
    ] {
        assert_eq!(notified.unwrap(), Notified::Accepted);
    }

    let seen = server.seen();
    let sent: Vec<(&str, &str, Value)> = seen
        .iter()
        .map(|request| {
            let target = request.target.strip_prefix("/api/notify/v1/").unwrap();
            let body = serde_json::from_slice(&request.body).unwrap();
            (request.method.as_str(), target, body)
        })
        .collect();
    assert_eq!(
        sent,
        [
            ("POST", "email", json!(email)),
            (
                "POST",
                "pulse",
                json!({"routingKey": "a.b", "message": message})
            ),
            ("POST", "matrix", json!(matrix)),
            ("POST", "slack", json!(slack)),
            ("POST", "irc", json!({"channel": "#room", "message": "m"})),
            ("POST", "irc", json!({"user": "someone", "message": "m"})),
        ]
    );
}

#[tokio::test]
async fn what_the_service_drops_is_no_error_and_what_it_denies_is_one() {
    let body = r#"{"code":"DenylistedAddress","message":"Email x is denylisted"}"#;
    let server = StandIn::start(vec![discarded(), answer("400 Bad Request", body)]).await;
    let notify = notify(&server);
    let email = Email::new("someone@example.com", "s", "c");
    assert_eq!(notify.email(&email).await.unwrap(), Notified::Discarded);
    let refused = notify.email(&email).await.unwrap_err();
    assert_eq!(
        (refused.status(), refused.code()),
        (Some(400), Some("DenylistedAddress"))
    );
}

#[tokio::test]
async fn the_denylist_is_changed_and_read_page_by_page() {
    let server = StandIn::start(vec![
        ok(),
        ok(),
        listed("a@example.com", Some("1")),
        listed("b@example.com", None),
        listed("c@example.com", Some("2")),
    ])
    .await;
    let notify = notify(&server);
    let someone = denied("someone@example.com");
    notify.add_denylist_address(&someone).await.unwrap();
    notify.delete_denylist_address(&someone).await.unwrap();
    let all = notify.list_denylist_all().await.unwrap();
    assert_eq!(all, [denied("a@example.com"), denied("b@example.com")]);
    let some = Page {
        continuation_token: Some("1".to_owned()),
        limit: Some(5),
    };
    let page = notify.list_denylist(&some).await.unwrap();
    assert_eq!(page.addresses, [denied("c@example.com")]);
    assert_eq!(page.continuation_token.as_deref(), Some("2"));

    let seen = server.seen();
    let sent: Vec<(&str, &str)> = seen
        .iter()
        .map(|request| {
            let target = request.target.strip_prefix("/api/notify/v1/denylist/");
            (request.method.as_str(), target.unwrap())
        })
        .collect();
    assert_eq!(
        sent,
        [
            ("POST", "add"),
            ("DELETE", "delete"),
            ("GET", "list"),
            ("GET", "list?continuationToken=1"),
            ("GET", "list?continuationToken=1&limit=5"),
        ]
    );
    for request in &seen[..2] {
        assert_eq!(
            serde_json::from_slice::<Value>(&request.body).unwrap(),
            json!({"notificationType": "email", "notificationAddress": "someone@example.com"})
        );
    }
}

#[tokio::test]
async fn the_outbox_tells_what_became_of_what() {
    let server = StandIn::start(vec![
        noted(7, "failed", Some("7")),
        noted(6, "kept", None),
        noted(7, "waiting", Some("7")),
    ])
    .await;
    let notify = notify(&server);
    let all = notify.outbox_all().await.unwrap();
    let states: Vec<_> = all.iter().map(|one| (one.number, one.state)).collect();
    assert_eq!(
        states,
        [(7, NotificationState::Failed), (6, NotificationState::Kept)]
    );
    let first = &all[0];
    assert_eq!(
        (first.kind, first.address.as_str(), first.attempts),
        (NotificationType::SlackChannel, "C0123", 2)
    );
    assert_eq!(
        (first.error.as_str(), &first.body["text"]),
        ("e", &json!("t"))
    );
    let newest = Page {
        continuation_token: None,
        limit: Some(1),
    };
    let page = notify.outbox(&newest).await.unwrap();
    assert_eq!(page.notifications[0].state, NotificationState::Waiting);
    assert_eq!(page.continuation_token.as_deref(), Some("7"));

    let seen = server.seen();
    let targets: Vec<&str> = seen.iter().map(|request| request.target.as_str()).collect();
    assert_eq!(
        targets,
        [
            "/api/notify/v1/outbox",
            "/api/notify/v1/outbox?continuationToken=7",
            "/api/notify/v1/outbox?limit=1"
        ]
    );
}
