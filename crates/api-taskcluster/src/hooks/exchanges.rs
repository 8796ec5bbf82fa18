//! What the world hears about hooks.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use taskyard_engine::hook::{self, Name};
use taskyard_events::exchange::ABSENT;
use taskyard_events::{Event, Exchange, Message, Translate, Word};
use taskyard_store::{Error, Tx};

use crate::exchanges::Exchanges;

/// Keys of this service say nothing: who listens hears of every hook.
const KEY: &[Word] = &[Word::reserved(1)];
const CHANGED: &str = "v1/pulse-hook-changed-message.json#";

/// The exchanges of the hooks service.
pub(crate) const EXCHANGES: Exchanges = Exchanges {
    service: "hooks",
    title: "Messages about hooks",
    description: "Messages that tell of every change of a hook.",
    entries: &[
        Exchange {
            name: "hookCreated",
            exchange: hook::CREATED,
            title: "A hook was created",
            description: "There is a new hook.",
            key: KEY,
            schema: CHANGED,
        },
        Exchange {
            name: "hookUpdated",
            exchange: hook::UPDATED,
            title: "A hook was changed",
            description: "A hook has another definition.",
            key: KEY,
            schema: CHANGED,
        },
        Exchange {
            name: "hookDeleted",
            exchange: hook::DELETED,
            title: "A hook was removed",
            description: "Somebody asked for a hook to be removed.",
            key: KEY,
            schema: CHANGED,
        },
    ],
};

/// Makes messages of changes to hooks.
#[derive(Debug)]
pub(crate) struct HookMessages {
    exchanges: Vec<(Arc<str>, &'static Exchange)>,
}

impl Default for HookMessages {
    fn default() -> Self {
        HookMessages {
            exchanges: EXCHANGES.named(),
        }
    }
}

impl Translate for HookMessages {
    fn kinds(&self) -> &'static [&'static str] {
        &[hook::CREATED, hook::UPDATED, hook::DELETED]
    }

    fn translate(&self, _: &mut Tx<'_>, event: &Event) -> Result<Vec<Message>, Error> {
        // An exchange is called as what happened.
        let mut exchanges = self.exchanges.iter();
        let Some((name, _)) = exchanges.find(|(_, it)| it.exchange == event.kind) else {
            return Ok(Vec::new());
        };
        let hook = Name::of_event(event);
        let payload = json!({"hookGroupId": hook.group_id, "hookId": hook.hook_id});
        Ok(vec![Message {
            exchange: Arc::clone(name),
            routing_key: ABSENT.to_owned(),
            cc: Vec::new(),
            payload: Bytes::from(payload.to_string()),
        }])
    }
}
