//! A private RabbitMQ broker: own node name, ports, data, cookie and port mapper.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::account::Account;
use crate::service::{Folder, Service, free_port};
use crate::{apt, workspace};

/// A running broker.
#[derive(Debug)]
pub(crate) struct RabbitMq {
    url: String,
    control: PathBuf,
    // Fields are dropped in order: the broker before its port mapper, both before the folder.
    broker: Service,
    _port_mapper: Service,
    _folder: Folder,
}

impl RabbitMq {
    /// Installs RabbitMQ if it is missing and starts a broker without plugins.
    pub(crate) fn start() -> Result<Self> {
        let server = server()?;
        let account = Account::for_service("rabbitmq")?;
        let folder = Folder::create("rabbitmq", &account)?;
        let [amqp, distribution, mapper] = [free_port()?, free_port()?, free_port()?];
        let loopback = Ipv4Addr::LOCALHOST.to_string();

        // Erlang's port mapper would otherwise be started as a daemon that nobody stops.
        let epmd = workspace::program("epmd").context("epmd, a part of Erlang, is missing")?;
        let mut command = account.command(&epmd, "TERM");
        command.args(["-address", &loopback, "-port", &mapper.to_string()]);
        let mapper_log = folder.path().join("epmd.log");
        let mut port_mapper = Service::start("epmd", command, &mapper_log, "TERM")?;
        port_mapper.wait_until(&mapper_log, || accepts(mapper))?;

        let path = |name: &str| folder.path().join(name);
        fs::write(path("rabbitmq.conf"), "loopback_users = none\n")?;
        fs::write(path("enabled_plugins"), "[].\n")?;
        fs::write(path("environment"), "")?;
        for name in ["data", "logs"] {
            account.create_folder(&path(name))?;
        }
        let log = path("broker.log");
        let text = |name: &str| path(name).display().to_string();
        let environment = [
            ("HOME", folder.path().display().to_string()),
            ("ERL_EPMD_ADDRESS", loopback.clone()),
            ("ERL_EPMD_PORT", mapper.to_string()),
            (
                "RABBITMQ_NODENAME",
                format!("taskyard-test-{amqp}@localhost"),
            ),
            ("RABBITMQ_NODE_IP_ADDRESS", loopback),
            ("RABBITMQ_NODE_PORT", amqp.to_string()),
            ("RABBITMQ_DIST_PORT", distribution.to_string()),
            ("RABBITMQ_MNESIA_BASE", text("data")),
            ("RABBITMQ_LOG_BASE", text("logs")),
            ("RABBITMQ_CONFIG_FILE", text("rabbitmq.conf")),
            ("RABBITMQ_CONF_ENV_FILE", text("environment")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", text("enabled_plugins")),
        ];
        let mut command = account.command(&server, "TERM");
        command
            .current_dir(folder.path())
            // Makes the start script become the broker instead of a shell that waits for it.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .envs(environment.iter().map(|(name, value)| (name, value)));
        let mut broker = Service::start("RabbitMQ", command, &log, "TERM")?;
        broker.wait_until(&log, || speaks_amqp(amqp))?;
        eprintln!("    RabbitMQ listens on 127.0.0.1:{amqp}");
        let control = path("control");
        write_control(&control, &server, &environment)?;
        Ok(Self {
            url: format!("amqp://guest:guest@127.0.0.1:{amqp}/%2f"),
            control,
            broker,
            _port_mapper: port_mapper,
            _folder: folder,
        })
    }

    /// A program that, called with `stop` or `start`, stops the broker and starts it again.
    pub(crate) fn control(&self) -> &Path {
        &self.control
    }

    /// Keeps the broker to one processor.
    pub(crate) fn keep_to(&self, processor: usize) -> Result<()> {
        self.broker.keep_to(processor)
    }

    /// How to connect as administrator.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// Writes a script by which tests stop and start the broker; what it keeps survives that.
fn write_control(path: &Path, server: &Path, environment: &[(&str, String)]) -> Result<()> {
    let tool = server.with_file_name("rabbitmqctl");
    let exports = environment
        .iter()
        .map(|(name, value)| format!("export {name}='{value}'"));
    let call = format!("exec '{}' -q \"${{1}}_app\"\n", tool.display());
    let lines = std::iter::once("#!/bin/sh".to_owned()).chain(exports);
    let script = lines.chain([call]).collect::<Vec<_>>().join("\n");
    fs::write(path, script).with_context(|| format!("could not write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("could not make {} a program", path.display()))
}

/// The start script itself: Debian's wrapper in `PATH` insists on the system's folders.
fn server() -> Result<PathBuf> {
    let script = Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
    if !script.is_file() {
        apt::install(&["rabbitmq-server"], "rabbitmq-server is missing")?;
    }
    script
        .canonicalize()
        .with_context(|| format!("there is no {}", script.display()))
}

fn accepts(port: u16) -> bool {
    TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok()
}

/// Whether the broker answers the protocol header with a method frame (type 1).
fn speaks_amqp(port: u16) -> bool {
    let greet = || -> std::io::Result<u8> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut first = [0];
        stream.read_exact(&mut first)?;
        Ok(first[0])
    };
    greet().is_ok_and(|kind| kind == 1)
}
