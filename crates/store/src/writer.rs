//! Group commit: one thread, one connection, one transaction for all who wait. Nobody is answered
//! here before the commit is durable: see [`Shared::deliver`].

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::driver::Driver;
use crate::error::Error;
use crate::job::Job;
use crate::store::Shared;
use crate::tx::{Effects, Tx};
use std::sync::Arc;

/// How large a batch may grow before it is committed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchLimits {
    /// Closures in one transaction.
    pub(crate) closures: usize,
    /// How long closures are added; those already waiting make up the batch, nobody is waited for.
    pub(crate) duration: Duration,
}

/// How long, and how often at least, a closure is run again because others are in its way. The
/// time alone would be too little where the machine stands still for a while.
const CONTENDED_FOR: Duration = Duration::from_secs(5);
const CONTENDED_TRIES: u32 = 20;
/// How long, and how often at least, a lost PostgreSQL is looked for before callers are told to
/// come back later. One try may take five seconds where nothing answers.
const RECONNECT_FOR: Duration = Duration::from_secs(5);
const RECONNECT_TRIES: u32 = 2;
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
/// How long the fate of a COMMIT is asked for. Markers are kept for an hour.
const SETTLE_FOR: Duration = Duration::from_mins(30);

pub(crate) struct Writer<'d> {
    driver: &'d mut dyn Driver,
    jobs: mpsc::Receiver<Box<dyn Job>>,
    limits: BatchLimits,
    shared: Arc<Shared>,
    /// When and why the database could last not be reached. While it is away callers are refused
    /// at once instead of one after the other after a wait.
    away: Option<(Instant, Error)>,
}

/// What became of a transaction that did not commit.
enum Failure {
    /// Nothing of it is in the database.
    Undone(Error),
    /// The answer to its COMMIT was lost and nobody could be asked; it must not be run again.
    Unknown(Error),
}

impl<'d> Writer<'d> {
    pub(crate) fn new(
        driver: &'d mut dyn Driver,
        jobs: mpsc::Receiver<Box<dyn Job>>,
        limits: BatchLimits,
        shared: Arc<Shared>,
    ) -> Self {
        Writer {
            driver,
            jobs,
            limits,
            shared,
            away: None,
        }
    }

    /// Serves jobs until every sender is gone.
    pub(crate) fn run(mut self) {
        while let Some(first) = self.jobs.blocking_recv() {
            self.commit_together(first);
        }
    }

    /// Takes `first` and all that wait into one transaction. If any of them fails after it wrote,
    /// or the commit fails, each is run alone, so that none harms another.
    fn commit_together(&mut self, first: Box<dyn Job>) {
        let started = Instant::now();
        let marker = marker();
        if let Err(error) = self.begin(&marker) {
            first.refuse(error);
            return;
        }
        let mut effects = Effects::default();
        let mut wrote = false;
        let mut done: Vec<Box<dyn Job>> = Vec::new();
        let mut overtaken: Vec<Box<dyn Job>> = Vec::new();
        let mut next = Some(first);
        let mut failed = None;
        while let Some(mut job) = next.take() {
            if job.is_abandoned() {
                // Dropped with its closure: nobody waits for it.
            } else {
                let mut tx = Tx::new(self.driver);
                match job.run(&mut tx) {
                    Ok(()) => {
                        wrote |= tx.wrote;
                        effects.absorb(tx.effects);
                        done.push(job);
                    }
                    Err(error) if tx.wrote || tx.failed.is_some() => {
                        done.push(job);
                        failed = Some(error);
                        break;
                    }
                    // Nothing of it needs to be undone, so its neighbours go on without it.
                    Err(Error::Contended(_)) => overtaken.push(job),
                    Err(error) => job.refuse(error),
                }
            }
            let taken = done.len() + overtaken.len();
            if taken < self.limits.closures && started.elapsed() < self.limits.duration {
                next = self.next();
            }
        }
        let outcome = match failed {
            Some(error) => {
                self.driver.rollback();
                Err(Failure::Undone(error))
            }
            None => self.finish(wrote, &marker, done.len(), started),
        };
        match outcome {
            Ok(()) => self.shared.deliver(effects, done),
            Err(Failure::Undone(error)) => {
                tracing::debug!(%error, closures = done.len(), "running a batch one by one");
                metrics::counter!("taskyard_store_batches_undone_total").increment(1);
                for job in done {
                    self.commit_alone(job);
                }
            }
            Err(Failure::Unknown(error)) => {
                for job in done {
                    job.refuse(error.clone());
                }
            }
        }
        for job in overtaken {
            self.commit_alone(job);
        }
    }

    /// The next closure of a batch: one that waits, or one that comes while the disk is busy.
    fn next(&mut self) -> Option<Box<dyn Job>> {
        loop {
            if let Ok(job) = self.jobs.try_recv() {
                return Some(job);
            }
            let durability = self.shared.durability()?;
            if !durability.wait_for_disk(|| self.jobs.is_empty()) {
                return None;
            }
        }
    }

    fn commit_alone(&mut self, mut job: Box<dyn Job>) {
        let started = Instant::now();
        let mut tries = 0_u32;
        while !job.is_abandoned() {
            tries += 1;
            match self.try_alone(job.as_mut()) {
                Ok(effects) => return self.shared.deliver(effects, vec![job]),
                Err(Failure::Undone(Error::Contended(_) | Error::Lost(_)))
                    if started.elapsed() < CONTENDED_FOR || tries < CONTENDED_TRIES =>
                {
                    // Growing and jittered, so that two closures do not meet again and again.
                    let jitter = u64::from(uuid::Uuid::new_v4().as_bytes()[0]) % 8;
                    let pause = u64::from(tries.min(16) * 2) + jitter;
                    std::thread::sleep(Duration::from_millis(pause));
                }
                Err(Failure::Undone(Error::Lost(text))) => {
                    return job.refuse(Error::Unavailable(text));
                }
                Err(Failure::Undone(error) | Failure::Unknown(error)) => return job.refuse(error),
            }
        }
    }

    fn try_alone(&mut self, job: &mut dyn Job) -> Result<Effects, Failure> {
        let started = Instant::now();
        let marker = marker();
        self.begin(&marker).map_err(Failure::Undone)?;
        let mut tx = Tx::new(self.driver);
        match job.run(&mut tx) {
            Ok(()) => {
                let (effects, wrote) = (tx.effects, tx.wrote);
                self.finish(wrote, &marker, 1, started)?;
                Ok(effects)
            }
            Err(error) => {
                self.driver.rollback();
                Err(Failure::Undone(error))
            }
        }
    }

    /// Begins a transaction, waiting a while for a database that went away.
    fn begin(&mut self, marker: &str) -> Result<(), Error> {
        if let Some(durability) = self.shared.durability() {
            durability.check()?;
        }
        if let Some((at, error)) = &self.away
            && at.elapsed() < RECONNECT_PAUSE
        {
            return Err(error.clone());
        }
        let started = Instant::now();
        let mut tries = 0;
        loop {
            tries += 1;
            match self.driver.begin(marker) {
                Ok(()) => {
                    self.away = None;
                    return Ok(());
                }
                Err(Error::Lost(text) | Error::Unavailable(text)) => {
                    self.driver.rollback();
                    let is_over = started.elapsed() > RECONNECT_FOR && tries >= RECONNECT_TRIES;
                    if self.away.is_some() || is_over {
                        if self.away.is_none() {
                            tracing::error!(error = text, "the database is away");
                        }
                        let error = Error::Unavailable(text);
                        self.away = Some((Instant::now(), error.clone()));
                        return Err(error);
                    }
                    // A connection that died while it was idle is replaced without a wait.
                    if tries > 1 {
                        std::thread::sleep(RECONNECT_PAUSE);
                    }
                }
                Err(error) => {
                    self.driver.rollback();
                    return Err(error);
                }
            }
        }
    }

    /// Ends a transaction whose closures all went well.
    fn finish(
        &mut self,
        wrote: bool,
        marker: &str,
        closures: usize,
        started: Instant,
    ) -> Result<(), Failure> {
        if !wrote {
            // Refusals and polls that found nothing are not worth an fsync.
            self.driver.rollback();
            return Ok(());
        }
        self.commit(marker)?;
        self.shared.committed(closures, started.elapsed());
        Ok(())
    }

    /// Commits, and finds out what became of a COMMIT whose answer was lost.
    fn commit(&mut self, marker: &str) -> Result<(), Failure> {
        let durability = self.shared.durability();
        durability.inspect(|durability| durability.commit_begins());
        let outcome = self.driver.commit();
        durability.inspect(|durability| durability.commit_ended());
        match outcome {
            Ok(()) => Ok(()),
            Err(Error::Lost(text)) => {
                tracing::warn!(
                    error = text,
                    "the answer to a COMMIT was lost; asking for its fate"
                );
                self.settle(marker)
            }
            Err(error) => {
                self.driver.rollback();
                Err(Failure::Undone(error))
            }
        }
    }

    fn settle(&mut self, marker: &str) -> Result<(), Failure> {
        let started = Instant::now();
        // Neither "done" nor "not done" may be answered before it is known, so this waits for the
        // database; the callers' own time limits still hold.
        loop {
            let error = match self.driver.was_committed(marker) {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    return Err(Failure::Undone(Error::Contended(
                        "the transaction was lost with its connection".to_owned(),
                    )));
                }
                Err(error) => error,
            };
            tracing::debug!(%error, "the fate of a COMMIT is not known yet");
            if self.shared.is_closing() || started.elapsed() > SETTLE_FOR {
                tracing::error!(%error, "the fate of a COMMIT stays unknown");
                return Err(Failure::Unknown(Error::Lost(error.to_string())));
            }
            if started.elapsed() > RECONNECT_FOR {
                // Those who came later are not in doubt; they can be told at once.
                while let Ok(job) = self.jobs.try_recv() {
                    job.refuse(Error::Unavailable(error.to_string()));
                }
            }
            std::thread::sleep(RECONNECT_PAUSE);
        }
    }
}

/// A name for a transaction that no other has, on any node.
fn marker() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
