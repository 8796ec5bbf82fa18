//! Under which host and port did the client see this server? Both are part of what it signed.

use thiserror::Error;

/// The longest `Host` header that is read, in bytes.
const MAX_HOST_BYTES: usize = 4096;

/// Host and port as a client signed them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Lower case; an IPv6 address in brackets.
    pub host: String,
    /// The port that the client connected to.
    pub port: u16,
}

/// The request doesn't say which host it is for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the Host header must be a host name or address, with an optional port")]
pub struct HostError;

/// Works out host and port from the values of the headers `Host`, `X-Forwarded-Port` and
/// `X-Forwarded-Proto`, and from whether the connection is encrypted.
pub fn host_and_port(
    host: Option<&str>,
    forwarded_port: Option<&str>,
    forwarded_proto: Option<&str>,
    tls: bool,
) -> Result<HostPort, HostError> {
    let (host, own_port) = split_authority(host.ok_or(HostError)?)?;
    let port = forwarded_port
        .and_then(leading_port)
        .or_else(|| {
            forwarded_proto
                .filter(|proto| *proto == "https")
                .map(|_| 443)
        })
        .or(own_port)
        .unwrap_or(if tls { 443 } else { 80 });
    Ok(HostPort {
        host: host.to_ascii_lowercase(),
        port,
    })
}

fn split_authority(authority: &str) -> Result<(&str, Option<u16>), HostError> {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || "/\\?#@\"<>^`{|}".contains(c);
    if authority.is_empty() || authority.len() > MAX_HOST_BYTES || authority.contains(is_odd) {
        return Err(HostError);
    }
    let after_brackets = if authority.starts_with('[') {
        authority.find(']').ok_or(HostError)? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, rest) = authority.split_at(after_brackets);
    let port = match rest.strip_prefix(':') {
        // A colon with nothing after it means the scheme's own port.
        Some("") => None,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(port.parse().map_err(|_| HostError)?)
        }
        None if rest.is_empty() => None,
        _ => return Err(HostError),
    };
    if host.is_empty() {
        Err(HostError)
    } else {
        Ok((host, port))
    }
}

/// The number at the start of a list such as `443, 80`.
fn leading_port(ports: &str) -> Option<u16> {
    let ports = ports.trim_start();
    let digits = ports
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(ports.len());
    ports[..digits].parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_are_no_authority_are_refused() {
        for host in [
            "", ":80", "a b", "a:b", "a:99999", "[::1", "[::1]x", "user@a", "::1",
        ] {
            assert_eq!(
                host_and_port(Some(host), None, None, false),
                Err(HostError),
                "{host}"
            );
        }
        assert_eq!(host_and_port(None, None, None, false), Err(HostError));
        assert!(host_and_port(Some(&"a".repeat(4097)), None, None, false).is_err());
    }

    #[test]
    fn a_forwarded_port_that_is_no_number_is_ignored() {
        let port = |forwarded| host_and_port(Some("a:81"), Some(forwarded), None, false);
        assert_eq!(port("x").map(|found| found.port), Ok(81));
        assert_eq!(port("8443").map(|found| found.port), Ok(8443));
    }
}
