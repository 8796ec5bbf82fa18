//! The server under load: the real binary, with a fresh data folder, stopped at the end.

use crate::usage::Usage;
use anyhow::{Context as _, Result, bail, ensure};
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// How long the server may take to start, and to stop.
const PATIENCE: Duration = Duration::from_mins(1);

/// The client the server makes on first start.
pub(crate) const ROOT_CLIENT_ID: &str = "static/taskcluster/root";

/// The root client's token: fixed, because the server lives on loopback and only for the run.
pub(crate) const ROOT_ACCESS_TOKEN: &str = "bench-bench-bench-bench-bench-bench-bench-00";

/// A running server. Dropping it kills the process and removes its folder.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pid: u32,
    address: SocketAddr,
    folder: TempDir,
}

impl Server {
    /// Starts `binary` on a free loopback port; without `database_url` it uses SQLite.
    ///
    /// # Errors
    /// The server ended, or did not say where it listens; with the end of its log.
    pub(crate) async fn start(
        binary: &Path,
        folder: TempDir,
        database_url: Option<&str>,
    ) -> Result<Self> {
        Self::start_with(binary, folder, database_url, &[]).await
    }

    /// The same with variables in its environment.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub(crate) async fn start_with(
        binary: &Path,
        folder: TempDir,
        database_url: Option<&str>,
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let log_path = folder.path().join("server.log");
        let log = File::create(&log_path).context("cannot create the server's log")?;
        let mut command = Command::new(binary);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path().join("data"))
            .env("TASKYARD_ROOT_ACCESS_TOKEN", ROOT_ACCESS_TOKEN)
            .env("TASKYARD_BENCH", "1")
            // What the server can do is measured, not what it allows.
            .env("TASKYARD_STACKS_RATE_LIMITS", "false")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        if let Some(url) = database_url {
            command.args(["--database-url", url]);
        }
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let pid = child.id().context("the server ended at once")?;
        let stdout = child.stdout.take().context("the server has no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let announced = tokio::time::timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await? {
                if let Some(address) = announced_address(&line) {
                    return address;
                }
            }
            bail!("the server ended before it listened")
        });
        let address = match announced.await {
            Ok(Ok(address)) => address,
            Ok(Err(error)) => {
                return Err(error).with_context(|| tail(&log_path));
            }
            Err(_) => bail!(
                "the server did not listen within {PATIENCE:?}\n{}",
                tail(&log_path)
            ),
        };
        ensure!(
            address.ip().is_loopback(),
            "the server listens on {address}, not on loopback"
        );
        // Whatever it prints later is read, so that it never blocks on a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self {
            child,
            pid,
            address,
            folder,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// What it has used until now.
    pub(crate) fn usage(&self) -> Result<Usage> {
        Usage::of(self.pid)
    }

    /// The bytes its data folder takes on disk.
    pub(crate) fn data_bytes(&self) -> Result<u64> {
        let mut bytes = 0;
        for entry in std::fs::read_dir(self.folder.path().join("data"))? {
            bytes += entry?.metadata()?.len();
        }
        Ok(bytes)
    }

    /// The end of what it wrote to its log.
    pub(crate) fn log_tail(&self) -> String {
        tail(&self.folder.path().join("server.log"))
    }

    /// Asks it to end, waits, and kills it if it does not; the folder where it kept its state.
    ///
    /// # Errors
    /// It ended with a failure, or had to be killed.
    pub(crate) async fn stop(mut self) -> Result<TempDir> {
        let asked = Command::new("kill")
            .args(["-TERM", &self.pid.to_string()])
            .status()
            .await
            .context("cannot run kill")?;
        ensure!(
            asked.success(),
            "the server had already ended\n{}",
            self.log_tail()
        );
        let Ok(status) = tokio::time::timeout(PATIENCE, self.child.wait()).await else {
            self.child.kill().await.ok();
            bail!("the server did not end within {PATIENCE:?} of SIGTERM and was killed")
        };
        let status = status?;
        ensure!(
            status.success(),
            "the server ended with {status}\n{}",
            self.log_tail()
        );
        Ok(self.folder)
    }
}

/// Finds the server: `TASKYARD_BIN`, or the one cargo builds now as it is shipped, in the profile
/// `dist`.
///
/// # Errors
/// cargo failed, or the file is missing.
pub(crate) async fn binary() -> Result<PathBuf> {
    let path = if let Some(path) = std::env::var_os("TASKYARD_BIN") {
        PathBuf::from(path)
    } else {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args([
                "build",
                "--profile",
                "dist",
                "--locked",
                "--package",
                "taskyard",
                "--manifest-path",
            ])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
            .status()
            .await
            .context("cannot run cargo to build the server")?;
        ensure!(
            built.success(),
            "the server does not build; set TASKYARD_BIN to use another one"
        );
        target_folder()?.join("dist/taskyard")
    };
    ensure!(
        path.is_file(),
        "there is no server at {}: set TASKYARD_BIN",
        path.display()
    );
    Ok(path)
}

/// A fresh folder under the target folder: on a real disk, where commits cost what they cost.
///
/// # Errors
/// The folder cannot be created.
pub(crate) fn fresh_folder() -> Result<TempDir> {
    let parent = target_folder()?.join("bench");
    std::fs::create_dir_all(&parent)
        .with_context(|| format!("cannot create {}", parent.display()))?;
    tempfile::Builder::new()
        .prefix("run-")
        .tempdir_in(&parent)
        .with_context(|| format!("cannot create a folder in {}", parent.display()))
}

/// cargo's target folder: this program stands in `<target>/<profile>/`, a test in `deps/` below.
fn target_folder() -> Result<PathBuf> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .map(Path::to_path_buf)
        .context("this program does not stand in cargo's target folder: start it through cargo")
}

/// The address in the line `listening on http://ADDRESS`, if it is that line.
fn announced_address(line: &str) -> Option<Result<SocketAddr>> {
    let url = line.trim().strip_prefix("listening on http://")?;
    let address = url.trim_end_matches('/').parse();
    Some(address.with_context(|| format!("the server announced a strange address: {line}")))
}

/// The last lines of a log, for an error's text.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(15);
    format!(
        "the end of the server's log:\n{}",
        lines.get(from..).unwrap_or_default().join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};

    fn script(folder: &TempDir, text: &str) -> PathBuf {
        let path = folder.path().join("taskyard");
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o700)
            .open(&path)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
        assert_ne!(file.metadata().unwrap().permissions().mode() & 0o100, 0);
        path
    }

    #[test]
    fn only_the_announcement_is_taken_for_an_address() {
        assert!(announced_address("starting").is_none());
        let address = announced_address("listening on http://127.0.0.1:8080")
            .unwrap()
            .unwrap();
        assert_eq!(address.to_string(), "127.0.0.1:8080");
        assert!(
            announced_address("listening on http://nowhere")
                .unwrap()
                .is_err()
        );
    }

    #[tokio::test]
    async fn a_server_that_fails_to_start_is_reported_with_its_log() {
        let folder = fresh_folder().unwrap();
        let binary = script(&folder, "#!/bin/sh\necho 'no disk' >&2\nexit 3\n");
        let error = Server::start(&binary, folder, None).await.unwrap_err();
        assert!(format!("{error:#}").contains("no disk"), "{error:#}");
    }

    #[tokio::test]
    async fn a_server_is_stopped_by_its_process_id() {
        let folder = fresh_folder().unwrap();
        let text = "#!/bin/sh\ntrap 'kill $!; exit 0' TERM\nsleep 60 &\n\
                    echo listening on http://127.0.0.1:1\nwait\n";
        let binary = script(&folder, text);
        let server = Server::start(&binary, folder, None).await.unwrap();
        let pid = server.pid();
        assert!(Usage::of(pid).is_ok());
        server.stop().await.unwrap();
        assert!(Usage::of(pid).is_err());
    }
}
