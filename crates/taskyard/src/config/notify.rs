//! What notifications are sent with. What nothing is set for is kept in the outbox.

use taskyard_access::Secret;
use taskyard_api_taskcluster::notify::{Matrix, Sinks, Slack};
use taskyard_mail::Mailer;

use super::Error;
use super::sources::Sources;
use super::value;

/// Where Slack's methods are.
const SLACK: &str = "https://slack.com/api";

/// What the settings of all of them say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notify {
    mailer: Option<Mailer>,
    matrix: Option<Matrix>,
    slack: Option<Slack>,
}

impl Notify {
    /// What there is to send with.
    pub(crate) fn sinks(&self) -> Sinks {
        Sinks::new(self.mailer.clone(), self.matrix.clone(), self.slack.clone())
    }
}

/// Reads the settings of all of them.
pub(super) fn from_sources(sources: &Sources) -> Result<Notify, Error> {
    const INTERFACE: &str = "http:// or https:// with a host, such as https://matrix.example.com";
    const TOKEN: &str = "a token, in ASCII without spaces";
    let token = |key| {
        let token = sources.optional(key, TOKEN, value::word)?;
        Ok::<_, Error>(token.map(Secret::new))
    };
    let sender = sources.optional(
        "notify-sender",
        "a sender, such as tasks@example.com or Tasks <tasks@example.com>",
        |text| {
            Mailer::new("smtp://localhost", text)
                .is_ok()
                .then(|| text.to_owned())
        },
    )?;
    let mailer = sources.optional(
        "notify-smtp-url",
        "a mail server, such as smtps://user:password@mail.example.com",
        |text| Mailer::new(text, sender.as_deref().unwrap_or("taskyard@localhost")).ok(),
    )?;
    if mailer.is_some() && sender.is_none() {
        return Err(half("notify-smtp-url", "notify-sender"));
    }
    let url = sources.optional("notify-matrix-url", INTERFACE, value::interface)?;
    let matrix = match (url, token("notify-matrix-token")?) {
        (Some(url), Some(token)) => Some(Matrix { url, token }),
        (None, None) => None,
        (Some(_), None) => return Err(half("notify-matrix-url", "notify-matrix-token")),
        (None, Some(_)) => return Err(half("notify-matrix-token", "notify-matrix-url")),
    };
    let url = sources.optional("notify-slack-url", INTERFACE, value::interface)?;
    let slack = token("notify-slack-token")?.map(|token| Slack {
        url: url.unwrap_or_else(|| SLACK.to_owned()),
        token,
    });
    Ok(Notify {
        mailer,
        matrix,
        slack,
    })
}

fn half(given: &'static str, missing: &'static str) -> Error {
    Error::Half { given, missing }
}
