//! The same without async: each call returns when its answer has come. Not for use within an async
//! runtime.

use std::sync::Arc;

use super::{Claim, Error, HandlerError, Listing, Stats, Task, Update, Worker};
use crate::Options;

/// A taskstore, spoken to as one client; see [`super::Taskstore`]. Clones share connections.
#[derive(Debug, Clone)]
pub struct Taskstore {
    runtime: Arc<tokio::runtime::Runtime>,
    store: super::Taskstore,
}

impl Taskstore {
    /// As [`super::Taskstore::new`].
    ///
    /// # Errors
    /// `Usage` when an option is wrong, or no thread can be set up.
    pub fn new(options: Options) -> Result<Self, Error> {
        Self::with(super::Taskstore::new(options)?)
    }

    /// As [`super::Taskstore::at`].
    ///
    /// # Errors
    /// As [`Taskstore::new`].
    pub fn at(base: &str, options: Options) -> Result<Self, Error> {
        Self::with(super::Taskstore::at(base, options)?)
    }

    fn with(store: super::Taskstore) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| crate::Error::Usage(format!("cannot start a thread: {error}")))?;
        Ok(Self {
            runtime: Arc::new(runtime),
            store,
        })
    }

    /// As [`super::Taskstore::id`].
    pub fn id(&self) -> i32 {
        self.store.id()
    }

    /// As [`super::Taskstore::groups`].
    ///
    /// # Errors
    /// The same.
    pub fn groups(&self) -> Result<Vec<String>, Error> {
        self.runtime.block_on(self.store.groups())
    }

    /// As [`super::Taskstore::group`].
    ///
    /// # Errors
    /// The same.
    pub fn group(&self, name: &str, listing: Listing) -> Result<Vec<Task>, Error> {
        self.runtime.block_on(self.store.group(name, listing))
    }

    /// As [`super::Taskstore::task`].
    ///
    /// # Errors
    /// The same.
    pub fn task(&self, id: i64) -> Result<Option<Task>, Error> {
        self.runtime.block_on(self.store.task(id))
    }

    /// As [`super::Taskstore::tasks`].
    ///
    /// # Errors
    /// The same.
    pub fn tasks(&self, ids: &[i64]) -> Result<Vec<Option<Task>>, Error> {
        self.runtime.block_on(self.store.tasks(ids))
    }

    /// As [`super::Taskstore::stats`].
    ///
    /// # Errors
    /// The same.
    pub fn stats(&self) -> Result<Vec<Stats>, Error> {
        self.runtime.block_on(self.store.stats())
    }

    /// As [`super::Taskstore::update`].
    ///
    /// # Errors
    /// The same.
    pub fn update(&self, update: Update) -> Result<Vec<Task>, Error> {
        self.runtime.block_on(self.store.update(update))
    }

    /// As [`super::Taskstore::claim`].
    ///
    /// # Errors
    /// The same.
    pub fn claim(&self, claim: &Claim) -> Result<Vec<Task>, Error> {
        self.runtime.block_on(self.store.claim(claim))
    }

    /// A worker of `group`, to be set up and given to [`Taskstore::run`].
    pub fn worker(&self, group: impl Into<String>) -> Worker {
        self.store.worker(group)
    }

    /// As [`Worker::run`], with a handler that may take its time: it has a thread of its own. One
    /// whose task was lost runs to its end, and its answer is dropped.
    ///
    /// # Errors
    /// The same.
    pub fn run<H>(&self, worker: &Worker, handler: H) -> Result<(), Error>
    where
        H: Fn(Task) -> Result<Update, HandlerError> + Send + Sync + 'static,
    {
        let handler = Arc::new(handler);
        self.runtime.block_on(worker.run(|task| {
            let handler = Arc::clone(&handler);
            async move {
                let running = tokio::task::spawn_blocking(move || handler(task));
                running.await.unwrap_or_else(|error| Err(error.into()))
            }
        }))
    }

    /// As [`super::Taskstore::work`], with a handler as [`Taskstore::run`] takes it.
    ///
    /// # Errors
    /// The same.
    pub fn work<H>(&self, group: impl Into<String>, handler: H) -> Result<(), Error>
    where
        H: Fn(Task) -> Result<Update, HandlerError> + Send + Sync + 'static,
    {
        self.run(&self.worker(group), handler)
    }
}
