//! The law of retries, as pure functions.

use std::time::Duration;

use super::outcome::Outcome;
use super::settings::RetryConfig;
use crate::timestamp::Timestamp;

/// The pause after the `failures`-th failed attempt, counted from 1: it doubles `max_doublings`
/// times from `min_backoff` on, then grows evenly, and never exceeds `max_backoff`.
pub fn backoff(config: &RetryConfig, failures: u32) -> Duration {
    let least = config.min_backoff.as_micros();
    let most = config.max_backoff.as_micros();
    let doublings = u32::try_from(config.max_doublings).unwrap_or(0);
    let step = failures.saturating_sub(1);
    // 2^64 times anything but zero is above every maximum.
    let doubled = |times: u32| least.saturating_mul(1 << times.min(64));
    let pause = if step <= doublings {
        doubled(step)
    } else {
        doubled(doublings).saturating_mul((failures - doublings).into())
    };
    Duration::from_micros(u64::try_from(pause.min(most)).unwrap_or(u64::MAX))
}

/// Whether a task that has failed `attempts` times is given up: when both its attempts and its time
/// are used up, as far as they are limited.
pub fn is_exhausted(
    config: &RetryConfig,
    attempts: i64,
    first_attempt: Timestamp,
    now: Timestamp,
) -> bool {
    let time_is_limited = !config.max_retry_duration.is_zero();
    let attempts_used_up = if config.max_attempts < 0 {
        time_is_limited
    } else {
        attempts >= config.max_attempts.into()
    };
    let time_used_up = !time_is_limited || now.since(first_attempt) >= config.max_retry_duration;
    attempts_used_up && time_used_up
}

/// What follows from an attempt that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The task is done.
    Done,
    /// It is tried again at this time.
    Retry(Timestamp),
    /// It is given up.
    GivenUp,
}

/// An attempt that ended, as the law sees it.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// How it came out.
    pub outcome: Outcome,
    /// Which attempt it was, counted from 1.
    pub attempt: i64,
    /// When the first attempt began.
    pub first_attempt: Timestamp,
    /// When this one ended; for a forced one, when it was asked for.
    pub counted_from: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How long the handler asked to be left alone.
    pub retry_after: Option<Duration>,
}

/// What follows from an attempt that ended.
pub fn judge(config: &RetryConfig, ended: &Ended) -> Verdict {
    if ended.outcome.is_success() {
        return Verdict::Done;
    }
    if is_exhausted(config, ended.attempt, ended.first_attempt, ended.ended_at) {
        return Verdict::GivenUp;
    }
    let failures = u32::try_from(ended.attempt).unwrap_or(u32::MAX);
    let by_law = ended.counted_from.plus(backoff(config, failures));
    let asked = ended.retry_after.map(|pause| ended.ended_at.plus(pause));
    Verdict::Retry(asked.map_or(by_law, |asked| asked.max(by_law)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn config(least: f64, most: f64, doublings: i32) -> RetryConfig {
        RetryConfig {
            min_backoff: Duration::from_secs_f64(least),
            max_backoff: Duration::from_secs_f64(most),
            max_doublings: doublings,
            ..RetryConfig::default()
        }
    }

    fn pauses(config: &RetryConfig, count: u32) -> Vec<f64> {
        (1..=count)
            .map(|failures| backoff(config, failures).as_secs_f64())
            .collect()
    }

    #[test]
    fn the_documented_example_doubles_three_times_and_then_grows_evenly() {
        assert_eq!(
            pauses(&config(10.0, 300.0, 3), 9),
            [10.0, 20.0, 40.0, 80.0, 160.0, 240.0, 300.0, 300.0, 300.0]
        );
    }

    #[test]
    fn the_defaults_reach_an_hour_after_sixteen_failures() {
        let config = RetryConfig::default();
        let all = pauses(&config, 18);
        assert_eq!(all[0..4], [0.1, 0.2, 0.4, 0.8]);
        assert_eq!(all[14..], [1638.4, 3276.8, 3600.0, 3600.0]);
        let sum: Duration = (1..=16).map(|failures| backoff(&config, failures)).sum();
        assert_eq!(sum, Duration::from_millis(6_553_500));
    }

    #[test]
    fn without_doublings_pauses_grow_evenly() {
        let all = pauses(&config(5.0, 60.0, 0), 14);
        assert_eq!(all[..4], [5.0, 10.0, 15.0, 20.0]);
        assert_eq!(all[11..], [60.0, 60.0, 60.0]);
        assert_eq!(pauses(&config(30.0, 30.0, 16), 3), [30.0, 30.0, 30.0]);
        assert_eq!(
            pauses(&config(1.0, 10.0, 2), 6),
            [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
        );
    }

    const START: Timestamp = Timestamp(1_800_000_000_000_000);

    fn exhausted(attempts: i32, duration: u64, failed: i64, age: u64) -> bool {
        let config = RetryConfig {
            max_attempts: attempts,
            max_retry_duration: Duration::from_secs(duration),
            ..RetryConfig::default()
        };
        is_exhausted(&config, failed, START, START.plus(Duration::from_secs(age)))
    }

    #[test]
    fn a_task_is_given_up_when_attempts_and_time_are_both_used_up() {
        assert!(!exhausted(3, 0, 2, 1_000_000));
        assert!(exhausted(3, 0, 3, 0));
        // Three attempts are not the end while the hour is not over.
        assert!(!exhausted(3, 3600, 30, 3599));
        assert!(exhausted(3, 3600, 30, 3600));
        assert!(!exhausted(3, 3600, 2, 9999));
        assert!(!exhausted(-1, 0, 1_000_000, 1_000_000));
        assert!(!exhausted(-1, 60, 1_000, 59));
        assert!(exhausted(-1, 60, 1, 60));
        assert!(exhausted(1, 0, 1, 0));
    }

    #[test]
    fn a_handler_that_asks_for_time_gets_it_unless_the_law_gives_more() {
        let config = config(10.0, 300.0, 3);
        let ended = |attempt, pause| Ended {
            outcome: Outcome::Status(503),
            attempt,
            first_attempt: START,
            counted_from: START,
            ended_at: START,
            retry_after: Some(Duration::from_secs(pause)),
        };
        let after = |seconds| Verdict::Retry(START.plus(Duration::from_secs(seconds)));
        assert_eq!(judge(&config, &ended(1, 30)), after(30));
        assert_eq!(judge(&config, &ended(3, 30)), after(40));
    }

    proptest! {
        #[test]
        fn pauses_never_shrink_and_never_exceed_the_maximum(
            least in 0_u64..10_000_000,
            more in 0_u64..10_000_000_000,
            doublings in 0_i32..80,
            failures in 1_u32..5000,
        ) {
            let config = RetryConfig {
                min_backoff: Duration::from_micros(least),
                max_backoff: Duration::from_micros(least + more),
                max_doublings: doublings,
                ..RetryConfig::default()
            };
            let (this, next) = (backoff(&config, failures), backoff(&config, failures + 1));
            prop_assert!(config.min_backoff <= this && this <= next);
            prop_assert!(next <= config.max_backoff);
        }
    }
}
