//! What the rows of the log say to the world.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use taskyard_store::{Error, Tx};

use crate::log::{Event, Portion};

/// A message as it goes out: to a broker, to subscribers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The exchange it is published to, by its full name.
    pub exchange: Arc<str>,
    /// Its routing key.
    pub routing_key: String,
    /// Further keys that it can be found by.
    pub cc: Vec<String>,
    /// Its body: JSON.
    pub payload: Bytes,
}

impl Message {
    /// Every key that a binding may match.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.routing_key.as_str()).chain(self.cc.iter().map(String::as_str))
    }
}

/// Makes messages of events. What it is not given by the event it looks up; it runs within reads
/// of the store, so it may run again.
pub trait Translate: Send + Sync {
    /// The kinds of events it knows.
    fn kinds(&self) -> &'static [&'static str];

    /// The messages of one event of such a kind, in the order in which they go out.
    ///
    /// # Errors
    /// The store could not be read, or the event makes no sense. One event that makes no sense
    /// does not keep others from going out.
    fn translate(&self, tx: &mut Tx<'_>, event: &Event) -> Result<Vec<Message>, Error>;
}

/// Everybody who makes messages of events.
#[derive(Clone, Default)]
pub struct Translators {
    by_kind: Arc<HashMap<&'static str, Arc<dyn Translate>>>,
}

impl std::fmt::Debug for Translators {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.by_kind.keys()).finish()
    }
}

/// Where a message stands among all messages: an event may give several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The position of its event.
    pub position: i64,
    /// Its place among the event's messages, from 0.
    pub index: usize,
}

/// A message with its place, shared by all who want it.
#[derive(Debug)]
pub struct Delivery {
    /// Where it stands.
    pub place: Place,
    /// The message.
    pub message: Message,
    frame: OnceLock<Bytes>,
}

/// What a look at the log found, translated.
#[derive(Debug)]
pub struct Translated {
    /// The messages, in order.
    pub deliveries: Vec<Arc<Delivery>>,
    /// Where to go on, and whether to do so at once.
    pub portion: Portion,
}

// === impl Translators ===

impl Translators {
    /// All of `each`; where two know the same kind, the later one is asked.
    pub fn new(each: impl IntoIterator<Item = Arc<dyn Translate>>) -> Self {
        let mut by_kind = HashMap::new();
        for translator in each {
            for kind in translator.kinds() {
                by_kind.insert(*kind, Arc::clone(&translator));
            }
        }
        Translators {
            by_kind: Arc::new(by_kind),
        }
    }

    /// These, and one more, which is asked first.
    #[must_use]
    pub fn and(self, translator: &Arc<dyn Translate>) -> Self {
        let mut by_kind = (*self.by_kind).clone();
        for kind in translator.kinds() {
            by_kind.insert(*kind, Arc::clone(translator));
        }
        Translators {
            by_kind: Arc::new(by_kind),
        }
    }

    /// The messages of events, in order. An event that nobody knows has none.
    ///
    /// # Errors
    /// The store could not be read. An event that makes no sense is logged and left out.
    pub fn translate(
        &self,
        tx: &mut Tx<'_>,
        events: &[Event],
    ) -> Result<Vec<Arc<Delivery>>, Error> {
        let mut deliveries = Vec::with_capacity(events.len());
        for event in events {
            let Some(translator) = self.by_kind.get(event.kind.as_str()) else {
                continue;
            };
            let messages = match translator.translate(tx, event) {
                Ok(messages) => messages,
                Err(Error::Statement(text)) if tx.is_sound() => {
                    let (position, kind) = (event.position, &event.kind);
                    tracing::error!(error = text, position, kind, "an event makes no sense");
                    metrics::counter!("taskyard_events_unreadable_total").increment(1);
                    continue;
                }
                Err(error) => return Err(error),
            };
            for (index, message) in messages.into_iter().enumerate() {
                let place = Place {
                    position: event.position,
                    index,
                };
                deliveries.push(Arc::new(Delivery::new(place, message)));
            }
        }
        Ok(deliveries)
    }
}

// === impl Place ===

impl Place {
    /// Behind every message of the events up to `position`.
    pub fn end_of(position: i64) -> Self {
        Place {
            position,
            index: usize::MAX,
        }
    }
}

// === impl Delivery ===

impl Delivery {
    /// `message` at `place`.
    pub fn new(place: Place, message: Message) -> Self {
        Delivery {
            place,
            message,
            frame: OnceLock::new(),
        }
    }

    /// The message as it is written to subscribers: made by `render` for the first who asks, and
    /// shared by all others.
    pub fn frame(&self, render: impl FnOnce(&Delivery) -> Bytes) -> Bytes {
        self.frame.get_or_init(|| render(self)).clone()
    }
}
