use std::collections::BTreeSet;

use serde_json::json;
use taskyard_client::slugid;

use crate::caller::Caller;
use crate::process::{Ground, Server, ended, run};

#[tokio::test]
async fn a_server_says_that_it_lives_and_is_ready() {
    let ground = Ground::new();
    let server = ground.serve(&[]).await;
    assert_eq!(
        server.get("/healthz").await,
        (200, r#"{"status":"alive"}"#.to_owned())
    );
    let (status, body) = server.get("/readyz").await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test]
async fn metrics_count_what_was_answered() {
    let ground = Ground::new();
    let server = ground.serve(&[]).await;
    server.get("/healthz").await;
    let (status, text) = server.get("/metrics").await;
    assert_eq!(status, 200);
    let line = r#"taskyard_http_requests_total{api="other",status="2xx"} 1"#;
    assert!(text.lines().any(|found| found == line), "{text}");
}

#[tokio::test]
async fn every_figure_says_what_it_means() {
    let ground = Ground::new();
    let server = ground.serve(&["--dev"]).await;
    let caller = Caller::anonymous(&server.url);
    let id = slugid::nice();
    caller.create(&id, json!({})).await.unwrap();
    let (_, text) = server.get("/metrics").await;
    let names = |start: &str| -> BTreeSet<&str> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(start));
        lines.filter_map(|line| line.split(' ').next()).collect()
    };
    let (told, explained) = (names("# TYPE "), names("# HELP "));
    for name in ["taskyard_store_commits_total", "taskyard_queue_waiting"] {
        assert!(told.contains(name), "{text}");
    }
    assert_eq!(told, explained);
}

#[tokio::test]
async fn a_path_that_leads_nowhere_is_not_found_in_json() {
    let ground = Ground::new();
    let server = ground.serve(&[]).await;
    let not_found = (404, r#"{"error":"Not found"}"#.to_owned());
    for path in [
        "/no/such/path",
        "/api/queue/v1/nothing",
        "/api/queue/v10/ping",
        "/api/queue",
    ] {
        assert_eq!(server.get(path).await, not_found, "{path}");
    }
    assert_eq!(
        server.get("/API/Queue/V1/__heartbeat__").await,
        (200, "{}".to_owned())
    );
}

#[tokio::test]
async fn a_signal_to_stop_ends_the_server_in_good_order() {
    for signal in ["TERM", "INT"] {
        let ground = Ground::new();
        let server = ground.serve(&["--log-format", "json"]).await;
        server.get("/healthz").await;
        server.signal(signal).await;
        let output = server.ended().await;
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{log}");
        let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        assert_eq!(last["message"], "stopped");
        assert_eq!(last["cut_off"], 0);
    }
}

#[tokio::test]
async fn two_servers_share_a_machine_but_not_an_address() {
    let (first_ground, second_ground) = (Ground::new(), Ground::new());
    let first = first_ground.serve(&[]).await;
    let _second = second_ground.serve(&[]).await;
    let address = first.url.trim_start_matches("http://");
    let (code, message) = ended(Ground::new().command_at(address, &[])).await;
    assert_eq!(code, Some(2));
    assert!(
        message.contains(&format!("cannot listen on {address}")),
        "{message}"
    );
}

#[tokio::test]
async fn two_servers_do_not_share_a_data_folder() {
    let ground = Ground::new();
    let first = ground.serve(&[]).await;
    let (code, message) = ended(ground.command(&[])).await;
    assert_eq!(code, Some(2), "{message}");
    let database = ground.data().join("taskyard.db");
    assert!(message.contains(&*database.to_string_lossy()), "{message}");
    assert!(message.contains("another process"), "{message}");
    assert_eq!(first.get("/readyz").await.0, 200, "the first one goes on");
    // With the first one gone, the folder is free.
    first.kill().await;
    assert_eq!(ground.serve(&[]).await.get("/readyz").await.0, 200);
}

/// The first line is all that some programs read before they close the pipe.
#[tokio::test]
async fn a_server_lives_on_when_nobody_reads_its_output_any_more() {
    let ground = Ground::new();
    let mut command = ground.command(&[]);
    command.env_remove("TASKYARD_ROOT_ACCESS_TOKEN");
    let Server {
        process: _process,
        url,
        ..
    } = Server::spawn(command).await;
    for _ in 0..3 {
        let answer = reqwest::get(format!("{url}/readyz")).await.unwrap();
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test]
async fn a_server_that_is_given_no_folder_makes_one_where_it_stands() {
    let ground = Ground::new();
    let mut command = crate::process::taskyard(ground.path());
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    let server = Server::spawn(command).await;
    assert_eq!(server.get("/readyz").await.0, 200);
    assert!(ground.path().join("taskyard-data/taskyard.db").exists());
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_made_ends_the_start() {
    let (code, message) = run(
        &["serve", "--listen", "127.0.0.1:0", "--data", "/dev/null/x"],
        &[],
    )
    .await;
    assert_eq!(code, Some(2), "{message}");
    assert!(
        message.contains("cannot create the data folder /dev/null/x"),
        "{message}"
    );
}
