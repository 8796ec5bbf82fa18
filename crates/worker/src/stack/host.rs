//! The stack's loop: list, reserve, run.

use std::{collections::HashMap, io, path::PathBuf, sync::Arc, time::Duration};

use taskyard_client::stacks::{
    Error, NewStack, Notification, Retry, ScheduledJob, ScheduledJobs, Stacks, agent::Agents,
};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    config::StackConfig,
    job::{self, Ended},
};
use crate::{clock, directory};

/// Jobs of one page of a listing.
const PAGE: u32 = 1000;
/// Pages that are looked at for jobs that fit.
const MAX_PAGES: usize = 10;
/// Time between two listings at least, whatever happens: the service allows ten a second.
const MIN_INTERVAL: Duration = Duration::from_millis(200);
/// Longest pause after a failed listing.
const MAX_PAUSE: Duration = Duration::from_mins(1);
/// Time to deregister.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why a stack cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
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
    /// The server does not take this stack.
    #[error("the server refuses this stack: {0}; check its token and its queue")]
    Refused(Error),
    /// The client cannot be set up.
    #[error(transparent)]
    Client(#[from] Error),
}

/// What a stack has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StackSummary {
    /// Jobs that ended with success.
    pub passed: u64,
    /// Jobs that ended without.
    pub failed: u64,
    /// Jobs that were somebody else's in the end.
    pub lost: u64,
}

/// What all jobs of a stack share.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) config: StackConfig,
    /// Absolute.
    pub(super) work_dir: PathBuf,
    pub(super) stacks: Stacks,
    pub(super) agents: Agents,
    pub(super) hostname: String,
    /// The stack is going away.
    pub(super) shutdown: CancellationToken,
}

/// Runs jobs until `shutdown` is cancelled. Then running jobs are killed and reported as stopped,
/// for which `config.shutdown_limit` is the limit, and the stack is deregistered.
///
/// # Errors
/// When a setting is wrong, or the server does not take the stack. Later failures are logged and
/// outlived.
pub async fn run(
    config: StackConfig,
    shutdown: CancellationToken,
) -> Result<StackSummary, StackError> {
    config.check().map_err(StackError::Config)?;
    let work_dir = directory::of_all_runs(&config.work_dir)
        .await
        .map_err(|source| StackError::WorkDir {
            path: config.work_dir.clone(),
            source,
        })?;
    let stacks = Stacks::new(config.options.clone())?;
    let host = Arc::new(Host {
        agents: stacks.agents()?,
        stacks,
        hostname: hostname(),
        work_dir,
        config,
        shutdown,
    });
    let mut stack = Stack {
        host,
        running: HashMap::new(),
        jobs: JoinSet::new(),
        summary: StackSummary::default(),
    };
    stack.register().await.map_err(StackError::Refused)?;
    stack.serve().await;
    stack.stop().await;
    Ok(stack.summary)
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned())
}

struct Stack {
    host: Arc<Host>,
    /// Jobs under way, by the task that runs them.
    running: HashMap<tokio::task::Id, String>,
    jobs: JoinSet<Ended>,
    summary: StackSummary,
}

// === impl Stack ===

impl Stack {
    async fn register(&self) -> Result<(), Error> {
        let config = &self.host.config;
        let stack = NewStack::new(&config.stack_key, &config.queue_key)
            .metadata("hostname", &self.host.hostname)
            .metadata("version", env!("CARGO_PKG_VERSION"));
        let registered = self.host.stacks.register(&stack).await?;
        let (stack, queue) = (&registered.key, &registered.cluster_queue_key);
        tracing::info!(stack, queue, "stack registered");
        Ok(())
    }

    /// Takes jobs until the stack is told to stop.
    async fn serve(&mut self) {
        let shutdown = self.host.shutdown.clone();
        let mut failures = 0;
        while !shutdown.is_cancelled() {
            while let Some(ended) = self.jobs.try_join_next_with_id() {
                self.count(ended);
            }
            if self.free() == 0 {
                tokio::select! {
                    Some(ended) = self.jobs.join_next_with_id() => self.count(ended),
                    () = shutdown.cancelled() => {}
                }
                continue;
            }
            let asked = Instant::now();
            let taken = tokio::select! {
                taken = self.take() => taken,
                // What was reserved meanwhile comes back when the reservation ends.
                () = shutdown.cancelled() => break,
            };
            let pause = match taken {
                Ok(pause) => {
                    failures = 0;
                    pause
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, "cannot take jobs");
                    if error.status() == Some(404)
                        && let Err(error) = self.register().await
                    {
                        tracing::warn!(%error, "cannot register again");
                    }
                    let doubled = self.host.config.poll_interval * (1 << failures.min(6));
                    doubled.min(MAX_PAUSE).mul_f64(0.5 + clock::jitter())
                }
            };
            tokio::select! {
                () = tokio::time::sleep_until(asked + pause.max(MIN_INTERVAL)) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// Lists jobs, reserves as many as there is room for, starts them, and says when to look
    /// again.
    async fn take(&mut self) -> Result<Duration, Error> {
        let host = Arc::clone(&self.host);
        let config = &host.config;
        let mut wanted = ScheduledJobs::new(&config.stack_key, &config.queue_key).limit(PAGE);
        let mut found: Vec<ScheduledJob> = Vec::new();
        let mut pause = config.poll_interval;
        for _ in 0..MAX_PAGES {
            let page = host.stacks.scheduled_jobs(&wanted).await?;
            let asked_pause = page.retry_after();
            pause = asked_pause.unwrap_or(pause);
            let page = page.value;
            if page.cluster_queue.is_paused() {
                return Ok(pause);
            }
            let fitting = page.jobs.into_iter().filter(|job| {
                config.matches(&job.agent_query_rules)
                    && !self.running.values().any(|running| *running == job.id)
            });
            found.extend(fitting);
            let next = page
                .page_info
                .end_cursor
                .filter(|_| page.page_info.has_next_page);
            match next {
                Some(cursor) if found.len() < self.free() && asked_pause.is_none() => {
                    wanted = wanted.after(cursor);
                }
                _ => break,
            }
        }
        // The listing goes by age; jobs of one priority keep that order.
        found.sort_by_key(|job| std::cmp::Reverse(job.priority));
        found.truncate(self.free());
        if found.is_empty() {
            return Ok(pause);
        }
        let ids = found.into_iter().map(|job| job.id).collect();
        let reserved = host
            .stacks
            .reserve(&config.stack_key, ids, config.reservation)
            .await?
            .value
            .reserved;
        self.notify(&reserved).await;
        if reserved.is_empty() {
            return Ok(pause);
        }
        for id in reserved {
            tracing::info!(job = id, "job reserved");
            let run = job::run(Arc::clone(&host), id.clone());
            self.running.insert(self.jobs.spawn(run).id(), id);
        }
        // There may be more.
        Ok(MIN_INTERVAL)
    }

    /// Lets whoever looks at the jobs know where they run.
    async fn notify(&self, jobs: &[String]) {
        let (key, hostname) = (&self.host.config.stack_key, &self.host.hostname);
        let text = format!("Reserved by the stack {key} on {hostname}");
        let notes: Vec<Notification> = jobs
            .iter()
            .map(|job| Notification::new(job, &text))
            .collect();
        if notes.is_empty() {
            return;
        }
        match self.host.stacks.without_retry().notify(key, &notes).await {
            Ok(told) => {
                for error in &told.errors {
                    tracing::warn!(error = error.error, "some notifications were refused");
                }
            }
            Err(error) => tracing::warn!(%error, "cannot notify"),
        }
    }

    fn free(&self) -> usize {
        (self.host.config.concurrency as usize).saturating_sub(self.jobs.len())
    }

    fn count(&mut self, ended: Result<(tokio::task::Id, Ended), tokio::task::JoinError>) {
        let (id, ended) = match ended {
            Ok((id, ended)) => (id, ended),
            Err(error) => {
                // Its agent falls silent, and the server tries the job again.
                tracing::error!(%error, "a job broke off");
                (error.id(), Ended::Lost)
            }
        };
        self.running.remove(&id);
        match ended {
            Ended::Passed => self.summary.passed += 1,
            Ended::Failed => self.summary.failed += 1,
            Ended::Lost => self.summary.lost += 1,
        }
    }

    /// Waits for running jobs, which know that they must end, but not for ever. Then says goodbye.
    async fn stop(&mut self) {
        self.host.shutdown.cancel();
        let limit = Instant::now() + self.host.config.shutdown_limit;
        while let Ok(Some(ended)) =
            tokio::time::timeout_at(limit, self.jobs.join_next_with_id()).await
        {
            self.count(ended);
        }
        if !self.jobs.is_empty() {
            tracing::error!(
                jobs = self.jobs.len(),
                "given up: the shutdown took too long"
            );
            self.jobs.abort_all();
            while let Some(ended) = self.jobs.join_next_with_id().await {
                self.count(ended);
            }
        }
        let brief = self
            .host
            .stacks
            .with_retry(Retry::constant(2, Duration::from_millis(500)))
            .with_timeout(FAREWELL / 2);
        match brief.deregister(&self.host.config.stack_key).await {
            Ok(_) => tracing::info!("stack deregistered"),
            Err(error) => tracing::warn!(%error, "cannot deregister"),
        }
    }
}
