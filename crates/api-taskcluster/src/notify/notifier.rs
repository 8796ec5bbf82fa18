//! What is to be said to whom, and whether it is.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use taskyard_engine::Timestamp;
use taskyard_engine::clock::Clock;
use taskyard_engine::notification::{self, IRC_REQUESTED, New, PUBLISHED, Verdict, Way};
use taskyard_store::{Error, Store, Tx};

use super::sinks::Sinks;

/// So many mails go to one address in [`MAIL_WINDOW`] at most.
const MOST_MAILS: usize = 50;
const MAIL_WINDOW: Duration = Duration::from_mins(10);

/// Accepts notifications, and sends them.
#[derive(Debug)]
pub struct Notifier {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) sinks: Sinks,
    /// Where clients reach the server.
    pub(super) root_url: String,
}

/// What way a notification goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Email,
    Pulse,
    MatrixRoom,
    SlackChannel,
    IrcUser,
    IrcChannel,
}

/// Something to be said to somebody.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Notice {
    pub(crate) kind: Kind,
    /// To whom.
    pub(crate) address: String,
    /// The body of the method that sends it.
    pub(crate) body: Value,
}

// === impl Kind ===

impl Kind {
    const ALL: [Kind; 6] = [
        Kind::Email,
        Kind::Pulse,
        Kind::MatrixRoom,
        Kind::SlackChannel,
        Kind::IrcUser,
        Kind::IrcChannel,
    ];

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::Email => "email",
            Kind::Pulse => "pulse",
            Kind::MatrixRoom => "matrix-room",
            Kind::SlackChannel => "slack-channel",
            Kind::IrcUser => "irc-user",
            Kind::IrcChannel => "irc-channel",
        }
    }

    /// The fields in which two differ that do not say the same.
    fn telling(self) -> &'static [&'static str] {
        match self {
            Kind::Email => &["subject", "content", "link", "replyTo"],
            Kind::Pulse | Kind::IrcUser | Kind::IrcChannel => &["message"],
            Kind::MatrixRoom => &["format", "formattedBody", "body", "msgtype"],
            Kind::SlackChannel => &["text", "blocks", "attachments"],
        }
    }
}

// === impl Notice ===

impl Notice {
    /// As it is accepted.
    fn to_new(&self) -> New {
        let fields = self.kind.telling().iter().map(|name| self.body.get(name));
        let said = json!([self.kind.as_str(), self.address, fields.collect::<Vec<_>>()]);
        let hash = digest(&SHA256, said.to_string().as_bytes());
        New {
            kind: self.kind.as_str().to_owned(),
            address: self.address.clone(),
            body: self.body.to_string(),
            digest: URL_SAFE_NO_PAD.encode(hash),
            limit: (self.kind == Kind::Email).then_some((MOST_MAILS, MAIL_WINDOW)),
        }
    }
}

// === impl Notifier ===

impl Notifier {
    /// Sends by `sinks`; `root_url` is how clients reach the server.
    pub fn new(store: Store, clock: Clock, sinks: Sinks, root_url: &str) -> Arc<Self> {
        Arc::new(Notifier {
            store,
            clock,
            sinks,
            root_url: root_url.to_owned(),
        })
    }

    /// Where notifications are kept.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The server's clock.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Accepts a notice within a transaction, unless it should not be sent.
    pub(crate) fn accept(
        &self,
        tx: &mut Tx<'_>,
        now: Timestamp,
        notice: &Notice,
    ) -> Result<Verdict, Error> {
        notification::send(tx, now, &notice.to_new(), self.way(notice.kind, Way::Send))
    }

    /// As [`Notifier::accept`], for a caller who tries to send it right away.
    pub(super) fn accept_to_send(
        &self,
        tx: &mut Tx<'_>,
        now: Timestamp,
        notice: &Notice,
    ) -> Result<(Verdict, bool), Error> {
        let way = self.way(notice.kind, Way::SendByCaller);
        let verdict = notification::send(tx, now, &notice.to_new(), way)?;
        Ok((verdict, way == Way::SendByCaller))
    }

    fn way(&self, kind: Kind, by_sink: Way) -> Way {
        let has_sink = match kind {
            Kind::Pulse => return Way::Publish(PUBLISHED),
            Kind::IrcUser | Kind::IrcChannel => return Way::Publish(IRC_REQUESTED),
            Kind::Email => self.sinks.mailer.is_some(),
            Kind::MatrixRoom => self.sinks.matrix.is_some(),
            Kind::SlackChannel => self.sinks.slack.is_some(),
        };
        if has_sink { by_sink } else { Way::Keep }
    }
}
