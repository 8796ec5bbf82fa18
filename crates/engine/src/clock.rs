//! The one clock of a server. Everything else is told the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::timestamp::Timestamp;

/// The system's clock, which tests and `--dev` servers can move. Clones share the movement.
#[derive(Debug, Clone)]
pub struct Clock {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    offset_micros: AtomicI64,
    moved: watch::Sender<()>,
}

impl Default for Clock {
    fn default() -> Self {
        Clock {
            inner: Arc::new(Inner {
                offset_micros: AtomicI64::new(0),
                moved: watch::Sender::new(()),
            }),
        }
    }
}

impl Clock {
    /// The time now.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    pub fn now(&self) -> Timestamp {
        let system = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| {
                i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
            });
        Timestamp(system.saturating_add(self.offset_micros()))
    }

    /// How far the clock stands ahead of the system's, in microseconds.
    pub fn offset_micros(&self) -> i64 {
        self.inner.offset_micros.load(Ordering::SeqCst)
    }

    /// Moves the clock by `micros`, backwards if negative.
    pub fn move_by(&self, micros: i64) {
        self.inner.offset_micros.fetch_add(micros, Ordering::SeqCst);
        self.inner.moved.send_replace(());
    }

    /// Returns when the clock shows `until` or later.
    pub async fn reaches(&self, until: Timestamp) {
        let mut moved = self.inner.moved.subscribe();
        loop {
            let left = until.since(self.now());
            if left.is_zero() {
                return;
            }
            // A long sleep is cut up, so that a step of the system's clock is noticed.
            let nap = left.min(Duration::from_secs(10));
            tokio::select! {
                () = tokio::time::sleep(nap) => {}
                _ = moved.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn moving_the_clock_ends_a_wait() {
        let clock = Clock::default();
        let hour = Duration::from_hours(1);
        let until = clock.now().plus(hour);
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.reaches(until).await }
        });
        clock.move_by(3_600_000_000);
        waiting.await.expect("the wait ends");
    }
}
