//! Artifacts far larger than the memory that they may take, end to end.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use taskyard_client::slugid;
use tokio::process::{Child, Command};

use crate::caller::{Caller, QUEUE};
use crate::process::{Ground, ROOT, ROOT_TOKEN, Server, taskyard};

/// 200 MB, and how much of them may be in memory at once, with all else a process needs.
const SIZE: u64 = 200_000_000;
const MOST_MEMORY: u64 = 100_000_000;
/// The whole way there and back takes seconds, on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_mins(4);

/// A process whose memory is watched. The program itself, which is mapped from its file and in a
/// build for tests larger than all else, does not count.
struct Watched<'a> {
    who: &'static str,
    process: &'a Child,
    /// The most that was seen of the program in memory, in bytes: the system may take some of that
    /// back at any time, though it was part of the peak.
    program: u64,
}

impl<'a> Watched<'a> {
    fn new(who: &'static str, process: &'a Child) -> Self {
        Self {
            who,
            process,
            program: 0,
        }
    }

    /// A figure of the process's status, in bytes.
    fn bytes(&self, name: &str) -> u64 {
        let id = self.process.id().expect("it is running");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("its status");
        let line = status.lines().find(|line| line.starts_with(name));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        1024 * kilobytes.expect(name)
    }

    /// Looks how much of the program is in memory.
    fn look(&mut self) {
        self.program = self.program.max(self.bytes("RssFile:"));
    }

    /// The most memory that the process has taken so far must not be too much.
    fn check(&mut self, when: &str) {
        self.look();
        let peak = self.bytes("VmHWM:").saturating_sub(self.program);
        let who = self.who;
        eprintln!("{who} after the {when}: {peak} bytes");
        assert!(peak < MOST_MEMORY, "the {who} took {peak} bytes");
    }
}

fn worker(ground: &Ground, server: &Server) -> Child {
    let mut command: Command = taskyard(ground.path());
    command
        .args(["worker", "--root-url", &server.url, "--queue", QUEUE])
        .args(["--id", "worker", "--work-dir"])
        .arg(ground.path().join("work"))
        .env("TASKCLUSTER_CLIENT_ID", ROOT)
        .env("TASKCLUSTER_ACCESS_TOKEN", ROOT_TOKEN)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Waits until a task is resolved, and watches meanwhile; it must have completed.
async fn completed(caller: &Caller, id: &str, watched: &mut [Watched<'_>]) {
    let resolved = async {
        loop {
            let status = caller.status(id).await.unwrap();
            let state = status["state"].as_str().unwrap().to_owned();
            if ["completed", "failed", "exception"].contains(&state.as_str()) {
                return (state, status);
            }
            watched.iter_mut().for_each(Watched::look);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (state, status) = tokio::time::timeout(PATIENCE, resolved)
        .await
        .expect("it is resolved in time");
    assert_eq!(state, "completed", "{status}");
}

fn file(path: &str) -> Value {
    json!({"type": "file", "path": path, "name": format!("public/{path}")})
}

async fn through_both(ground: &Ground, server: Server) {
    let caller = Caller::root(&server.url);
    let worker = worker(ground, &server);
    let mut watched = [
        Watched::new("server", &server.process),
        Watched::new("worker", &worker),
    ];
    let (maker, user) = (slugid::nice(), slugid::nice());
    let make = format!("head -c {SIZE} /dev/urandom > large && sha256sum < large > sum");
    let made = json!({"payload": {
        "command": [["/bin/sh", "-c", make]],
        "maxRunTime": 600,
        "artifacts": [file("large"), file("sum")],
    }});
    caller.create(&maker, made).await.unwrap();
    completed(&caller, &maker, &mut watched).await;
    // Up, from the worker to the server.
    for process in &mut watched {
        process.check("upload");
    }
    // And down again.
    let content = |name: &str| json!({"taskId": maker, "artifact": format!("public/{name}")});
    let used = json!({"dependencies": [maker], "payload": {
        "command": [["/bin/sh", "-c", "sha256sum < large | cmp - sum"]],
        "maxRunTime": 600,
        "mounts": [
            {"file": "large", "content": content("large")},
            {"file": "sum", "content": content("sum")},
        ],
    }});
    caller.create(&user, used).await.unwrap();
    completed(&caller, &user, &mut watched).await;
    for process in &mut watched {
        process.check("download");
    }
}

#[tokio::test]
async fn a_large_artifact_goes_through_little_memory() {
    let ground = Ground::new();
    let server = ground.serve(&[]).await;
    through_both(&ground, server).await;
}

#[tokio::test]
async fn a_large_artifact_goes_through_little_memory_into_a_bucket() {
    let url = std::env::var("TASKYARD_TEST_S3_URL")
        .expect("TASKYARD_TEST_S3_URL is not set: run the tests with `cargo xtask test`");
    let bucket = format!("large-{}", std::process::id());
    let made = reqwest::Client::new()
        .put(format!("{url}/{bucket}"))
        .send()
        .await
        .unwrap();
    assert!(made.status().is_success(), "{made:?}");
    let ground = Ground::new();
    let arguments = ["--artifacts-bucket", &bucket, "--artifacts-endpoint", &url];
    let mut command = ground.command(&arguments);
    command
        .env("TASKYARD_ARTIFACTS_ACCESS_KEY_ID", "somebody")
        .env("TASKYARD_ARTIFACTS_SECRET_ACCESS_KEY", "something");
    let server = Server::spawn(command).await;
    through_both(&ground, server).await;
}
