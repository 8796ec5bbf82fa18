//! A server process on a folder that outlives it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use taskyard_client::Options;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Nothing in these tests takes longer, unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Server {
    process: Child,
    /// `http://` and the address it listens on.
    pub(crate) url: String,
    /// Where taskstore is alone.
    pub(crate) alone: String,
}

impl Server {
    /// Starts a server on which everybody may do everything.
    pub(crate) async fn start(data: &Path) -> Self {
        let mut process = taskyard()
            .args(["serve", "--dev", "--listen", "127.0.0.1:0"])
            .args(["--taskstore-listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let mut next = async || {
            let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
            line.expect("a line in time")
                .expect("text")
                .expect("the server ended at once")
        };
        let (first, second) = (next().await, next().await);
        let url = first
            .strip_prefix("listening on ")
            .expect(&first)
            .to_owned();
        let alone = second
            .strip_prefix("taskstore alone on ")
            .expect(&second)
            .to_owned();
        Self {
            process,
            url,
            alone,
        }
    }

    pub(crate) fn options(&self) -> Options {
        Options::new(&self.url)
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
        if text.starts_with("TASKYARD_") || text.starts_with("TASKCLUSTER_") {
            command.env_remove(name);
        }
    }
    command.kill_on_drop(true);
    command
}
