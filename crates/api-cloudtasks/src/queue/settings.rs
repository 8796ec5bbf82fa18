//! What a queue is told to do, between the messages of all versions and the engine.

use std::time::Duration;

use prost_reflect::DynamicMessage;
use taskyard_engine::cloud::settings::default_burst;
use taskyard_engine::cloud::{Kind, RateLimits, RetryConfig, Settings};

use crate::failure::Failure;
use crate::mask::Mask;
use crate::message::{Fields, Kept as _, Put};
use crate::name::QueueName;
use crate::target;
use crate::time;
use crate::version::Version;

/// Most dispatches a second, and most tokens in the bucket.
const MOST_PER_SECOND: i32 = 500;
/// Most attempts under way at once.
const MOST_CONCURRENT: i32 = 5000;
/// Concurrent dispatches of a queue that was told nothing.
const CONCURRENT: i32 = 1000;
/// How long tasks may be kept: 10 days to 10 years, in seconds.
const TASK_TTL: (u64, u64) = (864_000, 315_360_000);
/// How long names may be kept: 1 hour to 9 days, in seconds.
const TOMBSTONE_TTL: (u64, u64) = (3600, 777_600);

/// Reads a queue that is to be made, or to take the place of `existing`.
pub(crate) fn read(
    message: &DynamicMessage,
    version: Version,
    name: &QueueName,
    existing: Option<&Settings>,
) -> Result<Settings, Failure> {
    let kind = kind(message, version, existing.map(|settings| settings.kind))?;
    let (app_engine, app_engine_set) = match version.words().app_engine_queue {
        None => {
            let routing = message.child("app_engine_routing_override");
            (routing, routing.is_some())
        }
        Some(holder) => {
            let holder = message.child(holder);
            let routing = holder.and_then(|it| it.child("app_engine_routing_override"));
            (routing, holder.is_some())
        }
    };
    let app_engine = app_engine.map(|routing| target::routing(routing, name));
    let http_target = message.child("http_target").map(target::http_target);
    if kind == Kind::Pull && (http_target.is_some() || app_engine_set) {
        return Err(Failure::invalid(
            "A pull queue cannot have an App Engine or HTTP target.",
        ));
    }
    let rate_limits = match message.child("rate_limits") {
        Some(limits) if kind == Kind::Push => read_limits(limits, version)?,
        _ => RateLimits::default(),
    };
    let retry = message.child("retry_config");
    let retry = retry.map_or_else(
        || Ok(RetryConfig::default()),
        |it| retry_of(it, version, kind),
    );
    let default = Settings::default();
    let ttl = |field: &str, name: &str, bounds, default| match message.span(field) {
        None => Ok(default),
        Some(span) => within(time::duration(span, name)?, name, bounds),
    };
    Ok(Settings {
        kind,
        app_engine: app_engine.transpose()?,
        app_engine_set,
        http_target: http_target.transpose()?,
        rate_limits,
        retry: retry?,
        task_ttl: ttl("task_ttl", "Queue.taskTtl", TASK_TTL, default.task_ttl)?,
        tombstone_ttl: ttl(
            "tombstone_ttl",
            "Queue.tombstoneTtl",
            TOMBSTONE_TTL,
            default.tombstone_ttl,
        )?,
        log_sampling_ratio: sampling(message)?,
    })
}

/// What becomes of `existing` if just the fields named by `mask` are taken from `revised`; without
/// a mask, all that the version has. `explicit` is the message as it was sent.
pub(crate) fn merge(
    existing: &Settings,
    revised: Settings,
    mask: Option<&Mask>,
    explicit: &DynamicMessage,
    version: Version,
) -> Settings {
    let has_all = version != Version::V2;
    let names = |field: &str, is_known: bool| match mask {
        None => is_known,
        Some(mask) => mask.names(field),
    };
    let mut merged = existing.clone();
    merged.kind = revised.kind;
    let app_engine = version.words().app_engine_queue;
    if names(app_engine.unwrap_or("app_engine_routing_override"), true) {
        merged.app_engine = revised.app_engine;
        merged.app_engine_set = revised.app_engine_set;
    }
    if names("http_target", true) {
        merged.http_target = revised.http_target;
    }
    if names("rate_limits", true) {
        merged.rate_limits = revised.rate_limits;
    }
    if names("retry_config", true) {
        let doublings = existing.retry.max_doublings;
        merged.retry = revised.retry;
        // Zero doublings are a choice where the mask names them, and absent ones everywhere else.
        if let Some(mask) = mask
            && !mask.has("retry_config")
        {
            merged.retry.max_doublings = if mask.has("retry_config.max_doublings") {
                let retry = explicit.child("retry_config");
                retry.map_or(0, |retry| retry.int("max_doublings"))
            } else {
                doublings
            };
        }
    }
    if names("task_ttl", has_all) {
        merged.task_ttl = revised.task_ttl;
    }
    if names("tombstone_ttl", has_all) {
        merged.tombstone_ttl = revised.tombstone_ttl;
    }
    if names("stackdriver_logging_config", version != Version::V2beta2) {
        merged.log_sampling_ratio = revised.log_sampling_ratio;
    }
    merged
}

/// Whether the message makes a push or a pull queue. What is not said stays as it is.
fn kind(
    message: &DynamicMessage,
    version: Version,
    existing: Option<Kind>,
) -> Result<Kind, Failure> {
    let said = match version {
        Version::V2 => None,
        Version::V2beta3 => match message.choice("type") {
            0 => None,
            1 => Some(Kind::Pull),
            2 => Some(Kind::Push),
            other => {
                let text = format!("{other} is not a valid Queue.Type.");
                return Err(Failure::invalid(text));
            }
        },
        Version::V2beta2 => message.has("pull_target").then_some(Kind::Pull),
    };
    Ok(said.or(existing).unwrap_or_default())
}

fn read_limits(message: &DynamicMessage, version: Version) -> Result<RateLimits, Failure> {
    let words = version.words();
    let (rate_name, concurrent_name) = match version {
        Version::V2beta2 => ("maxTasksDispatchedPerSecond", "maxConcurrentTasks"),
        Version::V2 | Version::V2beta3 => ("maxDispatchesPerSecond", "maxConcurrentDispatches"),
    };
    let rate = message.double(words.rate);
    if rate.is_nan() || rate < 0.0 {
        let text = format!("RateLimits.{rate_name} cannot be negative.");
        return Err(Failure::invalid(text));
    }
    if rate > f64::from(MOST_PER_SECOND) {
        let text =
            format!("RateLimits.{rate_name} must be less than or equal to {MOST_PER_SECOND}.");
        return Err(Failure::invalid(text));
    }
    let concurrent = message.int(words.concurrent);
    check_count(concurrent, concurrent_name, MOST_CONCURRENT)?;
    // In v2 the burst is told, and never asked for.
    let burst = match version {
        Version::V2 => 0,
        Version::V2beta3 | Version::V2beta2 => message.int("max_burst_size"),
    };
    check_count(burst, "maxBurstSize", MOST_PER_SECOND)?;
    let rate = if rate == 0.0 {
        f64::from(MOST_PER_SECOND)
    } else {
        rate
    };
    Ok(RateLimits {
        max_dispatches_per_second: rate,
        max_burst_size: if burst == 0 {
            default_burst(rate)
        } else {
            burst
        },
        burst_is_explicit: burst != 0,
        max_concurrent_dispatches: if concurrent == 0 {
            CONCURRENT
        } else {
            concurrent
        },
    })
}

fn check_count(count: i32, name: &str, most: i32) -> Result<(), Failure> {
    if count < 0 {
        let text = format!("RateLimits.{name} cannot be negative.");
        return Err(Failure::invalid(text));
    }
    if count > most {
        let text = format!("RateLimits.{name} must be less than or equal to {most}.");
        return Err(Failure::invalid(text));
    }
    Ok(())
}

/// Reads the law of retries of a task.
pub(crate) fn retry(message: &impl Fields, version: Version) -> Result<RetryConfig, Failure> {
    retry_of(message, version, Kind::Push)
}

fn retry_of(message: &impl Fields, version: Version, kind: Kind) -> Result<RetryConfig, Failure> {
    let default = RetryConfig::default();
    let attempts = message.int("max_attempts");
    let max_attempts = if version == Version::V2beta2 {
        if message.truth("unlimited_attempts") {
            -1
        } else if attempts < 0 {
            let text = "RetryConfig.maxAttempts must be greater than 0.";
            return Err(Failure::invalid(text));
        } else {
            attempts
        }
    } else if attempts < -1 {
        let text = "RetryConfig.maxAttempts must be greater or equal to -1.";
        return Err(Failure::invalid(text));
    } else {
        attempts
    };
    let max_attempts = if max_attempts == 0 {
        default.max_attempts
    } else {
        max_attempts
    };
    if kind == Kind::Pull {
        // The rest is told, and never asked for.
        return Ok(RetryConfig {
            max_attempts,
            ..default
        });
    }
    let span = |field: &str, name: &str| {
        let span = message.span(field).unwrap_or_default();
        time::duration(span, &format!("RetryConfig.{name}"))
    };
    let or = |given: Duration, default: Duration| if given.is_zero() { default } else { given };
    let max_retry_duration = span("max_retry_duration", "maxRetryDuration")?;
    let min_backoff = or(span("min_backoff", "minBackoff")?, default.min_backoff);
    let max_backoff = or(span("max_backoff", "maxBackoff")?, default.max_backoff);
    let doublings = message.int("max_doublings");
    if doublings < 0 {
        let text = "RetryConfig.maxDoublings cannot be negative.";
        return Err(Failure::invalid(text));
    }
    if min_backoff > max_backoff {
        return Err(Failure::invalid(
            "RetryConfig.minBackoff must be less than or equal to RetryConfig.maxBackoff.",
        ));
    }
    Ok(RetryConfig {
        max_attempts,
        max_retry_duration: Duration::from_secs(max_retry_duration.as_secs()),
        min_backoff,
        max_backoff,
        max_doublings: if doublings == 0 {
            default.max_doublings
        } else {
            doublings
        },
    })
}

/// Writes a law of retries.
pub(crate) fn put_retry(message: &mut impl Put, retry: &RetryConfig, version: Version) {
    if retry.max_attempts == -1 && version == Version::V2beta2 {
        message.set_truth("unlimited_attempts", true);
    } else {
        message.set_int("max_attempts", retry.max_attempts);
    }
    if !retry.max_retry_duration.is_zero() {
        message.put_span("max_retry_duration", retry.max_retry_duration.into());
    }
    message.put_span("min_backoff", retry.min_backoff.into());
    message.put_span("max_backoff", retry.max_backoff.into());
    message.put_int("max_doublings", retry.max_doublings);
}

fn sampling(message: &DynamicMessage) -> Result<Option<f64>, Failure> {
    let Some(config) = message.child("stackdriver_logging_config") else {
        return Ok(None);
    };
    let ratio = config.double("sampling_ratio");
    if !(0.0..=1.0).contains(&ratio) {
        return Err(Failure::invalid(
            "StackdriverLoggingConfig.samplingRatio must be between [0.0, 1.0].",
        ));
    }
    Ok(Some(ratio))
}

fn within(value: Duration, name: &str, (least, most): (u64, u64)) -> Result<Duration, Failure> {
    if value < Duration::from_secs(least) || value > Duration::from_secs(most) {
        let text = format!("{name} must be between [{least}s, {most}s].");
        return Err(Failure::invalid(text));
    }
    Ok(value)
}
