//! Workers within the server: `built-in/succeed` completes its tasks, `built-in/fail` fails them.
//! Groups use them to wait for many tasks at one place.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use taskyard_engine::clock::Clock;
use taskyard_engine::task::{self, Exception, Resolved, Task, Worker};
use taskyard_engine::{Timestamp, lease, worker};
use taskyard_store::{Error, Key, Store, Tx};

/// The provisioner of the built-in queues, and the group of their workers.
const BUILT_IN: &str = "built-in";
/// Tasks that are done in one go.
const AT_ONCE: usize = 32;
/// How long a claim holds. It is resolved in the transaction that makes it, so it never ends.
const CLAIM: Duration = Duration::from_mins(20);
/// How long to wait for a database that is away.
const PATIENCE: Duration = Duration::from_secs(5);

/// A built-in worker.
#[derive(Debug, Clone)]
pub struct BuiltIn {
    store: Store,
    clock: Clock,
    worker: Arc<Worker>,
    task_queue_id: Arc<str>,
    resolved: Resolved,
}

impl BuiltIn {
    /// The worker that completes its tasks.
    pub fn succeed(store: Store, clock: Clock) -> Self {
        Self::new(store, clock, "succeed", Resolved::Completed)
    }

    /// The worker that fails its tasks.
    pub fn fail(store: Store, clock: Clock) -> Self {
        Self::new(store, clock, "fail", Resolved::Failed)
    }

    fn new(store: Store, clock: Clock, name: &str, resolved: Resolved) -> Self {
        let worker = Worker {
            group: BUILT_IN.to_owned(),
            id: name.to_owned(),
        };
        BuiltIn {
            store,
            clock,
            worker: Arc::new(worker),
            task_queue_id: format!("{BUILT_IN}/{name}").into(),
            resolved,
        }
    }

    /// Works for ever. Any number of nodes may do so at once.
    pub async fn run(self) {
        let topic = lease::Queue::runs(&self.task_queue_id).topic();
        let mut waiter = self.store.wait_for(topic);
        loop {
            match self.work().await {
                Ok(0) => waiter.woken().await,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, queue = %self.task_queue_id,
                        "a built-in worker could not work");
                    tokio::time::sleep(PATIENCE).await;
                }
            }
        }
    }

    /// Claims and resolves some tasks at once; how many.
    async fn work(&self) -> Result<usize, Error> {
        let now = self.clock.now().trunc_millis();
        let this = self.clone();
        self.store
            .write(Key::of(&*self.task_queue_id), move |tx| this.step(tx, now))
            .await
    }

    fn step(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<usize, Error> {
        let (id, until) = (&self.task_queue_id, now.plus(CLAIM));
        let claimed = task::claim_work(tx, now, id, &self.worker, AT_ONCE, until)?;
        // Somebody may have quarantined even this worker.
        let claimed = claimed.unwrap_or_default();
        if !claimed.is_empty() {
            worker::seen(tx, now, id, &self.worker)?;
        }
        for claim in &claimed {
            let resolved = self.judge(&claim.task, &claim.definition);
            if let Err(refusal) = task::report(tx, now, &claim.task.id, claim.run_id, resolved)? {
                tracing::warn!(%refusal, "a built-in worker was refused");
            }
        }
        Ok(claimed.len())
    }

    /// There is nothing that a payload could say to these workers.
    fn judge(&self, task: &Task, definition: &str) -> Resolved {
        #[derive(serde::Deserialize)]
        struct Definition {
            payload: Value,
        }
        let payload = serde_json::from_str::<Definition>(definition);
        match payload {
            Ok(Definition {
                payload: Value::Object(payload),
            }) if payload.is_empty() => self.resolved,
            _ => {
                tracing::info!(task_id = task.id, "a built-in worker takes no payload");
                Resolved::Exception(Exception::MalformedPayload)
            }
        }
    }
}
