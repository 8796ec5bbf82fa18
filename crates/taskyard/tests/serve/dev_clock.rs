//! `/dev/clock`: there with `--dev` only.

use serde_json::{Value, json};

use crate::caller::Caller;
use crate::process::{Ground, soon};

async fn post(url: &str, body: &str) -> (u16, String) {
    let sent = reqwest::Client::new()
        .post(format!("{url}/dev/clock"))
        .body(body.to_owned())
        .send();
    let answer = soon(sent).await.unwrap();
    (answer.status().as_u16(), soon(answer.text()).await.unwrap())
}

#[tokio::test]
async fn without_dev_nobody_can_move_the_clock() {
    let ground = Ground::new();
    let server = ground.serve(&[]).await;
    let not_found = (404, r#"{"error":"Not found"}"#.to_owned());
    assert_eq!(server.get("/dev/clock").await, not_found);
    assert_eq!(post(&server.url, r#"{"advanceMs":1000}"#).await, not_found);
}

#[tokio::test]
async fn with_dev_the_clock_moves_and_claims_end() {
    let ground = Ground::new();
    let server = ground.serve(&["--dev"]).await;
    // Nobody needs credentials here.
    let caller = Caller::anonymous(&server.url);
    let id = taskyard_client::slugid::nice();
    caller.create(&id, json!({})).await.unwrap();
    assert_eq!(caller.claim("worker", 1).await.unwrap().len(), 1);
    let (status, body) = server.get("/dev/clock").await;
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["offsetMs"], 0);
    let (status, body) = post(&server.url, r#"{"advanceMs":1201000}"#).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap()["offsetMs"],
        1_201_000
    );
    let after = caller
        .until(&id, |status| status["runs"].get(1).is_some())
        .await;
    assert_eq!(after["runs"][0]["reasonResolved"], "claim-expired");
    assert_eq!(post(&server.url, r#"{"advanceMs":-1201000}"#).await.0, 200);
    let (_, body) = server.get("/dev/clock").await;
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["offsetMs"], 0);
}

#[tokio::test]
async fn what_moves_no_clock_is_refused_and_moves_nothing() {
    let ground = Ground::new();
    let server = ground.serve(&["--dev"]).await;
    for body in [
        "",
        "{}",
        "nothing",
        "[]",
        r#"{"advanceMs":"1"}"#,
        r#"{"advanceMs":1.5}"#,
        r#"{"advanceMs":null}"#,
        r#"{"advanceMs":1,"more":1}"#,
        r#"{"advance":1}"#,
        r#"{"advanceMs":9223372036854775807}"#,
        r#"{"advanceMs":-9223372036854775808}"#,
        r#"{"advanceMs":99999999999999999999}"#,
        r#"{"advanceMs":-99999999999999}"#,
        &" ".repeat(5000),
    ] {
        let (status, text) = post(&server.url, body).await;
        assert_eq!(status, 400, "{body}: {text}");
        assert!(text.contains("advanceMs"), "{body}: {text}");
    }
    let (_, body) = server.get("/dev/clock").await;
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["offsetMs"], 0);
}
