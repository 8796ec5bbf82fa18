//! A database with the tables of cloud queues, and short ways to call them.

use std::time::Duration;

use taskyard_engine::cloud::create::{self, NewTask};
use taskyard_engine::cloud::dispatch::{self, Claim, Dispatch};
use taskyard_engine::cloud::law::Verdict;
use taskyard_engine::cloud::record::{self, Conduct, Report};
use taskyard_engine::cloud::{
    HttpRequest, Kind, Origin, Outcome, Payload, PullMessage, Queue, Refusal, Settings, Task,
    lookup, queue,
};
use taskyard_engine::{MIGRATIONS, Timestamp, cloud};
use taskyard_store::testing::{Database, Kind as DatabaseKind};
use taskyard_store::{Error, Key, Store, Tx};

/// When tests begin: 2027-01-15T08:00:00Z.
pub(crate) const START: Timestamp = Timestamp(1_800_000_000_000_000);
/// The queue of tests that need only one.
pub(crate) const QUEUE: &str = "projects/p/locations/l/queues/q";

pub(crate) fn after(millis: u64) -> Timestamp {
    START.plus(Duration::from_millis(millis))
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) struct Yard {
    // Dropped in this order: the store lets go of the database before that is removed.
    pub(crate) store: Store,
    pub(crate) database: Database,
}

pub(crate) fn open(database: &Database) -> Store {
    database.open(&[MIGRATIONS, cloud::MIGRATIONS, taskyard_events::MIGRATIONS].concat())
}

impl Yard {
    pub(crate) fn new(kind: DatabaseKind) -> Self {
        Yard::over(Database::new(kind))
    }

    pub(crate) fn over(database: Database) -> Self {
        Yard {
            store: open(&database),
            database,
        }
    }

    /// A yard with a queue [`QUEUE`] with these settings.
    pub(crate) async fn with(kind: DatabaseKind, settings: Settings) -> Self {
        let yard = Yard::new(kind);
        yard.queue(QUEUE, settings).await.expect("it is created");
        yard
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

    pub(crate) async fn queue(&self, name: &str, settings: Settings) -> Result<Queue, Refusal> {
        let name = name.to_owned();
        self.write(move |tx| queue::create(tx, START, &name, &settings, Origin::Api))
            .await
    }

    pub(crate) async fn look(&self) -> Queue {
        self.read(|tx| queue::get(tx, QUEUE))
            .await
            .expect("it is there")
    }

    pub(crate) async fn create(&self, now: Timestamp, new: NewTask) -> Result<Task, Refusal> {
        self.write(move |tx| create::create(tx, now, QUEUE, &new))
            .await
    }

    pub(crate) async fn get(&self, now: Timestamp, id: &str) -> Result<Task, Refusal> {
        let id = id.to_owned();
        self.read(move |tx| lookup::get(tx, now, QUEUE, &id)).await
    }

    pub(crate) async fn claim(&self, now: Timestamp, most: usize) -> Claim {
        let queue = self.look().await.number;
        self.write(move |tx| dispatch::claim(tx, now, queue, "node", most))
            .await
            .expect("the queue is there")
    }

    /// Claims the one task that is due.
    pub(crate) async fn claim_one(&self, now: Timestamp) -> Dispatch {
        let mut claim = self.claim(now, 10).await;
        assert_eq!(claim.dispatches.len(), 1, "{claim:?}");
        claim.dispatches.remove(0)
    }

    pub(crate) async fn run(&self, now: Timestamp, id: &str) -> Result<Dispatch, Refusal> {
        let id = id.to_owned();
        self.write(move |tx| dispatch::run(tx, now, QUEUE, &id, "node"))
            .await
    }

    pub(crate) async fn report(&self, reports: Vec<Report>) -> Vec<Option<Verdict>> {
        self.report_under(Conduct::default(), reports).await
    }

    pub(crate) async fn report_under(
        &self,
        conduct: Conduct,
        reports: Vec<Report>,
    ) -> Vec<Option<Verdict>> {
        let now = reports.iter().map(|report| report.ended_at).max();
        let now = now.unwrap_or(START);
        self.write(move |tx| record::record(tx, now, &conduct, &reports))
            .await
    }

    /// Says how an attempt ended and what follows.
    pub(crate) async fn end(
        &self,
        dispatch: &Dispatch,
        now: Timestamp,
        outcome: Outcome,
    ) -> Option<Verdict> {
        let verdicts = self.report(vec![Report::new(dispatch, now, outcome)]).await;
        verdicts.into_iter().next().flatten()
    }
}

pub(crate) fn request() -> Payload {
    Payload::Http(HttpRequest {
        url: "http://handler.test/work?x=1".to_owned(),
        headers: vec![("X-Mine".to_owned(), "yes".to_owned())],
        body: b"bytes".to_vec(),
        ..HttpRequest::default()
    })
}

/// An unnamed task that is due at once.
pub(crate) fn unnamed() -> NewTask {
    NewTask::of(request())
}

pub(crate) fn named(id: &str) -> NewTask {
    NewTask {
        id: Some(id.to_owned()),
        ..unnamed()
    }
}

pub(crate) fn message(id: &str, tag: &str) -> NewTask {
    NewTask {
        id: Some(id.to_owned()),
        ..NewTask::of(Payload::Pull(PullMessage {
            payload: id.as_bytes().to_vec(),
            tag: tag.to_owned(),
        }))
    }
}

pub(crate) fn pull() -> Settings {
    Settings {
        kind: Kind::Pull,
        ..Settings::default()
    }
}

/// Settings with this rate, burst and concurrency.
pub(crate) fn limited(rate: f64, burst: i32, concurrent: i32) -> Settings {
    let mut settings = Settings::default();
    settings.rate_limits.max_dispatches_per_second = rate;
    settings.rate_limits.max_burst_size = burst;
    settings.rate_limits.max_concurrent_dispatches = concurrent;
    settings
}
