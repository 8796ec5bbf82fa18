//! The log of a job on its way to the server, piece by piece while it grows.

use std::{pin::pin, time::Duration};

use futures_util::TryStreamExt as _;
use taskyard_client::stacks::agent::TakenJob;
use tokio::time::Instant;

use crate::log::TaskLog;

/// Sends all of `log` until it is closed, and says how many pieces the server did not take.
pub(super) async fn send(job: TakenJob, log: TaskLog) -> u64 {
    let size = job.job.chunk_bytes();
    let interval = job.job.chunk_interval();
    let mut follower = pin!(log.follow());
    let mut waiting = Vec::new();
    let (mut sequence, mut offset, mut failed) = (0, 0, 0);
    let mut open = true;
    let mut due = Instant::now() + interval;
    while open || !waiting.is_empty() {
        while open && waiting.len() < size {
            let next = tokio::select! {
                next = follower.try_next() => next,
                () = tokio::time::sleep_until(due), if !waiting.is_empty() => break,
            };
            match next {
                Ok(Some(bytes)) => waiting.extend_from_slice(&bytes),
                Ok(None) => open = false,
                Err(error) => {
                    tracing::error!(%error, "cannot read a job's log");
                    open = false;
                }
            }
        }
        due = Instant::now() + interval;
        let rest = waiting.split_off(waiting.len().min(size));
        let piece = std::mem::replace(&mut waiting, rest);
        if piece.is_empty() {
            continue;
        }
        sequence += 1;
        if let Err(error) = job.chunk(sequence, offset, &piece).await {
            tracing::warn!(job = job.job.id, sequence, %error, "a piece of a log was not taken");
            failed += 1;
        }
        offset += piece.len() as u64;
    }
    failed
}

/// How long the rest of a log may take once its job has ended.
pub(super) const FLUSH_LIMIT: Duration = Duration::from_mins(10);
