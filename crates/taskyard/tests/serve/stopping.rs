//! SIGTERM while workers wait for work.

use std::time::{Duration, Instant};

use taskyard_client::slugid;

use crate::caller::Caller;
use crate::process::{Ground, PATIENCE, Server, soon};

/// Waits until `count` connections are open beside our own.
async fn connected(server: &Server, count: usize) {
    let began = Instant::now();
    loop {
        let (_, text) = server.get("/metrics").await;
        let open = text
            .lines()
            .find_map(|line| line.strip_prefix("taskyard_http_connections "))
            .map_or(0.0, |value| value.parse::<f64>().unwrap());
        // One is ours.
        if open >= (count + 1) as f64 {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{open} connections are open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn claims_that_wait_are_answered_with_nothing_at_once() {
    let ground = Ground::new();
    let server = ground.serve(&[]).await;
    let waiting: Vec<_> = (0..5)
        .map(|at| {
            let caller = Caller::root(&server.url);
            tokio::spawn(async move { caller.claim(&format!("worker-{at}"), 1).await })
        })
        .collect();
    connected(&server, waiting.len()).await;
    // What came in before these has been looked at by now.
    let caller = Caller::root(&server.url);
    for _ in 0..5 {
        let fields = serde_json::json!({"taskQueueId": "prov/other"});
        caller.create(&slugid::nice(), fields).await.unwrap();
    }
    let began = Instant::now();
    server.signal("TERM").await;
    for claim in waiting {
        let claimed = soon(claim).await.unwrap().unwrap();
        assert!(claimed.is_empty(), "{claimed:?}");
    }
    let output = server.ended().await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    // Without the signal they would wait for 20 seconds.
    assert!(began.elapsed() < Duration::from_secs(15), "{began:?}");
}

#[tokio::test]
async fn what_was_done_before_a_stop_is_there_after_the_next_start() {
    let ground = Ground::new();
    let server = ground.serve(&[]).await;
    let caller = Caller::root(&server.url);
    let (done, waiting) = (slugid::nice(), slugid::nice());
    caller.create(&done, serde_json::json!({})).await.unwrap();
    caller.claim("worker", 1).await.unwrap();
    caller.complete(&done, 0).await.unwrap();
    caller
        .create(&waiting, serde_json::json!({}))
        .await
        .unwrap();
    let before = [
        caller.status(&done).await.unwrap(),
        caller.status(&waiting).await.unwrap(),
    ];
    server.signal("TERM").await;
    assert!(server.ended().await.status.success());
    let server = ground.serve(&[]).await;
    let caller = Caller::root(&server.url);
    let after = [
        caller.status(&done).await.unwrap(),
        caller.status(&waiting).await.unwrap(),
    ];
    assert_eq!(after, before);
}
