use std::str::FromStr;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::page::{Listing, Page, list, list_all};
use crate::{Call, Error, Options, Result, Service, Timestamp};

/// The notify service: mails, messages on Pulse, and messages to rooms and channels. Clones share
/// connections.
///
/// A call whose answer was lost is repeated. The service notices that, and sends nothing twice.
#[derive(Debug, Clone)]
pub struct Notify {
    service: Service,
}

/// What became of a call that notifies somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notified {
    /// It is on its way; or kept in the outbox, where the service has nothing to send it with.
    Accepted,
    /// Nothing is sent: the same was lately, or too much goes to this address.
    Discarded,
}

/// The ways that notifications go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotificationType {
    /// To an e-mail address.
    Email,
    /// To consumers of messages with a routing key.
    Pulse,
    /// To somebody on IRC.
    IrcUser,
    /// To a channel on IRC.
    IrcChannel,
    /// To a Matrix room.
    MatrixRoom,
    /// To a Slack channel.
    SlackChannel,
}

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Email {
    /// To whom.
    pub address: String,
    /// At most 255 characters.
    pub subject: String,
    /// Markdown.
    pub content: String,
    /// A button below the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<EmailLink>,
    /// Whom an answer goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// How it looks.
    #[serde(default)]
    pub template: EmailTemplate,
}

/// A button in a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailLink {
    /// What it says, at most 40 characters.
    pub text: String,
    /// The address it leads to.
    pub href: String,
}

/// How a mail looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmailTemplate {
    /// A narrow column.
    #[default]
    Simple,
    /// As wide as the window.
    Fullscreen,
}

/// A message to a Matrix room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MatrixMessage {
    /// The room: `!` and what follows. The service's account has to be in it.
    pub room_id: String,
    /// The text.
    pub body: String,
    /// What `formatted_body` is written in: `org.matrix.custom.html`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The text for those who can show more than `body`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formatted_body: Option<String>,
    /// What sort of message it is.
    #[serde(default)]
    pub msgtype: MatrixMessageType,
}

/// What sort of message a Matrix room gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MatrixMessageType {
    /// Something that a program says.
    #[default]
    #[serde(rename = "m.notice")]
    Notice,
    /// Something that a person says.
    #[serde(rename = "m.text")]
    Text,
    /// Something that is done.
    #[serde(rename = "m.emote")]
    Emote,
}

/// A message to a Slack channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlackMessage {
    /// The channel's id, not its name.
    pub channel_id: String,
    /// The text; with blocks, what is shown where these cannot be.
    pub text: String,
    /// Slack's layout blocks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<Value>,
    /// Slack's attachments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Value>,
    /// Whether the pages that are linked are previewed. Old deployments do not know it.
    #[serde(default, skip_serializing_if = "no")]
    pub unfurl_links: bool,
    /// Whether the media that are linked are shown. Old deployments do not know it.
    #[serde(default, skip_serializing_if = "no")]
    pub unfurl_media: bool,
}

/// An address that nothing is sent to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DenylistedAddress {
    /// What sort of address it is.
    pub notification_type: NotificationType,
    /// The address.
    pub notification_address: String,
}

/// A page of the denylist.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DenylistPage {
    /// By type and address.
    pub addresses: Vec<DenylistedAddress>,
    /// Where to go on.
    pub continuation_token: Option<String>,
}

/// A notification in the outbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// Later ones have larger numbers.
    pub number: u64,
    /// What way it goes.
    pub kind: NotificationType,
    /// To whom.
    pub address: String,
    /// When it was accepted.
    pub created: Timestamp,
    /// How far it got.
    pub state: NotificationState,
    /// How often the service tried to send it.
    pub attempts: u32,
    /// Why the last attempt failed; empty if none did.
    pub error: String,
    /// What the service was called with.
    pub body: Value,
}

/// How far a notification got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotificationState {
    /// It is to be sent, for the first time or once more.
    Waiting,
    /// It was sent, or published.
    Sent,
    /// The service has nothing to send it with.
    Kept,
    /// It could not be sent and is not tried any more.
    Failed,
}

/// A page of the outbox.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutboxPage {
    /// The newest first.
    pub notifications: Vec<Notification>,
    /// Where to go on.
    pub continuation_token: Option<String>,
}

/// What deployments do not all know is left out where it says nothing.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
fn no(flag: &bool) -> bool {
    !flag
}

impl Listing for DenylistPage {
    type Item = DenylistedAddress;

    fn into_parts(self) -> (Vec<DenylistedAddress>, Option<String>) {
        (self.addresses, self.continuation_token)
    }
}

impl Listing for OutboxPage {
    type Item = Notification;

    fn into_parts(self) -> (Vec<Notification>, Option<String>) {
        (self.notifications, self.continuation_token)
    }
}

// === impl NotificationType ===

impl NotificationType {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Email,
        Self::Pulse,
        Self::IrcUser,
        Self::IrcChannel,
        Self::MatrixRoom,
        Self::SlackChannel,
    ];

    /// The word for it on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Pulse => "pulse",
            Self::IrcUser => "irc-user",
            Self::IrcChannel => "irc-channel",
            Self::MatrixRoom => "matrix-room",
            Self::SlackChannel => "slack-channel",
        }
    }
}

impl FromStr for NotificationType {
    type Err = Error;

    /// Reads the word for it on the wire.
    fn from_str(word: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|way| way.as_str() == word);
        known.ok_or_else(|| Error::Usage(format!("nothing is sent by way of `{word}`")))
    }
}

// === impl NotificationState ===

impl NotificationState {
    /// The word for it on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Kept => "kept",
            Self::Failed => "failed",
        }
    }
}

// === impl Email ===

impl Email {
    /// A mail without a link, in the simple template.
    pub fn new(
        address: impl Into<String>,
        subject: impl Into<String>,
        content: impl Into<String>,
    ) -> Self {
        Self {
            address: address.into(),
            subject: subject.into(),
            content: content.into(),
            link: None,
            reply_to: None,
            template: EmailTemplate::default(),
        }
    }
}

// === impl MatrixMessage ===

impl MatrixMessage {
    /// A notice in plain text.
    pub fn new(room_id: impl Into<String>, body: impl Into<String>) -> Self {
        Self {
            room_id: room_id.into(),
            body: body.into(),
            format: None,
            formatted_body: None,
            msgtype: MatrixMessageType::default(),
        }
    }
}

// === impl SlackMessage ===

impl SlackMessage {
    /// A text and nothing else.
    pub fn new(channel_id: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            channel_id: channel_id.into(),
            text: text.into(),
            blocks: Vec::new(),
            attachments: Vec::new(),
            unfurl_links: false,
            unfurl_media: false,
        }
    }
}

// === impl Notify ===

impl Notify {
    /// A client of the notify service.
    ///
    /// # Errors
    /// `Usage` when an option is wrong.
    pub fn new(options: Options) -> Result<Self> {
        Ok(Self {
            service: Service::new("notify", "v1", options)?,
        })
    }

    /// The service beneath, for addresses and methods that have no function here.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Sends a mail. Like all that follow, it is refused (400, `DenylistedAddress`) if the address
    /// is on the denylist.
    pub async fn email(&self, email: &Email) -> Result<Notified> {
        self.notify("email", email).await
    }

    /// Publishes a message, an object, on the exchange of notifications. Consumers find it by the
    /// routing key.
    pub async fn pulse(&self, routing_key: &str, message: &Value) -> Result<Notified> {
        let body = json!({"routingKey": routing_key, "message": message});
        self.notify("pulse", &body).await
    }

    /// Says something in a Matrix room.
    pub async fn matrix(&self, message: &MatrixMessage) -> Result<Notified> {
        self.notify("matrix", message).await
    }

    /// Says something in a Slack channel.
    pub async fn slack(&self, message: &SlackMessage) -> Result<Notified> {
        self.notify("slack", message).await
    }

    /// Asks the bots that follow the exchange of IRC requests to say something in a channel, whose
    /// name begins with `#` or `&`. Taskcluster's services have no such method since version 40.
    pub async fn irc_channel(&self, channel: &str, message: &str) -> Result<Notified> {
        let body = json!({"channel": channel, "message": message});
        self.notify("irc", &body).await
    }

    /// The same to a user of IRC.
    pub async fn irc_user(&self, user: &str, message: &str) -> Result<Notified> {
        let body = json!({"user": user, "message": message});
        self.notify("irc", &body).await
    }

    async fn notify(&self, method: &str, body: &impl Serialize) -> Result<Notified> {
        let path = [method];
        let call = Call::post(&path).json(body)?;
        let answer = self.service.send(call).await?;
        Ok(match answer.status {
            204 => Notified::Discarded,
            _ => Notified::Accepted,
        })
    }

    /// Lets nothing be sent to an address any more; it may be on the list already.
    pub async fn add_denylist_address(&self, address: &DenylistedAddress) -> Result<()> {
        let call = Call::post(&["denylist", "add"]).json(address)?;
        self.service.send(call).await.map(drop)
    }

    /// Takes an address off the denylist; not being there is fine.
    pub async fn delete_denylist_address(&self, address: &DenylistedAddress) -> Result<()> {
        let call = Call::new(Method::DELETE, &["denylist", "delete"]).json(address)?;
        self.service.send(call).await.map(drop)
    }

    /// A page of the addresses that nothing is sent to.
    pub async fn list_denylist(&self, page: &Page) -> Result<DenylistPage> {
        list(&self.service, &["denylist", "list"], page).await
    }

    /// All of them.
    pub async fn list_denylist_all(&self) -> Result<Vec<DenylistedAddress>> {
        list_all::<DenylistPage>(&self.service, &["denylist", "list"]).await
    }

    /// A page of what was accepted lately and what became of it, the newest first. Taskyard has
    /// this method, Taskcluster's own services have not.
    pub async fn outbox(&self, page: &Page) -> Result<OutboxPage> {
        list(&self.service, &["outbox"], page).await
    }

    /// All of it.
    pub async fn outbox_all(&self) -> Result<Vec<Notification>> {
        list_all::<OutboxPage>(&self.service, &["outbox"]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_on_the_wire_are_those_that_are_shown() {
        for way in NotificationType::ALL {
            assert_eq!(serde_json::to_value(way).unwrap(), way.as_str());
            assert_eq!(way.as_str().parse::<NotificationType>().unwrap(), way);
        }
        assert!("fax".parse::<NotificationType>().is_err());
        for state in [
            NotificationState::Waiting,
            NotificationState::Sent,
            NotificationState::Kept,
            NotificationState::Failed,
        ] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }

    #[test]
    fn a_mail_says_no_more_than_it_was_told() {
        let mut email = Email::new("someone@example.com", "s", "c");
        let mut wire = json!({"address": "someone@example.com", "subject": "s", "content": "c",
            "template": "simple"});
        assert_eq!(serde_json::to_value(&email).unwrap(), wire);
        email.link = Some(EmailLink {
            text: "Open".to_owned(),
            href: "https://example.com".to_owned(),
        });
        email.reply_to = Some("other@example.com".to_owned());
        email.template = EmailTemplate::Fullscreen;
        wire["link"] = json!({"text": "Open", "href": "https://example.com"});
        wire["replyTo"] = "other@example.com".into();
        wire["template"] = "fullscreen".into();
        assert_eq!(serde_json::to_value(&email).unwrap(), wire);
        assert_eq!(serde_json::from_value::<Email>(wire).unwrap(), email);
    }

    #[test]
    fn a_message_to_a_room_is_a_notice_unless_it_is_said_to_be_something_else() {
        let mut message = MatrixMessage::new("!room:example.com", "b");
        let mut wire = json!({"roomId": "!room:example.com", "body": "b", "msgtype": "m.notice"});
        assert_eq!(serde_json::to_value(&message).unwrap(), wire);
        message.format = Some("org.matrix.custom.html".to_owned());
        message.formatted_body = Some("<b>b</b>".to_owned());
        message.msgtype = MatrixMessageType::Emote;
        wire["format"] = "org.matrix.custom.html".into();
        wire["formattedBody"] = "<b>b</b>".into();
        wire["msgtype"] = "m.emote".into();
        assert_eq!(serde_json::to_value(&message).unwrap(), wire);
        assert_eq!(
            serde_json::from_value::<MatrixMessage>(wire).unwrap(),
            message
        );
    }

    #[test]
    fn old_deployments_can_read_a_message_to_slack() {
        let mut message = SlackMessage::new("C0123", "t");
        let mut wire = json!({"channelId": "C0123", "text": "t"});
        assert_eq!(serde_json::to_value(&message).unwrap(), wire);
        message.blocks = vec![json!({"type": "divider"})];
        message.unfurl_links = true;
        wire["blocks"] = json!([{"type": "divider"}]);
        wire["unfurlLinks"] = true.into();
        assert_eq!(serde_json::to_value(&message).unwrap(), wire);
        assert_eq!(
            serde_json::from_value::<SlackMessage>(wire).unwrap(),
            message
        );
    }
}
