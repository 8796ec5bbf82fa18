//! What came of attempts, recorded many at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use taskyard_engine::clock::Clock;
use taskyard_engine::cloud::Outcome;
use taskyard_engine::cloud::law::Verdict;
use taskyard_engine::cloud::record::{self, Conduct, Report};
use taskyard_store::{Key, Store};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};

/// Attempts recorded in one transaction.
const BATCH: usize = 256;
/// Batches that are recorded at once.
const AT_ONCE: usize = 2;
/// How long a database that cannot be reached is waited for between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// An attempt that ended, with the room it took.
pub(crate) type Ended = (Report, OwnedSemaphorePermit);

pub(crate) struct Recorder {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) conduct: Conduct,
    pub(crate) ended: mpsc::UnboundedReceiver<Ended>,
    /// Attempts that began and are not recorded yet.
    pub(crate) open: Arc<AtomicUsize>,
    /// Notified whenever some were recorded.
    pub(crate) recorded: Arc<Notify>,
}

impl Recorder {
    /// Records until every sender is gone and nothing is left.
    pub(crate) async fn run(mut self) {
        let mut writing = tokio::task::JoinSet::new();
        let mut batch = Vec::with_capacity(BATCH);
        while self.ended.recv_many(&mut batch, BATCH).await > 0 {
            if writing.len() >= AT_ONCE {
                drop(writing.join_next().await);
                // Others ended meanwhile.
                while batch.len() < BATCH
                    && let Ok(ended) = self.ended.try_recv()
                {
                    batch.push(ended);
                }
            }
            let (reports, permits): (Vec<Report>, Vec<_>) = batch.drain(..).unzip();
            let (store, clock) = (self.store.clone(), self.clock.clone());
            let (open, recorded) = (Arc::clone(&self.open), Arc::clone(&self.recorded));
            let conduct = self.conduct;
            writing.spawn(async move {
                write(&store, &clock, conduct, &reports).await;
                open.fetch_sub(reports.len(), Ordering::SeqCst);
                drop(permits);
                recorded.notify_waiters();
            });
        }
        writing.join_all().await;
    }
}

async fn write(store: &Store, clock: &Clock, conduct: Conduct, reports: &[Report]) {
    let shared: Arc<[Report]> = reports.into();
    // Those of one queue mostly meet at one writer.
    let key = Key::of(("cloud record", reports.first().map(|report| report.queue)));
    loop {
        let (now, shared) = (clock.now(), Arc::clone(&shared));
        let written = store
            .write(key, move |tx| record::record(tx, now, &conduct, &shared))
            .await;
        match written {
            Ok(verdicts) => return tell(reports, &verdicts),
            Err(error) if error.is_temporary() => {
                tracing::warn!(%error, attempts = reports.len(), "recording attempts has to wait");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                // Their tasks are sent again once their leases have run out.
                tracing::error!(%error, attempts = reports.len(), "attempts could not be recorded");
                return;
            }
        }
    }
}

fn tell(reports: &[Report], verdicts: &[Option<Verdict>]) {
    for (report, verdict) in reports.iter().zip(verdicts) {
        let outcome = match report.outcome {
            outcome if outcome.is_success() => "success",
            Outcome::Status(_) => "failure",
            Outcome::TimedOut => "timeout",
            Outcome::Unreachable => "unreachable",
            Outcome::Refused => "refused",
        };
        metrics::counter!("taskyard_cloud_attempts_total", "outcome" => outcome).increment(1);
        let took = report.ended_at.since(report.dispatched_at);
        metrics::histogram!("taskyard_cloud_attempt_seconds").record(took.as_secs_f64());
        if *verdict == Some(Verdict::GivenUp) {
            metrics::counter!("taskyard_cloud_tasks_given_up_total").increment(1);
            tracing::info!(
                task = report.task_id,
                attempts = report.attempt,
                "a cloud task was given up: {}",
                report.excerpt
            );
        }
    }
}
