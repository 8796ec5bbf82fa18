//! A claim, and keeping it as long as its run lasts.

use std::{sync::Arc, time::Duration};

use taskyard_client::{
    Error,
    taskcluster::{Claim, Queue, TaskState},
};
use tokio::{sync::watch, time::Instant};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::clock;

/// A claim is extended when this much of it is left, or half of it if that is later.
const MARGIN: Duration = Duration::from_mins(3);

/// Pause between two attempts to extend a claim, at most.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// A claim that is being kept until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    run: Arc<Claimed>,
    queue: watch::Receiver<Queue>,
    _keeper: AbortOnDropHandle<()>,
}

/// What is claimed.
#[derive(Debug)]
struct Claimed {
    task_id: String,
    run_id: u32,
    lost: CancellationToken,
}

struct Keeper {
    run: Arc<Claimed>,
    /// With the worker's own credentials.
    worker_queue: Queue,
    /// With the claim's credentials, which are replaced at every extension.
    queue: watch::Sender<Queue>,
    server_clock: ServerClock,
    /// End of the claim, in milliseconds of the server's clock.
    taken_until: i64,
    status_interval: Duration,
}

/// The server's clock as this claim shows it: it said when the run started, and since then this
/// machine has counted. Differences between the two machines' clocks do not matter.
#[derive(Debug, Clone, Copy)]
struct ServerClock {
    started: i64,
    received: Instant,
}

// === impl Held ===

impl Held {
    /// Starts to keep `claim`, received at `received` through `worker_queue`. The task's status is
    /// looked up every `status_interval` to notice a cancellation early.
    pub(crate) fn start(
        claim: &Claim,
        received: Instant,
        worker_queue: &Queue,
        status_interval: Duration,
    ) -> Self {
        let run = Arc::new(Claimed {
            task_id: claim.status.task_id.clone(),
            run_id: claim.run_id,
            lost: CancellationToken::new(),
        });
        let started = claim
            .status
            .runs
            .iter()
            .find(|run| run.run_id == claim.run_id)
            .and_then(|run| run.started)
            .unwrap_or_else(clock::now);
        let (queue, current) =
            watch::channel(worker_queue.with_credentials(claim.credentials.clone()));
        let keeper = Keeper {
            run: Arc::clone(&run),
            worker_queue: worker_queue.clone(),
            queue,
            server_clock: ServerClock {
                started: started.millis(),
                received,
            },
            taken_until: claim.taken_until.millis(),
            status_interval,
        };
        let keeper = AbortOnDropHandle::new(tokio::spawn(keeper.keep()));
        Self {
            run,
            queue: current,
            _keeper: keeper,
        }
    }

    /// The task.
    pub(crate) fn task_id(&self) -> &str {
        &self.run.task_id
    }

    /// The run.
    pub(crate) fn run_id(&self) -> u32 {
        self.run.run_id
    }

    /// The queue with the claim's present credentials.
    pub(crate) fn queue(&self) -> Queue {
        self.queue.borrow().clone()
    }

    /// Cancelled when the claim is gone: whatever the run still does is in vain.
    pub(crate) fn lost(&self) -> &CancellationToken {
        &self.run.lost
    }
}

// === impl Keeper ===

impl Keeper {
    async fn keep(mut self) {
        let mut checks = true;
        loop {
            let reclaim_at = Instant::now() + wait(self.remaining());
            if !self.watch_status(reclaim_at, &mut checks).await || !self.reclaim().await {
                self.run.lost.cancel();
                return;
            }
        }
    }

    fn remaining(&self) -> Duration {
        self.server_clock.until(self.taken_until, Instant::now())
    }

    /// Looks at the task now and then until `end`; false once the run is not running any more.
    async fn watch_status(&self, end: Instant, checks: &mut bool) -> bool {
        loop {
            let next = Instant::now() + self.status_interval;
            if !*checks || next >= end {
                tokio::time::sleep_until(end).await;
                return true;
            }
            tokio::time::sleep_until(next).await;
            let (task_id, run_id) = (&self.run.task_id, self.run.run_id);
            // Looking must never keep the claim from being extended.
            let Ok(seen) = tokio::time::timeout_at(end, self.worker_queue.status(task_id)).await
            else {
                return true;
            };
            match seen {
                Ok(status) => {
                    let last = status.runs.last().map(|run| run.run_id);
                    if status.state != TaskState::Running || last != Some(run_id) {
                        tracing::info!(task_id, run_id, state = ?status.state, "the run was ended");
                        return false;
                    }
                }
                // The worker may not look, which only means that it learns later.
                Err(error) if !error.is_transient() => *checks = false,
                Err(_) => {}
            }
        }
    }

    /// Extends the claim, trying until it has ended; false if it cannot be kept.
    async fn reclaim(&mut self) -> bool {
        let (task_id, run_id) = (&self.run.task_id, self.run.run_id);
        let mut pause = Duration::from_secs(1);
        loop {
            let queue = self.queue.borrow().clone();
            let attempt = queue.reclaim_task(task_id, run_id);
            let error = match tokio::time::timeout(self.remaining(), attempt).await {
                Ok(Ok(reclaim)) => {
                    self.taken_until = reclaim.taken_until.millis();
                    self.queue
                        .send_replace(self.worker_queue.with_credentials(reclaim.credentials));
                    return true;
                }
                Ok(Err(error)) => error,
                Err(_) => {
                    tracing::error!(task_id, run_id, "the claim expired before it was extended");
                    return false;
                }
            };
            if !is_passing(&error) {
                tracing::info!(task_id, run_id, %error, "the claim is not ours any more");
                return false;
            }
            tracing::warn!(task_id, run_id, %error, "cannot extend the claim yet");
            tokio::time::sleep(pause.mul_f64(1.0 + clock::jitter()).min(self.remaining())).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }
}

/// Whether another attempt to extend a claim may succeed.
fn is_passing(error: &Error) -> bool {
    error.is_transient() || error.status() == Some(429)
}

/// How long a claim of which `remaining` is left needs no extension.
fn wait(remaining: Duration) -> Duration {
    (remaining / 2).max(remaining.saturating_sub(MARGIN))
}

// === impl ServerClock ===

impl ServerClock {
    /// The time from `now` until the server's clock shows `millis`.
    fn until(self, millis: i64, now: Instant) -> Duration {
        let total = u64::try_from(millis.saturating_sub(self.started)).unwrap_or(0);
        Duration::from_millis(total).saturating_sub(now.saturating_duration_since(self.received))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_claim_is_extended_three_minutes_before_its_end_a_short_one_at_half_time() {
        let seconds = |remaining| wait(Duration::from_secs(remaining)).as_secs();
        assert_eq!(
            [seconds(1200), seconds(360), seconds(60), seconds(0)],
            [1020, 180, 30, 0]
        );
    }

    #[test]
    fn the_rest_of_a_claim_is_counted_on_the_servers_clock() {
        let received = Instant::now();
        let clock = ServerClock {
            started: 5_000_000,
            received,
        };
        let later = received + Duration::from_secs(15);
        assert_eq!(clock.until(5_060_000, later), Duration::from_secs(45));
        assert_eq!(clock.until(5_010_000, later), Duration::ZERO);
        assert_eq!(clock.until(4_000_000, later), Duration::ZERO);
    }
}
