//! The alarm: the earliest time at which something in the store falls due.

use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::Notify;

/// Tells a timer that it must look earlier than it meant to.
#[derive(Debug)]
pub struct Alarm {
    /// Until when the timer sleeps, in microseconds.
    sleeping_until: AtomicI64,
    earlier: Notify,
}

impl Default for Alarm {
    fn default() -> Self {
        Alarm {
            sleeping_until: AtomicI64::new(i64::MIN),
            earlier: Notify::new(),
        }
    }
}

impl Alarm {
    /// Something falls due at `at_micros`: wakes the timer if it means to sleep longer.
    pub fn ring_at(&self, at_micros: i64) {
        if at_micros < self.sleeping_until.load(Ordering::SeqCst) {
            self.earlier.notify_one();
        }
    }

    /// Says until when the timer sleeps. To be called before the last look at what is due, so that
    /// nothing slips in between the look and the sleep.
    pub fn sleeps_until(&self, at_micros: i64) {
        self.sleeping_until.store(at_micros, Ordering::SeqCst);
    }

    /// Returns when something falls due earlier than the timer sleeps.
    pub async fn earlier(&self) {
        self.earlier.notified().await;
    }
}
