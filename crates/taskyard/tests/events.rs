//! The `taskyard events` command against a server: what people see happen, across a restart.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what the tests stand on fails a test by panicking"
)]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use taskyard_client::taskcluster::Queue;
use taskyard_client::{Credentials, Method, Options, slugid};
use taskyard_engine::clock::Clock;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// Nothing in these tests takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_mins(1);
const ROOT: &str = "static/taskcluster/root";
const TOKEN: &str = "rootrootrootrootrootrootrootrootrootrootroot";

fn taskyard() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskyard"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("TASKYARD_") || name.starts_with("TASKCLUSTER_") {
            command.env_remove(&*name);
        }
    }
    command
        .env("TASKCLUSTER_CLIENT_ID", ROOT)
        .env("TASKCLUSTER_ACCESS_TOKEN", TOKEN)
        .kill_on_drop(true);
    command
}

async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event)
        .await
        .expect("this should have happened by now")
}

/// Starts a server over `data` on `listen`; the process and its URL.
async fn serve(data: &Path, listen: &str) -> (Child, String) {
    let mut process = taskyard()
        .args(["serve", "--listen", listen, "--data"])
        .arg(data)
        .env("TASKYARD_ROOT_ACCESS_TOKEN", TOKEN)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let first = soon(lines.next_line()).await.unwrap().expect("a line");
    let url = first
        .strip_prefix("listening on ")
        .expect(&first)
        .to_owned();
    (process, url)
}

async fn create_client(url: &str, name: &str) {
    let arguments = ["access", "--root-url", url, "clients", "create", name];
    let output = soon(taskyard().args(arguments).output()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
}

async fn create_task(url: &str) -> String {
    let options = Options::new(url).with_credentials(Credentials::new(ROOT, TOKEN));
    let (id, now) = (slugid::nice(), Clock::default().now());
    let definition = json!({
        "taskQueueId": "prov/type", "created": now.to_iso(),
        "deadline": now.plus(Duration::from_hours(1)).to_iso(), "payload": {},
        "metadata": {
            "name": "n", "description": "d", "owner": "o@example.com", "source": "https://example.com/",
        },
    });
    let queue = Queue::new(options).unwrap();
    queue
        .request(Method::PUT, &["task", &id], &[], Some(&definition))
        .await
        .unwrap();
    id
}

/// `taskyard events tail` under way.
struct Tail {
    _process: Child,
    out: Lines<BufReader<ChildStdout>>,
    err: Lines<BufReader<ChildStderr>>,
}

impl Tail {
    async fn start(url: &str, more: &[&str]) -> Self {
        let mut process = taskyard()
            .args(["events", "--root-url", url, "tail", "--json"])
            .args(["--exchange", "auth/client-created"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut tail = Tail {
            out: BufReader::new(process.stdout.take().unwrap()).lines(),
            err: BufReader::new(process.stderr.take().unwrap()).lines(),
            _process: process,
        };
        let line = soon(tail.err.next_line()).await.unwrap();
        assert_eq!(line.as_deref(), Some("listening"));
        tail
    }

    async fn next(&mut self) -> Value {
        let line = soon(self.out.next_line()).await.unwrap().expect("a line");
        serde_json::from_str(&line).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_is_printed_also_after_the_server_was_away() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (mut server, url) = serve(&data, "127.0.0.1:0").await;
    let mut tail = Tail::start(&url, &[]).await;
    create_client(&url, "first").await;
    let first = tail.next().await;
    assert_eq!(first["payload"]["clientId"], "first");
    assert_eq!(
        first["exchange"],
        "exchange/taskcluster-auth/v1/client-created"
    );
    assert_eq!(first["routingKey"], "_");

    server.kill().await.unwrap();
    let address = url.strip_prefix("http://").unwrap();
    let (_server, url) = serve(&data, address).await;
    create_client(&url, "second").await;
    assert_eq!(tail.next().await["payload"]["clientId"], "second");

    // Only what matches one of the patterns is printed.
    let patterns = [
        "--pattern",
        "primary.#",
        "--pattern",
        "route.x",
        "--count",
        "1",
    ];
    let more = [&["--exchange", "task-defined"][..], &patterns].concat();
    let mut tasks = Tail::start(&url, &more).await;
    create_client(&url, "third").await;
    assert_eq!(tail.next().await["payload"]["clientId"], "third");
    let id = create_task(&url).await;
    let defined = tasks.next().await;
    assert_eq!(defined["payload"]["status"]["taskId"], id);
    assert!(
        defined["routingKey"]
            .as_str()
            .unwrap()
            .starts_with("primary.")
    );
    assert_eq!(soon(tasks.out.next_line()).await.unwrap(), None);

    // Who comes later can begin where somebody left off, and stop after so many.
    let after = first["id"].as_str().unwrap();
    let mut later = Tail::start(&url, &["--after", after, "--count", "1"]).await;
    assert_eq!(later.next().await["payload"]["clientId"], "second");
    assert_eq!(soon(later.out.next_line()).await.unwrap(), None);
}

#[tokio::test]
async fn an_exchange_that_is_not_there_is_refused_with_where_to_look() {
    let arguments = ["events", "tail", "--exchange", "task-compleated"];
    let output = soon(taskyard().args(arguments).output()).await.unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("taskyard events exchanges"), "{text}");
    let listed = soon(taskyard().args(["events", "exchanges"]).output())
        .await
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(
        listed
            .lines()
            .any(|line| line == "exchange/taskcluster-queue/v1/task-completed")
    );
}
