//! What stands in for services outside: moto for Amazon's, azurite for Azure's storage.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::surrounding;

/// How long a stand-in may take until it answers.
const START_LIMIT: Duration = Duration::from_mins(1);

/// The storage account that azurite has.
const AZURE_ACCOUNT: &str = "devstoreaccount1";
/// Its key, which is no secret: it stands in azurite's documentation.
const AZURE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Runs moto on a free loopback port and prints where that is. Its own command cannot tell which
/// port it took, and one that is chosen for it may be taken by somebody else first.
const MOTO: &str = "
import threading
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
server.start()
print('http://%s:%d' % server.get_host_and_port(), flush=True)
threading.Event().wait()
";

/// Both of them, running. Dropping this ends them.
#[derive(Debug)]
pub struct StandIns {
    _moto: Process,
    _azurite: Process,
    moto_url: String,
    blob_url: String,
    table_url: String,
    _folder: TempDir,
}

/// A process that ends with this.
#[derive(Debug)]
pub(crate) struct Process(pub(crate) Child);

impl StandIns {
    /// Starts both on free loopback ports and waits until they answer.
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let (moto, moto_url) = moto()?;
        let (azurite, blob_url, table_url) = azurite(&folder)?;
        Ok(Self {
            _moto: moto,
            _azurite: azurite,
            moto_url,
            blob_url,
            table_url,
            _folder: folder,
        })
    }

    /// The settings that connect a server to them; the S3 buckets are those given.
    pub fn settings(&self, buckets: &[&str]) -> String {
        let Self {
            moto_url,
            blob_url,
            table_url,
            ..
        } = self;
        format!(
            "[[aws]]\naccess-key-id = \"AKIAIOSFODNN7EXAMPLE\"\n\
             secret-access-key = \"a-secret-of-no-worth\"\nbuckets = {buckets:?}\n\
             sts-url = \"{moto_url}\"\n\n\
             [azure.{AZURE_ACCOUNT}]\nkey = \"{AZURE_KEY}\"\n\
             blob-url = \"{blob_url}\"\ntable-url = \"{table_url}\"\n"
        )
    }

    /// Where they are, as scenarios find it in their environment.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("MOTO_URL", self.moto_url.clone()),
            ("AZURE_ACCOUNT", AZURE_ACCOUNT.to_owned()),
            ("AZURE_BLOB_URL", self.blob_url.clone()),
            ("AZURE_TABLE_URL", self.table_url.clone()),
        ]
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill(); // fails only when it has ended already
        let _ = self.0.wait();
    }
}

fn moto() -> Result<(Process, String)> {
    let python = surrounding("TASKYARD_TEST_PYTHON_STAND_INS")?;
    let mut child = Command::new(python)
        .args(["-c", MOTO])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("could not start moto")?;
    let output = child.stdout.take();
    let process = Process(child);
    let lines = lines(output.context("moto has no output")?);
    // It listens before it says where.
    let url = lines.recv_timeout(START_LIMIT);
    Ok((process, url.context("moto does not say where it listens")?))
}

fn azurite(folder: &TempDir) -> Result<(Process, String, String)> {
    let node = surrounding("TASKYARD_TEST_NODE")?;
    let mut command = Command::new(node);
    command.arg(surrounding("TASKYARD_TEST_AZURITE")?);
    for port in ["--blobPort", "--queuePort", "--tablePort"] {
        command.args([port, "0"]);
    }
    command.args(["--skipApiVersionCheck", "--disableTelemetry", "--location"]);
    let mut child = command
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("could not start azurite")?;
    let output = child.stdout.take();
    let process = Process(child);
    let lines = lines(output.context("azurite has no output")?);
    let mut said = Vec::new();
    let mut found = |service: &str| -> Result<String> {
        let start = format!("Azurite {service} service is successfully listening at ");
        loop {
            if let Some(url) = said
                .iter()
                .find_map(|line: &String| line.strip_prefix(&start))
            {
                return Ok(format!("{url}/{AZURE_ACCOUNT}"));
            }
            let line = lines.recv_timeout(START_LIMIT);
            said.push(line.with_context(|| format!("azurite said only {said:?}"))?);
        }
    };
    let urls = (found("Blob")?, found("Table")?);
    Ok((process, urls.0, urls.1))
}

/// The lines of a process's output, which is read to its end so that the process never waits.
pub(crate) fn lines(output: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let _ = tell.send(line); // nobody may listen any longer
        }
    });
    told
}
