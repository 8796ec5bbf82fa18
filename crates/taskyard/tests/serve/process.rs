//! A server in a process and a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Nothing in these tests takes longer, unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The token of the root client of every server here.
pub(crate) const ROOT_TOKEN: &str = "tests-root-token-tests-root-token-tests-root";
/// The root client.
pub(crate) const ROOT: &str = "static/taskcluster/root";

/// A running server. Its process ends with it.
pub(crate) struct Server {
    pub(crate) process: Child,
    /// `http://` and the address it listens on.
    pub(crate) url: String,
    /// What it says after the first line. Kept, so that it can say it.
    _output: Lines<BufReader<ChildStdout>>,
}

/// A folder for servers, which outlives them.
pub(crate) struct Ground {
    folder: TempDir,
    /// PostgreSQL that they keep their state in; SQLite in the folder without.
    database: Option<String>,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            folder,
            database: None,
        }
    }

    /// As [`Ground::new`], with the state in PostgreSQL.
    pub(crate) fn on_postgres(url: &str) -> Self {
        Self {
            database: Some(url.to_owned()),
            ..Self::new()
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where servers here keep their data.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// `taskyard serve` on a free port, with further arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_at("127.0.0.1:0", arguments)
    }

    /// `taskyard serve` on `address`, with further arguments.
    pub(crate) fn command_at(&self, address: &str, arguments: &[&str]) -> Command {
        let mut command = taskyard(self.path());
        command.args(["serve", "--listen", address, "--data"]);
        command.arg(self.data()).args(arguments);
        command.env("TASKYARD_ROOT_ACCESS_TOKEN", ROOT_TOKEN);
        if let Some(url) = &self.database {
            command.env("TASKYARD_DATABASE_URL", url);
        }
        command
    }

    /// Starts `taskyard serve` on a free port, with further arguments.
    pub(crate) async fn serve(&self, arguments: &[&str]) -> Server {
        Server::spawn(self.command(arguments)).await
    }
}

impl Server {
    /// Starts a server and waits until it listens.
    pub(crate) async fn spawn(mut command: Command) -> Self {
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = process.stdout.take().unwrap();
        let mut lines = BufReader::new(output).lines();
        let first = soon(lines.next_line()).await.unwrap();
        let Some(first) = first else {
            let output = process.wait_with_output().await.unwrap();
            panic!(
                "the server ended: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        };
        let url = first
            .strip_prefix("listening on ")
            .expect(&first)
            .to_owned();
        Self {
            process,
            url,
            _output: lines,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let response = soon(reqwest::get(format!("{}{path}", self.url)))
            .await
            .unwrap();
        let status = response.status().as_u16();
        (status, soon(response.text()).await.unwrap())
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) async fn signal(&self, name: &str) {
        signal(&self.process, name).await;
    }

    /// Moves its clock on, which takes `--dev`.
    pub(crate) async fn advance(&self, time: Duration) {
        let time = u64::try_from(time.as_millis()).unwrap();
        let moved = reqwest::Client::new()
            .post(format!("{}/dev/clock", self.url))
            .body(format!(r#"{{"advanceMs":{time}}}"#))
            .send();
        assert_eq!(soon(moved).await.unwrap().status(), 200);
    }

    /// Waits for the process to end; its status and its log.
    pub(crate) async fn ended(self) -> Output {
        soon(self.process.wait_with_output()).await.unwrap()
    }

    /// Ends the process as a power cut would, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        soon(self.process.kill()).await.unwrap();
    }
}

/// Sends a signal, such as `TERM`, to a process that was started here.
pub(crate) async fn signal(process: &Child, name: &str) {
    let id = process.id().expect("the process ended").to_string();
    let sent = Command::new("kill")
        .args(["-s", name, &id])
        .status()
        .await
        .unwrap();
    assert!(sent.success());
}

/// Runs the binary to its end, in an empty folder; its exit code and its log.
pub(crate) async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = taskyard(folder.path());
    command.args(arguments).envs(environment.iter().copied());
    ended(command).await
}

/// Waits for a command to end; its exit code and its log.
pub(crate) async fn ended(mut command: Command) -> (Option<i32>, String) {
    let output = soon(command.output()).await.unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// The binary, in `folder`, with no settings but those it is given.
pub(crate) fn taskyard(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskyard"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("TASKYARD_") || name.starts_with("TASKCLUSTER_") {
            command.env_remove(&*name);
        }
    }
    command.current_dir(folder).kill_on_drop(true);
    command
}

/// What must happen, and soon.
pub(crate) async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event)
        .await
        .expect("this should have happened by now")
}
