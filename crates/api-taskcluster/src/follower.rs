//! Readers of the event log that must not miss a message.
//!
//! One node reads for each of them, and remembers how far it has come; another takes over when that
//! one ends, or is not heard of for [`LEASE`]. What it has read is dealt with before that is
//! remembered, so after a node has died some of it is dealt with again. While nobody wants anything
//! nothing is read.

use std::sync::Arc;
use std::time::Duration;

use taskyard_engine::clock::Clock;
use taskyard_events::cursor::Cursor;
use taskyard_events::log::{self, Event, Frontier};
use taskyard_events::outbox;
use taskyard_events::translate::{Delivery, Translators};
use taskyard_store::{Error, Key, Store, Topic, Tx};
use tokio::time::Instant;

/// How long a node that is not heard of keeps the cursor.
const LEASE: Duration = Duration::from_secs(15);
/// How often the node that reads is heard of at least.
const HEARD_EVERY: Duration = Duration::from_secs(4);
/// How often the cursor is stored while nothing is dealt with.
const STORE_EVERY: Duration = Duration::from_millis(500);
/// How often a node that does not read looks whether it should.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Events that are read at once.
const PORTION: usize = 500;
const GAP_PAUSE: Duration = Duration::from_millis(10);
const SLOW_POLL: Duration = Duration::from_secs(1);
/// How long after something failed for now it is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// What is done with messages.
pub(crate) trait Follow: Send + Sync + 'static {
    /// What is wanted of the log.
    type Wants: Send + 'static;

    /// The name of the cursor.
    const READER: &'static str;

    /// Woken when something else is wanted.
    fn topic() -> Topic;

    /// What is wanted now; `None` if nothing is.
    fn wants(tx: &mut Tx<'_>) -> Result<Option<Self::Wants>, Error>;

    /// Nothing up to this position is wanted.
    fn after(wants: &Self::Wants) -> i64;

    /// The events whose messages are worth looking at.
    fn select(tx: &mut Tx<'_>, events: Vec<Event>) -> Result<Vec<Event>, Error>;

    /// Deals with messages, some of which may have been dealt with before; whether there was
    /// anything to do.
    fn deal(
        &self,
        wants: Self::Wants,
        messages: Vec<Arc<Delivery>>,
    ) -> impl Future<Output = Result<bool, Interrupted>> + Send;
}

/// Something that may work later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Interrupted {
    #[error(transparent)]
    Store(#[from] Error),
    #[error("{0}")]
    Other(String),
}

/// Reads the log for somebody.
#[derive(Debug)]
pub(crate) struct Follower<F> {
    pub(crate) follow: F,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    /// What events say.
    pub(crate) translators: Translators,
    /// The name of this node, which no other node has at the same time.
    pub(crate) node: String,
}

impl<F: Follow> Follower<F> {
    fn cursor(&self) -> Cursor {
        Cursor {
            reader: F::READER,
            node: self.node.clone(),
        }
    }

    fn until(&self) -> i64 {
        self.clock.now().plus(LEASE).0
    }

    /// Reads whenever it is this node's turn, until `stop`; then another node need not wait to take
    /// over.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            let pause = tokio::select! {
                pause = self.turn() => pause,
                () = &mut stop => return self.leave().await,
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = &mut stop => return self.leave().await,
            }
        }
    }

    /// Reads for as long as it is this node's turn; returns after which pause to look again.
    async fn turn(&self) -> Duration {
        let mut changes = self.store.wait_for(F::topic());
        let reader = F::READER;
        match self.begin().await {
            Ok(Begun::Unwanted) => {
                tokio::select! {
                    () = changes.woken() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
                Duration::ZERO
            }
            Ok(Begun::Elsewhere) => LOOK_EVERY,
            Ok(Begun::After(position)) => match self.read(position).await {
                Ok(()) => Duration::ZERO,
                Err(error) => {
                    tracing::warn!(%error, reader, "messages wait to be dealt with");
                    AGAIN
                }
            },
            Err(error) => {
                tracing::warn!(%error, reader, "messages wait for the database");
                AGAIN
            }
        }
    }

    /// Takes the cursor if it is free and anything is wanted.
    async fn begin(&self) -> Result<Begun, Error> {
        let wants = self
            .store
            .read(|tx| Ok(F::wants(tx)?.map(|wants| F::after(&wants))));
        let Some(after) = wants.await? else {
            return Ok(Begun::Unwanted);
        };
        let (cursor, now, until) = (self.cursor(), self.clock.now().0, self.until());
        let taken = self.store.write(Key::of(F::READER), move |tx| {
            // Where nobody has ever had it, it begins where something is wanted.
            cursor.register(tx, after, now)?;
            Ok((cursor.take(tx, now, until)?, log::floor(tx)?))
        });
        Ok(match taken.await? {
            // While nothing was wanted nobody has read, or kept, what there was.
            (Some(position), floor) => Begun::After(position.max(after).max(floor)),
            (None, _) => Begun::Elsewhere,
        })
    }

    async fn leave(&self) {
        let cursor = self.cursor();
        let left = self
            .store
            .write(Key::of(F::READER), move |tx| cursor.release(tx));
        if let Err(error) = left.await {
            let reader = F::READER;
            tracing::warn!(%error, reader, "messages are left as if this node still read them");
        }
    }

    /// Reads on from a position, until another node does, or nothing is wanted any more.
    async fn read(&self, position: i64) -> Result<(), Interrupted> {
        let mut events = self.store.wait_for(outbox::topic());
        let mut changes = self.store.wait_for(F::topic());
        let mut frontier = Frontier::after(position);
        let mut stored = Instant::now();
        loop {
            let translators = self.translators.clone();
            let looked = self.store.read(move |tx| {
                let wants = F::wants(tx)?;
                let mut portion = frontier.read(tx, PORTION)?;
                let events = F::select(tx, std::mem::take(&mut portion.events))?;
                Ok((wants, translators.translate(tx, &events)?, portion))
            });
            let (wants, messages, portion) = looked.await?;
            let Some(wants) = wants else {
                self.leave().await;
                return Ok(());
            };
            let has_dealt = !messages.is_empty() && self.follow.deal(wants, messages).await?;
            let has_moved = portion.frontier.position != frontier.position;
            frontier = portion.frontier;
            let idle = stored.elapsed();
            if has_dealt || (has_moved && idle >= STORE_EVERY) || idle >= HEARD_EVERY {
                if !self.advance(frontier.position).await? {
                    return Ok(());
                }
                stored = Instant::now();
            }
            if portion.more {
                continue;
            }
            let pause = if portion.waiting {
                GAP_PAUSE
            } else {
                SLOW_POLL
            };
            tokio::select! {
                () = events.woken() => {}
                () = changes.woken() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn advance(&self, position: i64) -> Result<bool, Error> {
        let (cursor, until) = (self.cursor(), self.until());
        let advanced = self.store.write(Key::of(F::READER), move |tx| {
            cursor.advance(tx, position, until)
        });
        advanced.await
    }
}

/// How a turn begins.
enum Begun {
    Unwanted,
    /// Another node reads.
    Elsewhere,
    After(i64),
}
