//! What happens by itself when its time comes: claims expire, held entries return, deadlines pass,
//! resolutions continue, and what has expired is forgotten.
//!
//! The timer sleeps until the next due time. Every step looks again under a lock, so any number of
//! nodes may run timers on one database, and a step that was done twice changes nothing.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use taskyard_store::{Error, Key, Store};
use tokio::sync::Notify;

use crate::artifact;
use crate::cache_purge;
use crate::clock::Clock;
use crate::cloud;
use crate::content::{self, Stored};
use crate::group;
use crate::hook;
use crate::index;
use crate::lease::{self, Queue};
use crate::notification;
use crate::object;
use crate::reservation;
use crate::task;
use crate::task_queue;
use crate::timestamp::Timestamp;
use crate::worker;

/// Steps taken at once; what is left is taken right after.
const PORTION: usize = 256;
/// The longest sleep: other nodes may make things due without this one hearing of it.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// How long an alarm waits for others, so that many of them do not make the timer look all the time.
const GATHER: Duration = Duration::from_millis(10);
/// What has expired is kept this much longer, for readers that are under way.
const EXPIRY_DELAY: Duration = Duration::from_mins(30);
/// How often expired things are looked for.
const EXPIRY_INTERVAL: Duration = Duration::from_mins(10);

/// Removes the bytes of artifacts and objects.
pub trait ArtifactBytes: Send + Sync {
    /// Removes bytes that nothing owns any more; none being there is success.
    fn remove<'a>(
        &'a self,
        stored: &'a Stored,
    ) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + 'a>>;
}

/// The timer of one server.
pub struct Timer {
    store: Store,
    clock: Clock,
    bytes: Arc<dyn ArtifactBytes>,
    next_expiry: Timestamp,
}

impl std::fmt::Debug for Timer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timer").finish_non_exhaustive()
    }
}

impl Timer {
    /// A timer over `store` that reads `clock`.
    pub fn new(store: Store, clock: Clock, bytes: Arc<dyn ArtifactBytes>) -> Self {
        Timer {
            store,
            clock,
            bytes,
            next_expiry: Timestamp(i64::MIN),
        }
    }

    /// Runs until `stop` is notified. Errors of the database are waited out.
    pub async fn run(mut self, stop: Arc<Notify>) {
        let stopped = stop.notified();
        tokio::pin!(stopped);
        loop {
            let now = self.clock.now();
            // Whatever falls due before we would look anyway is rung for from here on; later
            // times, as most are, need not disturb.
            let latest = now.plus(LONGEST_SLEEP);
            self.store.alarm().sleeps_until(latest.0);
            let until = match self.sweep(now).await {
                Ok(next) => next.min(latest),
                Err(error) => {
                    tracing::warn!(%error, "the timer could not look at what is due");
                    now.plus(Duration::from_secs(1))
                }
            };
            self.store.alarm().sleeps_until(until.0);
            tokio::select! {
                () = self.clock.reaches(until) => {}
                // The clock may have been set back.
                () = tokio::time::sleep(LONGEST_SLEEP) => {}
                // What rings shares a look with what rings right after it.
                () = self.store.alarm().earlier() => tokio::time::sleep(GATHER).await,
                () = &mut stopped => return,
            }
        }
    }

    /// Does everything that is due at `now` and returns when to look again.
    ///
    /// # Errors
    /// The database could not be reached; what was done stays done.
    pub async fn sweep(&mut self, now: Timestamp) -> Result<Timestamp, Error> {
        let mut next = Timestamp(i64::MAX);
        // One duty that fails must not keep the others from being done.
        let duties = [
            self.end_claims(now).await,
            self.return_to_groups(now).await,
            self.end_reservations(now).await,
            self.exceed_deadlines(now).await,
            self.continue_resolutions(now).await,
            self.settle_groups(now).await,
            self.forget(now).await,
        ];
        let mut more = false;
        for duty in duties {
            more |= duty?;
        }
        if more {
            return Ok(now);
        }
        let dues = self
            .store
            .read(|tx| {
                let deadline = task::next_deadline(tx)?;
                Ok([
                    lease::next_due(tx)?,
                    group::next_due(tx)?,
                    reservation::next_due(tx)?,
                    deadline.map(|at| at.plus(task::DEADLINE_DELAY)),
                ])
            })
            .await?;
        for due in dues.into_iter().flatten() {
            // What is due already and was not dealt with waits for somebody's lock.
            next = next.min(due.max(now.plus(Duration::from_millis(50))));
        }
        Ok(next.min(self.next_expiry))
    }

    /// Ends expired claims and returns due entries to their queues; `true` if there may be more.
    async fn end_claims(&self, now: Timestamp) -> Result<bool, Error> {
        let due = self
            .store
            .read(move |tx| lease::due(tx, now, PORTION))
            .await?;
        let full = due.len() == PORTION;
        let mut steps = Vec::new();
        let mut returning: Vec<Queue> = Vec::new();
        for entry in due {
            if entry.queue.task_queue_id().is_some() {
                let store = self.store.clone();
                steps.push(tokio::spawn(async move {
                    let run_id = usize::try_from(entry.attempt).unwrap_or(usize::MAX);
                    let key = task_key(&store, &entry.subject).await?;
                    let expired = store
                        .write(key, move |tx| {
                            task::expire_claim(tx, now, &entry.subject, run_id, entry.id)
                        })
                        .await?;
                    if let Some(task) = expired {
                        tracing::info!(task_id = task.id, run_id, "a claim expired");
                    }
                    Ok(())
                }));
            } else if !returning.contains(&entry.queue) {
                returning.push(entry.queue);
            }
        }
        for queue in returning {
            let key = Key::of(queue.as_str());
            if let Some(generation) = queue.cloud_flights_of() {
                let ended = self
                    .store
                    .write(key, move |tx| {
                        cloud::record::end_overdue(tx, now, generation)
                    })
                    .await?;
                tracing::warn!(ended, "attempts at tasks ended without anybody saying how");
            } else {
                self.store
                    .write(key, move |tx| lease::return_due(tx, &queue, now))
                    .await?;
            }
        }
        finish(steps).await?;
        Ok(full)
    }

    /// Wakes those who wait for entries of groups whose time has come; `true` if there may be more.
    async fn return_to_groups(&self, now: Timestamp) -> Result<bool, Error> {
        if !self
            .store
            .read(move |tx| group::is_any_due(tx, now))
            .await?
        {
            return Ok(false);
        }
        let returned = self
            .store
            .write(Key::of("groups"), move |tx| {
                group::return_due(tx, now, PORTION)
            })
            .await?;
        Ok(returned == PORTION)
    }

    /// Returns what was reserved for too long; `true` if there may be more.
    async fn end_reservations(&self, now: Timestamp) -> Result<bool, Error> {
        let due = self
            .store
            .read(move |tx| reservation::due(tx, now, PORTION))
            .await?;
        let mut more = due.len() == PORTION;
        for queue in due {
            let key = Key::of(queue.as_str());
            more |= self
                .store
                .write(key, move |tx| reservation::return_due(tx, &queue, now))
                .await?;
        }
        Ok(more)
    }

    async fn exceed_deadlines(&self, now: Timestamp) -> Result<bool, Error> {
        let by = now.minus(task::DEADLINE_DELAY);
        let open = self
            .store
            .read(move |tx| task::open_past_deadline(tx, by, PORTION))
            .await?;
        let full = open.len() == PORTION;
        let steps = open
            .into_iter()
            .map(|(task_id, group_id)| {
                let store = self.store.clone();
                tokio::spawn(async move {
                    let key = task::group_key(&group_id);
                    store
                        .write(key, move |tx| task::exceed_deadline(tx, now, &task_id))
                        .await?;
                    Ok(())
                })
            })
            .collect();
        finish(steps).await?;
        Ok(full)
    }

    async fn continue_resolutions(&self, now: Timestamp) -> Result<bool, Error> {
        let unfinished = self
            .store
            .read(|tx| task::unfinished_resolutions(tx, PORTION))
            .await?;
        let mut more = unfinished.len() == PORTION;
        for (task_id, group_id) in unfinished {
            let key = task::group_key(&group_id);
            more |= self
                .store
                .write(key, move |tx| task::continue_resolution(tx, now, &task_id))
                .await?;
        }
        Ok(more)
    }

    /// Looks again whether all tasks of a group are resolved, where several were at once.
    async fn settle_groups(&self, now: Timestamp) -> Result<bool, Error> {
        let unsettled = self
            .store
            .read(|tx| task::unsettled_groups(tx, PORTION))
            .await?;
        let full = unsettled.len() == PORTION;
        for group_id in unsettled {
            let key = task::group_key(&group_id);
            self.store
                .write(key, move |tx| task::settle_again(tx, now, &group_id))
                .await?;
        }
        Ok(full)
    }

    /// Forgets a portion of what has expired, if it is time to; `true` if there may be more.
    async fn forget(&mut self, now: Timestamp) -> Result<bool, Error> {
        // A clock that was set back must not put this off.
        if now < self.next_expiry && self.next_expiry <= now.plus(EXPIRY_INTERVAL) {
            return Ok(false);
        }
        let by = now.minus(EXPIRY_DELAY);
        let key = Key::of("expiry");
        let more = self
            .store
            .write(key, move |tx| {
                let artifacts = artifact::expire(tx, now, by, PORTION)?;
                let objects = object::expire(tx, now, PORTION)?;
                Ok(artifacts == PORTION || objects == PORTION)
            })
            .await?
            | self.remove_discarded(now).await?
            | self
                .store
                .write(key, move |tx| task::expire_tasks(tx, by, PORTION))
                .await?
                .more
            | self
                .store
                .write(key, |tx| task::forget_definitions(tx, PORTION))
                .await?
                .more
            | self
                .store
                .write(key, move |tx| task::expire_groups(tx, by, PORTION))
                .await?
                .more
            | self
                .store
                .write(key, move |tx| worker::expire(tx, by, PORTION))
                .await?
                .more
            | self
                .store
                .write(key, move |tx| task_queue::expire(tx, by, PORTION))
                .await?
                .more
            | self
                .store
                .write(key, move |tx| {
                    Ok(index::expire(tx, by, PORTION)?
                        | cache_purge::expire(tx, by, PORTION)?
                        | hook::expire(tx, now, PORTION)?
                        | notification::expire(tx, now, PORTION)?)
                })
                .await?;
        if !more {
            self.next_expiry = now.plus(EXPIRY_INTERVAL);
        }
        Ok(more)
    }

    /// Removes what nothing owns any more. What was removed but not yet forgotten is removed once
    /// more; what cannot be removed now is left for later.
    async fn remove_discarded(&self, now: Timestamp) -> Result<bool, Error> {
        let due = self
            .store
            .read(move |tx| content::due(tx, now, PORTION))
            .await?;
        let full = due.len() == PORTION;
        let (mut removed, mut stuck) = (Vec::new(), Vec::new());
        for stored in due {
            match self.bytes.remove(&stored).await {
                Ok(()) => removed.push(stored.key),
                Err(error) => {
                    tracing::warn!(%error, key = stored.key, "bytes could not be removed");
                    stuck.push(stored.key);
                }
            }
        }
        if removed.is_empty() && stuck.is_empty() {
            return Ok(false);
        }
        self.store
            .write(Key::of("expiry"), move |tx| {
                removed
                    .iter()
                    .try_for_each(|key| content::forget(tx, key))?;
                stuck
                    .iter()
                    .try_for_each(|key| content::postpone(tx, now, key))
            })
            .await?;
        Ok(full)
    }
}

/// The key of the group a task belongs to; any key will do for a task that is gone.
async fn task_key(store: &Store, task_id: &str) -> Result<Key, Error> {
    let id = task_id.to_owned();
    let task = store.read(move |tx| task::load(tx, &id)).await?;
    Ok(task.map_or(Key::of(task_id), |task| task.key()))
}

async fn finish(steps: Vec<tokio::task::JoinHandle<Result<(), Error>>>) -> Result<(), Error> {
    let mut outcome = Ok(());
    for step in steps {
        let done = step.await.unwrap_or(Err(Error::Panicked));
        outcome = outcome.and(done);
    }
    outcome
}
