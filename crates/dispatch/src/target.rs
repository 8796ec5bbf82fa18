//! Where a task's request goes.

use std::collections::BTreeMap;

use taskyard_engine::cloud::{AppEngineRouting, EnforceMode, Queue, Scheme, UriOverride};
use url::Url;

use crate::request::Unsendable;

/// Where App Engine tasks go: there is no App Engine here, so each service has an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppEngine {
    /// Base URLs by service; the service without a name is `default`.
    pub services: BTreeMap<String, String>,
    /// The base URL of all others, in which `{service}`, `{version}`, `{instance}` and `{project}`
    /// are filled in.
    pub base: Option<String>,
}

/// A URL in its parts, any of which may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Parts<'a> {
    scheme: Option<&'a str>,
    user: Option<&'a str>,
    host: Option<&'a str>,
    port: Option<&'a str>,
    path: Option<&'a str>,
    query: Option<&'a str>,
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Self {
        let url = url.split_once('#').map_or(url, |(url, _)| url);
        let (url, query) = match url.split_once('?') {
            Some((url, query)) => (url, some(query)),
            None => (url, None),
        };
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme, rest)) => (some(scheme), rest),
            None if url.starts_with('/') => (None, url),
            None => (None, url),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (some(user), authority),
            None => (None, authority),
        };
        // The colons of an IPv6 address stand in brackets.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, some(port)),
            _ => (authority, None),
        };
        Parts {
            scheme,
            user,
            host: some(host),
            port,
            path: some(path).filter(|path| *path != "/"),
            query,
        }
    }

    fn join(&self) -> String {
        let mut url = format!("{}://", self.scheme.unwrap_or("https"));
        if let Some(user) = self.user {
            url.push_str(user);
            url.push('@');
        }
        url.push_str(self.host.unwrap_or_default());
        if let Some(port) = self.port {
            url.push(':');
            url.push_str(port);
        }
        let path = self.path.unwrap_or("/");
        if !path.starts_with('/') {
            url.push('/');
        }
        url.push_str(path);
        if let Some(query) = self.query {
            url.push('?');
            url.push_str(query.trim_start_matches('?'));
        }
        url
    }
}

/// A task's URL with the parts that its queue replaces. With `strict` an empty path or query of the
/// queue's clears the task's own; otherwise it says nothing, as some tools always send it.
///
/// # Errors
/// If nothing that can be called comes of it.
pub fn http(url: &str, replaced: Option<&UriOverride>, strict: bool) -> Result<Url, Unsendable> {
    let own = Parts::of(url);
    let port = replaced
        .and_then(|by| by.port)
        .filter(|port| *port != 0)
        .map(|port| port.to_string());
    let joined = match replaced {
        None => own.join(),
        Some(by) => replace(&own, by, port.as_deref(), strict).join(),
    };
    Url::parse(&joined).map_err(|error| Unsendable(format!("{joined} is no URL: {error}")))
}

fn replace<'a>(
    own: &Parts<'a>,
    by: &'a UriOverride,
    port: Option<&'a str>,
    strict: bool,
) -> Parts<'a> {
    let always = by.mode != EnforceMode::IfNotExists;
    let choose = |own: Option<&'a str>, by: Option<Option<&'a str>>| match by {
        Some(by) if always || own.is_none() => by,
        _ => own,
    };
    let scheme = by.scheme.map(|scheme| match scheme {
        Scheme::Http => Some("http"),
        Scheme::Https | Scheme::Unspecified => Some("https"),
    });
    let part = |text: &'a Option<String>| {
        let text = text.as_deref()?;
        (strict || !text.is_empty()).then_some(some(text))
    };
    Parts {
        scheme: choose(own.scheme, scheme),
        user: own.user,
        host: choose(own.host, by.host.as_deref().map(some)),
        port: choose(own.port, by.port.map(|_| port)),
        path: choose(own.path, part(&by.path)),
        query: choose(own.query, part(&by.query)),
    }
}

impl AppEngine {
    /// The URL of a task of `queue` with this routing.
    ///
    /// # Errors
    /// If nobody said where such tasks go.
    pub fn url(
        &self,
        queue: &Queue,
        routing: &AppEngineRouting,
        relative_uri: &str,
    ) -> Result<Url, Unsendable> {
        let routing = queue.settings.app_engine.as_ref().unwrap_or(routing);
        let service = some(&routing.service).unwrap_or("default");
        let base = match (self.services.get(service), &self.base) {
            (Some(base), _) => base.clone(),
            (None, Some(base)) => base
                .replace("{service}", service)
                .replace("{version}", &routing.version)
                .replace("{instance}", &routing.instance)
                .replace("{project}", queue.project()),
            (None, None) => {
                return Err(Unsendable(format!(
                    "there is no address for the App Engine service {service}; set one"
                )));
            }
        };
        let slash = if relative_uri.starts_with('/') {
            ""
        } else {
            "/"
        };
        let url = format!("{}{slash}{relative_uri}", base.trim_end_matches('/'));
        Url::parse(&url).map_err(|error| Unsendable(format!("{url} is no URL: {error}")))
    }
}

/// The URL with its host replaced, if there is a replacement for it.
pub(crate) fn rewrite(mut url: Url, hosts: &BTreeMap<String, String>) -> Url {
    if let Some(host) = url.host_str().and_then(|host| hosts.get(host)) {
        // A host that is none leaves the URL as it is.
        let _unchanged = url.set_host(Some(host));
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(url: &str, by: &UriOverride) -> String {
        http(url, Some(by), false).expect("a URL").to_string()
    }

    const URL: &str = "http://u:p@a.test:8080/own/path?x=1";

    #[test]
    fn without_a_replacement_a_url_stays_as_it_is() {
        assert_eq!(http(URL, None, false).expect("a URL").as_str(), URL);
        assert_eq!(
            http("https://a.test/%zz?a b", None, false)
                .expect("a URL")
                .as_str(),
            "https://a.test/%zz?a%20b"
        );
        assert!(http("", None, false).is_err());
    }

    #[test]
    fn parts_are_replaced_one_by_one() {
        let none = UriOverride::default;
        let host = UriOverride {
            host: Some("b.test".to_owned()),
            ..none()
        };
        assert_eq!(replaced(URL, &host), "http://u:p@b.test:8080/own/path?x=1");
        let scheme = UriOverride {
            scheme: Some(Scheme::Unspecified),
            ..none()
        };
        assert_eq!(
            replaced(URL, &scheme),
            "https://u:p@a.test:8080/own/path?x=1"
        );
        let port = UriOverride {
            port: Some(0),
            ..none()
        };
        assert_eq!(replaced(URL, &port), "http://u:p@a.test/own/path?x=1");
        let port = UriOverride {
            port: Some(9),
            ..none()
        };
        assert_eq!(replaced("http://[::1]/", &port), "http://[::1]:9/");
        let path = UriOverride {
            path: Some("new".to_owned()),
            query: Some("y=2".to_owned()),
            ..none()
        };
        assert_eq!(replaced(URL, &path), "http://u:p@a.test:8080/new?y=2");
    }

    #[test]
    fn only_what_is_missing_is_filled_in_if_so_wanted() {
        let fill = UriOverride {
            scheme: Some(Scheme::Http),
            host: Some("b.test".to_owned()),
            port: Some(9),
            path: Some("/p".to_owned()),
            query: Some("q".to_owned()),
            mode: EnforceMode::IfNotExists,
        };
        assert_eq!(replaced(URL, &fill), URL);
        assert_eq!(replaced("", &fill), "http://b.test:9/p?q");
        assert_eq!(replaced("https://a.test", &fill), "https://a.test:9/p?q");
        assert_eq!(replaced("/own", &fill), "http://b.test:9/own?q");
    }

    #[test]
    fn an_empty_path_or_query_clears_only_when_it_is_strict() {
        let empty = UriOverride {
            path: Some(String::new()),
            query: Some(String::new()),
            ..UriOverride::default()
        };
        assert_eq!(replaced(URL, &empty), URL);
        let cleared = http(URL, Some(&empty), true).expect("a URL");
        assert_eq!(cleared.as_str(), "http://u:p@a.test:8080/");
    }
}
