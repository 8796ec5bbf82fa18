//! A private PostgreSQL server: fresh data, loopback only, no password, gone at the end.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::account::Account;
use crate::service::{Folder, Service, free_port, text};
use crate::{apt, step, workspace};

/// The superuser of the private server.
const USER: &str = "taskyard";
/// A unix socket's path may have 107 bytes; the file name PostgreSQL adds needs up to 20.
const LONGEST_SOCKET_FOLDER: usize = 86;

/// A running server.
#[derive(Debug)]
pub(crate) struct Postgres {
    url: String,
    // Fields are dropped in order: the process goes before its folder.
    _service: Service,
    _folder: Folder,
}

impl Postgres {
    /// Installs PostgreSQL if it is missing, makes a data folder and starts a server on it.
    pub(crate) fn start() -> Result<Self> {
        let programs = programs()?;
        let account = Account::for_service("postgres")?;
        let folder = Folder::create("postgres", &account)?;
        let data = folder.path().join("data");
        let log = folder.path().join("log");

        // The C locale and UTF-8 make sorting the same on every machine.
        let mut initdb = account.command(&programs.join("initdb"), "KILL");
        initdb
            .arg("-D")
            .arg(&data)
            .args(["-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C"]);
        initdb.arg("--no-sync").current_dir(folder.path());
        step::output(&mut initdb).context("initdb failed")?;

        let port = free_port()?;
        let sockets = folder.path().to_string_lossy().into_owned();
        let sockets = if sockets.len() <= LONGEST_SOCKET_FOLDER {
            sockets
        } else {
            String::new()
        };
        let mut server = account.command(&programs.join("postgres"), "INT");
        server.current_dir(folder.path()).arg("-D").arg(&data);
        for setting in [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={port}"),
            format!("unix_socket_directories={sockets}"),
            "max_connections=500".to_owned(),
            "timezone=UTC".to_owned(),
            // The data is thrown away: nothing needs to survive a power cut here.
            "fsync=off".to_owned(),
            "full_page_writes=off".to_owned(),
        ] {
            server.arg("-c").arg(setting);
        }
        let mut service = Service::start("PostgreSQL", server, &log, "INT")?;
        service.wait_until(&log, || text(&log).contains("ready to accept connections"))?;
        let url = format!("postgres://{USER}@127.0.0.1:{port}/postgres");
        eprintln!("    PostgreSQL listens on 127.0.0.1:{port}");
        Ok(Self {
            url,
            _service: service,
            _folder: folder,
        })
    }

    /// How to connect as superuser.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// The folder of `initdb` and `postgres`. Debian keeps them out of `PATH`.
fn programs() -> Result<PathBuf> {
    if let Some(folder) = find_programs() {
        return Ok(folder);
    }
    apt::install(&["postgresql"], "initdb is missing")?;
    find_programs().context("PostgreSQL was installed, yet there is no initdb")
}

fn find_programs() -> Option<PathBuf> {
    if let Some(initdb) = workspace::program("initdb") {
        // A link in PATH may stand without its neighbours.
        let folder = initdb.canonicalize().ok()?.parent()?.to_path_buf();
        if folder.join("postgres").is_file() {
            return Some(folder);
        }
    }
    let versions = std::fs::read_dir(Path::new("/usr/lib/postgresql")).ok()?;
    versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|folder| folder.join("initdb").is_file())
        .max_by_key(|folder| {
            let version = folder.parent().and_then(Path::file_name);
            version
                .and_then(|name| name.to_str()?.parse::<u32>().ok())
                .unwrap_or(0)
        })
}
