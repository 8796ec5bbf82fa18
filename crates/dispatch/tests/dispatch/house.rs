//! A database with cloud queues, its timer and its dispatcher.

use std::sync::Arc;
use std::time::Duration;

use taskyard_dispatch::{Dispatcher, Settings, Tokens};
use taskyard_engine::MIGRATIONS;
use taskyard_engine::clock::Clock;
use taskyard_engine::cloud::create::{self, NewTask};
use taskyard_engine::cloud::{
    self, HttpRequest, Origin, Payload, Refusal, Task, attempt, failure, lookup, queue,
};
use taskyard_engine::timer::{ArtifactBytes, Timer};
use taskyard_outbound::{Client, Rules};
use taskyard_store::testing::{Database, Kind};
use taskyard_store::{Error, Key, Store, Tx};
use tokio::sync::Notify;

/// How long anything that should happen soon is waited for.
pub(crate) const SOON: Duration = Duration::from_secs(30);
pub(crate) const QUEUE: &str = "projects/p/locations/l/queues/q";
pub(crate) const ISSUER: &str = "https://tasks.test";

/// Nothing has artifacts here.
struct NoBytes;

impl ArtifactBytes for NoBytes {
    fn remove<'a>(
        &'a self,
        _stored: &'a taskyard_engine::content::Stored,
    ) -> std::pin::Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + 'a>> {
        Box::pin(async { Ok(()) })
    }
}

pub(crate) struct House {
    pub(crate) dispatcher: Dispatcher,
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) database: Database,
}

pub(crate) fn open(database: &Database) -> Store {
    let migrations = [MIGRATIONS, cloud::MIGRATIONS, taskyard_events::MIGRATIONS];
    database.open(&migrations.concat())
}

pub(crate) fn client() -> Client {
    Client::new(&taskyard_outbound::Settings {
        rules: Rules::with_loopback(),
        ..taskyard_outbound::Settings::default()
    })
    .expect("a client")
}

pub(crate) async fn dispatcher(store: &Store, clock: &Clock, settings: Settings) -> Dispatcher {
    // Making a key takes long; a test of its own does that.
    let key = include_bytes!("signing-key.der");
    let tokens = Arc::new(Tokens::from_pkcs8(key, ISSUER).expect("a key"));
    let started = Dispatcher::start(store.clone(), clock.clone(), client(), tokens, settings);
    started.await.expect("it starts")
}

pub(crate) fn timer(store: &Store, clock: &Clock) {
    let timer = Timer::new(store.clone(), clock.clone(), Arc::new(NoBytes));
    tokio::spawn(timer.run(Arc::new(Notify::new())));
}

impl House {
    pub(crate) async fn new(kind: Kind) -> Self {
        Self::with(kind, Settings::default()).await
    }

    pub(crate) async fn with(kind: Kind, settings: Settings) -> Self {
        let database = Database::new(kind);
        let store = open(&database);
        let clock = Clock::default();
        timer(&store, &clock);
        let dispatcher = dispatcher(&store, &clock, settings).await;
        House {
            dispatcher,
            clock,
            store,
            database,
        }
    }

    pub(crate) async fn write<T, F>(&self, closure: F) -> T
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    {
        let written = self.store.write(Key::of("any"), closure).await;
        written.expect("the write succeeds")
    }

    pub(crate) async fn read<T, F>(&self, closure: F) -> T
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    {
        self.store.read(closure).await.expect("the read succeeds")
    }

    pub(crate) async fn queue(&self, settings: cloud::Settings) {
        let now = self.clock.now();
        self.write(move |tx| queue::create(tx, now, QUEUE, &settings, Origin::Api))
            .await
            .expect("the queue is created");
    }

    pub(crate) async fn create(&self, new: NewTask) -> Task {
        let now = self.clock.now();
        self.write(move |tx| create::create(tx, now, QUEUE, &new))
            .await
            .expect("the task is created")
    }

    pub(crate) async fn get(&self, id: &str) -> Result<Task, Refusal> {
        let (now, id) = (self.clock.now(), id.to_owned());
        self.read(move |tx| lookup::get(tx, now, QUEUE, &id)).await
    }

    /// Waits until the task's `count`-th attempt has been recorded and returns the log, oldest
    /// first.
    pub(crate) async fn attempts(&self, task: &Task, count: usize) -> Vec<attempt::Logged> {
        let recorded = async {
            loop {
                let id = task.id.clone();
                let log = self.read(move |tx| attempt::of_task(tx, QUEUE, &id, None, 100));
                let mut log = log.await.expect("the queue is there").items;
                if log.len() >= count {
                    log.reverse();
                    return log;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let log = tokio::time::timeout(SOON, recorded).await;
        log.expect("the attempts are recorded")
    }

    pub(crate) async fn failures(&self) -> Vec<failure::Failed> {
        let page = self
            .read(|tx| failure::list(tx, QUEUE, None, 100, true))
            .await;
        page.expect("the queue is there").items
    }
}

/// Settings under which a failed task is tried again at once, up to `attempts` times.
pub(crate) fn eager(attempts: i32) -> cloud::Settings {
    let mut settings = cloud::Settings::default();
    settings.retry.max_attempts = attempts;
    settings.retry.min_backoff = Duration::from_millis(1);
    settings.retry.max_backoff = Duration::from_millis(1);
    settings
}

pub(crate) fn to(url: &str) -> NewTask {
    NewTask::of(Payload::Http(HttpRequest {
        url: url.to_owned(),
        body: b"work".to_vec(),
        ..HttpRequest::default()
    }))
}

pub(crate) fn named(id: &str, url: &str) -> NewTask {
    NewTask {
        id: Some(id.to_owned()),
        ..to(url)
    }
}
