//! What the value of a setting may be. Each function answers `None` for a text it does not accept.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use tracing_subscriber::EnvFilter;

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
