//! What must not stand in the log, however much is logged.

use serde_json::{Value, json};
use taskyard_client::{Credentials, Method, Options, slugid, taskcluster::Queue};

use crate::caller::Caller;
use crate::process::{Ground, ROOT_TOKEN, soon};

#[tokio::test]
async fn the_log_has_no_token_no_certificate_and_no_payload() {
    for format in ["text", "json"] {
        let ground = Ground::new();
        let server = ground
            .serve(&["--log-level", "trace", "--log-format", format])
            .await;
        let caller = Caller::root(&server.url);
        let id = slugid::nice();
        let payload = json!({"payload": {"password": "the-payload-password"}});
        caller.create(&id, payload.clone()).await.unwrap();
        let claim = caller.claim("worker", 1).await.unwrap().remove(0);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let credentials = &claim["credentials"];
        let certificate: Value = serde_json::from_str(&text(&credentials["certificate"])).unwrap();
        let task = caller.0.with_credentials(Credentials {
            certificate: Some(text(&credentials["certificate"])),
            ..Credentials::new(
                text(&credentials["clientId"]),
                text(&credentials["accessToken"]),
            )
        });
        let artifact = json!({"storageType": "s3", "contentType": "text/plain",
            "expires": claim["task"]["deadline"]});
        let path = ["task", &id, "runs", "0", "artifacts", "private/x"];
        let made = task
            .request(Method::POST, &path, &[], Some(&artifact))
            .await
            .unwrap();
        let made: Value = serde_json::from_slice(&made.body).unwrap();
        let upload = text(&made["putUrl"]);
        let put = reqwest::Client::new()
            .put(&upload)
            .body("the-uploaded-bytes")
            .send();
        assert_eq!(soon(put).await.unwrap().status(), 200);
        let found = caller.call(Method::GET, &path, None).await.unwrap();
        let download = text(&found["url"]);
        let got = soon(reqwest::get(&download)).await.unwrap();
        assert_eq!(soon(got.text()).await.unwrap(), "the-uploaded-bytes");
        let signed = caller
            .0
            .service()
            .signed_url(&["task", &id], &[], std::time::Duration::from_mins(1))
            .unwrap();
        assert_eq!(soon(reqwest::get(&signed)).await.unwrap().status(), 200);
        // Failures are where secrets slip out.
        let wrong = Options::new(&server.url)
            .with_credentials(Credentials::new("somebody", "the-wrong-token"));
        let refused = Queue::new(wrong).unwrap().status(&id).await.unwrap_err();
        assert_eq!(refused.status(), Some(401));
        let mut other = payload;
        other["retries"] = 99.into();
        assert_eq!(
            caller.create(&id, other).await.unwrap_err().status(),
            Some(400)
        );
        let broken = reqwest::Client::new()
            .put(format!("{}/api/queue/v1/task/{id}", server.url))
            .header("content-type", "application/json")
            .body("{the-broken-body");
        assert_eq!(soon(broken.send()).await.unwrap().status(), 400);
        task.report_completed(&id, 0).await.unwrap();

        server.signal("TERM").await;
        let output = server.ended().await;
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(
            log.contains("answered") && log.contains(&id),
            "it was a talkative log: {log}"
        );
        let token = |url: &str| url.rsplit(['/', '=', '?']).next().unwrap().to_owned();
        for secret in [
            ROOT_TOKEN.to_owned(),
            text(&credentials["accessToken"]),
            text(&certificate["signature"]),
            text(&certificate["seed"]),
            token(&upload),
            token(&download),
            token(&signed),
            "the-wrong-token".to_owned(),
            "the-payload-password".to_owned(),
            "the-uploaded-bytes".to_owned(),
            "the-broken-body".to_owned(),
        ] {
            assert!(secret.len() > 10);
            let line = log.lines().find(|line| line.contains(&secret));
            assert_eq!(line, None, "{secret} is in the log");
        }
    }
}
