//! Telling the queue how a run ended.

use std::{fmt, time::Duration};

use taskyard_client::{Error, taskcluster::ExceptionReason};

use crate::{claim::Held, clock};

/// Pause between two attempts to report, at most.
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// Successfully.
    Completed,
    /// Unsuccessfully.
    Failed,
    /// It could not be finished.
    Exception(ExceptionReason),
    /// The claim ended first, by cancellation, deadline or expiry: nothing was reported.
    Lost,
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Exception(reason) => reason.as_str(),
            Self::Lost => "lost",
        })
    }
}

/// Reports `resolution` for the run of `held`, again and again until the claim has ended, and
/// returns what came of it.
pub(crate) async fn report(held: &Held, resolution: Resolution) -> Resolution {
    let mut pause = Duration::from_secs(1);
    loop {
        if held.lost().is_cancelled() {
            return Resolution::Lost;
        }
        let error = match attempt(held, resolution).await {
            Ok(()) => return resolution,
            Err(error) => error,
        };
        let (task_id, run_id) = (held.task_id(), held.run_id());
        if !error.is_transient() {
            // 409 is the ordinary end of a run that was cancelled meanwhile.
            if error.status() != Some(409) {
                tracing::error!(task_id, run_id, %error, "the queue refused a report");
            }
            return Resolution::Lost;
        }
        tracing::warn!(task_id, run_id, %error, "cannot report yet");
        tokio::select! {
            () = held.lost().cancelled() => return Resolution::Lost,
            () = tokio::time::sleep(pause.mul_f64(1.0 + clock::jitter())) => {}
        }
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

async fn attempt(held: &Held, resolution: Resolution) -> Result<(), Error> {
    let (queue, task_id, run_id) = (held.queue(), held.task_id(), held.run_id());
    match resolution {
        Resolution::Completed => queue.report_completed(task_id, run_id).await?,
        Resolution::Failed => queue.report_failed(task_id, run_id).await?,
        Resolution::Exception(reason) => queue.report_exception(task_id, run_id, reason).await?,
        Resolution::Lost => return Ok(()),
    };
    Ok(())
}
