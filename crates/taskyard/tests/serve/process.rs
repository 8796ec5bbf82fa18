//! A server in a process and a folder of its own.

use std::process::{Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Nothing in these tests takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    process: Child,
    /// `http://` and the address it listens on.
    pub(crate) url: String,
    pub(crate) _folder: TempDir,
}

impl Server {
    /// Starts `taskyard serve` on a free port with further arguments.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = taskyard()
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path().join("data"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = process.stdout.take().unwrap();
        let mut lines = BufReader::new(output).lines();
        let first = soon(lines.next_line())
            .await
            .unwrap()
            .expect("the server ended at once");
        let url = first
            .strip_prefix("listening on ")
            .expect(&first)
            .to_owned();
        Self {
            process,
            url,
            _folder: folder,
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
        let id = self.process.id().expect("the server ended").to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .await
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for the process to end; its status and its log.
    pub(crate) async fn ended(self) -> Output {
        soon(self.process.wait_with_output()).await.unwrap()
    }
}

/// Runs the binary to its end.
pub(crate) async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = taskyard();
    command.args(arguments).envs(environment.iter().copied());
    let output = soon(command.output()).await.unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn taskyard() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskyard"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TASKYARD_") {
            command.env_remove(name);
        }
    }
    command.kill_on_drop(true);
    command
}

/// What must happen, and soon.
pub(crate) async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event)
        .await
        .expect("this should have happened by now")
}
