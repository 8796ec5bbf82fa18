//! `taskyard worker` on `taskyard serve`, end to end.

use std::process::Stdio;

use serde_json::json;
use taskyard_client::slugid;
use tokio::process::{Child, Command};

use crate::caller::{Caller, QUEUE};
use crate::process::{Ground, ROOT, ROOT_TOKEN, Server, signal, soon, taskyard};

fn worker(ground: &Ground, server: &Server, id: &str) -> Child {
    let mut command: Command = taskyard(ground.path());
    command
        .args([
            "worker",
            "--root-url",
            &server.url,
            "--queue",
            QUEUE,
            "--id",
            id,
            "--work-dir",
        ])
        .arg(ground.path().join(id))
        .env("TASKCLUSTER_CLIENT_ID", ROOT)
        .env("TASKCLUSTER_ACCESS_TOKEN", ROOT_TOKEN)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn script(text: &str) -> serde_json::Value {
    json!({"payload": {"command": [["/bin/sh", "-c", text]], "maxRunTime": 60}})
}

#[tokio::test]
async fn a_worker_runs_tasks_and_leaves_their_logs() {
    let ground = Ground::new();
    let server = ground.serve(&[]).await;
    let caller = Caller::root(&server.url);
    let worker = worker(&ground, &server, "one");
    let (good, bad) = (slugid::nice(), slugid::nice());
    caller.create(&good, script("echo it works")).await.unwrap();
    caller.create(&bad, script("exit 3")).await.unwrap();
    let resolved = |status: &serde_json::Value| {
        ["completed", "failed", "exception"].contains(&status["state"].as_str().unwrap())
    };
    assert_eq!(caller.until(&good, resolved).await["state"], "completed");
    assert_eq!(caller.until(&bad, resolved).await["state"], "failed");
    let path = ["task", &good, "artifact-content", "public/logs/live.log"];
    let found = caller
        .call(taskyard_client::Method::GET, &path, None)
        .await
        .unwrap();
    let log = soon(reqwest::get(found["url"].as_str().unwrap()))
        .await
        .unwrap();
    assert_eq!(log.status(), 200);
    signal(&worker, "TERM").await;
    let output = soon(worker.wait_with_output()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn the_task_of_a_worker_that_is_stopped_is_run_by_another_one() {
    let ground = Ground::new();
    let server = ground.serve(&[]).await;
    let caller = Caller::root(&server.url);
    let id = slugid::nice();
    let marker = ground.path().join("started");
    // The first run stays until it is stopped, the second one ends at once.
    let text = format!(
        "test -e {0} && exit 0; touch {0}; sleep 600",
        marker.display()
    );
    caller.create(&id, script(&text)).await.unwrap();
    let first = worker(&ground, &server, "first");
    while !marker.exists() {
        caller
            .until(&id, |status| status["state"] == "running")
            .await;
    }
    signal(&first, "TERM").await;
    let output = soon(first.wait_with_output()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let status = caller.status(&id).await.unwrap();
    assert_eq!(
        status["runs"][0]["reasonResolved"], "worker-shutdown",
        "{status}"
    );
    assert_eq!(status["runs"][1]["state"], "pending", "{status}");
    let second = worker(&ground, &server, "second");
    let status = caller
        .until(&id, |status| status["state"] == "completed")
        .await;
    assert_eq!(status["runs"][0]["workerId"], "first");
    assert_eq!(status["runs"][1]["workerId"], "second");
    assert_eq!(status["runs"].as_array().unwrap().len(), 2);
    drop(second);
}
