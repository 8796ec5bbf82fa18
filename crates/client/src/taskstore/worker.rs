use std::pin::pin;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::claim::Claim;
use super::client::Taskstore;
use super::error::Error;
use super::task::{Available, Task};
use super::update::Update;

/// Why a handler could not do its work. The task comes back after a while.
pub type HandlerError = Box<dyn std::error::Error + Send + Sync>;

/// Works off tasks: claims one, gives it to a handler, renews the claim at a third of the lease,
/// and commits what the handler answers as one update that also deletes the task. So what comes of
/// a task happens exactly once, however often a handler begins anew; what a handler does elsewhere
/// may happen more than once.
#[derive(Debug, Clone)]
pub struct Worker {
    store: Taskstore,
    claim: Claim,
    retry_after: Duration,
    until_empty: bool,
    stop: CancellationToken,
}

/// How long a worker's claim waits for tasks.
const WAIT: Duration = Duration::from_secs(20);
/// The pause after an error that may pass.
const PAUSE: Duration = Duration::from_secs(1);

/// What came of a task.
enum Ended<T> {
    /// The handler answered, under the task's id of now.
    Answered(T, i64),
    /// Somebody else has it.
    Lost,
}

impl Worker {
    pub(super) fn new(store: Taskstore, group: impl Into<String>) -> Self {
        Self {
            store,
            claim: Claim::new(group, Duration::from_secs(30)).wait(WAIT),
            retry_after: Duration::from_secs(1),
            until_empty: false,
            stop: CancellationToken::new(),
        }
    }

    /// Also takes tasks of another group.
    pub fn or(mut self, group: impl Into<String>) -> Self {
        self.claim = self.claim.or(group);
        self
    }

    /// For how long a task is held without being renewed. Default 30 s.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.claim.lease = lease;
        self
    }

    /// How long a task rests after its handler failed. Default 1 s.
    pub fn retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = pause;
        self
    }

    /// Tasks that have been claimed so often move to `group`. By default none do.
    pub fn give_up_after(mut self, attempts: u32, group: impl Into<String>) -> Self {
        self.claim = self.claim.give_up_after(attempts, group);
        self
    }

    /// Stops when no task is available, instead of waiting for more.
    pub fn until_empty(mut self) -> Self {
        self.until_empty = true;
        self.claim.wait = Duration::ZERO;
        self
    }

    /// Stops when `stop` is cancelled, after the task under way.
    pub fn until(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }

    /// Works until it is told to stop. `handler` answers with what is to happen together with the
    /// task's deletion; if its update changes or deletes the task by its id, only that is done. A
    /// handler whose task was lost is dropped.
    ///
    /// # Errors
    /// The first error that will not pass by itself, such as missing rights.
    pub async fn run<H, F>(&self, handler: H) -> Result<(), Error>
    where
        H: Fn(Task) -> F,
        F: Future<Output = Result<Update, HandlerError>>,
    {
        while !self.stop.is_cancelled() {
            let claimed = tokio::select! {
                claimed = self.store.claim(&self.claim) => claimed,
                // A claim that is dropped may still take a task; its lease ends by itself.
                () = self.stop.cancelled() => return Ok(()),
            };
            match claimed {
                Ok(tasks) if tasks.is_empty() && self.until_empty => return Ok(()),
                Ok(tasks) => {
                    for task in tasks {
                        self.work_off(task, &handler).await?;
                    }
                }
                Err(error) => self.wait_out(error).await?,
            }
        }
        Ok(())
    }

    async fn wait_out(&self, error: Error) -> Result<(), Error> {
        if !error.is_transient() {
            return Err(error);
        }
        tracing::warn!(%error, "the taskstore does not answer; trying again");
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = self.stop.cancelled() => {}
        }
        Ok(())
    }

    async fn work_off<H, F>(&self, task: Task, handler: &H) -> Result<(), Error>
    where
        H: Fn(Task) -> F,
        F: Future<Output = Result<Update, HandlerError>>,
    {
        let (answer, id) = match self.hold_during(&task, handler(task.clone())).await? {
            Ended::Answered(answer, id) => (answer, id),
            Ended::Lost => {
                tracing::warn!(task = task.id, "a task was lost: its lease had ended");
                return Ok(());
            }
        };
        let update = match answer {
            Ok(update) if update.settles(task.id) => update.with_new_id(task.id, id),
            Ok(update) => update.with_new_id(task.id, id).delete(id),
            Err(error) => {
                tracing::warn!(task = task.id, %error, "a handler failed; its task comes back");
                Update::new().change(id, task.data, Available::After(self.retry_after))
            }
        };
        loop {
            match self.store.update(update.clone()).await {
                Ok(_) => return Ok(()),
                Err(Error::Refused(refusal)) => {
                    // Also when the answer of an earlier attempt was lost and it had succeeded.
                    tracing::warn!(task = task.id, %refusal, "what came of a task was refused");
                    return Ok(());
                }
                Err(error) => self.wait_out(error).await?,
            }
            if self.stop.is_cancelled() {
                return Ok(());
            }
        }
    }

    /// Renews the claim of `task` until `work` is done.
    async fn hold_during<T>(
        &self,
        task: &Task,
        work: impl Future<Output = T>,
    ) -> Result<Ended<T>, Error> {
        let lease = self.claim.lease;
        let mut work = pin!(work);
        let mut id = task.id;
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(Ended::Answered(done, id)),
                () = tokio::time::sleep(lease / 3) => {}
            }
            let renew = Update::new().change(id, task.data.clone(), Available::After(lease));
            let mut renewal = pin!(self.store.update(renew));
            // The work goes on meanwhile. If it ends first, the new id must still be learned.
            let mut done = None;
            let renewed = loop {
                tokio::select! {
                    renewed = &mut renewal => break renewed,
                    answer = &mut work, if done.is_none() => done = Some(answer),
                }
            };
            match renewed {
                Ok(tasks) => id = tasks.first().map_or(id, |task| task.id),
                Err(Error::Refused(_)) => return Ok(Ended::Lost),
                Err(error) if error.is_transient() => {
                    tracing::warn!(task = task.id, %error, "a claim could not be renewed");
                }
                Err(error) => return Err(error),
            }
            if let Some(done) = done {
                return Ok(Ended::Answered(done, id));
            }
        }
    }
}
