//! How often a stack may call each endpoint: counted over the last second, by each node on its own.

use std::collections::{HashMap, VecDeque};

use http::header::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use taskyard_engine::Timestamp;

use crate::reply::Reply;

/// A second, in microseconds.
const WINDOW: i64 = 1_000_000;
/// Stacks and endpoints that are counted at a time; beyond, those that have been quiet are dropped.
const WINDOWS: usize = 10_000;

/// Endpoints that share a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    ListScheduledJobs,
    BatchReserve,
    ShowJob,
    BatchLoadJobStates,
    FinishJob,
    StackNotification,
    Default,
}

impl Scope {
    fn as_str(self) -> &'static str {
        match self {
            Scope::ListScheduledJobs => "list-scheduled-jobs",
            Scope::BatchReserve => "batch-reserve",
            Scope::ShowJob => "show-job",
            Scope::BatchLoadJobStates => "batch-load-job-states",
            Scope::FinishJob => "finish-job",
            Scope::StackNotification => "stack-notification",
            Scope::Default => "default",
        }
    }

    fn per_second(self) -> usize {
        match self {
            Scope::ListScheduledJobs | Scope::BatchReserve | Scope::Default => 10,
            Scope::ShowJob => 1000,
            Scope::BatchLoadJobStates => 20,
            Scope::FinishJob => 100,
            Scope::StackNotification => 200,
        }
    }
}

/// Where a stack stands after a request that was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    scope: &'static str,
    limit: usize,
    remaining: usize,
    reset: u64,
}

/// A request too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) scope: &'static str,
    pub(crate) limit: usize,
    pub(crate) current: usize,
    /// Seconds until the next request is let through.
    pub(crate) reset: u64,
}

/// The counts of this node.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    windows: Mutex<HashMap<(String, Scope), VecDeque<i64>>>,
}

impl Limits {
    /// Counts a request.
    pub(crate) fn count(
        &self,
        key: &str,
        scope: Scope,
        now: Timestamp,
    ) -> Result<Standing, Exceeded> {
        let mut windows = self.windows.lock();
        let since = now.0.saturating_sub(WINDOW);
        if windows.len() >= WINDOWS {
            windows.retain(|_, times| times.back().is_some_and(|last| *last > since));
        }
        let times = windows.entry((key.to_owned(), scope)).or_default();
        // A clock that was set back must not lock anybody out.
        while times
            .front()
            .is_some_and(|first| *first <= since || *first > now.0)
        {
            times.pop_front();
        }
        let limit = scope.per_second();
        if times.len() >= limit {
            return Err(Exceeded {
                scope: scope.as_str(),
                limit,
                current: times.len() + 1,
                reset: 1,
            });
        }
        times.push_back(now.0);
        Ok(Standing {
            scope: scope.as_str(),
            limit,
            remaining: limit - times.len(),
            reset: 1,
        })
    }
}

impl From<Exceeded> for Standing {
    fn from(exceeded: Exceeded) -> Self {
        Standing {
            scope: exceeded.scope,
            limit: exceeded.limit,
            remaining: 0,
            reset: exceeded.reset,
        }
    }
}

impl Standing {
    /// Tells the stack where it stands.
    pub(crate) fn write(self, reply: Reply) -> Reply {
        let number = |number: u64| HeaderValue::from(number);
        reply
            .with_header(
                HeaderName::from_static("ratelimit-scope"),
                HeaderValue::from_static(self.scope),
            )
            .with_header(
                HeaderName::from_static("ratelimit-limit"),
                number(self.limit as u64),
            )
            .with_header(
                HeaderName::from_static("ratelimit-remaining"),
                number(self.remaining as u64),
            )
            .with_header(
                HeaderName::from_static("ratelimit-reset"),
                number(self.reset),
            )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_request_of_a_second_is_one_too_many() {
        let limits = Limits::default();
        for at in 0..10 {
            let standing = limits.count("a", Scope::BatchReserve, Timestamp(at * 1000));
            assert_eq!(standing.map(|it| it.remaining), Ok(9 - at as usize));
        }
        let late = limits.count("a", Scope::BatchReserve, Timestamp(999_999));
        assert_eq!(late.map_err(|it| it.current), Err(11));
        for (key, scope, at) in [
            ("b", Scope::BatchReserve, 999_999),
            ("a", Scope::ListScheduledJobs, 999_999),
            // The first of the ten is a second old.
            ("a", Scope::BatchReserve, 1_000_000),
        ] {
            assert!(limits.count(key, scope, Timestamp(at)).is_ok());
        }
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let limits = Limits::default();
        for _ in 0..10 {
            let _counted = limits.count("a", Scope::Default, Timestamp(60_000_000));
        }
        assert!(limits.count("a", Scope::Default, Timestamp(0)).is_ok());
    }
}
