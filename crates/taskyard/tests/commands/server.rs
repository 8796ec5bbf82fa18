//! A server process on a folder that outlives it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use taskyard_client::{Credentials, Options};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Nothing in these tests takes longer, unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
/// The client that may do everything.
pub(crate) const ROOT: &str = "static/taskcluster/root";
pub(crate) const TOKEN: &str = "rootrootrootrootrootrootrootrootrootrootroot";

pub(crate) struct Server {
    process: Child,
    /// `http://` and the address it listens on.
    pub(crate) url: String,
    output: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// `taskyard serve`, which keeps its state in `data`, with further arguments. It listens on a
    /// free port.
    pub(crate) async fn start(data: &Path, arguments: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", data, arguments).await
    }

    /// The same on `address`.
    pub(crate) async fn start_at(address: &str, data: &Path, arguments: &[&str]) -> Self {
        let mut process = taskyard()
            .args(["serve", "--listen", address, "--data"])
            .arg(data)
            .args(arguments)
            .env("TASKYARD_ROOT_ACCESS_TOKEN", TOKEN)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let output = process.stdout.take().expect("it is piped");
        let mut server = Self {
            process,
            url: String::new(),
            output: BufReader::new(output).lines(),
        };
        let first = server.line().await;
        let url = first.strip_prefix("listening on ").expect(&first);
        url.clone_into(&mut server.url);
        server
    }

    /// The next line it prints.
    pub(crate) async fn line(&mut self) -> String {
        let line = soon(self.output.next_line()).await.expect("text");
        line.expect("the server ended at once")
    }

    /// How the client library calls it, without credentials.
    pub(crate) fn options(&self) -> Options {
        Options::new(&self.url)
    }

    /// How the client library calls it as the root client.
    pub(crate) fn options_of_root(&self) -> Options {
        self.options()
            .with_credentials(Credentials::new(ROOT, TOKEN))
    }

    /// SIGKILL: it has no time to do anything more.
    pub(crate) async fn kill(mut self) {
        soon(self.process.kill()).await.expect("it can be killed");
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

/// The same, in the name of the root client.
pub(crate) fn taskyard_as_root() -> Command {
    let mut command = taskyard();
    command
        .env("TASKCLUSTER_CLIENT_ID", ROOT)
        .env("TASKCLUSTER_ACCESS_TOKEN", TOKEN);
    command
}

/// What must happen, and soon.
pub(crate) async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event)
        .await
        .expect("this should have happened by now")
}
