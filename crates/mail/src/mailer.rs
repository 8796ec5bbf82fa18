//! Who sends mails.

use std::sync::Arc;
use std::time::Duration;

use lettre::message::Mailbox;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::address::address;
use crate::message::Message;
use crate::server::Server;
use crate::session::Session;
use crate::{Mail, MailError};

/// How long a mail may take altogether, waiting for its turn included.
const SEND_LIMIT: Duration = Duration::from_mins(2);

/// How many mails are handed over at the same time: many servers let a client have no more
/// connections than some ten.
const CONNECTIONS: usize = 8;

/// Sends mails through one server. Clones share their limits.
#[derive(Debug, Clone)]
pub struct Mailer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    server: Server,
    sender: Mailbox,
    turns: Semaphore,
}

impl Mailer {
    /// A mailer for the server at `url`, whose mails come from `sender`: `a@example.com` or
    /// `Name <a@example.com>`. Nothing is connected to yet.
    ///
    /// | URL | security | usual port |
    /// |---|---|---|
    /// | `smtps://[user:password@]host[:port]` | TLS from the beginning | 465 |
    /// | `smtp://[user:password@]host[:port]` | STARTTLS, without which nothing is sent | 587 |
    /// | the same with this machine as host | none, for a relay that stands beside the server | 25 |
    /// | `smtp://…?tls=required` | STARTTLS, also on this machine | 587 |
    /// | `smtp://…?tls=none` | none: whoever is on the way reads mails and password | 25 |
    ///
    /// User and password are percent-encoded. Certificates are checked as the system does.
    ///
    /// # Errors
    /// [`MailError::Url`] or [`MailError::Sender`]; neither repeats the password.
    pub fn new(url: &str, sender: &str) -> Result<Self, MailError> {
        let refused = || MailError::Sender(sender.to_owned());
        if sender.chars().any(char::is_control) {
            return Err(refused());
        }
        let mailbox: Mailbox = sender.parse().map_err(|_| refused())?;
        address(mailbox.email.as_ref()).map_err(|_| refused())?;
        Ok(Mailer(Arc::new(Inner {
            server: Server::parse(url)?,
            sender: mailbox,
            turns: Semaphore::new(CONNECTIONS),
        })))
    }

    /// Sends a mail; when this returns, the server has taken it.
    ///
    /// A server may take 30 s to greet and for each command and 60 s for the mail itself; altogether
    /// the mail has 120 s, of which it may spend some waiting, because no more than 8 are sent at the
    /// same time.
    ///
    /// # Errors
    /// Says why not, and whether another try may help. A mail whose taking was not confirmed in time
    /// may arrive nevertheless.
    pub async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let inner = Arc::clone(&self.0);
        let mail = mail.clone();
        let message = spawn_blocking(move || Message::new(&mail, &inner.sender))
            .await
            .map_err(|_| MailError::Content("rendering it failed".to_owned()))??;
        let Inner {
            server,
            sender,
            turns,
        } = &*self.0;
        let sending = async {
            // Fails only once it is closed, which nobody does.
            let _turn = turns.acquire().await;
            // Boxed because a TLS handshake is large.
            Box::pin(async {
                Session::open(server)
                    .await?
                    .send(&sender.email, &message)
                    .await
            })
            .await
        };
        timeout(SEND_LIMIT, sending)
            .await
            .unwrap_or(Err(MailError::TimedOut {
                step: "a mail",
                limit: SEND_LIMIT,
            }))
    }
}
