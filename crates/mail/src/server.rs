//! The mail server and how it is reached.

use std::fmt;
use std::net::IpAddr;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{TlsParameters, TlsParametersBuilder};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::MailError;

/// A mail server, as its URL describes it.
pub(crate) struct Server {
    /// A name, or an address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: Security,
    pub(crate) login: Option<Credentials>,
}

/// What keeps others from reading along.
pub(crate) enum Security {
    /// Nothing.
    Plain,
    /// TLS, which the server must offer once it was greeted.
    StartTls(TlsParameters),
    /// TLS from the beginning.
    Tls(TlsParameters),
}

// === impl Server ===

impl Server {
    /// Reads a URL; [`crate::Mailer::new`] says what it looks like. Errors never repeat it, because it
    /// may hold a password.
    pub(crate) fn parse(text: &str) -> Result<Self, MailError> {
        let broken = |why: &str| MailError::Url(why.to_owned());
        let url = Url::parse(text).map_err(|error| MailError::Url(error.to_string()))?;
        let is_tls = match url.scheme() {
            "smtps" => true,
            "smtp" => false,
            _ => return Err(broken("it must begin with smtp:// or smtps://")),
        };
        let host = url.host_str().ok_or_else(|| broken("it names no host"))?;
        let host = match Host::parse(host) {
            Ok(Host::Domain(name)) => name,
            Ok(Host::Ipv4(address)) => address.to_string(),
            Ok(Host::Ipv6(address)) => address.to_string(),
            Err(error) => return Err(MailError::Url(error.to_string())),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(broken("nothing but ?tls=… may follow the host and port"));
        }
        let mut is_plain = !is_tls && is_loopback(&host);
        for (key, value) in url.query_pairs() {
            is_plain = match (&*key, &*value) {
                ("tls", "none") if !is_tls => true,
                ("tls", "required") => false,
                _ => {
                    return Err(broken(
                        "of its options, only tls=required and tls=none (with smtp://) are known",
                    ));
                }
            };
        }
        let (security, usual_port) = if is_tls {
            (Security::Tls(tls(&host)?), 465)
        } else if is_plain {
            (Security::Plain, 25)
        } else {
            (Security::StartTls(tls(&host)?), 587)
        };
        Ok(Server {
            port: url.port().unwrap_or(usual_port),
            login: login(&url)?,
            host,
            security,
        })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let security = match self.security {
            Security::Plain => "Plain",
            Security::StartTls(_) => "StartTls",
            Security::Tls(_) => "Tls",
        };
        formatter
            .debug_struct("Server")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("security", &security)
            .field("login", &self.login.is_some())
            .finish()
    }
}

/// The user and password of a URL, percent-decoded.
fn login(url: &Url) -> Result<Option<Credentials>, MailError> {
    let (user, password) = match (url.username(), url.password()) {
        ("", None) => return Ok(None),
        (user, Some(password)) if !user.is_empty() => (user, password),
        _ => {
            let why = "a user and a password go together, as in smtps://user:password@host";
            return Err(MailError::Url(why.to_owned()));
        }
    };
    let decoded = |text: &str| {
        let decoded = percent_decode_str(text).decode_utf8();
        let why = "its user and password are not in UTF-8";
        decoded
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| MailError::Url(why.to_owned()))
    };
    Ok(Some(Credentials::new(decoded(user)?, decoded(password)?)))
}

/// Trusts the authorities that the system trusts.
fn tls(host: &str) -> Result<TlsParameters, MailError> {
    TlsParametersBuilder::new(host.to_owned())
        .build()
        .map_err(|error| MailError::Url(format!("TLS cannot be set up: {error}")))
}

fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::Server;
    use crate::MailError;

    fn described(url: &str) -> String {
        format!("{:?}", Server::parse(url).expect(url))
    }

    #[test]
    fn only_this_machine_is_talked_to_without_tls_unless_that_is_asked_for() {
        for (url, host, port, security) in [
            ("smtps://mail.example.com", "mail.example.com", 465, "Tls"),
            ("smtps://localhost/", "localhost", 465, "Tls"),
            (
                "smtps://mail.example.com:2465?tls=required",
                "mail.example.com",
                2465,
                "Tls",
            ),
            (
                "smtp://Mail.Example.com",
                "mail.example.com",
                587,
                "StartTls",
            ),
            (
                "smtp://127.0.0.1.example.com",
                "127.0.0.1.example.com",
                587,
                "StartTls",
            ),
            ("smtp://10.0.0.1:25", "10.0.0.1", 25, "StartTls"),
            (
                "smtp://mail.example.com?tls=none",
                "mail.example.com",
                25,
                "Plain",
            ),
            ("smtp://localhost", "localhost", 25, "Plain"),
            ("smtp://127.0.0.1:1025", "127.0.0.1", 1025, "Plain"),
            ("smtp://[::1]:1025", "::1", 1025, "Plain"),
            (
                "smtp://localhost?tls=required",
                "localhost",
                587,
                "StartTls",
            ),
        ] {
            let expected = format!(
                "Server {{ host: {host:?}, port: {port}, security: {security:?}, login: false }}"
            );
            assert_eq!(described(url), expected, "{url}");
        }
    }

    #[test]
    fn other_urls_are_refused_without_repeating_them() {
        for url in [
            "",
            "mail.example.com",
            "mail:hunter2@example.com",
            "http://u:hunter2@mail.example.com",
            "smtp://",
            "smtp://u:hunter2@",
            "smtp://u:hunter2@mail example.com",
            "smtp://u:hunter2@mail.example.com:x",
            "smtp://u:hunter2@mail.example.com:99999",
            "smtp://u:hunter2@mail.example.com/inbox",
            "smtp://u:hunter2@mail.example.com?tls=maybe",
            "smtp://u:hunter2@mail.example.com?pool=3",
            "smtps://u:hunter2@mail.example.com?tls=none",
            "smtps://u@mail.example.com",
            "smtps://:hunter2@mail.example.com",
            "smtps://u:hunter2%ff@mail.example.com",
        ] {
            let error = Server::parse(url).expect_err(url);
            assert!(matches!(error, MailError::Url(_)) && !error.is_temporary());
            let said = format!("{error} {error:?}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn a_password_is_decoded_and_never_shown() {
        let url = "smtps://u%40example.com:hunter%202@mail.example.com";
        let server = Server::parse(url).expect("a server");
        let expected = lettre::transport::smtp::authentication::Credentials::new(
            "u@example.com".to_owned(),
            "hunter 2".to_owned(),
        );
        assert_eq!(server.login, Some(expected));
        assert!(!format!("{server:?}").contains("hunter"));
    }
}
