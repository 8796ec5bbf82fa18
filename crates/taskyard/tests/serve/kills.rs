//! kill -9 at any moment: what was acknowledged is there after the next start.

mod hooks;
mod mails;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use taskyard_client::{Method, slugid};
use taskyard_engine::clock::Clock;
use tokio::task::JoinSet;

use crate::caller::Caller;
use crate::load::{Ledger, check, create, group, work};
use crate::postgres::Remote;
use crate::process::{Ground, soon};

/// Kills servers under load, and compares what the next one knows with what was acknowledged. In
/// the end everything gets done.
async fn check_kills(ground: &Ground, rounds: usize) {
    let ledger = Ledger::default();
    let mut last = None::<String>;
    for round in 0..rounds {
        let server = ground.serve(&["--log-level", "warn"]).await;
        let caller = Caller::root(&server.url);
        if let Some(last) = &last {
            let snapshot = ledger.lock().unwrap().clone();
            check(&caller, &snapshot, &[last]).await;
        }
        let name = slugid::nice();
        let before = ledger.lock().unwrap().completed.len();
        let mut load = JoinSet::new();
        create(&mut load, &caller, &name, &ledger);
        work(&mut load, &caller, &format!("worker-{round}"), &ledger);
        soon(async {
            let under_load = || {
                let ledger = ledger.lock().unwrap();
                ledger.created.contains_key(&name) && ledger.completed.len() >= before + 2
            };
            while !under_load() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        // The moment need not be good, only another one each time.
        let moment = 50 + Clock::default().now().0 % 300;
        tokio::time::sleep(Duration::from_millis(moment as u64)).await;
        server.kill().await;
        while let Some(ended) = soon(load.join_next()).await {
            ended.unwrap();
        }
        last = Some(name);
    }

    let server = ground.serve(&["--dev", "--log-level", "warn"]).await;
    let caller = Caller::anonymous(&server.url);
    let snapshot = ledger.lock().unwrap().clone();
    assert!(snapshot.completed.len() > rounds, "there was work");
    let groups: Vec<&String> = snapshot.created.keys().collect();
    check(&caller, &snapshot, &groups).await;
    // What nobody has finished comes back when its claim ends.
    server.advance(Duration::from_mins(21)).await;
    let mut left = BTreeSet::new();
    for name in &groups {
        let mut found = group(&caller, name).await;
        found.retain(|_, status| status["state"] != "completed");
        left.extend(found.into_keys());
    }
    let mut load = JoinSet::new();
    work(&mut load, &caller, "last", &ledger);
    for id in &left {
        caller
            .until(id, |status| status["state"] == "completed")
            .await;
    }
    load.abort_all();
    let snapshot = ledger.lock().unwrap().clone();
    check(&caller, &snapshot, &groups).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_ten_kills_on_sqlite() {
    check_kills(&Ground::new(), 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kills_on_postgres() {
    let remote = Remote::new().await;
    check_kills(&Ground::on_postgres(&remote.url), 5).await;
    remote.end().await;
}

/// Every file below a folder.
fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| if path.is_dir() { files(&path) } else { 1 })
        .sum()
}

/// An artifact to be uploaded: where to.
async fn artifact(caller: &Caller, claim: &Value, name: &str) -> String {
    let id = claim["status"]["taskId"].as_str().unwrap();
    let body = json!({"storageType": "s3", "contentType": "a/b",
        "expires": claim["task"]["deadline"]});
    let path = ["task", id, "runs", "0", "artifacts", name];
    let made = caller.call(Method::POST, &path, Some(&body)).await.unwrap();
    made["putUrl"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_upload_survives_as_a_whole_or_not_at_all() {
    let ground = Ground::new();
    let server = ground.serve(&[]).await;
    let caller = Caller::root(&server.url);
    let id = slugid::nice();
    caller.create(&id, json!({})).await.unwrap();
    let claim = caller.claim("worker", 1).await.unwrap().remove(0);
    let whole = artifact(&caller, &claim, "whole").await;
    let half = artifact(&caller, &claim, "half").await;
    let client = reqwest::Client::new();
    let bytes = vec![7_u8; 1_000_000];
    let sent = client.put(&whole).body(bytes.clone()).send();
    assert_eq!(soon(sent).await.unwrap().status(), 200);
    // One more file, and it does not become whole.
    let first = stream::iter([Ok::<_, std::io::Error>(bytes.clone())]);
    let endless = reqwest::Body::wrap_stream(first.chain(stream::pending()));
    let sending = tokio::spawn(client.put(&half).body(endless).send());
    let folder = ground.data().join("artifacts");
    while files(&folder) < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.kill().await;
    soon(sending).await.unwrap().unwrap_err();

    let server = ground.serve(&[]).await;
    // What is left of the other is cleared away once it has not been touched for an hour.
    let caller = Caller::root(&server.url);
    for (name, status, length) in [("whole", 200, Some(bytes.len())), ("half", 404, None)] {
        let path = ["task", &id, "artifact-content", name];
        let found = caller.call(Method::GET, &path, None).await.unwrap();
        let got = soon(reqwest::get(found["url"].as_str().unwrap()))
            .await
            .unwrap();
        assert_eq!(got.status(), status);
        if let Some(length) = length {
            assert_eq!(soon(got.bytes()).await.unwrap().len(), length);
        }
    }
}
