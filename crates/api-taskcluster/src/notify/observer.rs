//! Makes notifications of what happens to tasks whose routes ask for it.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;
use taskyard_engine::{notification, task};
use taskyard_events::Event;
use taskyard_events::exchange::routes;
use taskyard_events::translate::{Delivery, Translators};
use taskyard_store::{Error, Key, Topic, Tx};

use super::notifier::{Notice, Notifier};
use super::report::Report;
use super::route::Wish;
use crate::follower::{Follow, Follower, Interrupted};

/// Ends of which nobody is told: somebody wanted them, or has waited for too long already.
const NO_NEWS: [&str; 2] = ["canceled", "deadline-exceeded"];

/// Watches tasks for those who want to be notified.
#[derive(Debug)]
pub struct Observer(Follower<Watching>);

#[derive(Debug)]
struct Watching {
    notifier: Arc<Notifier>,
}

impl Observer {
    /// Notifies by `notifier`, because of what `translators` make of events, as the node of this name,
    /// which no other node has at the same time.
    pub fn new(notifier: Arc<Notifier>, translators: Translators, node: String) -> Self {
        Observer(Follower {
            store: notifier.store.clone(),
            clock: notifier.clock.clone(),
            follow: Watching { notifier },
            translators,
            node,
        })
    }

    /// Watches until `stop`.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        self.0.run(stop).await;
    }
}

impl Follow for Watching {
    type Wants = ();

    const READER: &'static str = "notify";

    fn topic() -> Topic {
        notification::topic()
    }

    fn wants(tx: &mut Tx<'_>) -> Result<Option<()>, Error> {
        Ok(notification::is_any(tx)?.then_some(()))
    }

    fn after((): &()) -> i64 {
        0
    }

    fn select(tx: &mut Tx<'_>, mut events: Vec<Event>) -> Result<Vec<Event>, Error> {
        let subjects: HashSet<&str> = events.iter().map(|event| event.subject.as_str()).collect();
        let subjects: Vec<&str> = subjects.into_iter().collect();
        let wanted: HashSet<String> = notification::notifying(tx, &subjects)?
            .into_iter()
            .collect();
        events.retain(|event| wanted.contains(&event.subject));
        Ok(events)
    }

    async fn deal(&self, (): (), messages: Vec<Arc<Delivery>>) -> Result<bool, Interrupted> {
        let mut has_dealt = false;
        for delivery in messages {
            let notices = self.notices(&delivery).await?;
            if notices.is_empty() {
                continue;
            }
            let (notifier, now) = (Arc::clone(&self.notifier), self.notifier.clock.now());
            let accepted = self
                .notifier
                .store
                .write(Key::of("notifications"), move |tx| {
                    for notice in &notices {
                        // Whom nothing is sent to is not told, and neither is the task.
                        notifier.accept(tx, now, notice)?;
                    }
                    Ok(())
                });
            accepted.await?;
            has_dealt = true;
        }
        Ok(has_dealt)
    }
}

impl Watching {
    /// Whom a message about a task is to be told to.
    async fn notices(&self, delivery: &Delivery) -> Result<Vec<Notice>, Interrupted> {
        let message = &delivery.message;
        let exchange = message.exchange.rsplit('/').next().unwrap_or_default();
        let Ok(payload) = serde_json::from_slice::<Value>(&message.payload) else {
            return Ok(Vec::new());
        };
        let Some(status) = payload.get("status").filter(|status| is_news(status)) else {
            return Ok(Vec::new());
        };
        let text = |name: &str| status.get(name).and_then(Value::as_str).unwrap_or_default();
        let wishes = routes(&message.cc).filter_map(Wish::parse);
        let wishes: Vec<Wish<'_>> = wishes
            .filter(|wish| wish.wants(exchange, text("state")))
            .collect();
        if wishes.is_empty() {
            return Ok(Vec::new());
        }
        let id = text("taskId").to_owned();
        let store = &self.notifier.store;
        let definition = store.read(move |tx| task::load_definition(tx, &id)).await?;
        let definition = definition.and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let Some(definition) = definition else {
            return Ok(Vec::new());
        };
        let (root_url, status) = (self.notifier.root_url.clone(), status.clone());
        let wishes: Vec<String> = wishes.iter().map(|wish| wish.route.to_owned()).collect();
        // What users write may take its time to render.
        let made = tokio::task::spawn_blocking(move || {
            let report = Report {
                root_url: &root_url,
                status: &status,
                task: &definition,
            };
            let wishes = wishes.iter().filter_map(|route| Wish::parse(route));
            wishes.filter_map(|wish| report.notice(&wish)).collect()
        });
        // One task that breaks the renderer must not keep others from being told of.
        Ok(made.await.unwrap_or_else(|error| {
            tracing::error!(%error, "the notifications of a task could not be put together");
            Vec::new()
        }))
    }
}

/// Whether anybody is told of a task that stands like this.
pub(super) fn is_news(status: &Value) -> bool {
    let runs = status.get("runs").and_then(Value::as_array);
    let last = runs.and_then(|runs| runs.last());
    let reason = last.and_then(|run| run.get("reasonResolved"));
    let is_exception = status
        .get("state")
        .is_some_and(|state| state == "exception");
    !(is_exception
        && reason
            .and_then(Value::as_str)
            .is_some_and(|it| NO_NEWS.contains(&it)))
}
