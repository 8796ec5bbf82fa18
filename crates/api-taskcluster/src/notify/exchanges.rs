//! What the world hears because somebody wants it to.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use taskyard_engine::notification::{self, IRC_REQUESTED, PUBLISHED};
use taskyard_events::{Event, Exchange, Message, Translate, Word};
use taskyard_store::{Error, Tx};

use crate::exchanges::Exchanges;

const KIND: Word = Word::constant("routingKeyKind", "primary", "Always `primary`.");

const NOTIFICATION: Exchange = Exchange {
    name: "notify",
    exchange: "notification",
    title: "A notification",
    description: "Somebody asked for this message to be published, or a route of a task did.",
    key: &[
        KIND,
        Word::several("topic", 100, "What whoever asked for it calls it."),
    ],
    schema: "v1/notification-message.json#",
};
const IRC_REQUEST: Exchange = Exchange {
    name: "ircRequest",
    exchange: "irc-request",
    title: "A message for IRC",
    description: "Something that a bot is to say to a channel or to somebody.",
    key: &[KIND, Word::reserved(1)],
    schema: "v1/irc-request.json#",
};

/// The exchanges of the notify service.
pub(crate) const EXCHANGES: Exchanges = Exchanges {
    service: "notify",
    title: "Notifications",
    description: "Messages that somebody asked to be published.",
    entries: &[NOTIFICATION, IRC_REQUEST],
};

/// Makes messages of notifications.
#[derive(Debug)]
pub(crate) struct NotifyMessages {
    notification: Arc<str>,
    irc_request: Arc<str>,
}

impl Default for NotifyMessages {
    fn default() -> Self {
        NotifyMessages {
            notification: EXCHANGES.full_name(&NOTIFICATION).into(),
            irc_request: EXCHANGES.full_name(&IRC_REQUEST).into(),
        }
    }
}

impl Translate for NotifyMessages {
    fn kinds(&self) -> &'static [&'static str] {
        &[PUBLISHED, IRC_REQUESTED]
    }

    fn translate(&self, _: &mut Tx<'_>, event: &Event) -> Result<Vec<Message>, Error> {
        let (body, address) = notification::published(event);
        let unusable = |error: &dyn std::fmt::Display| Error::Statement(error.to_string());
        let body: Value = serde_json::from_str(body).map_err(|error| unusable(&error))?;
        let message = if event.kind == PUBLISHED {
            let key = NOTIFICATION.routing_key(&[("topic", address)]);
            Message {
                exchange: Arc::clone(&self.notification),
                routing_key: key.map_err(|error| unusable(&error))?,
                cc: vec![format!("route.{address}")],
                payload: Bytes::from(
                    json!({"version": 1, "message": body.get("message")}).to_string(),
                ),
            }
        } else {
            let key = IRC_REQUEST.routing_key(&[]);
            Message {
                exchange: Arc::clone(&self.irc_request),
                routing_key: key.map_err(|error| unusable(&error))?,
                cc: Vec::new(),
                payload: Bytes::from(body.to_string()),
            }
        };
        Ok(vec![message])
    }
}
