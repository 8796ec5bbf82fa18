//! Which addresses may be called.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use url::{Host, Url};

use crate::address::{Reach, reach};
use crate::network::Network;

/// Which addresses may be called. Special ones (link-local, metadata services, multicast) never
/// are, unless their network is allowed by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Whether this machine itself may be called.
    pub loopback: bool,
    /// Whether private networks may be called.
    pub private: bool,
    /// If not empty, only these hosts may be called.
    pub hosts: Vec<HostPattern>,
    /// Networks that may be called whatever else is said about their addresses.
    pub networks: Vec<Network>,
}

impl Default for Rules {
    /// Handlers usually stand in the same private network; the machine itself is off limits.
    fn default() -> Self {
        Rules {
            loopback: false,
            private: true,
            hosts: Vec::new(),
            networks: Vec::new(),
        }
    }
}

/// A host name or address, or `*.example.com` for every name below one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern(String);

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        match Host::parse(name) {
            Ok(Host::Domain(_)) => Ok(HostPattern(text.to_ascii_lowercase())),
            Ok(host) if name == text => Ok(HostPattern(host.to_string())),
            _ => Err(format!(
                "{text} is no host; expected a name, an address, or *.example.com"
            )),
        }
    }
}

impl HostPattern {
    fn matches(&self, host: &str) -> bool {
        match self.0.strip_prefix("*.") {
            Some(parent) => host
                .strip_suffix(parent)
                .is_some_and(|child| child.len() > 1 && child.ends_with('.')),
            None => self.0 == host,
        }
    }
}

/// An address that must not be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Not a URL that can be called.
    #[error("{0} cannot be called: only http and https URLs with a host can")]
    Scheme(String),
    /// Not one of the hosts that are allowed.
    #[error("{0} is not among the hosts that this server may call")]
    Host(String),
    /// The address, or every address of the name, is off limits.
    #[error("{host} has the address {address}, which this server must not call")]
    Address {
        /// As it was asked for.
        host: String,
        /// What it stands for.
        address: IpAddr,
    },
}

impl Rules {
    /// Everything may be called but special addresses: for servers that only their own machine
    /// reaches.
    pub fn with_loopback() -> Self {
        Rules {
            loopback: true,
            ..Rules::default()
        }
    }

    /// Whether this address may be connected to.
    pub fn allows(&self, address: IpAddr) -> bool {
        if self.networks.iter().any(|known| known.contains(address)) {
            return true;
        }
        match reach(address) {
            Reach::Public => true,
            Reach::Private => self.private,
            Reach::Loopback => self.loopback,
            Reach::Special => false,
        }
    }

    /// Checks what can be told from a URL alone: its scheme, its host, and its address if it is
    /// written as one.
    ///
    /// # Errors
    /// Says why it must not be called.
    pub fn check(&self, url: &Url) -> Result<(), Forbidden> {
        let (true, Some(host)) = (matches!(url.scheme(), "http" | "https"), url.host()) else {
            return Err(Forbidden::Scheme(url.to_string()));
        };
        let name = match &host {
            Host::Domain(name) => name.trim_end_matches('.').to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => format!("[{address}]"),
        };
        if !self.hosts.is_empty() && !self.hosts.iter().any(|known| known.matches(&name)) {
            return Err(Forbidden::Host(name));
        }
        let address = match host {
            Host::Domain(_) => return Ok(()),
            Host::Ipv4(address) => IpAddr::V4(address),
            Host::Ipv6(address) => IpAddr::V6(address),
        };
        if self.allows(address) {
            Ok(())
        } else {
            Err(Forbidden::Address {
                host: name,
                address,
            })
        }
    }

    /// Of the addresses that `host` resolved to, those that may be connected to.
    ///
    /// # Errors
    /// If there are addresses, but none that may be.
    pub fn filter(
        &self,
        host: &str,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Forbidden> {
        let mut refused = None;
        let allowed: Vec<SocketAddr> = addresses
            .into_iter()
            .filter(|address| {
                let allowed = self.allows(address.ip());
                if !allowed {
                    refused.get_or_insert(address.ip());
                }
                allowed
            })
            .collect();
        match refused {
            Some(address) if allowed.is_empty() => Err(Forbidden::Address {
                host: host.to_owned(),
                address,
            }),
            _ => Ok(allowed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &Rules, url: &str) -> bool {
        rules.check(&Url::parse(url).expect("a URL")).is_ok()
    }

    #[test]
    fn an_address_is_recognised_however_the_url_writes_it() {
        let rules = Rules::default();
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
            "http://169.254.169.254/computeMetadata/v1/",
            "http://user@169.254.169.254:80/",
            "http://0/",
        ] {
            assert!(!check(&rules, url), "{url}");
        }
        assert!(check(&rules, "http://10.0.0.1/"));
        assert!(check(&rules, "https://example.com/"));
        assert!(!check(&rules, "ftp://example.com/"));
    }

    #[test]
    fn loopback_and_private_networks_are_opened_and_closed_by_setting() {
        assert!(check(&Rules::with_loopback(), "http://127.0.0.1:8080/"));
        assert!(!check(&Rules::with_loopback(), "http://169.254.1.1/"));
        let closed = Rules {
            private: false,
            networks: vec!["10.1.0.0/16".parse().expect("a network")],
            ..Rules::default()
        };
        assert!(!check(&closed, "http://10.0.0.1/"));
        assert!(check(&closed, "http://10.1.0.1/"));
    }

    #[test]
    fn with_a_list_of_hosts_only_those_are_called() {
        let rules = Rules {
            hosts: ["a.test", "*.b.test", "10.0.0.1"]
                .iter()
                .map(|host| host.parse().expect("a host"))
                .collect(),
            ..Rules::default()
        };
        for url in [
            "http://a.test/",
            "http://A.TEST./",
            "http://x.b.test/",
            "http://10.0.0.1/",
        ] {
            assert!(check(&rules, url), "{url}");
        }
        for url in [
            "http://b.test/",
            "http://xb.test/",
            "http://c.a.test/",
            "http://8.8.8.8/",
        ] {
            assert!(!check(&rules, url), "{url}");
        }
        assert!("not a host".parse::<HostPattern>().is_err());
    }

    #[test]
    fn of_a_names_addresses_only_allowed_ones_are_left() {
        let rules = Rules::default();
        let all = |texts: &[&str]| -> Vec<SocketAddr> {
            texts
                .iter()
                .map(|text| text.parse().expect("an address"))
                .collect()
        };
        let mixed = all(&["127.0.0.1:80", "8.8.8.8:80"]);
        assert_eq!(
            rules.filter("x", mixed).expect("one is left"),
            all(&["8.8.8.8:80"])
        );
        assert!(
            rules
                .filter("x", all(&["127.0.0.1:80", "[fe80::1]:80"]))
                .is_err()
        );
    }
}
