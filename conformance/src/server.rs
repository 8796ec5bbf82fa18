//! One `taskyard serve` process.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::{Database, surrounding};

/// The client that may do everything.
pub const ROOT_CLIENT_ID: &str = "static/taskcluster/root";
/// Its access token, known beforehand because the server is told to use this one.
pub const ROOT_ACCESS_TOKEN: &str = "conformance-root-token-0123456789-abcdefghij";

/// How long a server may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a server may take to stop when asked to.
const STOP_LIMIT: Duration = Duration::from_secs(40);
/// What a ready server prints, followed by its root URL.
const READY: &str = "listening on ";

/// A running server. Dropping it kills it; [`Server::stop`] asks it to stop.
#[derive(Debug)]
pub struct Server {
    child: Child,
    root_url: String,
    folder: TempDir,
    // Dropped last, when the process is gone.
    _database: Database,
}

impl Server {
    /// Starts the binary of `TASKYARD_BIN` on a free loopback port and waits until it listens.
    pub fn start(database: Database) -> Result<Self> {
        Self::start_with(database, "", &[])
    }

    /// The same with a configuration file that holds `settings`, and variables in its environment.
    pub fn start_with(
        database: Database,
        settings: &str,
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let binary = PathBuf::from(surrounding("TASKYARD_BIN")?);
        if !binary.is_file() {
            bail!("there is no server at {}: build it first", binary.display());
        }
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let log = File::create(folder.path().join("log")).context("no log file")?;
        let mut command = Command::new(&binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(folder.path().join("data"));
        if !settings.is_empty() {
            let file = folder.path().join("taskyard.toml");
            std::fs::write(&file, settings).context("no configuration file")?;
            command.arg("--config").arg(file);
        }
        if let Some(url) = database.url() {
            command.args(["--database-url", &url]);
        }
        let mut child = command
            .env("TASKYARD_ROOT_ACCESS_TOKEN", ROOT_ACCESS_TOKEN)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("could not start {}", binary.display()))?;
        let stdout = child.stdout.take();
        // From here on the process is stopped whatever happens.
        let mut server = Self {
            child,
            root_url: String::new(),
            folder,
            _database: database,
        };
        let root_url = stdout.context("no standard output").and_then(await_ready);
        match root_url {
            Ok(root_url) => server.root_url = root_url,
            Err(error) => {
                let _ = server.child.kill(); // it may have ended by itself
                let status = server.child.wait()?;
                bail!(
                    "the server did not start ({error:#}, {status}):\n{}",
                    server.log()
                );
            }
        }
        Ok(server)
    }

    /// Where it listens, as clients want it: `http://127.0.0.1:PORT`.
    pub fn root_url(&self) -> &str {
        &self.root_url
    }

    /// What it has written to its standard error so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log"))
            .unwrap_or_else(|error| format!("(no log: {error})"))
    }

    /// Asks it to stop (SIGTERM) and waits; fails unless it ends in time and with success.
    pub fn stop(mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status()?;
        if !sent.success() {
            bail!(
                "the server was gone before it was asked to stop:\n{}",
                self.log()
            );
        }
        let status = self.await_end()?;
        if !status.success() {
            bail!("the server stopped with {status}:\n{}", self.log());
        }
        Ok(())
    }

    fn await_end(&mut self) -> Result<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < STOP_LIMIT {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!(
            "the server did not stop within {STOP_LIMIT:?}:\n{}",
            self.log()
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill(); // fails only when it has ended already
        let _ = self.child.wait();
    }
}

/// Reads the root URL from the first lines of output, and goes on reading so that the server never
/// blocks on a full pipe.
fn await_ready(stdout: ChildStdout) -> Result<String> {
    let (tell, ready) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(root_url) = line.strip_prefix(READY) {
                let _ = tell.send(root_url.trim().to_owned()); // nobody may wait any longer
            }
        }
    });
    ready
        .recv_timeout(START_LIMIT)
        .context("it never said where it listens")
}
