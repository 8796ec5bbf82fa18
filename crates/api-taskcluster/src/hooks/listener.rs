//! Hooks fire upon messages.
//!
//! One node reads the event log for all of them, and remembers how far it has come. A message that
//! is read again, after a node has died, gives the same task, because the task's id follows from the
//! place of the message. While no hook is bound to anything, nobody reads.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use futures_util::{StreamExt as _, stream};
use serde_json::{Map, Value};
use taskyard_access::slugid;
use taskyard_engine::hook::{self, Bound, Hook, Name};
use taskyard_events::cursor::Cursor;
use taskyard_events::index::Index;
use taskyard_events::log::{self, Frontier};
use taskyard_events::outbox;
use taskyard_events::translate::{Delivery, Place, Translators};
use taskyard_store::{Error, Key};
use tokio::time::Instant;

use super::definition::{Binding, Definition};
use super::firing::{Firing, Reason, Shot};
use super::trigger_schema::TriggerSchema;

/// The name of the cursor.
const READER: &str = "hooks";
/// How long a node that is not heard of keeps the cursor.
const LEASE: Duration = Duration::from_secs(15);
/// How often the node that reads is heard of at least.
const HEARD_EVERY: Duration = Duration::from_secs(4);
/// How often the cursor is stored while nothing fires.
const STORE_EVERY: Duration = Duration::from_millis(500);
/// How often a node that does not read looks whether it should.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Events that are read, and hooks that fire, at once.
const PORTION: usize = 500;
const AT_ONCE: usize = 32;
const GAP_PAUSE: Duration = Duration::from_millis(10);
const SLOW_POLL: Duration = Duration::from_secs(1);
/// How long after something failed for now it is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Fires the hooks that are bound to messages.
#[derive(Debug)]
pub struct Listener {
    /// What makes their tasks.
    pub firing: Arc<Firing>,
    /// What events say.
    pub translators: Translators,
    /// The name of this node, which no other node has at the same time.
    pub node: String,
}

/// The hooks that are bound to messages, and to which.
#[derive(Debug)]
struct Bindings {
    hooks: Vec<Bound>,
    /// By the place in `hooks`.
    index: Index<usize>,
}

/// A message for a hook.
struct Heard {
    hook: Name,
    delivery: Arc<Delivery>,
}

/// Something that may work later.
#[derive(Debug, thiserror::Error)]
enum Interrupted {
    #[error(transparent)]
    Store(#[from] Error),
    #[error("the hook {0} could not fire: {1}")]
    Hook(Name, String),
}

// === impl Bindings ===

impl Bindings {
    fn new(hooks: Vec<Bound>) -> Self {
        let mut index = Index::default();
        for (at, hook) in hooks.iter().enumerate() {
            let bindings = serde_json::from_str::<Vec<Binding>>(&hook.bindings);
            for binding in bindings.unwrap_or_default() {
                index.bind(&binding.exchange, &binding.routing_key_pattern, at);
            }
        }
        Bindings { hooks, index }
    }

    /// The hooks that a message is for.
    fn matching(&self, delivery: &Arc<Delivery>) -> Vec<Heard> {
        let message = &delivery.message;
        let matching = self.index.matching(&message.exchange, message.keys());
        let hooks = matching.into_iter().filter_map(|at| self.hooks.get(at));
        hooks
            .filter(|hook| hook.after < delivery.place.position)
            .map(|hook| Heard {
                hook: hook.name.clone(),
                delivery: Arc::clone(delivery),
            })
            .collect()
    }

    /// What came before this is for none of them.
    fn after(&self) -> i64 {
        let after = self.hooks.iter().map(|hook| hook.after);
        after.min().unwrap_or(i64::MAX)
    }
}

// === impl Listener ===

impl Listener {
    fn cursor(&self) -> Cursor {
        Cursor {
            reader: READER,
            node: self.node.clone(),
        }
    }

    fn now(&self) -> i64 {
        self.firing.clock.now().0
    }

    fn until(&self) -> i64 {
        self.now().saturating_add(LEASE.as_micros() as i64)
    }

    /// Reads whenever it is this node's turn, until `stop`; then another node need not wait to take
    /// over.
    pub async fn run(self, stop: impl Future<Output = ()>) {
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
        let store = &self.firing.store;
        let mut changes = store.wait_for(hook::topic());
        let bound = match store.read(hook::bound).await {
            Ok(bound) => bound,
            Err(error) => {
                tracing::warn!(%error, "hooks that are bound to messages wait for the database");
                return AGAIN;
            }
        };
        if bound.is_empty() {
            tokio::select! {
                () = changes.woken() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            return Duration::ZERO;
        }
        let bindings = Bindings::new(bound);
        match self.take(bindings.after()).await {
            Ok(None) => LOOK_EVERY,
            Ok(Some(position)) => match self.read(position, bindings).await {
                Ok(()) => Duration::ZERO,
                Err(error) => {
                    tracing::warn!(%error, "hooks that are bound to messages wait");
                    AGAIN
                }
            },
            Err(error) => {
                tracing::warn!(%error, "hooks that are bound to messages wait for the database");
                AGAIN
            }
        }
    }

    /// Takes the cursor if it is free; where nobody has ever had it, it begins behind `after`.
    async fn take(&self, after: i64) -> Result<Option<i64>, Error> {
        let (cursor, now, until) = (self.cursor(), self.now(), self.until());
        let taken = self.firing.store.write(Key::of(READER), move |tx| {
            cursor.register(tx, after, now)?;
            cursor.take(tx, now, until)
        });
        taken.await
    }

    async fn leave(&self) {
        let cursor = self.cursor();
        let left = self
            .firing
            .store
            .write(Key::of(READER), move |tx| cursor.release(tx));
        if let Err(error) = left.await {
            tracing::warn!(%error, "messages for hooks are left as if this node still read them");
        }
    }

    /// Reads on from a position, until another node does, or no hook is bound any more.
    async fn read(&self, position: i64, mut bindings: Bindings) -> Result<(), Interrupted> {
        let store = &self.firing.store;
        let mut events = store.wait_for(outbox::topic());
        let mut changes = store.wait_for(hook::topic());
        let floor = store.read(log::floor).await?;
        // While no hook was bound nobody has read, or kept, what there was.
        let begin = position.max(bindings.after()).max(floor);
        let mut frontier = Frontier::after(begin);
        let mut stored = Instant::now();
        loop {
            let translators = self.translators.clone();
            let looked = store.read(move |tx| {
                let portion = frontier.read(tx, PORTION)?;
                let deliveries = translators.translate(tx, &portion.events)?;
                Ok((hook::bound(tx)?, deliveries, portion))
            });
            let (bound, deliveries, portion) = looked.await?;
            if bound.is_empty() {
                self.leave().await;
                return Ok(());
            }
            if bound != bindings.hooks {
                bindings = Bindings::new(bound);
            }
            let heard: Vec<Heard> = deliveries
                .iter()
                .flat_map(|delivery| bindings.matching(delivery))
                .collect();
            let has_fired = !heard.is_empty();
            self.fire_all(heard).await?;
            let moved = portion.frontier.position != frontier.position;
            frontier = portion.frontier;
            let idle = stored.elapsed();
            if has_fired || (moved && idle >= STORE_EVERY) || idle >= HEARD_EVERY {
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
        let advanced = self.firing.store.write(Key::of(READER), move |tx| {
            cursor.advance(tx, position, until)
        });
        advanced.await
    }

    async fn fire_all(&self, heard: Vec<Heard>) -> Result<(), Interrupted> {
        let fired = stream::iter(heard).map(|heard| self.fire(heard));
        let mut fired = fired.buffer_unordered(AT_ONCE);
        while let Some(done) = fired.next().await {
            done?;
        }
        Ok(())
    }

    /// Fires a hook upon a message, unless the message does not fit the hook's schema.
    async fn fire(&self, heard: Heard) -> Result<(), Interrupted> {
        let name = heard.hook.clone();
        let loaded = self.firing.store.read(move |tx| hook::load(tx, &name));
        let Some(hook) = loaded.await? else {
            return Ok(());
        };
        let task_id = task_id(&hook, heard.delivery.place);
        let Some(shot) = self.shot(&hook, &heard.delivery, task_id.clone()) else {
            metrics::counter!("taskyard_hooks_messages_discarded_total").increment(1);
            return Ok(());
        };
        let outcome = self.firing.fire_once(shot).await;
        if let Err(failure) = &outcome {
            if failure.is_temporary() {
                return Err(Interrupted::Hook(hook.name, failure.text()));
            }
            let (hook, error) = (&hook.name, failure.text());
            tracing::info!(%hook, error, "a hook could not fire upon a message");
        }
        if let Some(fire) = self.firing.fire_of(&task_id, Reason::Message, &outcome) {
            self.firing.note(&hook.name, fire).await?;
        }
        Ok(())
    }

    fn shot(&self, hook: &Hook, delivery: &Delivery, task_id: String) -> Option<Shot> {
        let definition = Definition::of(hook).ok()?;
        let payload: Value = serde_json::from_slice(&delivery.message.payload).ok()?;
        let schema = TriggerSchema::compile(&definition.trigger_schema).ok()?;
        schema.check(&payload).ok()?;
        Some(Shot {
            hook: hook.name.clone(),
            template: definition.task,
            reason: Reason::Message,
            context: Map::from_iter([("payload".to_owned(), payload)]),
            task_id,
            created: self.firing.clock.now().trunc_millis(),
        })
    }
}

/// The task that a hook makes upon the message at a place. Nobody can know it before, since nobody
/// knows the record of the hook's token.
fn task_id(hook: &Hook, place: Place) -> String {
    let mut hash = Context::new(&SHA256);
    hash.update(hook.sealed_token.as_bytes());
    hash.update(&place.position.to_be_bytes());
    hash.update(&(place.index as u64).to_be_bytes());
    let mut random = [0; 16];
    for (to, from) in random.iter_mut().zip(hash.finish().as_ref()) {
        *to = *from;
    }
    slugid::nice_from_random(random)
}
