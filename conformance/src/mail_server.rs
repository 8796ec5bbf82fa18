//! What stands in for a mail server: aiosmtpd.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::stand_ins::{Process, lines};
use crate::surrounding;

/// How long it may take to start, or to show a mail that it has taken.
const LIMIT: Duration = Duration::from_mins(1);

/// A running mail server. Dropping this ends it.
#[derive(Debug)]
pub struct MailServer {
    _process: Process,
    address: String,
    lines: mpsc::Receiver<String>,
}

impl MailServer {
    /// Starts it on a free loopback port. It wants a user and password, and takes mails to
    /// `example.com` only.
    pub fn start() -> Result<Self> {
        let python = surrounding("TASKYARD_TEST_PYTHON_STAND_INS")?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/mail_server.py");
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // It complains that it is to take passwords without TLS.
            .stderr(Stdio::null())
            .spawn()
            .context("could not start the mail server")?;
        let output = child.stdout.take();
        let process = Process(child);
        let lines = lines(output.context("the mail server has no output")?);
        // It listens before it says where.
        let address = lines.recv_timeout(LIMIT);
        Ok(Self {
            _process: process,
            address: address.context("the mail server does not say where it listens")?,
            lines,
        })
    }

    /// Where it is, with the user and password it wants.
    pub fn url(&self) -> String {
        format!("smtp://user:pass%20word@{}", self.address)
    }

    /// The next mail it took, in JSON: see `mail_server.py`.
    pub fn mail(&self) -> Result<String> {
        self.lines.recv_timeout(LIMIT).context("there is no mail")
    }
}
