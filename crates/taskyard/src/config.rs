//! The settings of `taskyard serve`. Each one has a flag, an environment variable and a key in the
//! configuration file, and is checked before anything starts.
//!
//! To add a setting: a field in [`Flags`] and its line in [`Flags::given`], a key in [`KEYS`], a
//! field in [`ServeConfig`] and the line in [`ServeConfig::from_sources`] that checks it.

mod error;
mod guarded;
mod sources;
mod value;

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use self::error::Error;
use self::sources::Sources;

/// Every key, as it is written in the file. The flag is `--key`, the environment variable
/// `TASKYARD_KEY` with underscores.
const KEYS: [&str; 19] = [
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
    "trust-forwarded",
    "taskstore-listen",
    "statsum-url",
    "statsum-secret",
    "webhooktunnel-url",
    "webhooktunnel-secret",
    "websocktunnel-secret",
];

/// Where taskstore's own clients look when nobody tells them.
const TASKSTORE_PORT: u16 = 8048;

/// Keys whose values never appear in a message.
const SECRET_KEYS: [&str; 5] = [
    "database-url",
    "root-access-token",
    "statsum-secret",
    "webhooktunnel-secret",
    "websocktunnel-secret",
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

    /// Believe the X-Forwarded-Port and X-Forwarded-Proto headers of a proxy in front
    #[arg(long)]
    pub(crate) trust_forwarded: bool,

    /// Also serve taskstore alone at the root of this address, for clients that know no other
    /// place [default: not; without a value 127.0.0.1:8048]
    #[arg(long, value_name = "ADDR[:PORT]", num_args = 0..=1,
          default_missing_value = "127.0.0.1")]
    pub(crate) taskstore_listen: Option<String>,
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
    /// Whether a proxy in front sets `X-Forwarded-Port` and `X-Forwarded-Proto`.
    pub(crate) trust_forwarded: bool,
    /// Where taskstore is served at the root, if it is.
    pub(crate) taskstore_listen: Option<SocketAddr>,
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
        ];
        let mut given: Vec<_> = texts
            .into_iter()
            .filter_map(|(key, value)| value.clone().map(|value| (key, value)))
            .collect();
        if self.dev {
            given.push(("dev", "true".to_owned()));
        }
        if self.trust_forwarded {
            given.push(("trust-forwarded", "true".to_owned()));
        }
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
            trust_forwarded: sources.get(
                "trust-forwarded",
                "false",
                "true or false",
                value::boolean,
            )?,
            taskstore_listen: sources.optional(
                "taskstore-listen",
                "an address, with a port if it is not 8048, such as 127.0.0.1 or [::1]:8048",
                value::address_with_port(TASKSTORE_PORT),
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
