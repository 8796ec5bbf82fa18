//! Which addresses the server calls on behalf of its users, and how.

use std::path::PathBuf;

use taskyard_outbound::{HostPattern, Network, Rules};

use super::Error;
use super::sources::Sources;
use super::value;

/// What may be said on the command line.
#[derive(Debug, Default, clap::Args)]
#[expect(clippy::struct_field_names, reason = "flags are named after fields")]
#[command(next_help_heading = "Calls to addresses that users name")]
pub(crate) struct OutgoingFlags {
    /// Whether this machine itself may be called, true or false [default: true with --dev, else
    /// false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    outgoing_loopback: Option<String>,

    /// Whether private networks may be called, true or false [default: true]
    #[arg(long, value_name = "BOOL")]
    outgoing_private: Option<String>,

    /// Only these hosts may be called, such as api.example.com,*.internal [default: any]
    #[arg(long, value_name = "HOST,…")]
    outgoing_hosts: Option<String>,

    /// Networks that may be called whatever else is said about them, such as 169.254.7.0/24
    #[arg(long, value_name = "NETWORK,…")]
    outgoing_networks: Option<String>,

    /// A proxy that all such calls go through, as http://host:port
    #[arg(long, value_name = "URL")]
    outgoing_proxy: Option<String>,

    /// Certificate authorities that are trusted beside the usual ones (PEM)
    #[arg(long, value_name = "FILE")]
    outgoing_ca_file: Option<String>,
}

/// The settings, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// Which addresses may be called.
    pub(crate) rules: Rules,
    /// What all calls go through.
    pub(crate) proxy: Option<String>,
    /// Certificate authorities beside the usual ones.
    pub(crate) ca_file: Option<PathBuf>,
}

impl OutgoingFlags {
    /// What was given, by key.
    pub(super) fn given(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("outgoing-loopback", &self.outgoing_loopback),
            ("outgoing-private", &self.outgoing_private),
            ("outgoing-hosts", &self.outgoing_hosts),
            ("outgoing-networks", &self.outgoing_networks),
            ("outgoing-proxy", &self.outgoing_proxy),
            ("outgoing-ca-file", &self.outgoing_ca_file),
        ];
        let texts = texts.into_iter();
        texts
            .filter_map(|(key, value)| value.clone().map(|value| (key, value)))
            .collect()
    }
}

impl Outgoing {
    pub(super) fn from_sources(sources: &Sources) -> Result<Self, Error> {
        // A development server is for this machine alone, and so are its handlers.
        let dev = sources.get("dev", "false", "true or false", value::boolean)?;
        let loopback = if dev { "true" } else { "false" };
        let rules = Rules {
            loopback: sources.get(
                "outgoing-loopback",
                loopback,
                "true or false",
                value::boolean,
            )?,
            private: sources.get("outgoing-private", "true", "true or false", value::boolean)?,
            hosts: sources
                .optional(
                    "outgoing-hosts",
                    "hosts separated by commas, such as api.example.com,*.internal",
                    value::list::<HostPattern>,
                )?
                .unwrap_or_default(),
            networks: sources
                .optional(
                    "outgoing-networks",
                    "networks separated by commas, such as 10.0.0.0/8,fd00::/8",
                    value::list::<Network>,
                )?
                .unwrap_or_default(),
        };
        Ok(Self {
            rules,
            proxy: sources.optional(
                "outgoing-proxy",
                "an address, such as http://proxy.internal:3128",
                value::web_address,
            )?,
            ca_file: sources.optional("outgoing-ca-file", "a file", value::folder)?,
        })
    }
}
