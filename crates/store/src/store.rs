//! The store: where closures are handed in and committed values come back.

use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::alarm::Alarm;
use crate::checkpoint::Checkpoints;
use crate::driver::Connected;
use crate::durability::{Delivery, Durability};
use crate::error::Error;
use crate::hints::Hints;
use crate::job::{Call, Job};
use crate::migrate::{self, Migration};
use crate::postgres::Postgres;
use crate::reader;
use crate::sqlite::{self, Role, Sqlite};
use crate::tx::{Effects, Tx};
use crate::wake::{Hub, Topic, Waiter};
use crate::writer::{BatchLimits, Writer};

/// Which database, and how it is used.
#[derive(Debug, Clone)]
pub enum Config {
    /// One file, one process.
    Sqlite(SqliteConfig),
    /// A server shared by any number of nodes.
    Postgres(PostgresConfig),
}

/// Settings of an embedded database.
#[derive(Debug, Clone)]
pub struct SqliteConfig {
    /// The database file; its folder must exist.
    pub path: PathBuf,
    /// Threads that serve reads.
    pub readers: usize,
}

impl SqliteConfig {
    /// The file at `path` with two readers.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        SqliteConfig {
            path: path.into(),
            readers: 2,
        }
    }
}

/// Settings of a PostgreSQL database.
#[derive(Clone)]
pub struct PostgresConfig {
    /// `postgres://user:password@host:port/database` or a `key=value` list.
    pub url: String,
    /// Connections that commit. Few with large batches beat many with small ones.
    pub writers: usize,
    /// Connections that serve reads.
    pub readers: usize,
    /// How often a waiter of each topic looks again even if nobody told it to: what other nodes
    /// tell may be lost.
    pub slow_poll: Duration,
}

impl PostgresConfig {
    /// `url` with four writers, four readers, and a slow poll of five seconds.
    pub fn new(url: impl Into<String>) -> Self {
        PostgresConfig {
            url: url.into(),
            writers: 4,
            readers: 4,
            slow_poll: Duration::from_secs(5),
        }
    }
}

impl std::fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL carries the password.
        f.debug_struct("PostgresConfig")
            .field("writers", &self.writers)
            .field("readers", &self.readers)
            .field("slow_poll", &self.slow_poll)
            .finish_non_exhaustive()
    }
}

/// What a write changes, so that changes of the same thing meet at the same writer instead of
/// waiting for each other's locks: a queue, a task group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(u64);

impl Key {
    /// The key of anything that can be hashed.
    pub fn of(thing: impl Hash) -> Self {
        let mut hasher = std::hash::DefaultHasher::new();
        thing.hash(&mut hasher);
        Key(hasher.finish())
    }
}

/// What a look at the database found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Reads are answered.
    Up,
    /// They are not.
    Down,
}

/// What writers and callers share.
pub(crate) struct Shared {
    hub: Arc<Hub>,
    alarm: Alarm,
    closing: AtomicBool,
    commits: AtomicU64,
    /// Tells other nodes; absent on SQLite.
    hints: Option<Hints>,
    /// Keeps answers until they are on disk; absent where a COMMIT is durable by itself.
    durability: Option<Durability>,
    /// Keep the write-ahead log short; unused where there is none.
    checkpoints: Arc<Checkpoints>,
}

impl Shared {
    /// Counts a commit.
    pub(crate) fn committed(&self, closures: usize, took: Duration) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("taskyard_store_commits_total").increment(1);
        metrics::histogram!("taskyard_store_commit_seconds").record(took.as_secs_f64());
        metrics::histogram!("taskyard_store_commit_closures").record(closures as f64);
    }

    /// The durability that is apart from the COMMIT, where there is such a thing.
    pub(crate) fn durability(&self) -> Option<&Durability> {
        self.durability.as_ref()
    }

    /// Tells the outside what a transaction that has ended well did, as soon as that is durable.
    pub(crate) fn deliver(&self, effects: Effects, answers: Vec<Box<dyn Job>>) {
        let delivery = Delivery { effects, answers };
        let durable = match &self.durability {
            Some(durability) => durability.keep(delivery),
            None => Some(delivery),
        };
        if let Some(delivery) = durable {
            self.tell(delivery);
        }
    }

    /// Wakes who should look, then answers.
    fn tell(&self, delivery: Delivery) {
        self.announce(delivery.effects);
        for job in delivery.answers {
            job.answer();
        }
    }

    /// Makes known what closures asked for.
    fn announce(&self, effects: Effects) {
        for (topic, count) in &effects.wakes {
            self.hub.wake(*topic, *count);
        }
        if let Some(hints) = &self.hints {
            hints.send(&effects.wakes);
        }
        if let Some(at) = effects.alarm {
            self.alarm.ring_at(at);
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}

/// A database and the threads that serve it. Clones share it; it closes when the last is dropped.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    writers: Vec<mpsc::Sender<Box<dyn Job>>>,
    readers: mpsc::Sender<Box<dyn Job>>,
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Those that follow what was committed: they end after those that commit.
    last_threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held for as long as the store is open, so that no second process opens the same file.
    _lock: Option<std::fs::File>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// Closures that may wait for a writer or a reader before callers have to wait to hand theirs in.
const QUEUE: usize = 4096;
/// Measured: one fsync for all who wait, yet no closure waits long for its neighbours.
const SQLITE_BATCH: BatchLimits = BatchLimits {
    closures: 512,
    duration: Duration::from_millis(5),
};
/// Locks live until the batch ends, so it is kept shorter where others may wait for them.
const POSTGRES_BATCH: BatchLimits = BatchLimits {
    closures: 64,
    duration: Duration::from_millis(5),
};

impl Store {
    /// Opens and migrates the database and starts its threads. Blocks; call it before the async
    /// runtime serves, or through `spawn_blocking`.
    ///
    /// # Errors
    /// [`Error::Open`], whose text says what to do.
    pub fn open(config: &Config, migrations: &[Migration]) -> Result<Self, Error> {
        match config {
            Config::Sqlite(config) => Self::open_sqlite(config, migrations),
            Config::Postgres(config) => Self::open_postgres(config, migrations),
        }
    }

    fn open_sqlite(config: &SqliteConfig, migrations: &[Migration]) -> Result<Self, Error> {
        let lock = lock_file(&config.path)?;
        let mut writer = Sqlite::open(&config.path, Role::Writer)?;
        migrate::sqlite(&mut writer, migrations)?;
        let readers = (0..config.readers.max(1))
            .map(|_| Sqlite::open(&config.path, Role::Reader))
            .collect::<Result<Vec<_>, _>>()?;
        let shared = Arc::new(Shared {
            hub: Arc::default(),
            alarm: Alarm::default(),
            closing: AtomicBool::new(false),
            commits: AtomicU64::new(0),
            hints: None,
            durability: Some(Durability::default()),
            checkpoints: Arc::default(),
        });
        let mut log = sqlite::Log::open(&config.path)?;
        // Migrations were committed before anything waited for the log.
        log.sync()
            .map_err(|error| Error::Open(format!("cannot sync the database: {error}")))?;
        let syncing = Arc::clone(&shared);
        let sync_thread = spawn("store-sync".to_owned(), move || {
            if let Some(durability) = syncing.durability() {
                durability.run(|| log.sync(), |delivery| syncing.tell(delivery));
            }
        })?;
        writer.checkpoint_by(Arc::clone(&shared.checkpoints))?;
        let mut connection = Sqlite::open(&config.path, Role::Checkpointer)?;
        let moving = Arc::clone(&shared);
        let checkpoint_thread = spawn("store-checkpoint".to_owned(), move || {
            moving.checkpoints.serve(connection.connection());
        })?;
        Self::start(
            vec![writer],
            readers,
            shared,
            SQLITE_BATCH,
            Some(lock),
            vec![checkpoint_thread, sync_thread],
        )
    }

    fn open_postgres(config: &PostgresConfig, migrations: &[Migration]) -> Result<Self, Error> {
        let parsed: postgres::Config = config.url.parse().map_err(|error| {
            Error::Open(format!(
                "the database URL cannot be read: {error}. It looks like \
                 postgres://user:password@host:5432/database"
            ))
        })?;
        migrate::postgres(&parsed, migrations)?;
        let hub: Arc<Hub> = Arc::default();
        let (hints, hint_thread) = Hints::start(&parsed, Arc::clone(&hub), config.slow_poll)?;
        let shared = Arc::new(Shared {
            hub,
            alarm: Alarm::default(),
            closing: AtomicBool::new(false),
            commits: AtomicU64::new(0),
            hints: Some(hints),
            durability: None,
            checkpoints: Arc::default(),
        });
        let connection = || Postgres::new(parsed.clone(), migrations.len());
        let writers = (0..config.writers.max(1)).map(|_| connection()).collect();
        let readers = (0..config.readers.max(1)).map(|_| connection()).collect();
        Self::start(
            writers,
            readers,
            shared,
            POSTGRES_BATCH,
            None,
            vec![hint_thread],
        )
    }

    fn start<C: Connected>(
        writers: Vec<C>,
        readers: Vec<C>,
        shared: Arc<Shared>,
        limits: BatchLimits,
        lock: Option<std::fs::File>,
        last_threads: Vec<JoinHandle<()>>,
    ) -> Result<Self, Error> {
        let mut threads = Vec::new();
        let mut senders = Vec::new();
        for (at, connected) in writers.into_iter().enumerate() {
            let (sender, jobs) = mpsc::channel(QUEUE);
            let shared = Arc::clone(&shared);
            let body = move || {
                connected.drive(|driver| Writer::new(driver, jobs, limits, shared).run());
            };
            threads.push(spawn(format!("store-writer-{at}"), body)?);
            senders.push(sender);
        }
        let (read_sender, jobs) = mpsc::channel(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        for (at, connected) in readers.into_iter().enumerate() {
            let (jobs, shared) = (Arc::clone(&jobs), Arc::clone(&shared));
            let body = move || connected.drive(|driver| reader::run(driver, &jobs, &shared));
            threads.push(spawn(format!("store-reader-{at}"), body)?);
        }
        Ok(Store {
            inner: Arc::new(Inner {
                writers: senders,
                readers: read_sender,
                shared,
                threads: Mutex::new(threads),
                last_threads: Mutex::new(last_threads),
                _lock: lock,
            }),
        })
    }

    /// Runs `closure` in a write transaction and returns its value once it is durable.
    ///
    /// # Errors
    /// Nothing of the closure is in the database then, except after [`Error::Lost`], when that is
    /// not known. [`Error::is_temporary`] tells whether the same call may succeed later.
    pub async fn write<T, F>(&self, key: Key, closure: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    {
        let at = (key.0 % self.inner.writers.len() as u64) as usize;
        let (job, answer) = Call::open(closure);
        let writer = self.inner.writers.get(at).ok_or(Error::Closed)?;
        writer.send(job).await.map_err(|_| Error::Closed)?;
        if let Some(durability) = self.inner.shared.durability() {
            durability.nudge();
        }
        answer.await.unwrap_or(Err(Error::Closed))
    }

    /// Runs `closure` on a read-only snapshot that holds everything acknowledged before.
    ///
    /// # Errors
    /// As [`Store::write`]; a closure that tries to change anything fails.
    pub async fn read<T, F>(&self, closure: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    {
        let (job, answer) = Call::open(closure);
        let sent = self.inner.readers.send(job).await;
        sent.map_err(|_| Error::Closed)?;
        answer.await.unwrap_or(Err(Error::Closed))
    }

    /// Starts waiting for `topic`; look at the database after this, not before.
    pub fn wait_for(&self, topic: Topic) -> Waiter {
        Waiter::new(Arc::clone(&self.inner.shared.hub), topic)
    }

    /// How many wait for `topic` in this process.
    #[cfg(feature = "testing")]
    pub fn waiters(&self, topic: Topic) -> usize {
        self.inner.shared.hub.waiters(topic)
    }

    /// Wakes one waiter of `topic` in this process, as one who was woken does when there may be
    /// work for more.
    pub fn pass_on(&self, topic: Topic) {
        self.inner.shared.hub.wake(topic, Some(1));
    }

    /// The alarm that closures set with [`Tx::alarm`].
    pub fn alarm(&self) -> &Alarm {
        &self.inner.shared.alarm
    }

    /// Whether the database answers.
    pub async fn health(&self) -> Health {
        match self
            .read(|tx| tx.query("SELECT 1", &[], |row| row.get::<i64>(0)))
            .await
        {
            Ok(_) => Health::Up,
            Err(_) => Health::Down,
        }
    }

    /// Number of commits since the store was opened.
    pub fn commits(&self) -> u64 {
        self.inner.shared.commits.load(Ordering::Relaxed)
    }
}

fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    std::thread::Builder::new()
        .name(name)
        .spawn(body)
        .map_err(|error| Error::Open(format!("cannot start a database thread: {error}")))
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        // The threads end when their channels do: what was handed in is still committed.
        self.writers.clear();
        self.readers = mpsc::channel(1).0;
        let own = std::thread::current().id();
        let mut join = |thread: JoinHandle<()>| {
            if thread.thread().id() != own && thread.join().is_err() {
                tracing::error!("a database thread panicked");
            }
        };
        self.threads.get_mut().drain(..).for_each(&mut join);
        // Last, so that callers and other nodes hear of what was committed until now.
        if let Some(hints) = &self.shared.hints {
            hints.stop();
        }
        if let Some(durability) = self.shared.durability() {
            durability.close();
        }
        self.shared.checkpoints.close();
        self.last_threads.get_mut().drain(..).for_each(&mut join);
    }
}

/// Takes the lock that keeps a second process out of the database file.
fn lock_file(database: &std::path::Path) -> Result<std::fs::File, Error> {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let file = std::fs::File::create(&path).map_err(|error| {
        Error::Open(format!(
            "cannot create {}: {error}. Check that the data folder exists and is writable.",
            path.display()
        ))
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Open(format!(
            "another process uses {}. Stop it, or give this one a data folder of its own.",
            database.display()
        ))),
        Err(std::fs::TryLockError::Error(error)) => Err(Error::Open(format!(
            "cannot lock {}: {error}",
            path.display()
        ))),
    }
}
