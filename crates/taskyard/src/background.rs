//! What runs beside the requests: timers, upkeep, relays.

use std::time::Duration;

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

/// How long ended work may take to notice.
const PATIENCE: Duration = Duration::from_secs(5);

/// Work that lasts as long as the server. It goes on while requests are seen off, because these
/// may wait for it.
#[derive(Debug, Default)]
pub(crate) struct Background {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Background {
    /// Runs `work` until it returns or the server has answered its last request; then it is
    /// dropped where it waits.
    pub(crate) fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks
            .spawn(async move { stop.run_until_cancelled(work).await });
    }

    /// Runs work that ends by itself when the future it is given is done, which is when the server
    /// has answered its last request.
    pub(crate) fn run_until<W: Future<Output = ()> + Send + 'static>(
        &self,
        work: impl FnOnce(WaitForCancellationFutureOwned) -> W,
    ) {
        self.tasks.spawn(work(self.stop.clone().cancelled_owned()));
    }

    /// Tells everything to end, and waits for it.
    pub(crate) async fn end(self) {
        self.tasks.close();
        self.stop.cancel();
        if tokio::time::timeout(PATIENCE, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                tasks = self.tasks.len(),
                "background work did not end in time"
            );
        }
    }
}
