//! The settings of `taskyard serve`. Each one has a flag, an environment variable and a key in the
//! configuration file, and is checked before anything starts.
//!
//! To add a setting: a field in [`Flags`] and its line in [`Flags::given`], a key in [`KEYS`], a
//! field in [`ServeConfig`] and the line in [`ServeConfig::from_sources`] that checks it.

mod artifacts;
mod cloud;
mod error;
mod guarded;
mod notify;
mod outgoing;
mod section;
mod sources;
mod standing;
mod value;

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use self::artifacts::Artifacts;
use ipnet::IpNet;
use taskyard_api_stacks::QueueMap;
use taskyard_events::retention::Retention;

pub(crate) use self::cloud::{Cloud, CloudFlags};
pub(crate) use self::error::Error;
pub(crate) use self::notify::Notify;
pub(crate) use self::outgoing::{Outgoing, OutgoingFlags};
use self::sources::Sources;
pub(crate) use self::standing::Standing;

/// Every key, as it is written in the file. The flag is `--key`, the environment variable
/// `TASKYARD_KEY` with underscores.
const KEYS: &[&str] = &[
    "listen",
    "data",
    "database-url",
    "root-url",
    "dev",
    "log-format",
    "log-level",
    "shutdown-limit",
    "claim-timeout",
    "max-connections",
    "root-access-token",
    "secret-key-file",
    "trusted-proxies",
    "taskstore-listen",
    "amqp-url",
    "amqp-backlog-limit",
    "events-retention",
    "events-limit",
    "cloudtasks-locations",
    "cloudtasks-queue-name-reserve",
    "cloudtasks-tokens-need-https",
    "cloudtasks-issuer",
    "cloudtasks-app-engine-url",
    "cloudtasks-app-engine-services",
    "cloudtasks-hosts",
    "cloudtasks-strict-empty-override",
    "cloudtasks-keep-failures",
    "cloudtasks-slow-down",
    "outgoing-loopback",
    "outgoing-private",
    "outgoing-hosts",
    "outgoing-networks",
    "outgoing-proxy",
    "outgoing-ca-file",
    "stacks-queues",
    "stacks-rate-limits",
    "statsum-url",
    "statsum-secret",
    "webhooktunnel-url",
    "webhooktunnel-secret",
    "websocktunnel-secret",
    "notify-smtp-url",
    "notify-sender",
    "notify-matrix-url",
    "notify-matrix-token",
    "notify-slack-token",
    "notify-slack-url",
    "artifacts-folder",
    "artifacts-bucket",
    "artifacts-prefix",
    "artifacts-endpoint",
    "artifacts-region",
    "artifacts-access-key-id",
    "artifacts-secret-access-key",
];

/// Keys that may hold a list in the file.
const LIST_KEYS: [&str; 1] = ["trusted-proxies"];

/// Where taskstore's own clients look when nobody tells them.
const TASKSTORE_PORT: u16 = 8048;

/// How many events there may be.
const EVENTS: &str = "a whole number from 1000 to 1000000000";

/// Keys whose values never appear in a message.
const SECRET_KEYS: [&str; 10] = [
    "amqp-url",
    "database-url",
    "notify-smtp-url",
    "notify-matrix-token",
    "notify-slack-token",
    "root-access-token",
    "statsum-secret",
    "webhooktunnel-secret",
    "websocktunnel-secret",
    "artifacts-secret-access-key",
];

/// What may be said on the command line; anything else comes from the environment or the file.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Flags {
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<String>,

    /// Folder of the database and the artifacts, created when missing [default: ./taskyard-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<String>,

    /// PostgreSQL to keep the state in, as postgres://user@host/database [default: SQLite in the
    /// data folder]
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,

    /// Address under which clients reach this server [default: http:// and the listen
    /// address]
    #[arg(long, value_name = "URL")]
    pub(crate) root_url: Option<String>,

    /// Grant anonymous callers everything, and let tests move the clock; loopback only
    #[arg(long)]
    pub(crate) dev: bool,

    /// Configuration file (TOML), with the long names of these options as keys
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Form of the log: text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,

    /// What to log: error, warn, info, debug or trace, also by module as in
    /// info,taskyard_http=debug [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,

    /// How long a shutdown waits for requests that are being answered, 0s to 1h [default: 30s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) shutdown_limit: Option<String>,

    /// How long a worker may be silent before its run is taken away, 1s to 24h [default: 20m]
    #[arg(long, value_name = "DURATION")]
    pub(crate) claim_timeout: Option<String>,

    /// Connections open at once; further ones wait to be accepted [default: 10000]
    #[arg(long, value_name = "COUNT")]
    pub(crate) max_connections: Option<String>,

    /// Key that encrypts secrets in the database, made when missing; nodes of one database share
    /// it [default: secret.key in the data folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_key_file: Option<String>,

    /// Proxies in front, as addresses or networks with commas between, whose X-Forwarded-Port and
    /// X-Forwarded-Proto headers are believed [default: none]
    #[arg(long, value_name = "CIDR,…")]
    pub(crate) trusted_proxies: Option<String>,

    /// Also serve taskstore alone at the root of this address, for clients that know no other
    /// place [default: not; without a value 127.0.0.1:8048]
    #[arg(long, value_name = "ADDR[:PORT]", num_args = 0..=1,
          default_missing_value = "127.0.0.1")]
    pub(crate) taskstore_listen: Option<String>,

    /// Folder to keep artifacts in, created when missing; nodes of one database share it
    /// [default: artifacts in the data folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) artifacts_folder: Option<String>,

    /// S3-compatible bucket to keep artifacts in, in place of a folder
    #[arg(long, value_name = "NAME")]
    pub(crate) artifacts_bucket: Option<String>,

    /// How the names of all objects in the bucket begin; no other installation may use the same
    /// [default: taskyard]
    #[arg(long, value_name = "PREFIX")]
    pub(crate) artifacts_prefix: Option<String>,

    /// Who serves the bucket [default: Amazon]
    #[arg(long, value_name = "URL")]
    pub(crate) artifacts_endpoint: Option<String>,

    /// Region the bucket is in [default: us-east-1]
    #[arg(long, value_name = "REGION")]
    pub(crate) artifacts_region: Option<String>,
    /// RabbitMQ to publish events to, as amqp://user:password@host/vhost or amqps://… [default:
    /// none; events can be followed at /api/events/ all the same]
    #[arg(long, value_name = "URL")]
    pub(crate) amqp_url: Option<String>,

    /// Events kept while the broker is away; beyond, the oldest are given up [default: 10000000]
    #[arg(long, value_name = "COUNT")]
    pub(crate) amqp_backlog_limit: Option<String>,

    /// How long events can be read again, 1m to 30 days (720h) [default: 24h]
    #[arg(long, value_name = "DURATION")]
    pub(crate) events_retention: Option<String>,

    /// Most events that can be read again [default: 2000000]
    #[arg(long, value_name = "COUNT")]
    pub(crate) events_limit: Option<String>,

    /// Task queues behind the queues of stacks, as KEY=PROVISIONER/WORKERTYPE,…; a key that is not
    /// listed stands for stacks/KEY
    #[arg(long, value_name = "MAP")]
    pub(crate) stacks_queues: Option<String>,

    /// Hold stacks to the documented rates, true or false [default: true]
    #[arg(long, value_name = "BOOL")]
    pub(crate) stacks_rate_limits: Option<String>,

    #[command(flatten)]
    pub(crate) cloud: CloudFlags,

    #[command(flatten)]
    pub(crate) outgoing: OutgoingFlags,
}

/// Every setting of the server, checked.
#[derive(Debug, Clone)]
pub(crate) struct ServeConfig {
    /// Where to listen; port 0 takes a free one.
    pub(crate) listen: SocketAddr,
    /// Folder of the embedded database and the artifacts.
    pub(crate) data: PathBuf,
    /// Which database holds the state.
    pub(crate) database: Database,
    /// How clients reach this server; `None` derives it from the bound address.
    pub(crate) root_url: Option<String>,
    /// Anonymous callers may do everything, and the clock can be moved.
    pub(crate) dev: bool,
    /// How, and how much, to log.
    pub(crate) log: Log,
    /// How long a shutdown waits for requests in flight.
    pub(crate) shutdown_limit: Duration,
    /// How long a claim lasts without being renewed.
    pub(crate) claim_timeout: Duration,
    /// Connections open at once.
    pub(crate) max_connections: usize,
    /// Access token of the root client; `None` makes one on the first start. It has no flag,
    /// because other users of the machine can read command lines.
    pub(crate) root_access_token: Option<Secret>,
    /// The key that secrets in the database are encrypted with; `None` means `secret.key` in the
    /// data folder. Nodes that share a database share the key.
    pub(crate) secret_key_file: Option<PathBuf>,
    /// The services outside that tokens can be had for. Their settings have no flags, because
    /// other users of the machine can read command lines.
    pub(crate) guarded: taskyard_api_taskcluster::auth::Guarded,
    pub(crate) notify: Notify,
    /// Whose `X-Forwarded-Port` and `X-Forwarded-Proto` are believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Clients and roles that are always there.
    pub(crate) standing: Standing,
    /// Where taskstore is served at the root, if it is.
    pub(crate) taskstore_listen: Option<SocketAddr>,
    /// Where the bytes of artifacts are kept.
    pub(crate) artifacts: Artifacts,
    /// The broker that events are published to, if there is one; the URL may hold a password.
    pub(crate) amqp_url: Option<Secret>,
    /// How long, and how many, events are kept.
    pub(crate) events: Retention,
    /// What Cloud Tasks is told.
    pub(crate) cloud: Cloud,
    /// Which addresses the server calls on behalf of its users, and how.
    pub(crate) outgoing: Outgoing,
    /// Which task queues are behind the queues of stacks.
    pub(crate) stacks_queues: QueueMap,
    /// Whether stacks are held to the documented rates.
    pub(crate) stacks_rate_limits: bool,
}

/// A duration on the command line: a number with ms, s, m or h.
///
/// # Errors
/// What is allowed.
pub(crate) fn any_duration(text: &str) -> Result<Duration, String> {
    value::duration(Duration::ZERO, Duration::MAX)(text)
        .ok_or_else(|| "expected a number with ms, s, m or h, such as 30s".to_owned())
}

/// Which database holds the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Database {
    /// A file in the data folder.
    Sqlite,
    /// A PostgreSQL server; the URL may hold a password.
    Postgres(Secret),
}

/// How, and how much, to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    /// For people or for machines.
    pub(crate) format: LogFormat,
    /// Levels by module, in the syntax of tracing's `EnvFilter`.
    pub(crate) level: String,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A text that must not appear in logs or messages.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

// === impl Flags ===

impl Flags {
    fn given(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("listen", &self.listen),
            ("data", &self.data),
            ("database-url", &self.database_url),
            ("root-url", &self.root_url),
            ("log-format", &self.log_format),
            ("log-level", &self.log_level),
            ("shutdown-limit", &self.shutdown_limit),
            ("claim-timeout", &self.claim_timeout),
            ("max-connections", &self.max_connections),
            ("secret-key-file", &self.secret_key_file),
            ("taskstore-listen", &self.taskstore_listen),
            ("artifacts-folder", &self.artifacts_folder),
            ("artifacts-bucket", &self.artifacts_bucket),
            ("artifacts-prefix", &self.artifacts_prefix),
            ("artifacts-endpoint", &self.artifacts_endpoint),
            ("artifacts-region", &self.artifacts_region),
            ("amqp-url", &self.amqp_url),
            ("amqp-backlog-limit", &self.amqp_backlog_limit),
            ("events-retention", &self.events_retention),
            ("events-limit", &self.events_limit),
            ("trusted-proxies", &self.trusted_proxies),
            ("stacks-queues", &self.stacks_queues),
            ("stacks-rate-limits", &self.stacks_rate_limits),
        ];
        let mut given: Vec<_> = texts
            .into_iter()
            .filter_map(|(key, value)| value.clone().map(|value| (key, value)))
            .collect();
        if self.dev {
            given.push(("dev", "true".to_owned()));
        }
        given.extend(self.cloud.given());
        given.extend(self.outgoing.given());
        given
    }
}

// === impl ServeConfig ===

impl ServeConfig {
    /// Merges flags, environment, file and defaults, in this order of precedence, and checks the
    /// outcome. `environment` looks a variable up.
    ///
    /// # Errors
    /// Names the key, where its value came from, and what is allowed.
    pub(crate) fn resolve(
        flags: &Flags,
        environment: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Error> {
        Self::from_sources(&Sources::gather(
            flags.given(),
            environment,
            flags.config.as_deref(),
        )?)
    }

    /// A server for this process alone: a free loopback port, SQLite in `data`, defaults for the
    /// rest.
    ///
    /// # Errors
    /// None with the defaults as they are; the type is that of [`ServeConfig::resolve`].
    pub(crate) fn local(data: &Path) -> Result<Self, Error> {
        let nothing = Sources::gather(Vec::new(), &|_| None, None)?;
        let config = Self::from_sources(&nothing)?;
        let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Ok(Self {
            listen,
            data: data.to_owned(),
            ..config
        })
    }

    fn from_sources(sources: &Sources) -> Result<Self, Error> {
        let config = Self {
            listen: sources.get(
                "listen",
                "127.0.0.1:8080",
                "an address and a port, such as 127.0.0.1:8080 or [::1]:8080",
                value::address,
            )?,
            data: sources.get("data", "./taskyard-data", "a folder", value::folder)?,
            database: sources
                .optional(
                    "database-url",
                    "postgres://user@host/database, or nothing for SQLite",
                    value::postgres,
                )?
                .map_or(Database::Sqlite, Database::Postgres),
            root_url: sources.optional(
                "root-url",
                "http:// or https:// with a host and without a path, such as \
                 https://tasks.example.com",
                value::root_url,
            )?,
            dev: sources.get("dev", "false", "true or false", value::boolean)?,
            log: Log {
                format: sources.get("log-format", "text", "text or json", value::log_format)?,
                level: sources.get(
                    "log-level",
                    "info",
                    "error, warn, info, debug or trace, also by module as in \
                     info,taskyard_http=debug",
                    value::log_level,
                )?,
            },
            shutdown_limit: sources.get(
                "shutdown-limit",
                "30s",
                "a duration from 0s to 1h, such as 30s",
                value::duration(Duration::ZERO, Duration::from_hours(1)),
            )?,
            // 20 min: the default claim of Taskcluster's queue.
            claim_timeout: sources.get(
                "claim-timeout",
                "20m",
                "a duration from 1s to 24h, such as 20m",
                value::duration(Duration::from_secs(1), Duration::from_hours(24)),
            )?,
            max_connections: sources.get(
                "max-connections",
                "10000",
                "a whole number from 1 to 1000000",
                value::count(1, 1_000_000),
            )?,
            root_access_token: sources.optional(
                "root-access-token",
                "22 to 66 letters, digits, dashes or underscores",
                value::access_token,
            )?,
            secret_key_file: sources.optional("secret-key-file", "a file", value::folder)?,
            guarded: guarded::from_sources(sources)?,
            notify: notify::from_sources(sources)?,
            trusted_proxies: sources
                .optional(
                    "trusted-proxies",
                    "addresses or networks with commas between, such as 127.0.0.1,10.0.0.0/8",
                    value::networks,
                )?
                .unwrap_or_default(),
            standing: standing::from_sources(sources)?,
            taskstore_listen: sources.optional(
                "taskstore-listen",
                "an address, with a port if it is not 8048, such as 127.0.0.1 or [::1]:8048",
                value::address_with_port(TASKSTORE_PORT),
            )?,
            artifacts: artifacts::from_sources(sources)?,
            amqp_url: sources.optional(
                "amqp-url",
                "amqp:// or amqps:// with a host, such as amqp://user@host:5672/%2f",
                value::broker,
            )?,
            events: Retention {
                keep: sources.get(
                    "events-retention",
                    "24h",
                    "a duration from 1m to 720h, such as 24h",
                    value::duration(Duration::from_mins(1), Duration::from_hours(720)),
                )?,
                rows: sources.get(
                    "events-limit",
                    "2000000",
                    EVENTS,
                    value::count(1000, 1_000_000_000),
                )? as u64,
                backlog: sources.get(
                    "amqp-backlog-limit",
                    "10000000",
                    EVENTS,
                    value::count(1000, 1_000_000_000),
                )? as u64,
            },
            cloud: Cloud::from_sources(sources)?,
            outgoing: Outgoing::from_sources(sources)?,
            stacks_queues: sources.get(
                "stacks-queues",
                "",
                "KEY=PROVISIONER/WORKERTYPE,… with each key and each task queue once",
                |text| QueueMap::parse(text).ok(),
            )?,
            stacks_rate_limits: sources.get(
                "stacks-rate-limits",
                "true",
                "true or false",
                value::boolean,
            )?,
        };
        let listens = [Some(config.listen), config.taskstore_listen];
        let beyond = |listen: &SocketAddr| !listen.ip().is_loopback();
        if config.dev
            && let Some(listen) = listens.into_iter().flatten().find(beyond)
        {
            return Err(Error::DevBeyondLoopback { listen });
        }
        Ok(config)
    }

    /// How clients reach the server once it listens on `bound`.
    pub(crate) fn root_url_at(&self, bound: SocketAddr) -> String {
        self.root_url.clone().unwrap_or_else(|| {
            // 0.0.0.0 means every address of this machine and is none that a client could call.
            let ip = match bound.ip() {
                ip if !ip.is_unspecified() => ip,
                _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
            };
            format!("http://{}", SocketAddr::new(ip, bound.port()))
        })
    }
}

// === impl Secret ===

impl Secret {
    /// Hides `text` from now on.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one who needs it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests;
