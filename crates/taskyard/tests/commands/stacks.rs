//! `taskyard stacks` and `taskyard stack` against a server: what people type, and what comes of it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use taskyard_client::taskcluster::Queue;
use tokio::process::Child;

use crate::ended::Ended;
use crate::house::House;
use crate::server::{soon, taskyard};

impl House {
    /// Runs `taskyard stacks` as the root client.
    async fn ask(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command("stacks", arguments)).await
    }

    /// The same, which must succeed; what is printed.
    async fn done(&self, arguments: &[&str]) -> String {
        self.ask(arguments).await.printed()
    }

    /// A token good for one queue.
    async fn token(&self, queue: &str) -> String {
        let printed = self
            .done(&["--json", "token", "create", "--queue", queue])
            .await;
        let printed: Value = serde_json::from_str(&printed).unwrap();
        printed["token"].as_str().unwrap().to_owned()
    }

    /// A stack that is killed when it is dropped.
    fn stack(&self, token: &str, queue: &str, arguments: &[&str]) -> Child {
        let mut command = taskyard();
        command
            .args(["stack", "--endpoint", &format!("{}/v3", self.server.url)])
            .args(["--queue", queue, "--poll", "200ms", "--work-dir"])
            .arg(self.folder.path().join("work"))
            .args(arguments)
            .env("BUILDKITE_AGENT_TOKEN", token)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn queue(&self) -> Queue {
        Queue::new(self.server.options_of_root()).unwrap()
    }

    async fn artifact(&self, task_id: &str, name: &str) -> String {
        let path = self.folder.path().join("fetched");
        self.queue()
            .download_artifact_to_file(task_id, None, name, &path)
            .await
            .unwrap();
        std::fs::read_to_string(path).unwrap()
    }
}

/// The lines of JSON that were printed.
fn lines(ended: &Ended) -> Vec<Value> {
    let lines = ended.output.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked() {
    let house = House::start().await;
    let made = house
        .done(&[
            "token",
            "create",
            "--queue",
            "gpu",
            "--description",
            "for the lab",
        ])
        .await;
    let token = made.trim().strip_prefix("BUILDKITE_AGENT_TOKEN=").unwrap();
    let listed = house.done(&["token", "list"]).await;
    assert!(
        listed.contains("\tgpu\tfor ever\tfor the lab\n") && !listed.contains(token),
        "{listed}"
    );
    let id = listed.split('\t').next().unwrap();
    house.done(&["token", "revoke", id]).await;
    assert_eq!(house.done(&["token", "list"]).await, "");
    let again = house.ask(&["token", "revoke", id]).await;
    assert_eq!(again.code, Some(2));

    let mut refused = house.stack(token, "gpu", &[]);
    assert!(!soon(refused.wait()).await.unwrap().success());
}

#[tokio::test]
async fn a_bad_pipeline_is_refused_with_its_line_and_makes_nothing() {
    let house = House::start().await;
    let file = house.file("p.yml", "steps:\n  - comand: make\n");
    let refused = house.ask(&["build", &file]).await;
    assert_eq!(refused.code, Some(2));
    let said = refused.messages;
    assert!(
        said.contains(":2:5: unknown key `comand`") && said.contains("did you mean `command`?"),
        "{said}"
    );
    let missing = house.ask(&["build", "/no/such/file.yml"]).await;
    assert_eq!(missing.code, Some(2));
}

const PIPELINE: &str = "\
name: demo
env: {GREETING: hello}
steps:
  - label: Build
    key: build
    command:
      - mkdir out
      - echo $GREETING $BUILDKITE_PIPELINE_SLUG > out/made.txt
      - cat out/made.txt
    artifact_paths: out/**/*
  - key: flaky
    depends_on: build
    command: test \"$RUN_ID\" = 1 || exit 75
    retry: {automatic: {exit_status: 75, limit: 1}}
    priority: 3
  - key: last
    depends_on: [build, flaky]
    agents: {os: linux}
    command: 'true'
";

#[tokio::test]
async fn a_pipeline_is_run_by_a_stack_and_leaves_logs_and_artifacts() {
    let house = House::start().await;
    let token = house.token("default").await;
    let stack = house.stack(
        &token,
        "default",
        &["--concurrency", "2", "--tag", "os=linux"],
    );
    let file = house.file("demo.yml", PIPELINE);
    let built = house.ask(&["--json", "build", &file, "--wait"]).await;
    assert_eq!(built.code, Some(0), "{built:?}");
    let ended = lines(&built);
    let states: Vec<(&str, &str)> = ended
        .iter()
        .map(|it| (it["label"].as_str().unwrap(), it["state"].as_str().unwrap()))
        .collect();
    assert_eq!(
        states,
        [
            ("Build", "completed"),
            ("flaky", "completed"),
            ("last", "completed")
        ]
    );

    let task = |at: usize| ended[at]["taskId"].as_str().unwrap();
    for log in ["public/logs/live.log", "public/logs/live_backing.log"] {
        let text = house.artifact(task(0), log).await;
        assert!(text.contains("\nhello demo\n"), "{log}: {text}");
    }
    assert_eq!(
        house.artifact(task(0), "out/made.txt").await,
        "hello demo\n"
    );
    let flaky = house.queue().status(task(1)).await.unwrap();
    let reasons: Vec<_> = flaky
        .runs
        .iter()
        .map(|run| run.reason_resolved.as_deref().unwrap())
        .collect();
    assert_eq!(reasons, ["intermittent-task", "completed"]);

    // Told to stop, it says goodbye, or that the server did not hear it: for that it waits only a
    // few seconds.
    let pid = stack.id().unwrap().to_string();
    let told = std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status()
        .unwrap();
    assert!(told.success());
    let ended = Ended::with(soon(stack.wait_with_output()).await.unwrap());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.messages.contains("deregister"), "{ended:?}");
}

#[tokio::test]
async fn a_build_that_fails_says_so_and_what_depends_on_it_is_not_run() {
    let house = House::start().await;
    let token = house.token("ci").await;
    let _stack = house.stack(&token, "ci", &[]);
    let text = "agents: [queue=ci]\nsteps:\n  - {key: a, command: exit 3}\n  \
                - {key: b, depends_on: a, command: 'true'}\n";
    let file = house.file("fails.yml", text);
    let built = house.ask(&["--json", "build", &file, "--wait"]).await;
    assert_eq!(built.code, Some(1), "{built:?}");
    let ended = lines(&built);
    let states: Vec<(&str, &str)> = ended
        .iter()
        .map(|it| (it["label"].as_str().unwrap(), it["state"].as_str().unwrap()))
        .collect();
    assert_eq!(states, [("a", "failed"), ("b", "unscheduled")]);
    let log = house
        .artifact(ended[0]["taskId"].as_str().unwrap(), "public/logs/live.log")
        .await;
    assert!(log.contains("the command exited with 3"), "{log}");
}

#[tokio::test]
async fn a_job_that_is_cancelled_is_stopped_and_the_stack_goes_on() {
    let house = House::start().await;
    let token = house.token("default").await;
    let _stack = house.stack(&token, "default", &[]);
    let began = house.folder.path().join("began");
    let text = format!(
        "steps: [{{command: 'touch {}; sleep 1000'}}]",
        began.display()
    );
    let file = house.file("long.yml", &text);
    let built = house.ask(&["--json", "build", &file]).await;
    let task_id = lines(&built)[0]["taskId"].as_str().unwrap().to_owned();
    soon(async {
        while !began.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    house.queue().cancel_task(&task_id).await.unwrap();
    // There is room for one job only.
    let next = house.file("next.yml", "steps: [{command: 'true'}]");
    let built = house.ask(&["build", &next, "--wait"]).await;
    assert_eq!(built.code, Some(0), "{built:?}");
    let status = house.queue().status(&task_id).await.unwrap();
    assert_eq!(status.runs[0].reason_resolved.as_deref(), Some("canceled"));
}
