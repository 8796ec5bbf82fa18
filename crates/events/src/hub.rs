//! Live subscribers: one reader of the log for a whole process, and everybody's bindings in one
//! index.
//!
//! While nobody listens nothing is read. Each message is made once, however many want it. A
//! subscriber who is too slow for its buffer is let go of; it can catch up from the log and come
//! back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use taskyard_store::{Error, Store};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::index::Index;
use crate::log::{self, Frontier, Portion};
use crate::outbox;
use crate::translate::{Delivery, Place, Translated, Translators};

/// Messages that wait for one subscriber before it is let go of.
pub const BUFFER: usize = 1000;
/// Events that are read at once.
pub const PORTION: usize = 500;
/// How soon a gap in the log is looked at again.
const GAP_PAUSE: Duration = Duration::from_millis(10);
/// Wake-ups are hints; this is the guarantee.
const SLOW_POLL: Duration = Duration::from_secs(1);
/// Pause after the store could not be read.
const RETRY: Duration = Duration::from_millis(500);

/// What a subscriber wants: messages of an exchange whose keys match a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Binding {
    /// Full name of the exchange.
    pub exchange: String,
    /// What the routing key, or one of the further keys, has to match.
    pub pattern: String,
}

/// Everybody who listens in this process.
#[derive(Debug)]
pub struct Hub {
    store: Store,
    translators: Translators,
    state: Mutex<State>,
    wanted: Notify,
}

#[derive(Debug, Default)]
struct State {
    index: Index<u64>,
    subscribers: HashMap<u64, Subscriber>,
    last_id: u64,
    /// Up to where everything was delivered, while somebody listens.
    live: Option<i64>,
}

#[derive(Debug)]
struct Subscriber {
    sender: mpsc::Sender<Arc<Delivery>>,
    bindings: Vec<Binding>,
    /// Told once, from where on everything is delivered.
    begun: Option<oneshot::Sender<i64>>,
}

/// A subscriber's end. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    hub: Arc<Hub>,
    id: u64,
    deliveries: mpsc::Receiver<Arc<Delivery>>,
    begun: Option<oneshot::Receiver<i64>>,
}

// === impl Hub ===

impl Hub {
    /// A hub over the log in `store`, whose events `translators` know. It does nothing until it
    /// [runs](Hub::run).
    pub fn new(store: Store, translators: Translators) -> Arc<Self> {
        Arc::new(Hub {
            store,
            translators,
            state: Mutex::default(),
            wanted: Notify::new(),
        })
    }

    /// Up to where everything was delivered, while somebody listens.
    pub fn live(&self) -> Option<i64> {
        self.state.lock().live
    }

    /// How many listen.
    pub fn subscribers(&self) -> usize {
        self.state.lock().subscribers.len()
    }

    /// Starts delivering messages for `bindings`; see [`Subscription::begun`].
    pub fn subscribe(self: &Arc<Self>, bindings: Vec<Binding>) -> Subscription {
        let (sender, deliveries) = mpsc::channel(BUFFER);
        let (begin, begun) = oneshot::channel();
        let mut state = self.state.lock();
        state.last_id += 1;
        let id = state.last_id;
        for binding in &bindings {
            state.index.bind(&binding.exchange, &binding.pattern, id);
        }
        let mut begin = Some(begin);
        if let Some(live) = state.live
            && let Some(begin) = begin.take()
        {
            let _ = begin.send(live);
        }
        let subscriber = Subscriber {
            sender,
            bindings,
            begun: begin,
        };
        state.subscribers.insert(id, subscriber);
        metrics::gauge!("taskyard_events_subscribers").set(state.subscribers.len() as f64);
        drop(state);
        self.wanted.notify_one();
        Subscription {
            hub: Arc::clone(self),
            id,
            deliveries,
            begun: Some(begun),
        }
    }

    /// Delivers, for ever. Errors of the store are waited out.
    pub async fn run(self: Arc<Self>) {
        loop {
            while self.subscribers() == 0 {
                self.wanted.notified().await;
            }
            if let Err(error) = self.serve().await {
                tracing::warn!(%error, "events cannot be read; trying again");
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// Delivers until nobody listens any more. After an error it goes on where it was.
    async fn serve(&self) -> Result<(), Error> {
        let mut changes = self.store.wait_for(outbox::topic());
        let live = self.state.lock().live;
        let mut frontier = match live {
            Some(position) => Frontier::after(position),
            None => self.end_of_log().await?,
        };
        self.begin(frontier.position);
        loop {
            let read = self.read(frontier, PORTION).await?;
            frontier = read.portion.frontier;
            if !self.deliver(&read.deliveries, frontier.position) {
                return Ok(());
            }
            if read.portion.more {
                continue;
            }
            let pause = if read.portion.waiting {
                GAP_PAUSE
            } else {
                SLOW_POLL
            };
            tokio::select! {
                () = changes.woken() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// The end of the log, once nothing can appear before it: what a caller does after it heard
    /// that its subscription has begun is then certainly delivered.
    async fn end_of_log(&self) -> Result<Frontier, Error> {
        let mut frontier = self.store.read(Frontier::at_end).await?;
        let position = frontier.position;
        while !frontier.is_settled() {
            tokio::time::sleep(GAP_PAUSE).await;
            // Nothing is read, so it stays where it is and only becomes settled.
            frontier = self.store.read(move |tx| frontier.settle(tx)).await?;
        }
        Ok(Frontier::after(position))
    }

    /// Reads on behind `frontier` and translates, in one snapshot.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn read(&self, frontier: Frontier, limit: usize) -> Result<Translated, Error> {
        let translators = self.translators.clone();
        self.store
            .read(move |tx| {
                let portion = frontier.read(tx, limit)?;
                let deliveries = translators.translate(tx, &portion.events)?;
                Ok(Translated {
                    deliveries,
                    portion,
                })
            })
            .await
    }

    /// Reads again what was read before: events behind `after` up to `upto`, translated.
    /// `None` if what stands behind `after` is forgotten.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn read_back(
        &self,
        after: Place,
        upto: i64,
        limit: usize,
    ) -> Result<Option<Translated>, Error> {
        let translators = self.translators.clone();
        self.store
            .read(move |tx| {
                // The event at `after` may have more messages, so it is read again.
                let first = if after.index == usize::MAX {
                    after.position
                } else {
                    after.position - 1
                };
                if first < log::floor(tx)? {
                    return Ok(None);
                }
                let events = log::between(tx, first, upto, limit)?;
                let mut deliveries = translators.translate(tx, &events)?;
                deliveries.retain(|delivery| delivery.place > after);
                let more = events.len() == limit;
                let end = events.last().map(|event| event.position);
                let frontier = Frontier::after(end.filter(|_| more).unwrap_or(upto));
                Ok(Some(Translated {
                    deliveries,
                    portion: Portion {
                        events,
                        frontier,
                        more,
                        waiting: false,
                    },
                }))
            })
            .await
    }

    /// Whether `place` can be resumed at, as far as the end of the log tells.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn newest(&self) -> Result<i64, Error> {
        self.store.read(log::newest).await
    }

    /// From here on everything behind `position` is delivered.
    fn begin(&self, position: i64) {
        let mut state = self.state.lock();
        state.live = Some(position);
        for subscriber in state.subscribers.values_mut() {
            if let Some(begun) = subscriber.begun.take() {
                // It may have gone away meanwhile.
                let _ = begun.send(position);
            }
        }
    }

    /// Hands messages to all who want them; `false` if nobody listens any more.
    fn deliver(&self, deliveries: &[Arc<Delivery>], upto: i64) -> bool {
        let mut state = self.state.lock();
        if state.subscribers.is_empty() {
            state.live = None;
            return false;
        }
        for delivery in deliveries {
            let message = &delivery.message;
            for id in state.index.matching(&message.exchange, message.keys()) {
                let Some(subscriber) = state.subscribers.get(&id) else {
                    continue;
                };
                if subscriber.sender.try_send(Arc::clone(delivery)).is_err() {
                    metrics::counter!("taskyard_events_slow_subscribers_total").increment(1);
                    state.remove(id);
                }
            }
        }
        state.live = Some(upto);
        true
    }
}

impl State {
    fn remove(&mut self, id: u64) {
        let Some(subscriber) = self.subscribers.remove(&id) else {
            return;
        };
        for binding in &subscriber.bindings {
            self.index.unbind(&binding.exchange, &binding.pattern, id);
        }
        metrics::gauge!("taskyard_events_subscribers").set(self.subscribers.len() as f64);
    }
}

// === impl Subscription ===

impl Subscription {
    /// Waits until everything is delivered, and tells behind which position it is. To be called
    /// once, before the first delivery is taken.
    ///
    /// # Errors
    /// The hub has ended.
    pub async fn begun(&mut self) -> Result<i64, Error> {
        match self.begun.take() {
            Some(begun) => begun.await.map_err(|_| Error::Closed),
            None => Err(Error::Closed),
        }
    }

    /// The next message; `None` if this subscriber was too slow. What was delivered until then has
    /// no gaps.
    pub async fn next(&mut self) -> Option<Arc<Delivery>> {
        self.deliveries.recv().await
    }

    /// Whether messages are still delivered to it, as they are not to one that was too slow.
    pub fn is_live(&self) -> bool {
        !self.deliveries.is_closed()
    }

    /// The next message, if one is waiting.
    pub fn try_next(&mut self) -> Option<Arc<Delivery>> {
        self.deliveries.try_recv().ok()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.state.lock().remove(self.id);
    }
}
