//! A private PostgreSQL for one run: durable as in production, on loopback, removed at the end.

use crate::server;
use anyhow::{Context as _, Result, bail};
use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Who runs the database when we are root, which PostgreSQL refuses to be.
const UNPRIVILEGED: &str = "postgres";

/// A running database cluster. Dropping it stops it and removes its folder.
#[derive(Debug)]
pub(crate) struct Postgres {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    as_root: bool,
}

impl Postgres {
    /// Creates and starts a cluster.
    ///
    /// # Errors
    /// PostgreSQL is not installed or does not start.
    pub(crate) fn start() -> Result<Self> {
        let programs = programs()?;
        let folder = server::fresh_folder()?;
        let as_root = own_user_is_root()?;
        if as_root {
            run(Command::new("chown").arg(UNPRIVILEGED).arg(folder.path()))?;
        }
        // Free now; nothing else on this machine is expected to take it in the meantime.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let cluster = Self {
            programs,
            folder,
            port,
            as_root,
        };
        let data = cluster.data();
        run(cluster
            .program("initdb")
            .args([
                "-A",
                "trust",
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--locale=C",
                "-D",
            ])
            .arg(&data))?;
        // Every commit reaches the disk: fsync and synchronous_commit stay on.
        let settings = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
             -c shared_buffers=512MB -c max_wal_size=4GB"
        );
        run(cluster
            .program("pg_ctl")
            .args(["start", "-w", "-t", "60", "-o", &settings, "-l"])
            .arg(cluster.folder.path().join("log"))
            .arg("-D")
            .arg(&data))?;
        Ok(cluster)
    }

    /// The URL of its empty database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// One of PostgreSQL's programs, as a user it accepts.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = if self.as_root {
            let mut command = Command::new("runuser");
            command.args(["-u", UNPRIVILEGED, "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // The unprivileged user may not be allowed to stand in our folder.
        command.current_dir("/");
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let stopped = run(self
            .program("pg_ctl")
            .args(["stop", "-m", "immediate", "-w", "-t", "30", "-D"])
            .arg(self.data()));
        if let Err(error) = stopped {
            eprintln!("PostgreSQL may still run on port {}: {error:#}", self.port);
        }
    }
}

/// The folder with initdb and pg_ctl: on the PATH, or the newest that Debian has installed.
fn programs() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<(u32, PathBuf)> = Path::new("/usr/lib/postgresql")
        .read_dir()
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let version = folder.file_name()?.to_str()?.parse().ok()?;
            Some((version, folder.join("bin")))
        })
        .collect();
    debian.sort_unstable();
    std::env::split_paths(&path)
        .chain(debian.into_iter().rev().map(|(_, folder)| folder))
        .find(|folder| folder.join("initdb").is_file() && folder.join("pg_ctl").is_file())
        .context("PostgreSQL is not installed: there is no initdb on the PATH")
}

fn own_user_is_root() -> Result<bool> {
    let output = Command::new("id")
        .arg("-u")
        .output()
        .context("cannot run id")?;
    Ok(output.stdout.trim_ascii() == b"0")
}

/// Runs a short command, quietly if it succeeds.
fn run(command: &mut Command) -> Result<()> {
    // pg_ctl's server would inherit a pipe and keep it open, so output goes to a file.
    let mut log = tempfile::tempfile().context("cannot create a temporary file")?;
    let status = command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?)
        .status()
        .with_context(|| format!("cannot run {}", name(command)))?;
    if !status.success() {
        let mut text = String::new();
        std::io::Seek::rewind(&mut log)?;
        std::io::Read::read_to_string(&mut log, &mut text)?;
        bail!(
            "{} failed with {status}:\n{}",
            name(command),
            text.trim_end()
        );
    }
    Ok(())
}

fn name(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn a_private_database_listens_and_is_gone_at_the_end() {
        let postgres = Postgres::start().unwrap();
        let (address, folder) = (("127.0.0.1", postgres.port), postgres.data());
        TcpStream::connect(address).unwrap();
        drop(postgres);
        assert!(TcpStream::connect(address).is_err());
        assert!(!folder.exists());
    }

    #[test]
    fn a_failed_command_is_reported_with_its_output() {
        let error = run(Command::new("sh").args(["-c", "echo too full >&2; exit 1"])).unwrap_err();
        assert!(error.to_string().contains("too full"), "{error}");
    }
}
