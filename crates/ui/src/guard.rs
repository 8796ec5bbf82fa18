//! Whether a browser sent a form because somebody pressed a button on a page of ours.
//!
//! Another site can make a browser send forms here, and on a development server nobody needs to be
//! signed in for them to count. Browsers tell which site a form comes from.

use http::{HeaderMap, header};
use url::{Host, Url};

/// Refuses what comes from another site, or by a name that is not this server's.
///
/// # Errors
/// What to tell the visitor.
pub(crate) fn check(headers: &HeaderMap, root_url: &str) -> Result<(), String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return Err("This was sent by another site.".to_owned());
    }
    let Some(origin) = text(header::ORIGIN.as_str()) else {
        return Err("Forms are accepted from browsers only, which tell their origin.".to_owned());
    };
    let (Ok(from), Ok(root)) = (Url::parse(origin), Url::parse(root_url)) else {
        return Err(format!("This was sent by {origin}."));
    };
    if from.origin() == root.origin() {
        return Ok(());
    }
    // A server on the machine itself has several names. Others can't be trusted: whoever owns a
    // name may point it at this machine.
    let here = text(header::HOST.as_str());
    let is_here = origin
        .split_once("://")
        .is_some_and(|(_, authority)| Some(authority) == here);
    if is_here && is_loopback(&from) && is_loopback(&root) {
        return Ok(());
    }
    Err(format!(
        "This was sent by {origin}, but the server's address is {root_url}: open its pages there, \
         or start it with the right --root-url."
    ))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(root_url: &str, pairs: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        check(&headers, root_url).is_ok()
    }

    #[test]
    fn only_pages_of_ours_send_forms() {
        let root = "https://tasks.example.com";
        let ours = ("origin", "https://tasks.example.com");
        assert!(judged(root, &[ours]));
        assert!(judged(root, &[ours, ("sec-fetch-site", "same-origin")]));
        for site in ["cross-site", "same-site", "none"] {
            assert!(!judged(root, &[ours, ("sec-fetch-site", site)]), "{site}");
        }
        for origin in ["http://tasks.example.com", "https://example.com", "null"] {
            let host = ("host", "tasks.example.com");
            assert!(!judged(root, &[("origin", origin), host]), "{origin}");
        }
        assert!(!judged(root, &[]));
    }

    #[test]
    fn this_machine_has_several_names_and_no_others() {
        let root = "http://127.0.0.1:8080";
        for name in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"] {
            let origin = format!("http://{name}");
            assert!(
                judged(root, &[("origin", &origin), ("host", name)]),
                "{name}"
            );
        }
        let rebound = [
            ("origin", "http://evil.example:8080"),
            ("host", "evil.example:8080"),
        ];
        assert!(!judged(root, &rebound));
        let elsewhere = [
            ("origin", "http://localhost:9090"),
            ("host", "localhost:8080"),
        ];
        assert!(!judged(root, &elsewhere));
    }
}
