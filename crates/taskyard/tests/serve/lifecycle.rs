use crate::process::Server;

#[tokio::test]
async fn a_server_says_that_it_lives_and_is_ready() {
    let server = Server::start(&[]).await;
    assert_eq!(
        server.get("/healthz").await,
        (200, r#"{"status":"alive"}"#.to_owned())
    );
    let (status, body) = server.get("/readyz").await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test]
async fn metrics_count_what_was_answered() {
    let server = Server::start(&[]).await;
    server.get("/healthz").await;
    let (status, text) = server.get("/metrics").await;
    assert_eq!(status, 200);
    let line = r#"taskyard_http_requests_total{api="other",status="2xx"} 1"#;
    assert!(text.lines().any(|found| found == line), "{text}");
}

#[tokio::test]
async fn a_path_that_leads_nowhere_is_not_found_in_json() {
    let server = Server::start(&[]).await;
    let not_found = (404, r#"{"error":"Not found"}"#.to_owned());
    assert_eq!(server.get("/no/such/path").await, not_found);
}

#[tokio::test]
async fn a_signal_to_stop_ends_the_server_in_good_order() {
    for signal in ["TERM", "INT"] {
        let server = Server::start(&["--log-format", "json"]).await;
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
    let first = Server::start(&[]).await;
    let address = first.url.trim_start_matches("http://");
    let (code, message) = crate::process::run(&["serve", "--listen", address], &[]).await;
    assert_eq!(code, Some(2));
    assert!(
        message.contains(&format!("cannot listen on {address}")),
        "{message}"
    );
}
