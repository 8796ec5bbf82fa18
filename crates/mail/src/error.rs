//! Why a mail was not sent.

use std::time::Duration;

/// Why a mail was not sent, or none can be. No variant holds the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// The URL does not say how to reach a mail server.
    #[error("the URL of the mail server is not usable: {0}")]
    Url(String),
    /// The sender is no mailbox.
    #[error("{0:?} is no sender; one is written as a@example.com or Name <a@example.com>")]
    Sender(String),
    /// An address that no mail is sent to.
    #[error("{0:?} is no address for a mail; one is written as a@example.com, in ASCII")]
    Address(String),
    /// A link that no mail may have.
    #[error("{0:?} is no link for a mail: only http, https and mailto URLs are")]
    Link(String),
    /// The mail cannot be put together.
    #[error("the mail cannot be put together: {0}")]
    Content(String),
    /// The server said no.
    #[error("the mail server refused with {code}: {text}")]
    Refused {
        /// 4xx if it may take the mail later, 5xx if it never will.
        code: u16,
        /// Its words, of which it chose all.
        text: String,
    },
    /// The server does not take the user and password. Its words might repeat them, so are not kept.
    #[error("the mail server refused the login with {code}")]
    Login {
        /// 4xx if it may take them later, 5xx if it never will.
        code: u16,
    },
    /// There was no connection, none that is encrypted, or it broke.
    #[error("the mail server cannot be talked to: {0}")]
    Connection(String),
    /// The server was too slow.
    #[error("the mail server took more than {} s for {step}", limit.as_secs())]
    TimedOut {
        /// What it was asked for.
        step: &'static str,
        /// How long it may take for that.
        limit: Duration,
    },
}

impl MailError {
    /// Whether sending the same mail later may succeed: the server said so, or there was trouble with
    /// the connection, after which the server may even have taken the mail.
    pub fn is_temporary(&self) -> bool {
        match self {
            MailError::Refused { code, .. } | MailError::Login { code } => *code < 500,
            MailError::Connection(_) | MailError::TimedOut { .. } => true,
            MailError::Url(_)
            | MailError::Sender(_)
            | MailError::Address(_)
            | MailError::Link(_)
            | MailError::Content(_) => false,
        }
    }
}
