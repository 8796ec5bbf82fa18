//! A private driver of Chromium, by which tests use a real browser.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::account::Account;
use crate::service::{Folder, Service};
use crate::{apt, step, workspace};

/// What the driver says when it listens; the port follows.
const UP: &str = "was started successfully on port ";

/// A running driver, which starts a browser for each test that asks for one.
#[derive(Debug)]
pub(crate) struct Chromium {
    url: String,
    // Fields are dropped in order: the process goes before its browsers, and they before their
    // folder.
    _service: Service,
    _browsers: Group,
    _folder: Folder,
}

impl Chromium {
    /// Installs browser and driver if they are missing and starts the driver.
    pub(crate) fn start() -> Result<Self> {
        let driver = install()?;
        let account = Account::own();
        let folder = Folder::create("chromium", &account)?;
        let log = folder.path().join("log");
        let mut command = account.command(&driver, "TERM");
        // What browsers leave behind goes with the folder.
        command
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .process_group(0)
            .arg("--port=0");
        let mut service = Service::start("chromedriver", command, &log, "TERM")?;
        let browsers = Group(service.id());
        service.wait_until(&log, || port(&log).is_some())?;
        let port = port(&log).context("chromedriver does not say where it listens")?;
        eprintln!("    chromedriver listens on 127.0.0.1:{port}");
        Ok(Self {
            url: format!("http://127.0.0.1:{port}"),
            _service: service,
            _browsers: browsers,
            _folder: folder,
        })
    }

    /// How to reach it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// What the driver started: browsers of tests that were killed outlive it otherwise.
#[derive(Debug)]
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        let group = format!("-{}", self.0);
        // Fails when nothing is left of it, which is how it should be.
        let _ = step::output(Command::new("kill").args(["-KILL", "--", &group]));
    }
}

fn install() -> Result<PathBuf> {
    for (program, package) in [
        ("chromium", "chromium"),
        ("chromedriver", "chromium-driver"),
    ] {
        if workspace::program(program).is_none() {
            apt::install(&[package], &format!("{program} is missing"))?;
        }
    }
    workspace::program("chromedriver").context("Chromium was installed, yet has no chromedriver")
}

fn port(log: &Path) -> Option<u16> {
    let text = fs::read_to_string(log).ok()?;
    let (_, rest) = text.split_once(UP)?;
    let (port, _) = rest.split_once('.')?;
    port.parse().ok()
}
