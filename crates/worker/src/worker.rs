//! The claim loop.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use taskyard_client::{
    Options, Retry,
    taskcluster::{ClaimWorkRequest, Queue},
};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Resolution, clock, directory,
    job::{self, Host},
    live_log::LiveLogs,
};

/// Attempts of each call beyond the first: enough to outlast a restart of the server (25 s).
const RETRIES: u32 = 8;

/// Pauses of the claim loop when the server does not answer.
const PAUSES: std::ops::Range<Duration> = Duration::from_secs(1)..Duration::from_mins(1);

/// A fruitless claim that is answered sooner than this did not wait for work.
const EXPECTED_WAIT: Duration = Duration::from_secs(1);

/// Why a worker cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is wrong.
    #[error("{0}")]
    Config(String),
    /// The work folder cannot be used.
    #[error("cannot use the work folder {path}: {source}; choose one that this user may write to")]
    WorkDir {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Live logs cannot be served.
    #[error("cannot listen on {address} for live logs: {source}")]
    LiveLog {
        /// The address asked for.
        address: std::net::SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The queue refuses the very first claim.
    #[error(
        "the queue refuses this worker: {0}; check its credentials and that it holds \
         queue:claim-work:<queue> and queue:worker-id:<group>/<id>"
    )]
    Refused(taskyard_client::Error),
    /// The client cannot be set up.
    #[error(transparent)]
    Client(taskyard_client::Error),
}

/// What a worker has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Runs completed.
    pub completed: u64,
    /// Runs failed.
    pub failed: u64,
    /// Runs that ended as an exception.
    pub exceptions: u64,
    /// Runs whose claim ended before they did.
    pub lost: u64,
}

/// Runs tasks until `shutdown` is cancelled. Then running tasks are killed and reported as
/// `worker-shutdown`, for which `config.shutdown_limit` is the limit.
///
/// # Errors
/// When a setting is wrong, or the queue refuses the first claim. Later failures to claim are
/// logged and outlived.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<Summary, Error> {
    config.check()?;
    let work_dir = directory::of_all_runs(&config.work_dir)
        .await
        .map_err(|source| Error::WorkDir {
            path: config.work_dir.clone(),
            source,
        })?;
    let mut options = Options::new(&config.root_url);
    options.credentials = config.credentials.clone();
    options.retry = Retry {
        retries: RETRIES,
        ..Retry::default()
    };
    let queue = Queue::new(options).map_err(Error::Client)?;
    let live_logs = LiveLogs::start(&config)
        .await
        .map_err(|source| Error::LiveLog {
            address: config.live_log_address,
            source,
        })?;
    let host = Arc::new(Host {
        config,
        work_dir,
        queue,
        live_logs,
        shutdown,
    });
    let mut worker = Worker {
        host,
        running: JoinSet::new(),
        summary: Summary::default(),
    };
    let outcome = worker.claim_until_shutdown().await;
    worker.stop().await;
    outcome.map(|()| worker.summary)
}

struct Worker {
    host: Arc<Host>,
    running: JoinSet<Resolution>,
    summary: Summary,
}

// === impl Worker ===

impl Worker {
    async fn claim_until_shutdown(&mut self) -> Result<(), Error> {
        let shutdown = self.host.shutdown.clone();
        let mut pause = PAUSES.start;
        let mut accepted = false;
        while !shutdown.is_cancelled() {
            self.collect();
            let free = self.free();
            if free == 0 {
                tokio::select! {
                    Some(ended) = self.running.join_next() => self.count(ended),
                    () = shutdown.cancelled() => {}
                }
                continue;
            }
            let asked = Instant::now();
            let claimed = tokio::select! {
                claimed = self.claim(free) => claimed,
                // The server notices that the caller has gone, and gives it nothing.
                () = shutdown.cancelled() => break,
            };
            let rest = match claimed {
                Ok(0) if asked.elapsed() < EXPECTED_WAIT => PAUSES.start,
                Ok(_) => {
                    (accepted, pause) = (true, PAUSES.start);
                    continue;
                }
                Err(error) if !accepted && !error.is_transient() => {
                    return Err(Error::Refused(error));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot claim work");
                    let rest = pause;
                    pause = (pause * 2).min(PAUSES.end);
                    rest
                }
            };
            tokio::select! {
                () = tokio::time::sleep(rest.mul_f64(0.5 + clock::jitter())) => {}
                () = shutdown.cancelled() => {}
            }
        }
        Ok(())
    }

    /// Asks for up to `free` runs, starts what comes, and says how many.
    async fn claim(&mut self, free: u32) -> Result<usize, taskyard_client::Error> {
        let config = &self.host.config;
        let request = ClaimWorkRequest {
            worker_group: config.worker_group.clone(),
            worker_id: config.worker_id.clone(),
            tasks: free,
        };
        let claims = self
            .host
            .queue
            .claim_work(&config.task_queue_id, &request)
            .await?
            .tasks;
        let received = Instant::now();
        let count = claims.len();
        for claim in claims {
            let (task_id, run_id) = (&claim.status.task_id, claim.run_id);
            tracing::info!(task_id, run_id, "run claimed");
            self.running
                .spawn(job::run(Arc::clone(&self.host), claim, received));
        }
        Ok(count)
    }

    fn free(&self) -> u32 {
        let running = u32::try_from(self.running.len()).unwrap_or(u32::MAX);
        self.host.config.concurrency.saturating_sub(running)
    }

    /// Counts what has ended meanwhile.
    fn collect(&mut self) {
        while let Some(ended) = self.running.try_join_next() {
            self.count(ended);
        }
    }

    fn count(&mut self, ended: Result<Resolution, tokio::task::JoinError>) {
        match ended {
            Ok(Resolution::Completed) => self.summary.completed += 1,
            Ok(Resolution::Failed) => self.summary.failed += 1,
            Ok(Resolution::Exception(_)) => self.summary.exceptions += 1,
            Ok(Resolution::Lost) => self.summary.lost += 1,
            Err(error) => {
                // Its claim runs out, and the queue tries the task again.
                tracing::error!(%error, "a run broke off");
                self.summary.lost += 1;
            }
        }
    }

    /// Waits for running tasks, which know that they must end, but not for ever.
    async fn stop(&mut self) {
        self.host.shutdown.cancel();
        let limit = Instant::now() + self.host.config.shutdown_limit;
        while let Ok(Some(ended)) = tokio::time::timeout_at(limit, self.running.join_next()).await {
            self.count(ended);
        }
        if !self.running.is_empty() {
            tracing::error!(
                runs = self.running.len(),
                "given up: the shutdown took too long"
            );
            self.running.abort_all();
            while let Some(ended) = self.running.join_next().await {
                self.count(ended);
            }
        }
        self.host.live_logs.stop();
    }
}
