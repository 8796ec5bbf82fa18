//! What notifications are sent with.

use serde::Deserialize;
use serde_json::Value;
use taskyard_access::Secret;
use taskyard_mail::{Link, Mail, Mailer, Template};

use super::chat;
use super::notifier::Kind;
use crate::outside::Outside;

/// What there is to send notifications with. What is sent by something that is missing is kept in the
/// outbox instead.
#[derive(Debug, Default)]
pub struct Sinks {
    /// For mails.
    pub mailer: Option<Mailer>,
    /// For rooms on Matrix.
    pub matrix: Option<Matrix>,
    /// For channels on Slack.
    pub slack: Option<Slack>,
    pub(super) outside: Outside,
}

/// A user on Matrix.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// The user's home server, such as `https://matrix.example.com`; without a final slash.
    pub url: String,
    /// The user's access token.
    pub token: Secret,
}

/// A bot on Slack.
#[derive(Debug, Clone)]
pub struct Slack {
    /// Where Slack's methods are: `https://slack.com/api`.
    pub url: String,
    /// The bot's token.
    pub token: Secret,
}

/// Why a notification was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsent {
    pub(super) text: String,
    /// Whether trying again later may help.
    pub(super) is_temporary: bool,
}

impl Sinks {
    /// These.
    pub fn new(mailer: Option<Mailer>, matrix: Option<Matrix>, slack: Option<Slack>) -> Self {
        Sinks {
            mailer,
            matrix,
            slack,
            outside: Outside::default(),
        }
    }

    /// Sends a notification of this number.
    pub(super) async fn send(
        &self,
        number: i64,
        kind: &str,
        address: &str,
        body: &str,
    ) -> Result<(), Unsent> {
        let never = |text: &str| Unsent {
            text: text.to_owned(),
            is_temporary: false,
        };
        let body: Value = serde_json::from_str(body).map_err(|error| never(&error.to_string()))?;
        match Kind::parse(kind) {
            Some(Kind::Email) => {
                // It was there when the notification was accepted.
                let Some(mailer) = &self.mailer else {
                    return Err(never("this server sends no mails any more"));
                };
                let mail = mail(address, &body).ok_or_else(|| never("this is no mail"))?;
                mailer.send(&mail).await.map_err(|error| Unsent {
                    text: error.to_string(),
                    is_temporary: error.is_temporary(),
                })
            }
            Some(Kind::MatrixRoom) => match &self.matrix {
                Some(matrix) => chat::say_on_matrix(&self.outside, matrix, number, &body).await,
                None => Err(never("this server is not on Matrix any more")),
            },
            Some(Kind::SlackChannel) => match &self.slack {
                Some(slack) => chat::say_on_slack(&self.outside, slack, &body).await,
                None => Err(never("this server is not on Slack any more")),
            },
            _ => Err(never("nothing sends notifications of this kind")),
        }
    }
}

fn mail(address: &str, body: &Value) -> Option<Mail> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        subject: String,
        content: String,
        link: Option<Button>,
        reply_to: Option<String>,
        #[serde(default)]
        template: Look,
    }
    #[derive(Deserialize)]
    struct Button {
        text: String,
        href: String,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Look {
        #[default]
        Simple,
        Fullscreen,
    }
    let body = Body::deserialize(body).ok()?;
    Some(Mail {
        to: address.to_owned(),
        subject: body.subject,
        content: body.content,
        link: body.link.map(|Button { text, href }| Link { text, href }),
        reply_to: body.reply_to,
        template: match body.template {
            Look::Simple => Template::Simple,
            Look::Fullscreen => Template::Fullscreen,
        },
    })
}
