//! What holds for every call: repeats, refusals, names, the log.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use taskyard_client::stacks::{Options, Retry, Stacks};

use crate::stand_in::{Answer, StandIn, json};
use crate::{JOB, answering, options, stacks};

#[tokio::test]
async fn what_may_pass_is_repeated_five_times_in_all() {
    let busy = |status| json(status, r#"{"message":"busy"}"#);
    let answers = vec![
        busy("429 Too Many Requests"),
        busy("503 Service Unavailable"),
        ("200 OK", String::new(), b"<html>".to_vec()),
        ("204 No Content", String::new(), Vec::new()),
        json("200 OK", r#"{"uuid":"u"}"#),
    ];
    let server = StandIn::start(answers).await;
    assert_eq!(stacks(&server).token().await.unwrap().uuid, "u");
    assert_eq!(server.seen().len(), 5);

    let server = StandIn::start(vec![busy("500 Internal Server Error")]).await;
    let error = stacks(&server).token().await.unwrap_err();
    assert_eq!((error.status(), server.seen().len()), (Some(500), 5));
    let error = stacks(&server).without_retry().token().await.unwrap_err();
    assert_eq!((error.status(), server.seen().len()), (Some(500), 6));
}

#[tokio::test]
async fn a_refusal_is_not_repeated_and_keeps_its_body() {
    let server = StandIn::start(vec![json(
        "404 Not Found",
        r#"{"message":"No such stack"}"#,
    )])
    .await;
    let error = stacks(&server).deregister("s").await.unwrap_err();
    let shown = format!(
        "POST {}/v3/stacks/s/deregister: 404 No such stack",
        server.root_url
    );
    assert_eq!(error.to_string(), shown);
    assert_eq!(
        error.refusal().unwrap().body,
        r#"{"message":"No such stack"}"#
    );
    assert_eq!(server.seen().len(), 1);

    let page = ("403 Forbidden", String::new(), b"<html>no</html>".to_vec());
    let server = StandIn::start(vec![page]).await;
    let error = stacks(&server).token().await.unwrap_err();
    assert_eq!(error.refusal().unwrap().body, "<html>no</html>");
    assert_eq!((error.status(), server.seen().len()), (Some(403), 1));
}

#[tokio::test]
async fn the_servers_own_pause_takes_the_place_of_the_clients() {
    let pause: Answer = (
        "429 Too Many Requests",
        "Retry-After: 0.01\r\n".to_owned(),
        b"{}".to_vec(),
    );
    let server = StandIn::start(vec![pause, json("200 OK", r#"{"uuid":"u"}"#)]).await;
    // With the client's own pause this test would not end.
    let patient = Retry::constant(2, Duration::from_hours(1));
    let stacks = stacks(&server).with_retry(patient);
    assert_eq!(stacks.token().await.unwrap().uuid, "u");
}

#[tokio::test]
async fn nobody_listening_is_no_refusal() {
    let options = Options::new("t")
        .with_base_url("http://127.0.0.1:9/v3")
        .with_retry(Retry::constant(2, Duration::ZERO));
    let error = Stacks::new(options).unwrap().token().await.unwrap_err();
    assert!(error.is_transient() && error.refusal().is_none(), "{error}");
    let wrong = Options::new("t").with_base_url("ftp://host/v3");
    assert!(Stacks::new(wrong).is_err());
}

#[tokio::test]
async fn a_program_names_itself_and_waits_no_longer_than_it_wants_to() {
    let server = answering(r#"{"uuid":"u"}"#).await;
    let named = options(&server).with_user_agent_prefix("controller/1");
    Stacks::new(named).unwrap().token().await.unwrap();
    let agent = &server.seen()[0].headers["user-agent"];
    assert!(
        agent.starts_with("controller/1 taskyard-stacks/"),
        "{agent}"
    );

    // Somebody who takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v3", silent.local_addr().unwrap());
    let moment = Duration::from_millis(20);
    let impatient = Options::new("t")
        .with_base_url(base)
        .with_timeout(moment)
        .with_retry(Retry::never());
    let stacks = Stacks::new(impatient).unwrap();
    let error = stacks.token().await.unwrap_err();
    assert!(error.is_transient() && error.status().is_none(), "{error}");
    // Of a single call, too.
    let error = stacks.with_timeout(moment).metrics().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

/// Lines of the log, as they would be shown.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn requests_and_answers_are_logged_without_their_secrets() {
    let server = answering(r#"{"id":"j","env":{"PASSWORD":"hunter2"},"command":"echo hi"}"#).await;
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let stacks = Stacks::new(options(&server).with_payload_log()).unwrap();
    stacks.job("s", JOB).await.unwrap();
    stacks
        .reserve("s", vec![JOB.to_owned()], None)
        .await
        .unwrap();
    drop(guard);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(
        text.contains("echo hi") && text.contains("PASSWORD") && text.contains(JOB),
        "{text}"
    );
    assert!(
        !text.contains("hunter2") && !text.contains("bkct_secret"),
        "{text}"
    );
}
