//! A server process on a folder that outlives it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use taskyard_engine::clock::Clock;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Nothing in these tests takes longer, unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// The client that may do everything.
pub(crate) const ROOT: &str = "static/taskcluster/root";
pub(crate) const TOKEN: &str = "rootrootrootrootrootrootrootrootrootrootroot";

pub(crate) struct Server {
    process: Child,
    /// `http://` and the address it listens on.
    pub(crate) url: String,
}

impl Server {
    /// A server that asks for credentials and sends to this machine.
    pub(crate) async fn start(data: &Path) -> Self {
        Self::listen(data, "127.0.0.1:0", &["--outgoing-loopback"]).await
    }

    /// A server on which everybody may do everything.
    pub(crate) async fn dev(data: &Path, address: &str) -> Self {
        Self::listen(data, address, &["--dev"]).await
    }

    async fn listen(data: &Path, address: &str, more: &[&str]) -> Self {
        let mut process = taskyard()
            .args(["serve", "--listen", address, "--data"])
            .arg(data)
            .args(more)
            .env("TASKYARD_ROOT_ACCESS_TOKEN", TOKEN)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let first = soon(lines.next_line()).await.expect("text");
        let first = first.expect("the server ended at once");
        let url = first
            .strip_prefix("listening on ")
            .expect(&first)
            .to_owned();
        Self { process, url }
    }

    /// SIGKILL: it has no time to do anything more.
    pub(crate) async fn kill(mut self) {
        self.process.kill().await.expect("it can be killed");
    }
}

/// The binary, without the settings of whoever runs the tests.
pub(crate) fn taskyard() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskyard"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let prefixes = ["TASKYARD_", "TASKCLUSTER_", "GOOGLE_CLOUD_"];
        if prefixes.iter().any(|prefix| text.starts_with(prefix)) {
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

/// This time tomorrow, to the second, as the service writes it.
pub(crate) fn tomorrow() -> String {
    let at = Clock::default().now().plus(Duration::from_hours(24));
    let text = at.to_iso();
    format!("{}Z", text.split('.').next().expect("a time"))
}
