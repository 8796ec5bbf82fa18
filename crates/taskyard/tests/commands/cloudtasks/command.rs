//! `taskyard cloudtasks`.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::handler::Handler;
use super::tomorrow;
use crate::ended::Ended;
use crate::server::{ROOT, Server, TOKEN, soon, taskyard, taskyard_as_root};

/// `taskyard cloudtasks` as the root client.
fn cloudtasks(server: &Server) -> Command {
    let mut command = taskyard_as_root();
    command.args(["cloudtasks", "--root-url", &server.url]);
    command
}

async fn run(server: &Server, arguments: &[&str]) -> Ended {
    let mut command = cloudtasks(server);
    command.args(arguments);
    Ended::of(command).await
}

async fn output(server: &Server, arguments: &[&str]) -> String {
    run(server, arguments).await.printed()
}

async fn refusal(server: &Server, arguments: &[&str]) -> String {
    let ended = run(server, arguments).await;
    assert_eq!(ended.code, Some(2), "{arguments:?}");
    ended.messages
}

/// The columns of a line.
fn columns(line: &str) -> Vec<&str> {
    line.trim_end().split('\t').collect()
}

/// `tasks tail` under way.
struct Tail {
    _process: Child,
    out: Lines<BufReader<ChildStdout>>,
}

impl Tail {
    async fn start(server: &Server, arguments: &[&str]) -> Self {
        let mut process = cloudtasks(server)
            .args(["tasks", "tail"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut messages = BufReader::new(process.stderr.take().unwrap()).lines();
        let line = soon(messages.next_line()).await.unwrap();
        assert_eq!(line.as_deref(), Some("listening"));
        Tail {
            out: BufReader::new(process.stdout.take().unwrap()).lines(),
            _process: process,
        }
    }

    async fn line(&mut self) -> Option<String> {
        soon(self.out.next_line()).await.unwrap()
    }

    /// The columns of the next line but for its time.
    async fn next(&mut self) -> Vec<String> {
        let line = self.line().await.expect("a line");
        columns(&line)[1..]
            .iter()
            .map(ToString::to_string)
            .collect()
    }
}

async fn start(folder: &Path) -> Server {
    super::start(&folder.join("data")).await
}

#[tokio::test]
async fn queues_are_made_changed_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let created = output(
        &server,
        &[
            "queues",
            "create",
            "mail",
            "--max-attempts",
            "5",
            "--min-backoff",
            "1s",
        ],
    )
    .await;
    assert_eq!(created, "mail\trunning\t500/s\t1000 at once\t5 attempts\n");
    let changed = output(
        &server,
        &[
            "queues",
            "update",
            "mail",
            "--max-dispatches-per-second",
            "0.5",
            "--max-attempts",
            "-1",
        ],
    )
    .await;
    assert_eq!(
        changed,
        "mail\trunning\t0.5/s\t1000 at once\tany number of attempts\n"
    );
    output(&server, &["queues", "create", "other"]).await;
    let paused = output(&server, &["queues", "pause", "mail"]).await;
    assert!(paused.starts_with("mail\tpaused\t"), "{paused}");
    let listed = output(&server, &["queues", "list", "--filter", "state: PAUSED"]).await;
    assert_eq!(listed, paused);
    let listed = output(&server, &["queues", "list"]).await;
    assert_eq!(listed.lines().count(), 2);
    let listed = output(&server, &["queues", "list", "--limit", "1"]).await;
    assert_eq!(listed.lines().count(), 1);

    let about = output(&server, &["queues", "describe", "mail"]).await;
    for line in [
        "name\tprojects/my-project/locations/here/queues/mail",
        "state\tPAUSED",
        "retryConfig.minBackoff\t1s",
        "stats.tasksCount\t0",
    ] {
        assert!(about.lines().any(|it| it == line), "{line} in {about}");
    }
    let full = "projects/my-project/locations/here/queues/mail";
    let json = output(&server, &["--json", "queues", "describe", full]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["rateLimits"]["maxDispatchesPerSecond"], 0.5);

    output(&server, &["queues", "resume", "mail"]).await;
    output(&server, &["queues", "purge", "mail"]).await;
    assert_eq!(output(&server, &["queues", "delete", "mail"]).await, "");
    assert_eq!(
        output(&server, &["queues", "list"]).await.lines().count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_made_sent_again_and_its_way_can_be_followed() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let mut handler = Handler::start(&[503]).await;
    output(
        &server,
        &["queues", "create", "mail", "--min-backoff", "100ms"],
    )
    .await;
    output(&server, &["queues", "create", "other"]).await;
    output(&server, &["queues", "pause", "mail"]).await;
    let mut tail = Tail::start(&server, &["mail"]).await;

    let file = folder.path().join("body.json");
    std::fs::write(&file, r#"{"to":"me"}"#).unwrap();
    let url = format!("{}/send?x=1", handler.url);
    let created = output(
        &server,
        &[
            "tasks",
            "create",
            "mail",
            "--url",
            &url,
            "--name",
            "first",
            "--method",
            "put",
            "--header",
            "X-Mine: yes",
            "--body-file",
            file.to_str().unwrap(),
        ],
    )
    .await;
    let line = columns(&created);
    assert_eq!((line[0], line[2]), ("mail/first", "0 attempts"));
    assert_eq!(line[3], format!("PUT {url}"));
    assert_eq!(output(&server, &["tasks", "list", "mail"]).await, created);
    // Nobody who follows one queue hears of another.
    output(
        &server,
        &[
            "tasks",
            "create",
            "other",
            "--url",
            &handler.url,
            "--in",
            "1h",
        ],
    )
    .await;

    let about = output(&server, &["tasks", "describe", "mail/first", "--full"]).await;
    for line in [
        "httpRequest.body\t{\\\"to\\\":\\\"me\\\"}",
        "httpRequest.headers.X-Mine\tyes",
        "httpRequest.httpMethod\tPUT",
    ] {
        assert!(about.lines().any(|it| it == line), "{line} in {about}");
    }
    let about = output(&server, &["tasks", "describe", "mail/first"]).await;
    assert!(!about.contains("body"), "{about}");

    output(&server, &["queues", "resume", "mail"]).await;
    for _ in 0..2 {
        let received = handler.next().await;
        assert_eq!(
            (received.method.as_str(), received.path.as_str()),
            ("PUT", "/send?x=1")
        );
        assert_eq!(received.headers["x-mine"], "yes");
        assert_eq!(received.headers["x-cloudtasks-taskname"], "first");
        assert_eq!(received.body, r#"{"to":"me"}"#);
    }
    let created = tail.next().await;
    assert_eq!(created[..2], ["created", "mail/first"]);
    assert!(created[2].starts_with("due 20"), "{created:?}");
    assert_eq!(tail.next().await, ["dispatched", "mail/first"]);
    let retried = tail.next().await;
    assert_eq!(retried[..3], ["retried", "mail/first", "503"]);
    assert_eq!(tail.next().await, ["dispatched", "mail/first"]);
    assert_eq!(tail.next().await, ["completed", "mail/first", "200"]);

    // The task is gone, and what became of it is not.
    let gone = refusal(&server, &["tasks", "describe", "mail/first"]).await;
    assert!(
        gone.contains("cannot describe projects/my-project/"),
        "{gone}"
    );
    for of in ["mail/first", "mail"] {
        let attempts = output(&server, &["tasks", "attempts", of, "--full"]).await;
        let attempts: Vec<Vec<&str>> = attempts.lines().map(columns).collect();
        assert_eq!(
            attempts[0][1..],
            ["mail/first", "attempt 2", "200", "says 200"]
        );
        assert_eq!(
            attempts[1][1..],
            ["mail/first", "attempt 1", "503", "says 503"]
        );
    }
    let last = output(
        &server,
        &["--json", "tasks", "attempts", "mail", "--limit", "1"],
    )
    .await;
    let last: Value = serde_json::from_str(&last).unwrap();
    assert_eq!(
        (&last["httpStatus"], &last["dispatch"]),
        (&200.into(), &2.into())
    );
    assert_eq!(last["excerpt"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_of_later_can_be_run_now_or_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let mut handler = Handler::start(&[]).await;
    output(&server, &["queues", "create", "mail"]).await;
    let at = tomorrow();
    let time = ["--schedule-time", &at];
    for name in ["kept", "dropped"] {
        let create = [
            "tasks",
            "create",
            "mail",
            "--url",
            &handler.url,
            "--name",
            name,
        ];
        let created = output(&server, &[&create[..], &time].concat()).await;
        assert_eq!(columns(&created)[1], at);
    }
    let mut tail = Tail::start(&server, &["--json", "--count", "3"]).await;
    assert_eq!(
        output(&server, &["tasks", "delete", "mail/dropped"]).await,
        ""
    );
    let run = output(&server, &["tasks", "run", "mail/kept"]).await;
    assert_eq!(columns(&run)[0], "mail/kept");
    assert_eq!(
        handler.next().await.headers["x-cloudtasks-taskname"],
        "kept"
    );
    let mut told: Vec<Value> = Vec::new();
    while let Some(line) = tail.line().await {
        told.push(serde_json::from_str(&line).unwrap());
    }
    let events: Vec<&str> = told
        .iter()
        .map(|it| it["event"].as_str().unwrap())
        .collect();
    assert_eq!(events, ["deleted", "dispatched", "completed"]);
    assert_eq!(told[2]["dispatchCount"], 1);
    assert_eq!(
        told[2]["name"],
        "projects/my-project/locations/here/queues/mail/tasks/kept"
    );
    assert_eq!(output(&server, &["tasks", "list", "mail"]).await, "");

    // Where somebody left off, somebody else goes on.
    let after = told[1]["id"].as_str().unwrap();
    let mut again = Tail::start(&server, &["mail", "--after", after, "--count", "1"]).await;
    assert_eq!(again.next().await, ["completed", "mail/kept", "200"]);
    assert_eq!(again.line().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_that_were_given_up_are_listed_with_what_they_sent() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let handler = Handler::start(&[400]).await;
    output(
        &server,
        &["queues", "create", "mail", "--max-attempts", "1"],
    )
    .await;
    let mut tail = Tail::start(&server, &["mail"]).await;
    let create = ["tasks", "create", "mail", "--url", &handler.url];
    let more = ["--name", "bad", "--body", "hi"];
    output(&server, &[&create[..], &more].concat()).await;
    while tail.next().await[..2] != ["failed", "mail/bad"] {}
    let listed = output(&server, &["tasks", "failures", "mail"]).await;
    let target = format!("POST {}", handler.url);
    assert_eq!(columns(&listed)[1..], ["mail/bad", "1 attempt", &target]);
    let full = ["--json", "tasks", "failures", "mail", "--full"];
    let listed: Value = serde_json::from_str(&output(&server, &full).await).unwrap();
    assert_eq!(listed["httpRequest"]["body"], "aGk=");
    assert_eq!(listed["lastAttempt"]["responseStatus"]["code"], 3);
    assert!(listed["failTime"].is_string(), "{listed}");
}

#[tokio::test]
async fn an_app_engine_task_and_a_token_are_asked_for_by_options() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    output(&server, &["queues", "create", "mail"]).await;
    output(&server, &["queues", "pause", "mail"]).await;
    let create = ["--json", "tasks", "create", "mail"];
    let made = output(
        &server,
        &[
            &create[..],
            &["--relative-uri", "/send", "--service", "worker"],
        ]
        .concat(),
    )
    .await;
    let made: Value = serde_json::from_str(&made).unwrap();
    let request = &made["appEngineHttpRequest"];
    assert_eq!(request["relativeUri"], "/send");
    assert_eq!(request["appEngineRouting"]["service"], "worker");
    let token = [
        "--oidc-service-account",
        "a@example.com",
        "--audience",
        "me",
    ];
    let url = ["--url", "https://example.com/"];
    let made = output(&server, &[&create[..], &url, &token].concat()).await;
    let made: Value = serde_json::from_str(&made).unwrap();
    let request = &made["httpRequest"];
    assert_eq!(request["oidcToken"]["serviceAccountEmail"], "a@example.com");
    assert_eq!(request["oidcToken"]["audience"], "me");
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let create = ["queues", "create", "mail"];
    output(&server, &create).await;
    let exists = refusal(&server, &create).await;
    assert!(exists.contains("ALREADY_EXISTS"), "{exists}");
    let missing = refusal(
        &server,
        &["queues", "update", "mial", "--max-attempts", "3"],
    )
    .await;
    assert!(
        missing.contains("queues/mial") && missing.contains("--location"),
        "{missing}"
    );
    assert_eq!(
        output(&server, &["queues", "list"]).await.lines().count(),
        1
    );
    let nothing = refusal(&server, &["queues", "update", "mail"]).await;
    assert!(nothing.contains("give a setting"), "{nothing}");
    let name = refusal(&server, &["tasks", "describe", "mail"]).await;
    assert!(name.contains("QUEUE/TASK"), "{name}");
    let no_target = refusal(&server, &["tasks", "create", "mail"]).await;
    assert!(no_target.contains("--url"), "{no_target}");

    let mut stranger = taskyard();
    stranger.args(["cloudtasks", "--root-url", &server.url, "queues", "list"]);
    let ended = Ended::of(stranger).await;
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.messages.contains("TASKCLUSTER_ACCESS_TOKEN"),
        "{ended:?}"
    );
    // What is for our server is not shown to others.
    let mut elsewhere = cloudtasks(&server);
    elsewhere.args(["--endpoint", &server.url, "queues", "list"]);
    let ended = Ended::of(elsewhere).await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.messages.contains("UNAUTHENTICATED"), "{ended:?}");
    let mut with_token = taskyard();
    with_token
        .args(["cloudtasks", "--endpoint", &server.url, "queues", "list"])
        .env("TASKYARD_CLOUDTASKS_TOKEN", format!("{ROOT}:{TOKEN}"));
    let listed = Ended::of(with_token).await.printed();
    assert_eq!(listed.lines().count(), 1, "{listed}");
}

#[tokio::test]
async fn who_may_list_the_tasks_of_a_queue_may_follow_it_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let mut create = taskyard_as_root();
    create
        .args([
            "access",
            "--root-url",
            &server.url,
            "clients",
            "create",
            "reader",
        ])
        .args([
            "--scope",
            "cloudtasks:tasks.list:projects/my-project/locations/here/queues/mail",
        ]);
    let made = Ended::of(create).await.printed();
    let token = made.trim().rsplit_once('=').unwrap().1;
    let tail = |of: &[&str]| {
        let mut command = cloudtasks(&server);
        command
            .args(["tasks", "tail"])
            .args(of)
            .env("TASKCLUSTER_CLIENT_ID", "reader")
            .env("TASKCLUSTER_ACCESS_TOKEN", token);
        command
    };
    for of in [&["other"][..], &[]] {
        let ended = Ended::of(tail(of)).await;
        assert_eq!(ended.code, Some(2));
        assert!(
            ended.messages.contains("cloudtasks:tasks.list:"),
            "{ended:?}"
        );
    }
    let mut allowed = tail(&["mail"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut messages = BufReader::new(allowed.stderr.take().unwrap()).lines();
    let line = soon(messages.next_line()).await.unwrap();
    assert_eq!(line.as_deref(), Some("listening"));
}
