//! A private stand-in for Amazon S3: moto, which keeps everything in memory.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use anyhow::Result;

use crate::account::Account;
use crate::python;
use crate::service::{Folder, Service, free_port};

/// A running server.
#[derive(Debug)]
pub(crate) struct S3 {
    url: String,
    // Fields are dropped in order: the process goes before its folder.
    _service: Service,
    _folder: Folder,
}

impl S3 {
    /// Installs moto if it is missing and starts it.
    pub(crate) fn start() -> Result<Self> {
        let python = python::install_s3()?;
        let account = Account::own();
        let folder = Folder::create("s3", &account)?;
        let log = folder.path().join("log");
        let port = free_port()?;
        let mut command = account.command(&python, "TERM");
        command
            .current_dir(folder.path())
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p"])
            .arg(port.to_string());
        let mut service = Service::start("moto", command, &log, "TERM")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        service.wait_until(&log, || TcpStream::connect(address).is_ok())?;
        eprintln!("    the stand-in for S3 listens on 127.0.0.1:{port}");
        Ok(Self {
            url: format!("http://127.0.0.1:{port}"),
            _service: service,
            _folder: folder,
        })
    }

    /// How to reach it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}
