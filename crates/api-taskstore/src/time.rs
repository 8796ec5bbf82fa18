//! The time of a task, as requests give it.

use taskyard_engine::{Nanos, Timestamp};

/// Nanoseconds in a millisecond.
const MILLI: i64 = 1_000_000;

/// The three keys under which a task has its time. We answer with all of them, so a task that was
/// read, edited and sent back has all of them too, and only one is new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GivenTime {
    /// `duration`, in nanoseconds: the Go client's key.
    pub(crate) duration: Option<i64>,
    /// `at`, in nanoseconds: the library's key.
    pub(crate) at: Option<i64>,
    /// `timespec`, in milliseconds: the documentation's key.
    pub(crate) timespec: Option<i64>,
}

impl GivenTime {
    /// The time that is meant, in nanoseconds and still with its sign; 0 if none is given.
    fn nanos(self) -> i64 {
        let agrees = |nanos: i64| self.timespec == Some(nanos.div_euclid(MILLI));
        let nanos = match (self.duration, self.at) {
            (Some(duration), Some(at)) if duration != at => {
                // One of the two was edited: the one that no longer fits the third.
                return if agrees(duration) && !agrees(at) {
                    at
                } else {
                    duration
                };
            }
            (Some(nanos), _) | (None, Some(nanos)) => nanos,
            (None, None) => return self.timespec.unwrap_or(0).saturating_mul(MILLI),
        };
        match self.timespec {
            Some(millis) if !agrees(nanos) => millis.saturating_mul(MILLI),
            _ => nanos,
        }
    }

    /// When the task becomes available: 0 means `now`, a negative number so much later, a positive
    /// one that very time.
    pub(crate) fn resolve(self, now: Timestamp) -> Nanos {
        match self.nanos() {
            0 => now.into(),
            nanos if nanos < 0 => later(now, nanos.saturating_neg()),
            nanos => Nanos(nanos),
        }
    }
}

/// `nanos` after `now`, or the last time there is.
pub(crate) fn later(now: Timestamp, nanos: i64) -> Nanos {
    Nanos(Nanos::from(now).0.saturating_add(nanos))
}

/// A time in milliseconds, rounded down.
pub(crate) fn millis(at: Nanos) -> i64 {
    at.0.div_euclid(MILLI)
}

/// Milliseconds as nanoseconds.
pub(crate) fn from_millis(millis: i64) -> i64 {
    millis.saturating_mul(MILLI)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn resolved(duration: Option<i64>, at: Option<i64>, timespec: Option<i64>) -> i64 {
        GivenTime {
            duration,
            at,
            timespec,
        }
        .resolve(NOW)
        .0
    }

    #[test]
    fn one_key_decides_by_itself() {
        let now = NOW.0 * 1000;
        assert_eq!(resolved(None, None, None), now);
        assert_eq!(resolved(Some(0), None, None), now);
        assert_eq!(resolved(Some(-5), None, None), now + 5);
        assert_eq!(resolved(None, Some(7), None), 7);
        assert_eq!(resolved(None, None, Some(-60_000)), now + 60_000_000_000);
        assert_eq!(resolved(None, None, Some(3)), 3_000_000);
    }

    #[test]
    fn of_several_keys_the_edited_one_wins() {
        let (old, new) = (5_000_123, 9_000_000);
        // Nothing was edited.
        assert_eq!(resolved(Some(old), Some(old), Some(5)), old);
        // One of them was.
        assert_eq!(resolved(Some(new), Some(old), Some(5)), new);
        assert_eq!(resolved(Some(old), Some(new), Some(5)), new);
        assert_eq!(resolved(Some(old), Some(old), Some(9)), new);
        // With two keys, the milliseconds win if they say something else.
        assert_eq!(resolved(Some(old), None, Some(9)), new);
        assert_eq!(resolved(None, Some(old), Some(5)), old);
        // It cannot be told.
        assert_eq!(resolved(Some(old), Some(new), None), old);
        assert_eq!(resolved(Some(old), Some(new), Some(77)), old);
        assert_eq!(resolved(Some(old), Some(old + 1), Some(5)), old);
    }

    #[test]
    fn times_that_are_too_far_become_the_last_there_is() {
        assert_eq!(resolved(Some(i64::MIN), None, None), i64::MAX);
        assert_eq!(resolved(None, None, Some(i64::MAX)), i64::MAX);
        assert_eq!(resolved(None, None, Some(i64::MIN)), i64::MAX);
        assert_eq!(millis(Nanos(-1)), -1);
    }
}
