//! The `taskyard events` command against a server: what people see happen, across a restart.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use taskyard_client::taskcluster::Queue;
use taskyard_client::{Method, slugid};
use taskyard_engine::clock::Clock;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout};

use crate::ended::Ended;
use crate::server::{Server, soon, taskyard_as_root};

/// Runs a command of the root client.
async fn ended(arguments: &[&str]) -> Ended {
    let mut command = taskyard_as_root();
    command.args(arguments);
    Ended::of(command).await
}

async fn create_client(server: &Server, name: &str) {
    let arguments = [
        "access",
        "--root-url",
        &server.url,
        "clients",
        "create",
        name,
    ];
    ended(&arguments).await.printed();
}

async fn create_task(server: &Server) -> String {
    let (id, now) = (slugid::nice(), Clock::default().now());
    let definition = json!({
        "taskQueueId": "prov/type", "created": now.to_iso(),
        "deadline": now.plus(Duration::from_hours(1)).to_iso(), "payload": {},
        "metadata": {
            "name": "n", "description": "d", "owner": "o@example.com", "source": "https://example.com/",
        },
    });
    let queue = Queue::new(server.options_of_root()).unwrap();
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
    async fn start(server: &Server, more: &[&str]) -> Self {
        let mut process = taskyard_as_root()
            .args(["events", "--root-url", &server.url, "tail", "--json"])
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
    let server = Server::start(&data, &[]).await;
    let mut tail = Tail::start(&server, &[]).await;
    create_client(&server, "first").await;
    let first = tail.next().await;
    assert_eq!(first["payload"]["clientId"], "first");
    assert_eq!(
        first["exchange"],
        "exchange/taskcluster-auth/v1/client-created"
    );
    assert_eq!(first["routingKey"], "_");

    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    server.kill().await;
    let server = Server::start_at(&address, &data, &[]).await;
    create_client(&server, "second").await;
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
    let mut tasks = Tail::start(&server, &more).await;
    create_client(&server, "third").await;
    assert_eq!(tail.next().await["payload"]["clientId"], "third");
    let id = create_task(&server).await;
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
    let mut later = Tail::start(&server, &["--after", after, "--count", "1"]).await;
    assert_eq!(later.next().await["payload"]["clientId"], "second");
    assert_eq!(soon(later.out.next_line()).await.unwrap(), None);
}

#[tokio::test]
async fn an_exchange_that_is_not_there_is_refused_with_where_to_look() {
    let arguments = ["events", "tail", "--exchange", "task-compleated"];
    let refused = ended(&arguments).await;
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.messages.contains("taskyard events exchanges"),
        "{refused:?}"
    );
    let listed = ended(&["events", "exchanges"]).await.printed();
    assert!(
        listed
            .lines()
            .any(|line| line == "exchange/taskcluster-queue/v1/task-completed")
    );
}
