//! What the value of a setting may be. Each function answers `None` for a text it does not accept.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::Url;
use tracing_subscriber::EnvFilter;

use taskyard_access::directory::{SERVERS_OWN, STANDING};

use super::{LogFormat, Secret};

pub(super) fn address(text: &str) -> Option<SocketAddr> {
    // `localhost` is what people type; a name service is not asked for anything else.
    match text.strip_prefix("localhost:") {
        Some(port) => Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?))),
        None => text.parse().ok(),
    }
}

/// An address whose port may be left out.
pub(super) fn address_with_port(port: u16) -> impl Fn(&str) -> Option<SocketAddr> {
    move |text| {
        let ip = match text {
            "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            text => text.trim_matches(['[', ']']).parse().ok(),
        };
        ip.map(|ip| SocketAddr::new(ip, port))
            .or_else(|| address(text))
    }
}

pub(super) fn folder(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

pub(super) fn postgres(text: &str) -> Option<Secret> {
    let url = Url::parse(text).ok()?;
    matches!(url.scheme(), "postgres" | "postgresql").then(|| Secret::new(text))
}

pub(super) fn broker(text: &str) -> Option<Secret> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "amqp" | "amqps") && url.has_host()).then(|| Secret::new(text))
}

pub(super) fn root_url(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    plain.then(|| text.trim_end_matches('/').to_owned())
}

pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

pub(super) fn log_format(text: &str) -> Option<LogFormat> {
    match text {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    }
}

pub(super) fn log_level(text: &str) -> Option<String> {
    // A lone word that is no level would be taken for the name of a module, and hush all others.
    let levels = ["error", "warn", "info", "debug", "trace", "off"];
    let understood = text
        .split(',')
        .all(|part| part.contains('=') || levels.contains(&part));
    (understood && EnvFilter::try_new(text).is_ok()).then(|| text.to_owned())
}

/// A number with one of the units ms, s, m, h; a bare number counts seconds. Both ends of the
/// range are allowed.
pub(super) fn duration(least: Duration, most: Duration) -> impl Fn(&str) -> Option<Duration> {
    move |text| {
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let duration = match unit {
            "ms" => Duration::from_millis(number),
            "s" | "" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3600)?),
            _ => return None,
        };
        (least..=most).contains(&duration).then_some(duration)
    }
}

pub(super) fn count(least: usize, most: usize) -> impl Fn(&str) -> Option<usize> {
    move |text| {
        text.parse()
            .ok()
            .filter(|number| (least..=most).contains(number))
    }
}

pub(super) fn access_token(text: &str) -> Option<Secret> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    ((22..=66).contains(&text.len()) && text.chars().all(allowed)).then(|| Secret::new(text))
}

/// A secret shared with another service.
pub(super) fn shared_secret(text: &str) -> Option<taskyard_access::Secret> {
    (text.len() >= 16).then(|| taskyard_access::Secret::new(text))
}

/// The address of another service.
pub(super) fn web_address(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let usable = matches!(url.scheme(), "http" | "https" | "ws" | "wss") && url.has_host();
    usable.then(|| text.to_owned())
}

/// Values of one kind, separated by commas.
pub(super) fn list<T: std::str::FromStr>(text: &str) -> Option<Vec<T>> {
    let parts = text.split(',');
    parts.map(|part| part.trim().parse().ok()).collect()
}

/// `name=value,name=value`, with values that `is_value` accepts.
pub(super) fn pairs(
    text: &str,
    is_value: fn(&str) -> bool,
) -> Option<std::collections::BTreeMap<String, String>> {
    let pair = |pair: &str| {
        let (name, value) = pair.trim().split_once('=')?;
        let fits = !name.is_empty() && is_value(value);
        fits.then(|| (name.to_owned(), value.to_owned()))
    };
    text.split(',').map(pair).collect()
}

/// The address of a service that is reached by HTTP.
pub(super) fn http_address(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let usable = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none();
    usable.then(|| text.trim_end_matches('/').to_owned())
}

/// Networks such as `10.0.0.0/8`, or single addresses, with commas between.
pub(super) fn networks(text: &str) -> Option<Vec<IpNet>> {
    let parse = |text: &str| {
        let text = text.trim();
        let single = || text.parse::<IpAddr>().ok().map(IpNet::from);
        text.parse().ok().or_else(single)
    };
    text.split(',').map(parse).collect()
}

/// The address of an HTTP interface, without a final slash.
pub(super) fn interface(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let usable = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.query().is_none()
        && url.fragment().is_none();
    usable.then(|| text.trim_end_matches('/').to_owned())
}

/// Printable ASCII without spaces.
pub(super) fn word(text: &str) -> Option<String> {
    let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_word.then(|| text.to_owned())
}

/// Printable ASCII.
pub(super) fn line(text: &str) -> Option<String> {
    (!text.is_empty() && is_printable(text)).then(|| text.to_owned())
}

/// A name in a path of somebody else's.
pub(super) fn slug(text: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (!text.is_empty() && text.chars().all(allowed)).then(|| text.to_owned())
}

pub(super) fn is_bucket(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (3..=64).contains(&text.len()) && text.chars().all(allowed)
}

pub(super) fn is_azure_account(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (3..=24).contains(&text.len()) && text.chars().all(allowed)
}

pub(super) fn is_email(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "@.-_".contains(c);
    text.contains('@') && text.chars().all(allowed)
}

pub(super) fn is_scope(text: &str) -> bool {
    is_printable(text) && !text.ends_with("**")
}

pub(super) fn is_standing_client(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!@/:.+|_-".contains(c);
    let name = text.strip_prefix(STANDING).unwrap_or_default();
    !name.is_empty() && !text.starts_with(SERVERS_OWN) && text.chars().all(allowed)
}

pub(super) fn is_standing_role(text: &str) -> bool {
    is_printable(text) && text.len() > STANDING.len() && text.starts_with(STANDING)
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}

/// Ids of locations, separated by commas.
pub(super) fn locations(text: &str) -> Option<Vec<String>> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_id = |id: &str| !id.is_empty() && id != "-" && id.bytes().all(allowed);
    let ids: Vec<String> = text.split(',').map(|id| id.trim().to_owned()).collect();
    ids.iter().all(|id| is_id(id)).then_some(ids)
}
