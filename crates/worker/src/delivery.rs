//! The log of a run as artifacts of the queue.

use taskyard_client::{Timestamp, taskcluster::ArtifactRequest};

use crate::{
    artifacts::put_file,
    claim::Held,
    clock,
    fault::Fault,
    live_log::{LiveLogs, Published},
    log::{TaskLog, Tone},
    payload::Logs,
};

/// Media type of logs.
const LOG_TYPE: &str = "text/plain; charset=utf-8";

/// Time that a live log may stay recorded beyond the longest run.
const LIVE_MARGIN_MS: i64 = 900_000;

/// Makes the log readable while the run lasts. A live log is a convenience: if the queue does not
/// take it, the run goes on without.
pub(crate) async fn announce_live(
    logs: &Logs,
    live_logs: &LiveLogs,
    log: &TaskLog,
    held: &Held,
    max_run_time: std::time::Duration,
    task_expires: Timestamp,
) -> Option<Published> {
    let name = logs.live.as_deref()?;
    let published = live_logs.publish(log.clone());
    let run_ms = i64::try_from(max_run_time.as_millis()).unwrap_or(i64::MAX / 2);
    let expires = Timestamp::from_millis(clock::now().millis() + run_ms + LIVE_MARGIN_MS)
        .map_or(task_expires, |expires| expires.min(task_expires));
    let request = ArtifactRequest::Reference {
        expires,
        content_type: LOG_TYPE.to_owned(),
        url: published.url.clone(),
    };
    match held
        .queue()
        .create_artifact(held.task_id(), held.run_id(), name, &request)
        .await
    {
        Ok(_) => Some(published),
        Err(error) => {
            log.note(Tone::Warning, &format!("There is no live log: {error}"))
                .await;
            None
        }
    }
}

/// Uploads the closed log, and turns the live log into another name of it.
///
/// # Errors
/// When the queue does not take the whole log. Should that be because the run was ended meanwhile,
/// the report that follows will find out.
pub(crate) async fn deliver(
    logs: &Logs,
    log: &TaskLog,
    held: &Held,
    task_expires: Timestamp,
) -> Result<(), Fault> {
    let Some(backing) = logs.backing.as_deref() else {
        return Ok(());
    };
    let queue = held.queue();
    put_file(&queue, held, backing, LOG_TYPE, task_expires, log.path()).await?;
    // Without a live log so far the name still leads to the log, as viewers expect.
    if let Some(live) = logs.live.as_deref() {
        let link = ArtifactRequest::Link {
            expires: task_expires,
            content_type: Some(LOG_TYPE.to_owned()),
            artifact: backing.to_owned(),
        };
        let linked = queue
            .create_artifact(held.task_id(), held.run_id(), live, &link)
            .await;
        if let Err(error) = linked {
            let (task_id, run_id) = (held.task_id(), held.run_id());
            tracing::warn!(task_id, run_id, %error, "the live log cannot be linked");
        }
    }
    Ok(())
}
