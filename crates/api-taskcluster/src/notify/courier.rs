//! Sends what waits to be sent.

use std::sync::Arc;
use std::time::Duration;

use taskyard_engine::Timestamp;
use taskyard_engine::notification::{self, Notification};
use taskyard_store::{Error, Key};
use tokio::task::JoinSet;

use super::notifier::Notifier;
use super::sinks::Unsent;

/// Notifications that are looked for at once, and that are sent at once.
const PORTION: usize = 256;
const AT_ONCE: usize = 8;
/// The longest sleep: other nodes may have accepted what they then could not send.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// Sends notifications that wait, for ever.
pub async fn deliver(notifier: Arc<Notifier>) {
    let mut changes = notifier.store.wait_for(notification::topic());
    let mut under_way = JoinSet::new();
    loop {
        let now = notifier.clock.now();
        let until = match sweep(&notifier, now, &mut under_way).await {
            Ok(next) => next.min(now.plus(LONGEST_SLEEP)),
            Err(error) => {
                tracing::warn!(%error, "notifications wait for the database");
                now.plus(LONGEST_SLEEP)
            }
        };
        tokio::select! {
            () = notifier.clock.reaches(until) => {}
            // The clock may have been set back.
            () = tokio::time::sleep(LONGEST_SLEEP) => {}
            () = changes.woken() => {}
        }
    }
}

/// Begins to send what is due at `now`, and waits for none of it that has begun, since some of it may
/// be slow; returns when to look again.
async fn sweep(
    notifier: &Arc<Notifier>,
    now: Timestamp,
    under_way: &mut JoinSet<()>,
) -> Result<Timestamp, Error> {
    let due = notifier
        .store
        .read(move |tx| notification::due(tx, now, PORTION));
    let due = due.await?;
    let is_full = due.len() == PORTION;
    for number in due {
        while under_way.len() >= AT_ONCE {
            under_way.join_next().await;
        }
        // It may have waited for its turn, and is this node's from now on.
        let now = notifier.clock.now();
        let claim = move |tx: &mut taskyard_store::Tx<'_>| notification::claim(tx, now, number);
        let claimed = notifier
            .store
            .write(Key::of("notifications"), claim)
            .await?;
        if let Some(claimed) = claimed {
            let notifier = Arc::clone(notifier);
            under_way.spawn(async move {
                if let Err(error) = notifier.try_to_send(&claimed).await {
                    tracing::warn!(number, %error, "what became of a notification is not noted");
                }
            });
        }
    }
    if is_full {
        return Ok(now);
    }
    let next = notifier.store.read(notification::next_due).await?;
    Ok(next.unwrap_or(Timestamp(i64::MAX)))
}

impl Notifier {
    /// Tries to send a notification that was claimed, and notes how that went.
    pub(super) async fn try_to_send(
        &self,
        claimed: &Notification,
    ) -> Result<Result<(), Unsent>, Error> {
        let Notification {
            number,
            kind,
            address,
            body,
            ..
        } = claimed;
        let outcome = self.sinks.send(*number, kind, address, body).await;
        let (now, noted) = (self.clock.now(), claimed.clone());
        let told = outcome.clone();
        let note = move |tx: &mut taskyard_store::Tx<'_>| match &told {
            Ok(()) => notification::sent(tx, noted.number),
            Err(unsent) => notification::failed(tx, now, &noted, &unsent.text, unsent.is_temporary),
        };
        self.store.write(Key::of("notifications"), note).await?;
        match &outcome {
            Ok(()) => {
                metrics::counter!("taskyard_notifications_sent_total", "kind" => kind.clone())
                    .increment(1);
            }
            Err(unsent) => {
                metrics::counter!("taskyard_notifications_failed_total", "kind" => kind.clone())
                    .increment(1);
                let error = &unsent.text;
                tracing::warn!(number, kind, error, "a notification could not be sent");
            }
        }
        Ok(outcome)
    }
}
