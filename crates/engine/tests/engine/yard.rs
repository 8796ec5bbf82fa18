//! A database with the engine's tables, and short ways to call the engine on it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use taskyard_engine::Timestamp;
use taskyard_engine::clock::Clock;
use taskyard_engine::content::Stored;
use taskyard_engine::task::{self, Claimed, NewTask, Priority, Requires, Task, Worker};
use taskyard_engine::timer::{ArtifactBytes, Timer};
use taskyard_store::testing::{Database, Kind};
use taskyard_store::{Error, Key, Migration, Store, Tx};

/// When tests that bring their own time begin: 2027-01-15T08:00:00Z.
pub(crate) const START: Timestamp = Timestamp(1_800_000_000_000_000);
/// The task queue of tests that need only one.
pub(crate) const QUEUE: &str = "prov/type";
/// How long anything that should happen soon is waited for.
pub(crate) const SOON: Duration = Duration::from_mins(2);

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The tables of everything that the engine writes to.
pub(crate) fn migrations() -> Vec<Migration> {
    [
        taskyard_events::MIGRATIONS,
        taskyard_engine::MIGRATIONS,
        taskyard_engine::stacks::MIGRATIONS,
    ]
    .concat()
}

pub(crate) struct Yard {
    // Dropped in this order: the store lets go of the database before that is removed.
    pub(crate) store: Store,
    pub(crate) database: Database,
    calls: AtomicU64,
}

impl Yard {
    pub(crate) fn new(kind: Kind) -> Self {
        Self::over(Database::new(kind).without_slow_poll())
    }

    /// Opens a database, which may be there already.
    pub(crate) fn over(database: Database) -> Self {
        Yard {
            store: database.open(&migrations()),
            database,
            calls: AtomicU64::new(0),
        }
    }

    /// Closes the store and opens the database again, as a process does that starts anew.
    pub(crate) fn restarted(self) -> Self {
        let Yard {
            store,
            database,
            calls,
        } = self;
        drop(store);
        Yard {
            store: database.open(&migrations()),
            database,
            calls,
        }
    }

    /// A key that differs from call to call, so that calls spread over all writers.
    pub(crate) fn any_key(&self) -> Key {
        Key::of(self.calls.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) async fn write<T, F>(&self, closure: F) -> T
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    {
        self.store
            .write(self.any_key(), closure)
            .await
            .expect("the write succeeds")
    }

    pub(crate) async fn read<T, F>(&self, closure: F) -> T
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    {
        self.store.read(closure).await.expect("the read succeeds")
    }

    pub(crate) async fn create(&self, now: Timestamp, new: NewTask) -> Task {
        self.write(move |tx| task::create(tx, now, &new))
            .await
            .expect("the task is created")
    }

    /// Creates many tasks, many in a transaction.
    pub(crate) async fn create_all(&self, now: Timestamp, all: Vec<NewTask>) {
        let portions = all.chunks(100).map(<[NewTask]>::to_vec).map(|portion| {
            let (store, key) = (self.store.clone(), self.any_key());
            tokio::spawn(async move {
                let write = store.write(key, move |tx| {
                    portion.iter().try_for_each(|new| {
                        task::create(tx, now, new).map(|task| drop(task.expect("it is created")))
                    })
                });
                write.await.expect("the write succeeds");
            })
        });
        for portion in portions.collect::<Vec<_>>() {
            portion.await.expect("the portion is created");
        }
    }

    pub(crate) async fn task(&self, id: &str) -> Option<Task> {
        let id = id.to_owned();
        self.read(move |tx| task::load(tx, &id)).await
    }

    /// Claims up to `count` runs of [`QUEUE`] for 20 minutes.
    pub(crate) async fn claim(&self, now: Timestamp, worker: &str, count: usize) -> Vec<Claimed> {
        let worker = named(worker);
        let until = now.plus(secs(1200));
        self.write(move |tx| task::claim_work(tx, now, QUEUE, &worker, count, until))
            .await
            .expect("nobody is quarantined")
    }

    /// A timer whose artifacts have no bytes.
    pub(crate) fn timer(&self) -> Timer {
        Timer::new(
            self.store.clone(),
            Clock::default(),
            Arc::new(Bytes::default()),
        )
    }

    /// Sweeps with a new timer until nothing is left to do at `now`; returns when to look again.
    pub(crate) async fn sweep(&self, now: Timestamp) -> Timestamp {
        let mut timer = self.timer();
        loop {
            let next = timer.sweep(now).await.expect("the sweep succeeds");
            if next > now {
                return next;
            }
        }
    }
}

pub(crate) fn named(id: &str) -> Worker {
    Worker {
        group: "group".to_owned(),
        id: id.to_owned(),
    }
}

/// A task in a group of its own: no dependencies, lowest priority, 5 retries, deadline after an
/// hour.
pub(crate) fn new_task(id: &str) -> NewTask {
    NewTask {
        id: id.to_owned(),
        definition: format!(r#"{{"name":"{id}"}}"#),
        outline: String::new(),
        notice: String::new(),
        promise: None,
        notifies: false,
        task_queue_id: QUEUE.to_owned(),
        scheduler_id: "-".to_owned(),
        project_id: "none".to_owned(),
        group_id: id.to_owned(),
        priority: Priority::Lowest,
        dependencies: Vec::new(),
        requires: Requires::AllCompleted,
        retries: 5,
        deadline: START.plus(secs(3600)),
        expires: START.plus(secs(86_400)),
    }
}

/// As [`new_task`], waiting for others.
pub(crate) fn dependent_task(id: &str, dependencies: &[&str]) -> NewTask {
    NewTask {
        dependencies: dependencies.iter().map(|id| (*id).to_owned()).collect(),
        ..new_task(id)
    }
}

/// Remembers the keys of the bytes that were removed; refuses the key `stuck`.
#[derive(Debug, Default)]
pub(crate) struct Bytes {
    pub(crate) removed: Mutex<Vec<String>>,
}

impl ArtifactBytes for Bytes {
    fn remove<'a>(
        &'a self,
        stored: &'a Stored,
    ) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>> {
        Box::pin(async move {
            if stored.key == "stuck" {
                return Err(io::Error::other("the disk is broken"));
            }
            self.removed
                .lock()
                .expect("no test panics here")
                .push(stored.key.clone());
            Ok(())
        })
    }
}
