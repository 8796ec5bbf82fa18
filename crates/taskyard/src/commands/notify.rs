//! `taskyard notify`: sends mails and messages, and tells what became of them.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;
use taskyard_client::taskcluster::{
    DenylistedAddress, Email, EmailLink, EmailTemplate, MatrixMessage, Notification,
    NotificationType, Notified, Notify, Page, SlackMessage,
};

use super::input::{object_of, text_of};
use super::lines::{first_line, print, print_all};
use super::target::{Target, credentials};

/// What Matrix calls the HTML that its messages may have.
const MATRIX_HTML: &str = "org.matrix.custom.html";

/// Options of `taskyard notify`.
#[derive(Debug, clap::Args)]
#[command(after_help = credentials!(
    "\n\nSending takes the scope notify:email:ADDRESS, notify:pulse:ROUTING-KEY, \
     notify:matrix-room:ROOM,\nnotify:slack-channel:CHANNEL, notify:irc-channel:CHANNEL or \
     notify:irc-user:USER; the denylist takes\nnotify:manage-denylist, and the outbox \
     notify:list-outbox.\n\nThe server drops what it has sent lately, and mails beyond what one \
     address may get; that is told,\nand no failure. What it has nothing to send with stays in the \
     outbox."
))]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,

    /// Print one JSON object a line
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Send a mail
    Email(Box<Mail>),
    /// Publish a message that consumers find by its routing key
    #[command(after_help = "\
`taskyard events tail --exchange notify/notification --pattern route.ROUTING-KEY` follows such
messages.")]
    Pulse {
        /// The routing key: words with dots between
        #[arg(value_name = "ROUTING-KEY")]
        routing_key: String,
        /// The message: a JSON object, or the file that holds one; `@-` is standard input
        #[arg(value_name = "JSON|@FILE")]
        message: String,
    },
    /// Say something in a Matrix room
    Matrix {
        /// Id of the room: `!` and what follows
        room: String,
        /// What to say
        text: String,
        /// The same as HTML, for those who can show it
        #[arg(long)]
        html: Option<String>,
    },
    /// Say something in a Slack channel
    Slack {
        /// Id of the channel, not its name
        channel: String,
        /// What to say
        text: String,
    },
    /// Ask the bots that follow the exchange of IRC requests to say something
    Irc {
        /// A channel, which begins with `#` or `&`, or else a user
        to: String,
        /// What to say
        text: String,
    },
    /// Look at the addresses that nothing is sent to, and change which they are
    Denylist {
        #[command(subcommand)]
        action: Denylist,
    },
    /// List what was to be sent and what became of it, the newest first; --json tells it whole
    Outbox {
        /// List at most so many, up to 1000; 0 means all
        #[arg(long, value_name = "COUNT", default_value_t = 20,
            value_parser = clap::value_parser!(u32).range(0..=1000))]
        limit: u32,
    },
}

/// What is to be in a mail.
#[derive(Debug, clap::Args)]
struct Mail {
    /// To whom
    address: String,
    /// The file with the content, in Markdown; standard input if it is `-` or none is given
    file: Option<PathBuf>,
    /// The content itself, in Markdown
    // Lists in Markdown begin with a hyphen.
    #[arg(
        long,
        value_name = "TEXT",
        conflicts_with = "file",
        allow_hyphen_values = true
    )]
    content: Option<String>,
    /// The subject
    #[arg(long, value_name = "TEXT")]
    subject: String,
    /// Where a button below the content leads to
    #[arg(long, value_name = "URL", requires = "link_text")]
    link: Option<String>,
    /// What the button says
    #[arg(long, value_name = "TEXT", requires = "link")]
    link_text: Option<String>,
    /// Whom an answer goes to
    #[arg(long, value_name = "ADDRESS")]
    reply_to: Option<String>,
    /// Make it as wide as the window
    #[arg(long)]
    fullscreen: bool,
}

#[derive(Debug, Subcommand)]
enum Denylist {
    /// List the addresses that nothing is sent to
    List,
    /// Let nothing be sent to an address any more
    Add {
        #[command(flatten)]
        address: Address,
    },
    /// Take an address off the list
    Remove {
        #[command(flatten)]
        address: Address,
    },
}

/// The address that is meant.
#[derive(Debug, clap::Args)]
struct Address {
    /// What sort of address it is
    #[arg(value_name = "TYPE", value_parser = types())]
    kind: NotificationType,
    /// The address: as `outbox` shows it
    address: String,
}

fn types() -> impl TypedValueParser<Value = NotificationType> {
    PossibleValuesParser::new(NotificationType::ALL.map(NotificationType::as_str))
        .try_map(|word| word.parse())
}

// === impl Address ===

impl From<Address> for DenylistedAddress {
    fn from(address: Address) -> Self {
        Self {
            notification_type: address.kind,
            notification_address: address.address,
        }
    }
}

// === impl Mail ===

impl Mail {
    fn read(self) -> anyhow::Result<Email> {
        let content = match self.content {
            Some(content) => content,
            None => text_of(self.file.as_deref())?,
        };
        let link = self.link.zip(self.link_text);
        Ok(Email {
            link: link.map(|(href, text)| EmailLink { text, href }),
            reply_to: self.reply_to,
            template: if self.fullscreen {
                EmailTemplate::Fullscreen
            } else {
                EmailTemplate::Simple
            },
            ..Email::new(self.address, self.subject, content)
        })
    }
}

/// Does one action.
pub(crate) async fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let notify = Notify::new(args.target.options()?)?;
    let json = args.json;
    let notified = match args.action {
        Action::Email(mail) => notify.email(&mail.read()?).await?,
        Action::Pulse {
            routing_key,
            message,
        } => {
            let message = object_of(&message, "the message")?;
            notify.pulse(&routing_key, &message).await?
        }
        Action::Matrix { room, text, html } => {
            let mut message = MatrixMessage::new(room, text);
            message.format = html.is_some().then(|| MATRIX_HTML.to_owned());
            message.formatted_body = html;
            notify.matrix(&message).await?
        }
        Action::Slack { channel, text } => notify.slack(&SlackMessage::new(channel, text)).await?,
        Action::Irc { to, text } if to.starts_with(['#', '&']) => {
            notify.irc_channel(&to, &text).await?
        }
        Action::Irc { to, text } => notify.irc_user(&to, &text).await?,
        Action::Denylist { action } => {
            denylist(&notify, action, json).await?;
            return Ok(ExitCode::SUCCESS);
        }
        Action::Outbox { limit } => {
            print_all(&outbox(&notify, limit).await?, json, notification_line)?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    tell(notified, json)?;
    Ok(ExitCode::SUCCESS)
}

/// Says what became of a notification if that is not what one expects.
fn tell(notified: Notified, json: bool) -> anyhow::Result<()> {
    match notified {
        _ if json => print([json!({"accepted": notified == Notified::Accepted}).to_string()]),
        Notified::Accepted => Ok(()),
        Notified::Discarded => writeln!(
            std::io::stderr(),
            "nothing is sent: the same was sent lately, or too much goes to this address"
        )
        .context("cannot write to the error output"),
    }
}

async fn denylist(notify: &Notify, action: Denylist, json: bool) -> anyhow::Result<()> {
    match action {
        Denylist::List => print_all(&notify.list_denylist_all().await?, json, address_line)?,
        Denylist::Add { address } => notify.add_denylist_address(&address.into()).await?,
        Denylist::Remove { address } => notify.delete_denylist_address(&address.into()).await?,
    }
    Ok(())
}

async fn outbox(notify: &Notify, limit: u32) -> anyhow::Result<Vec<Notification>> {
    if limit == 0 {
        return Ok(notify.outbox_all().await?);
    }
    let page = Page {
        continuation_token: None,
        limit: Some(limit),
    };
    Ok(notify.outbox(&page).await?.notifications)
}

fn address_line(address: &DenylistedAddress) -> String {
    let kind = address.notification_type.as_str();
    format!("{kind}\t{}", address.notification_address.escape_debug())
}

fn notification_line(notification: &Notification) -> String {
    let (number, created) = (notification.number, notification.created);
    let kind = notification.kind.as_str();
    let address = notification.address.escape_debug();
    let says = first_line(gist(notification));
    let mut state = notification.state.as_str().to_owned();
    if !notification.error.is_empty() {
        let attempts = match notification.attempts {
            1 => "1 attempt".to_owned(),
            more => format!("{more} attempts"),
        };
        state = format!(
            "{state} after {attempts}: {}",
            first_line(&notification.error)
        );
    }
    format!("{number}\t{created}\t{kind}\t{address}\t{state}\t{says}")
}

/// What of a notification is worth showing to people; nothing of what only programs read.
fn gist(notification: &Notification) -> &str {
    let key = match notification.kind {
        NotificationType::Email => "subject",
        NotificationType::Pulse => return "",
        NotificationType::IrcUser | NotificationType::IrcChannel => "message",
        NotificationType::MatrixRoom => "body",
        NotificationType::SlackChannel => "text",
    };
    notification.body[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn line(kind: &str, more: &Value) -> String {
        let mut wire = json!({"number": 7, "kind": kind, "address": "a\tb", "attempts": 0,
            "created": "2026-03-01T10:00:00.000Z", "state": "kept", "error": "", "body": {}});
        for (key, value) in more.as_object().unwrap() {
            wire[key] = value.clone();
        }
        notification_line(&serde_json::from_value(wire).unwrap())
    }

    #[test]
    fn a_notification_is_one_line_that_says_what_it_is_about() {
        let start = "7\t2026-03-01T10:00:00.000Z";
        for (kind, key) in [
            ("email", "subject"),
            ("matrix-room", "body"),
            ("slack-channel", "text"),
            ("irc-channel", "message"),
        ] {
            assert_eq!(
                line(kind, &json!({"body": {key: "one\u{1b}\ntwo"}})),
                format!("{start}\t{kind}\ta\\tb\tkept\tone\\u{{1b}}")
            );
        }
        let pulse = json!({"state": "sent", "body": {"message": {"body": "b"}}});
        assert_eq!(
            line("pulse", &pulse),
            format!("{start}\tpulse\ta\\tb\tsent\t")
        );
    }

    #[test]
    fn a_notification_that_could_not_be_sent_says_why() {
        let failing = json!({"state": "waiting", "attempts": 1, "error": "550 no\tsuch user\nbye"});
        let shown = line("email", &failing);
        assert!(
            shown.ends_with("\twaiting after 1 attempt: 550 no\\tsuch user\t"),
            "{shown}"
        );
        let failed = json!({"state": "failed", "attempts": 6, "error": "e"});
        let shown = line("email", &failed);
        assert!(shown.ends_with("\tfailed after 6 attempts: e\t"), "{shown}");
    }
}
