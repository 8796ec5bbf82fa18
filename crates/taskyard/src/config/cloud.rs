//! The settings of Cloud Tasks.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Error;
use super::sources::Sources;
use super::value;

/// What may be said on the command line.
#[derive(Debug, Default, clap::Args)]
#[expect(clippy::struct_field_names, reason = "flags are named after fields")]
#[command(next_help_heading = "Cloud Tasks")]
pub(crate) struct CloudFlags {
    /// Locations of queues, separated by commas, such as us-central1,europe-west1; the first is
    /// that of uploaded queue.yaml files [default: any]
    #[arg(long, value_name = "LOCATIONS")]
    cloudtasks_locations: Option<String>,

    /// How long the name of a deleted queue cannot be used again; the original takes 168h
    /// [default: 0s]
    #[arg(long, value_name = "DURATION")]
    cloudtasks_queue_name_reserve: Option<String>,

    /// Refuse tasks that carry a token to an address without https, as the original does
    #[arg(long)]
    cloudtasks_tokens_need_https: bool,

    /// Who signs the tokens of tasks: where handlers find the public keys [default: the root URL]
    #[arg(long, value_name = "URL")]
    cloudtasks_issuer: Option<String>,

    /// Where App Engine tasks go, such as http://{service}.internal:8080; {service}, {version},
    /// {instance} and {project} are filled in [default: nowhere]
    #[arg(long, value_name = "URL")]
    cloudtasks_app_engine_url: Option<String>,

    /// Addresses of single App Engine services, such as worker=http://10.0.0.7:8081,default=…
    #[arg(long, value_name = "SERVICE=URL,…")]
    cloudtasks_app_engine_services: Option<String>,

    /// Hosts that are called under another name, such as localhost=host.docker.internal
    #[arg(long, value_name = "HOST=HOST,…")]
    cloudtasks_hosts: Option<String>,

    /// Let an empty path or query of a queue's HTTP target clear that of its tasks
    #[arg(long)]
    cloudtasks_strict_empty_override: bool,

    /// How long tasks that were given up can be looked at, the newest 100,000 of them, 0s to 8760h
    /// [default: 168h]
    #[arg(long, value_name = "DURATION")]
    cloudtasks_keep_failures: Option<String>,

    /// Slow a queue down while its handlers answer with 429 or 503, or fail much
    #[arg(long)]
    cloudtasks_slow_down: bool,
}

/// The settings, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cloud {
    /// The locations there are; with none, every location is one.
    pub(crate) locations: Vec<String>,
    /// How long the name of a deleted queue cannot be used again.
    pub(crate) queue_name_reserve: Duration,
    /// Whether tokens are sent to `https://` addresses only.
    pub(crate) tokens_need_https: bool,
    /// Who signs the tokens; `None` is the root URL.
    pub(crate) issuer: Option<String>,
    /// Where App Engine tasks go whose service has no address of its own.
    pub(crate) app_engine_url: Option<String>,
    /// Where those go whose service has one.
    pub(crate) app_engine_services: BTreeMap<String, String>,
    /// Hosts that are called under another name.
    pub(crate) hosts: BTreeMap<String, String>,
    /// Whether an empty override clears a part of a URL.
    pub(crate) strict_empty_override: bool,
    /// How long tasks that were given up are kept.
    pub(crate) keep_failures: Duration,
    /// Whether queues slow down when handlers are overwhelmed.
    pub(crate) slow_down: bool,
}

impl CloudFlags {
    /// What was given, by key.
    pub(super) fn given(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("cloudtasks-locations", &self.cloudtasks_locations),
            (
                "cloudtasks-queue-name-reserve",
                &self.cloudtasks_queue_name_reserve,
            ),
            ("cloudtasks-issuer", &self.cloudtasks_issuer),
            ("cloudtasks-app-engine-url", &self.cloudtasks_app_engine_url),
            (
                "cloudtasks-app-engine-services",
                &self.cloudtasks_app_engine_services,
            ),
            ("cloudtasks-hosts", &self.cloudtasks_hosts),
            ("cloudtasks-keep-failures", &self.cloudtasks_keep_failures),
        ];
        let texts = texts.into_iter();
        let mut given: Vec<(&'static str, String)> = texts
            .filter_map(|(key, value)| value.clone().map(|value| (key, value)))
            .collect();
        let switches = [
            (
                "cloudtasks-tokens-need-https",
                self.cloudtasks_tokens_need_https,
            ),
            (
                "cloudtasks-strict-empty-override",
                self.cloudtasks_strict_empty_override,
            ),
            ("cloudtasks-slow-down", self.cloudtasks_slow_down),
        ];
        let on = switches.into_iter().filter(|(_, is_on)| *is_on);
        given.extend(on.map(|(key, _)| (key, "true".to_owned())));
        given
    }
}

impl Cloud {
    pub(super) fn from_sources(sources: &Sources) -> Result<Self, Error> {
        let switch = |key| sources.get(key, "false", "true or false", value::boolean);
        let pairs = |key, allowed, is_value: fn(&str) -> bool| {
            let read = |text: &str| value::pairs(text, is_value);
            let read = sources.optional(key, allowed, read)?;
            Ok::<_, Error>(read.unwrap_or_default())
        };
        Ok(Self {
            locations: sources
                .optional(
                    "cloudtasks-locations",
                    "locations separated by commas, such as us-central1,europe-west1",
                    value::locations,
                )?
                .unwrap_or_default(),
            // The original keeps names for a week, which helps nobody who tries things out.
            queue_name_reserve: sources.get(
                "cloudtasks-queue-name-reserve",
                "0s",
                "a duration from 0s to 720h, such as 168h",
                value::duration(Duration::ZERO, Duration::from_hours(720)),
            )?,
            tokens_need_https: switch("cloudtasks-tokens-need-https")?,
            issuer: sources.optional(
                "cloudtasks-issuer",
                "http:// or https:// with a host and without a path, such as \
                 https://tasks.example.com",
                value::root_url,
            )?,
            app_engine_url: sources.optional(
                "cloudtasks-app-engine-url",
                "an address, such as http://{service}.internal:8080",
                |text| is_address(text).then(|| text.to_owned()),
            )?,
            app_engine_services: pairs(
                "cloudtasks-app-engine-services",
                "services with their addresses, such as worker=http://10.0.0.7:8081",
                is_address,
            )?,
            hosts: pairs(
                "cloudtasks-hosts",
                "hosts with other hosts, such as localhost=host.docker.internal",
                |host| !host.is_empty() && !host.contains('/'),
            )?,
            strict_empty_override: switch("cloudtasks-strict-empty-override")?,
            keep_failures: sources.get(
                "cloudtasks-keep-failures",
                "168h",
                "a duration from 0s to 8760h, such as 168h",
                value::duration(Duration::ZERO, Duration::from_hours(8760)),
            )?,
            slow_down: switch("cloudtasks-slow-down")?,
        })
    }
}

/// Placeholders stand in the host, so this is all that can be said of an address.
fn is_address(text: &str) -> bool {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
}
