//! What the world hears about clients and roles.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use taskyard_events::exchange::ABSENT;
use taskyard_events::{Event, Exchange, Message, Translate, Word};
use taskyard_store::{Error, Tx};

use crate::exchanges::Exchanges;

/// Keys of this service say nothing: who listens hears of everybody.
const KEY: &[Word] = &[Word::reserved(1)];
const CLIENT: &str = "v1/client-message.json#";
const ROLE: &str = "v1/role-message.json#";

/// The exchanges of the auth service.
pub(crate) const EXCHANGES: Exchanges = Exchanges {
    service: "auth",
    title: "Messages about clients and roles",
    description: "Messages that tell of every change of a client or a role, so that others need \
                  not ask again and again.",
    entries: &[
        Exchange {
            name: "clientCreated",
            exchange: "client-created",
            title: "A client was created",
            description: "There is a new client, or it was asked for once more.",
            key: KEY,
            schema: CLIENT,
        },
        Exchange {
            name: "clientUpdated",
            exchange: "client-updated",
            title: "A client was changed",
            description: "A client has another definition or another access token, or was switched \
                          on or off.",
            key: KEY,
            schema: CLIENT,
        },
        Exchange {
            name: "clientDeleted",
            exchange: "client-deleted",
            title: "A client was deleted",
            description: "A client is gone, because somebody deleted it or because it had expired.",
            key: KEY,
            schema: CLIENT,
        },
        Exchange {
            name: "roleCreated",
            exchange: "role-created",
            title: "A role was created",
            description: "There is a new role, or it was asked for once more.",
            key: KEY,
            schema: ROLE,
        },
        Exchange {
            name: "roleUpdated",
            exchange: "role-updated",
            title: "A role was changed",
            description: "A role grants other scopes, or has another description.",
            key: KEY,
            schema: ROLE,
        },
        Exchange {
            name: "roleDeleted",
            exchange: "role-deleted",
            title: "A role was deleted",
            description: "A role is gone.",
            key: KEY,
            schema: ROLE,
        },
    ],
};

/// Makes messages of what happens to clients and roles.
#[derive(Debug)]
pub(crate) struct AuthMessages {
    exchanges: Vec<(Arc<str>, &'static Exchange)>,
}

impl Default for AuthMessages {
    fn default() -> Self {
        AuthMessages {
            exchanges: EXCHANGES.named(),
        }
    }
}

impl Translate for AuthMessages {
    fn kinds(&self) -> &'static [&'static str] {
        &[
            "client-created",
            "client-updated",
            "client-deleted",
            "role-created",
            "role-updated",
            "role-deleted",
        ]
    }

    fn translate(&self, _: &mut Tx<'_>, event: &Event) -> Result<Vec<Message>, Error> {
        // An exchange is called as what happened.
        let exchange = self
            .exchanges
            .iter()
            .find(|(_, it)| it.exchange == event.kind);
        let Some((name, exchange)) = exchange else {
            return Ok(Vec::new());
        };
        let payload = if exchange.schema == CLIENT {
            json!({"version": 1, "clientId": event.subject})
        } else {
            json!({"version": 1, "roleId": event.subject})
        };
        Ok(vec![Message {
            exchange: Arc::clone(name),
            routing_key: ABSENT.to_owned(),
            cc: Vec::new(),
            payload: Bytes::from(payload.to_string()),
        }])
    }
}
