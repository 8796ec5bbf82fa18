//! What a queue is told to do. All values are effective ones, defaults filled in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::request::{AppEngineRouting, HttpTarget};

/// Whether a queue sends its tasks or lends them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Kind {
    /// Tasks are sent to a handler.
    #[default]
    Push,
    /// Tasks are lent to whoever asks.
    Pull,
}

/// How fast a queue sends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RateLimits {
    /// Dispatches a second; above zero.
    pub max_dispatches_per_second: f64,
    /// The most tokens the bucket holds.
    pub max_burst_size: i32,
    /// Whether the burst was asked for; otherwise it follows the rate.
    pub burst_is_explicit: bool,
    /// The most attempts under way at once.
    pub max_concurrent_dispatches: i32,
}

/// When a task is tried again; see [`law`](super::law).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryConfig {
    /// Attempts, the first one included; -1 for any number.
    pub max_attempts: i32,
    /// How long after its first attempt a task is tried again; zero for any time.
    pub max_retry_duration: Duration,
    /// The shortest pause between attempts.
    pub min_backoff: Duration,
    /// The longest pause between attempts.
    pub max_backoff: Duration,
    /// How often the pause doubles before it grows evenly.
    pub max_doublings: i32,
}

/// What a queue is told to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether it sends its tasks or lends them; never changes.
    pub kind: Kind,
    /// Where all App Engine tasks of the queue go, whatever they say themselves.
    pub app_engine: Option<AppEngineRouting>,
    /// Whether App Engine settings were given at all, even empty ones.
    pub app_engine_set: bool,
    /// What replaces parts of the requests of all HTTP tasks of the queue.
    pub http_target: Option<HttpTarget>,
    /// How fast it sends.
    pub rate_limits: RateLimits,
    /// When a task is tried again.
    pub retry: RetryConfig,
    /// How long after its creation a task is kept at most.
    pub task_ttl: Duration,
    /// How long the name of a task that ended is kept from being used again.
    pub tombstone_ttl: Duration,
    /// The part of the dispatches that is logged, from 0 to 1.
    pub log_sampling_ratio: Option<f64>,
}

impl RateLimits {
    /// The limits of a queue that sends `per_second` and was told nothing else.
    pub fn of_rate(per_second: f64) -> Self {
        RateLimits {
            max_dispatches_per_second: per_second,
            max_burst_size: default_burst(per_second),
            burst_is_explicit: false,
            max_concurrent_dispatches: 1000,
        }
    }
}

impl Default for RateLimits {
    fn default() -> Self {
        RateLimits::of_rate(500.0)
    }
}

/// The burst of a queue that sends `per_second` and was not told its burst. Passes through what is
/// known of the original: 10 for 1/s and 5/s, 100 for 500/s.
pub fn default_burst(per_second: f64) -> i32 {
    (per_second / 5.0).ceil().clamp(10.0, 100.0) as i32
}

impl Default for RetryConfig {
    fn default() -> Self {
        RetryConfig {
            max_attempts: 100,
            max_retry_duration: Duration::ZERO,
            min_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_hours(1),
            max_doublings: 16,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            kind: Kind::Push,
            app_engine: None,
            app_engine_set: false,
            http_target: None,
            rate_limits: RateLimits::default(),
            retry: RetryConfig::default(),
            // 31 days
            task_ttl: Duration::from_hours(24 * 31),
            tombstone_ttl: Duration::from_hours(1),
            log_sampling_ratio: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::default_burst;

    #[test]
    fn the_burst_follows_the_rate() {
        for (rate, burst) in [
            (0.1, 10),
            (1.0, 10),
            (5.0, 10),
            (51.0, 11),
            (250.0, 50),
            (500.0, 100),
        ] {
            assert_eq!(default_burst(rate), burst, "at {rate}/s");
        }
    }
}
