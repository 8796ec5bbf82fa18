//! Hooks fire upon messages. A message that is heard again, after a node has died, gives the same
//! task, because the task's id follows from the place of the message.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use futures_util::{StreamExt as _, stream};
use serde_json::{Map, Value};
use taskyard_access::slugid;
use taskyard_engine::hook::{self, Bound, Hook, Name};
use taskyard_events::Event;
use taskyard_events::index::Index;
use taskyard_events::translate::{Delivery, Place, Translators};
use taskyard_store::{Error, Topic, Tx};

use super::definition::{Binding, Definition};
use super::firing::{Firing, Reason, Shot};
use super::trigger_schema::TriggerSchema;
use crate::follower::{Follow, Follower, Interrupted};

/// Hooks that fire at once.
const AT_ONCE: usize = 32;

/// Fires the hooks that are bound to messages.
#[derive(Debug)]
pub struct Listener(Follower<Hearing>);

#[derive(Debug)]
struct Hearing {
    firing: Arc<Firing>,
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
}

// === impl Listener ===

impl Listener {
    /// Fires hooks by `firing`, upon what `translators` make of events, as the node of this name, which
    /// no other node has at the same time.
    pub fn new(firing: Arc<Firing>, translators: Translators, node: String) -> Self {
        Listener(Follower {
            store: firing.store.clone(),
            clock: firing.clock.clone(),
            follow: Hearing { firing },
            translators,
            node,
        })
    }

    /// Listens until `stop`.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        self.0.run(stop).await;
    }
}

// === impl Hearing ===

impl Follow for Hearing {
    type Wants = Vec<Bound>;

    const READER: &'static str = "hooks";

    fn topic() -> Topic {
        hook::topic()
    }

    fn wants(tx: &mut Tx<'_>) -> Result<Option<Vec<Bound>>, Error> {
        let bound = hook::bound(tx)?;
        Ok((!bound.is_empty()).then_some(bound))
    }

    fn after(bound: &Vec<Bound>) -> i64 {
        let after = bound.iter().map(|hook| hook.after);
        after.min().unwrap_or(i64::MAX)
    }

    fn select(_: &mut Tx<'_>, events: Vec<Event>) -> Result<Vec<Event>, Error> {
        Ok(events)
    }

    async fn deal(
        &self,
        bound: Vec<Bound>,
        messages: Vec<Arc<Delivery>>,
    ) -> Result<bool, Interrupted> {
        let bindings = Bindings::new(bound);
        let heard: Vec<Heard> = messages
            .iter()
            .flat_map(|delivery| bindings.matching(delivery))
            .collect();
        let has_fired = !heard.is_empty();
        let fired = stream::iter(heard).map(|heard| self.fire(heard));
        let mut fired = fired.buffer_unordered(AT_ONCE);
        while let Some(done) = fired.next().await {
            done?;
        }
        Ok(has_fired)
    }
}

impl Hearing {
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
                let (hook, text) = (&hook.name, failure.text());
                return Err(Interrupted::Other(format!(
                    "the hook {hook} could not fire: {text}"
                )));
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
