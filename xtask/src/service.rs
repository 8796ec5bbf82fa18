//! A service that runs beside the tests: one process, one folder, both gone at the end.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::account::Account;
use crate::{step, workspace};

/// How long a service may take to come up.
const START_LIMIT: Duration = Duration::from_mins(1);
/// How long a service may take to stop before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// How often a service that starts or stops is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A started process. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Service {
    name: &'static str,
    child: Child,
    stop_signal: &'static str,
}

impl Service {
    /// Starts `command`, both of its outputs going to the file `log`.
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        log: &Path,
        stop_signal: &'static str,
    ) -> Result<Self> {
        let out =
            fs::File::create(log).with_context(|| format!("could not write {}", log.display()))?;
        let err = out.try_clone()?;
        let child = command
            .stdin(std::process::Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("could not start {name}"))?;
        Ok(Self {
            name,
            child,
            stop_signal,
        })
    }

    /// Waits until `is_up`; fails with the log's text when the process ends or takes too long.
    pub(crate) fn wait_until(&mut self, log: &Path, is_up: impl Fn() -> bool) -> Result<()> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "{} ended with {status} while starting:\n{}",
                    self.name,
                    text(log)
                );
            }
            if is_up() {
                return Ok(());
            }
            if begun.elapsed() > START_LIMIT {
                bail!(
                    "{} is not up after {START_LIMIT:?}:\n{}",
                    self.name,
                    text(log)
                );
            }
            std::thread::sleep(LOOK);
        }
    }

    /// The id of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Keeps it to one processor.
    pub(crate) fn keep_to(&self, processor: usize) -> Result<()> {
        let (processor, pid) = (processor.to_string(), self.child.id().to_string());
        step::output(Command::new("taskset").args(["-acp", &processor, &pid])).map(drop)
    }

    fn stop(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        let pid = self.child.id().to_string();
        step::output(Command::new("kill").args([&format!("-{}", self.stop_signal), &pid]))?;
        let begun = Instant::now();
        while begun.elapsed() < STOP_LIMIT {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
        bail!("{} did not stop within {STOP_LIMIT:?}", self.name)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("warning: {error}; killing it");
            if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
                eprintln!("warning: {} could not be killed: {error}", self.name);
            }
        }
    }
}

/// The folder of one service during one run. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes a fresh folder that `account` can use: under `target`, or under the system's temporary
    /// folder when a folder above `target` is closed to that account.
    pub(crate) fn create(name: &str, account: &Account) -> Result<Self> {
        let leaf = format!("{}-{name}", std::process::id());
        let preferred = Self {
            path: workspace::running().join(&leaf),
        };
        account.create_folder(&preferred.path)?;
        if account.reaches(&preferred.path) {
            return Ok(preferred);
        }
        let elsewhere = Self {
            path: std::env::temp_dir().join(format!("taskyard-xtask-{leaf}")),
        };
        account.create_folder(&elsewhere.path)?;
        if !account.reaches(&elsewhere.path) {
            bail!(
                "the account of {name} cannot write to {}",
                elsewhere.path.display()
            );
        }
        Ok(elsewhere)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!(
                "warning: {} could not be removed: {error}",
                self.path.display()
            );
        }
    }
}

/// Removes the folders of runs that were killed before they could do it themselves.
pub(crate) fn remove_leftovers() -> Result<()> {
    let Ok(entries) = fs::read_dir(workspace::running()) else {
        return Ok(()); // nothing ever ran here
    };
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let owner = name
            .as_deref()
            .and_then(|name| name.split('-').next()?.parse::<u32>().ok());
        if owner.is_none_or(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            fs::remove_dir_all(&path)
                .with_context(|| format!("could not remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// A loopback port that nothing listens on at the moment.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free loopback port")?;
    Ok(listener.local_addr()?.port())
}

/// A log's text for an error message.
pub(crate) fn text(log: &Path) -> String {
    fs::read_to_string(log).unwrap_or_else(|error| format!("(no log: {error})"))
}
