//! One conversation with a mail server, which hands over one mail.

use std::error::Error as _;
use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension};
use lettre::transport::smtp::response::{Response, Severity};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::MailError;
use crate::message::Message;
use crate::server::{Security, Server};
use crate::stream::LineByLine;

/// How long the server may take to be found, to connect and to greet, and then for each command. RFC
/// 5321 grants minutes, of which working servers need seconds.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// How long the server may take to receive a mail and say whether it takes it: it may look for spam
/// and viruses first. Who gives up too early sends a mail twice.
const MESSAGE_LIMIT: Duration = Duration::from_mins(1);

/// How long the server may take to say goodbye, for which nobody waits.
const GOODBYE_LIMIT: Duration = Duration::from_secs(5);

/// How much of the server's words is kept, in characters.
const WORDS: usize = 300;

/// A server that has been greeted, and knows who is talking.
///
/// A connection carries one mail. lettre's pool would keep a connection whose send was given up in the
/// middle of a command, and then take a late answer for that to the next one.
pub(crate) struct Session(AsyncSmtpConnection);

impl Session {
    /// Connects, has the connection encrypted and logs in, as the server is to be reached.
    pub(crate) async fn open(server: &Server) -> Result<Self, MailError> {
        let hello = ClientId::default();
        let place = (server.host.as_str(), server.port);
        let connecting = async {
            if let Security::Tls(tls) = &server.security {
                let (limit, tls) = (Some(COMMAND_LIMIT), Some(tls.clone()));
                AsyncSmtpConnection::connect_tokio1(place, limit, &hello, tls, None)
                    .await
                    .map_err(explain)
            } else {
                let stream = TcpStream::connect(place)
                    .await
                    .map_err(|error| MailError::Connection(error.to_string()))?;
                let stream = Box::new(LineByLine::new(stream));
                AsyncSmtpConnection::connect_with_transport(stream, &hello)
                    .await
                    .map_err(explain)
            }
        };
        let mut session = Session(within("a greeting", COMMAND_LIMIT, connecting).await?);
        if let Security::StartTls(tls) = &server.security {
            session.encrypt(tls.clone(), &hello).await?;
        }
        if let Some(login) = &server.login {
            session.log_in(login).await?;
        }
        Ok(session)
    }

    async fn encrypt(&mut self, tls: TlsParameters, hello: &ClientId) -> Result<(), MailError> {
        let server = self.0.server_info();
        if !server.supports_feature(Extension::StartTls) {
            let why = "it does not offer STARTTLS, without which nothing is sent";
            return Err(MailError::Connection(why.to_owned()));
        }
        let encrypting = async { self.0.starttls(tls, hello).await.map_err(explain) };
        within("STARTTLS", COMMAND_LIMIT, encrypting).await
    }

    async fn log_in(&mut self, login: &Credentials) -> Result<(), MailError> {
        let trouble = |why: &str| MailError::Connection(why.to_owned());
        if self
            .0
            .server_info()
            .get_auth_mechanism(DEFAULT_MECHANISMS)
            .is_none()
        {
            return Err(trouble("it offers neither AUTH PLAIN nor AUTH LOGIN"));
        }
        let logging_in = async {
            match self.0.auth(DEFAULT_MECHANISMS, login).await {
                Ok(_) => Ok(()),
                // An answer may repeat what it answers, so none is shown.
                Err(error) => Err(match error.status() {
                    Some(code) => MailError::Login { code: code.into() },
                    None => trouble("the login was cut off, or not understood"),
                }),
            }
        };
        within("the login", COMMAND_LIMIT, logging_in).await
    }

    /// Hands a mail over; when this returns, the server has taken it.
    pub(crate) async fn send(mut self, from: &Address, message: &Message) -> Result<(), MailError> {
        let sender = Mail::new(Some(from.clone()), Vec::new());
        self.command("MAIL", sender).await?;
        let recipient = Rcpt::new(message.to.clone(), Vec::new());
        self.command("RCPT", recipient).await?;
        let answer = self.command("DATA", Data).await?;
        if !answer.has_code(354) {
            let why = format!("it answers DATA with {}", answer.code());
            return Err(MailError::Connection(why));
        }
        let handing_over = async { self.0.message(&message.bytes).await.map_err(explain) };
        let answer = within("the mail", MESSAGE_LIMIT, handing_over).await?;
        if answer.code().severity != Severity::PositiveCompletion {
            let why = format!("it answers the mail with {}", answer.code());
            return Err(MailError::Connection(why));
        }
        // The mail is the server's now, whatever comes of this.
        tokio::spawn(async move {
            let _ = timeout(GOODBYE_LIMIT, self.0.quit()).await;
        });
        Ok(())
    }

    async fn command(
        &mut self,
        step: &'static str,
        command: impl Display,
    ) -> Result<Response, MailError> {
        let answering = async { self.0.command(command).await.map_err(explain) };
        within(step, COMMAND_LIMIT, answering).await
    }
}

async fn within<T>(
    step: &'static str,
    limit: Duration,
    future: impl Future<Output = Result<T, MailError>>,
) -> Result<T, MailError> {
    timeout(limit, future)
        .await
        .unwrap_or(Err(MailError::TimedOut { step, limit }))
}

/// An answer other than yes, or none.
fn explain(error: Error) -> MailError {
    match error.status() {
        Some(code) => MailError::Refused {
            code: code.into(),
            text: words(&error.source().map_or(String::new(), ToString::to_string)),
        },
        None => MailError::Connection(words(&error.to_string())),
    }
}

/// The beginning of what a server says, on one line.
fn words(text: &str) -> String {
    let kept: String = text.chars().take(WORDS).collect();
    kept.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lettre::transport::smtp::client::{Certificate, CertificateStore};
    use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// A certificate for localhost, in PEM, and what a server needs to show it.
    fn certificate() -> (String, TlsAcceptor) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .expect("a certificate");
        (made.cert.pem(), TlsAcceptor::from(Arc::new(config)))
    }

    fn tls(certificates: &[&str], host: &str) -> TlsParameters {
        let mut builder =
            TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::None);
        for pem in certificates {
            let certificate = Certificate::from_pem(pem.as_bytes()).expect("a certificate");
            builder = builder.add_root_certificate(certificate);
        }
        builder.build().expect("parameters")
    }

    /// Answers every line with the same, so that nothing depends on what is said.
    async fn agree(mut connection: impl AsyncRead + AsyncWrite + Unpin) -> Vec<String> {
        let mut heard = Vec::new();
        let mut connection = BufReader::new(&mut connection);
        let mut line = String::new();
        while connection.read_line(&mut line).await.unwrap_or(0) > 0 {
            heard.push(line.trim_end().to_owned());
            let answer: &[u8] = match line.get(..4).unwrap_or_default() {
                "DATA" => b"354 ok\r\n",
                _ => b"250 ok\r\n",
            };
            if connection.write_all(answer).await.is_err() || line == ".\r\n" {
                break;
            }
            line.clear();
        }
        heard
    }

    async fn listen() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        (listener, port)
    }

    fn message() -> Message {
        Message {
            to: "to@example.com".parse().expect("an address"),
            bytes: b"one line".to_vec(),
        }
    }

    async fn send(port: u16, security: Security) -> Result<(), MailError> {
        let server = Server {
            host: "127.0.0.1".to_owned(),
            port,
            security,
            login: None,
        };
        let from = "from@example.com".parse().expect("an address");
        Session::open(&server).await?.send(&from, &message()).await
    }

    /// A server that has TLS begun with `go`; what it hears under TLS.
    async fn encrypting(listener: TcpListener, acceptor: TlsAcceptor, go: &[u8]) -> Vec<String> {
        let (connection, _) = listener.accept().await.expect("a connection");
        let mut connection = BufReader::new(connection);
        let mut line = String::new();
        for answer in [
            b"220 hello\r\n",
            b"250-hello\r\n250 STARTTLS\r\n".as_slice(),
            go,
        ] {
            connection.write_all(answer).await.expect("sent");
            if answer != go {
                line.clear();
                connection.read_line(&mut line).await.expect("a line");
            }
        }
        assert_eq!(line, "STARTTLS\r\n");
        match acceptor.accept(connection).await {
            Ok(connection) => agree(connection).await,
            Err(_) => Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_mail_goes_through_tls_once_the_server_has_begun_it() {
        let (pem, acceptor) = certificate();
        let (listener, port) = listen().await;
        let server =
            tokio::spawn(async move { encrypting(listener, acceptor, b"220 go\r\n").await });
        let security = Security::StartTls(tls(&[&pem], "localhost"));
        assert_eq!(send(port, security).await, Ok(()));
        let heard = server.await.expect("what it heard");
        assert!(heard[0].starts_with("EHLO "), "{heard:?}");
        let rest = [
            "MAIL FROM:<from@example.com>",
            "RCPT TO:<to@example.com>",
            "DATA",
            "one line",
            ".",
        ];
        assert_eq!(heard[1..], rest);
    }

    #[tokio::test]
    async fn a_mail_goes_through_tls_from_the_beginning() {
        let (pem, acceptor) = certificate();
        let (listener, port) = listen().await;
        let server = tokio::spawn(async move {
            let (connection, _) = listener.accept().await.expect("a connection");
            let mut connection = acceptor.accept(connection).await.expect("TLS");
            connection.write_all(b"220 hello\r\n").await.expect("sent");
            agree(connection).await
        });
        let security = Security::Tls(tls(&[&pem], "localhost"));
        assert_eq!(send(port, security).await, Ok(()));
        assert_eq!(server.await.expect("what it heard").len(), 6);
    }

    #[tokio::test]
    async fn what_somebody_adds_before_tls_is_not_taken_for_the_servers_word() {
        let (pem, acceptor) = certificate();
        let (listener, port) = listen().await;
        let go = b"220 go\r\n250 I am the server, and have no AUTH\r\n";
        let server = tokio::spawn(async move { encrypting(listener, acceptor, go).await });
        let security = Security::StartTls(tls(&[&pem], "localhost"));
        let error = send(port, security).await.expect_err("a breach");
        assert!(matches!(error, MailError::Connection(_)), "{error:?}");
        assert_eq!(server.await.expect("what it heard"), [""; 0]);
    }

    #[tokio::test]
    async fn a_server_that_cannot_prove_its_name_is_sent_nothing() {
        for (is_known, host) in [(false, "localhost"), (true, "mail.example.com")] {
            let (pem, acceptor) = certificate();
            let (stranger, _) = certificate();
            let (listener, port) = listen().await;
            let server =
                tokio::spawn(async move { encrypting(listener, acceptor, b"220 go\r\n").await });
            let trusted = if is_known { &pem } else { &stranger };
            let security = Security::StartTls(tls(&[trusted], host));
            let error = send(port, security).await.expect_err("a stranger");
            assert!(error.to_string().contains("certificate"), "{error}");
            assert!(error.is_temporary());
            assert_eq!(server.await.expect("what it heard"), [""; 0]);
        }
    }
}
