//! The file `queue.yaml`: queues as App Engine applications declare them.

use std::time::Duration;

use serde::Deserialize;
use taskyard_engine::cloud::settings::default_burst;
use taskyard_engine::cloud::{AppEngineRouting, Kind, RateLimits, RetryConfig, Settings};

use crate::failure::Failure;
use crate::name::QueueName;
use crate::target;

/// What a file says.
#[derive(Debug, Default, Deserialize)]
struct File {
    #[serde(default)]
    queue: Option<Vec<Entry>>,
    #[serde(default)]
    resume_paused_queues: Option<serde_json::Value>,
    #[serde(default)]
    #[expect(
        dead_code,
        reason = "a budget of storage that later versions do not know"
    )]
    total_storage_limit: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    mode: Option<String>,
    rate: Option<serde_json::Value>,
    bucket_size: Option<i64>,
    max_concurrent_requests: Option<i64>,
    target: Option<String>,
    retry_parameters: Option<Retry>,
    #[expect(dead_code, reason = "who may use a pull queue; policies say it")]
    acl: Option<serde_json::Value>,
    #[expect(dead_code, reason = "a header of old applications")]
    header: Option<serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Retry {
    task_retry_limit: Option<i64>,
    task_age_limit: Option<String>,
    min_backoff_seconds: Option<f64>,
    max_backoff_seconds: Option<f64>,
    max_doublings: Option<i64>,
}

/// A queue of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Declared {
    pub(super) name: QueueName,
    pub(super) settings: Settings,
    /// Its rate is zero: it takes tasks and sends none.
    pub(super) is_paused: bool,
}

/// All queues of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Declaration {
    pub(super) queues: Vec<Declared>,
    /// Whether queues that do not run are to run again.
    pub(super) resumes: bool,
}

/// Most queues in a file.
const MOST: usize = 1000;

/// Reads a file about queues of `parent` (`projects/P/locations/L`).
pub(super) fn read(text: &str, parent: &str) -> Result<Declaration, Failure> {
    let file: File = if text.trim().is_empty() {
        File::default()
    } else {
        serde_saphyr::from_str(text)
            .map_err(|error| Failure::invalid(format!("queue.yaml cannot be read: {error}")))?
    };
    let entries = file.queue.unwrap_or_default();
    if entries.len() > MOST {
        let text = format!("queue.yaml has more than {MOST} queues.");
        return Err(Failure::invalid(text));
    }
    let mut queues: Vec<Declared> = Vec::with_capacity(entries.len());
    for entry in entries {
        let name = entry.name.clone();
        let declared = declare(entry, parent)
            .map_err(|why| Failure::invalid(format!("queue.yaml, queue \"{name}\": {why}.")))?;
        if queues.iter().any(|known| known.name == declared.name) {
            let text = format!("queue.yaml, queue \"{name}\": it is declared twice.");
            return Err(Failure::invalid(text));
        }
        queues.push(declared);
    }
    Ok(Declaration {
        queues,
        resumes: !file
            .resume_paused_queues
            .is_some_and(|value| is_false(&value)),
    })
}

fn is_false(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Bool(truth) => !truth,
        serde_json::Value::String(text) => text.eq_ignore_ascii_case("false"),
        _ => false,
    }
}

fn declare(entry: Entry, parent: &str) -> Result<Declared, String> {
    let name = QueueName::parse(&format!("{parent}/queues/{}", entry.name))
        .map_err(|_| "a name has letters, digits and hyphens, 100 at most".to_owned())?;
    let kind = match entry.mode.as_deref() {
        None | Some("push") => Kind::Push,
        Some("pull") => Kind::Pull,
        Some(_) => return Err("mode must be push or pull".to_owned()),
    };
    let pushes = [
        ("rate", entry.rate.is_some()),
        ("bucket_size", entry.bucket_size.is_some()),
        (
            "max_concurrent_requests",
            entry.max_concurrent_requests.is_some(),
        ),
        ("target", entry.target.is_some()),
    ];
    if kind == Kind::Pull
        && let Some((key, _)) = pushes.iter().find(|(_, is_given)| *is_given)
    {
        return Err(format!("{key} cannot be given for a pull queue"));
    }
    let (mut rate_limits, mut is_paused) = (RateLimits::default(), false);
    if kind == Kind::Push {
        let rate = entry.rate.ok_or("rate is required for a push queue")?;
        let rate = per_second(&rate)?;
        is_paused = rate == 0.0;
        rate_limits = limits(rate, entry.bucket_size, entry.max_concurrent_requests)?;
    }
    let app_engine = entry.target.map(|target| routing(&target, &name));
    Ok(Declared {
        settings: Settings {
            kind,
            app_engine_set: app_engine.is_some(),
            app_engine: app_engine.transpose()?,
            http_target: None,
            rate_limits,
            retry: retry(entry.retry_parameters.unwrap_or_default(), kind)?,
            // The most there is: such queues are older than these limits.
            task_ttl: Duration::from_hours(87600),
            tombstone_ttl: Duration::from_hours(216),
            log_sampling_ratio: None,
        },
        name,
        is_paused,
    })
}

fn limits(rate: f64, bucket: Option<i64>, concurrent: Option<i64>) -> Result<RateLimits, String> {
    let bucket = bucket.unwrap_or(5);
    if !(0..=500).contains(&bucket) {
        return Err("bucket_size must be between 0 and 500".to_owned());
    }
    // A queue that is paused by its rate keeps one for when it is resumed.
    let rate = if rate == 0.0 { 500.0 } else { rate };
    let is_explicit = bucket > 0;
    let concurrent = concurrent.unwrap_or(1000).clamp(1, 5000);
    Ok(RateLimits {
        max_dispatches_per_second: rate,
        max_burst_size: if is_explicit {
            bucket as i32
        } else {
            default_burst(rate)
        },
        burst_is_explicit: is_explicit,
        max_concurrent_dispatches: concurrent as i32,
    })
}

/// `N/s`, `N/m`, `N/h` or `N/d`, or 0.
fn per_second(rate: &serde_json::Value) -> Result<f64, String> {
    let wrong = || "rate must be like 5/s, 10/m, 1/h or 1/d, and at most 500/s".to_owned();
    let text = match rate {
        serde_json::Value::String(text) => text.trim().to_owned(),
        serde_json::Value::Number(number) => number.to_string(),
        _ => return Err(wrong()),
    };
    let (number, unit) = match text.split_once('/') {
        Some((number, unit)) => (number.trim(), unit.trim()),
        None if text.parse() == Ok(0.0) => ("0", "s"),
        None => return Err(wrong()),
    };
    let seconds = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let rate = number / seconds;
    if (0.0..=500.0).contains(&rate) {
        Ok(rate)
    } else {
        Err(wrong())
    }
}

/// `service` or `version.service`.
fn routing(target: &str, queue: &QueueName) -> Result<AppEngineRouting, String> {
    let (version, service) = target.rsplit_once('.').unwrap_or(("", target));
    let allowed = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if service.is_empty() || !allowed(version) || !allowed(service) {
        return Err("target must be a service, or a version and a service".to_owned());
    }
    Ok(AppEngineRouting {
        service: service.to_owned(),
        version: version.to_owned(),
        instance: String::new(),
        host: target::host(service, version, "", queue),
    })
}

fn retry(given: Retry, kind: Kind) -> Result<RetryConfig, String> {
    let default = RetryConfig::default();
    let max_attempts = match given.task_retry_limit {
        None => -1,
        Some(limit @ 0..=2_000_000_000) => limit as i32 + 1,
        Some(_) => return Err("task_retry_limit must not be negative".to_owned()),
    };
    if kind == Kind::Pull {
        let others = given.task_age_limit.is_some()
            || given.min_backoff_seconds.is_some()
            || given.max_backoff_seconds.is_some()
            || given.max_doublings.is_some();
        if others {
            return Err("a pull queue has no retry parameter but task_retry_limit".to_owned());
        }
        return Ok(RetryConfig {
            max_attempts,
            ..default
        });
    }
    let seconds = |given: Option<f64>, key: &str| match given {
        None => Ok(None),
        Some(seconds) if (0.0..=315_360_000.0).contains(&seconds) => {
            Ok(Some(Duration::from_secs_f64(seconds)))
        }
        Some(_) => Err(format!("{key} must not be negative")),
    };
    let min = seconds(given.min_backoff_seconds, "min_backoff_seconds")?;
    let max = seconds(given.max_backoff_seconds, "max_backoff_seconds")?;
    let (min_backoff, max_backoff) = match (min, max) {
        (Some(min), Some(max)) if min > max => {
            let text = "min_backoff_seconds must not be greater than max_backoff_seconds";
            return Err(text.to_owned());
        }
        (Some(min), Some(max)) => (min, max),
        // The one that is not given gives way.
        (Some(min), None) => (min, default.max_backoff.max(min)),
        (None, Some(max)) => (default.min_backoff.min(max), max),
        (None, None) => (default.min_backoff, default.max_backoff),
    };
    let max_doublings = match given.max_doublings {
        None => default.max_doublings,
        Some(doublings @ 0..=1_000_000) => doublings as i32,
        Some(_) => return Err("max_doublings must not be negative".to_owned()),
    };
    let max_retry_duration = match given.task_age_limit {
        None => Duration::ZERO,
        Some(text) => age(&text).ok_or("task_age_limit must be like 30s, 5m, 2h or 1d")?,
    };
    Ok(RetryConfig {
        max_attempts,
        max_retry_duration,
        min_backoff,
        max_backoff,
        max_doublings,
    })
}

/// `30s`, `5m`, `2h` or `1d`; more than nothing.
fn age(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1.0,
        'm' => 60.0,
        'h' => 3600.0,
        'd' => 86_400.0,
        _ => return None,
    };
    let number: f64 = text.strip_suffix(unit)?.trim().parse().ok()?;
    let age = number * seconds;
    let fits = age > 0.0 && age <= 315_360_000.0;
    fits.then(|| Duration::from_secs_f64(age))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "projects/p/locations/l";

    fn one(text: &str) -> Declared {
        let mut read = read(text, PARENT).expect(text);
        assert_eq!(read.queues.len(), 1);
        read.queues.remove(0)
    }

    #[test]
    fn a_full_entry_becomes_settings() {
        let declared = one(
            "queue:\n- name: mail\n  rate: 120/m\n  bucket_size: 40\n  max_concurrent_requests: \
             9000\n  target: v1.worker\n  retry_parameters:\n    task_retry_limit: 7\n    \
             task_age_limit: 2d\n    min_backoff_seconds: 10\n    max_backoff_seconds: 200\n    \
             max_doublings: 0\n",
        );
        let settings = declared.settings;
        assert_eq!(declared.name.id(), "mail");
        assert!((settings.rate_limits.max_dispatches_per_second - 2.0).abs() < 1e-9);
        assert_eq!(settings.rate_limits.max_burst_size, 40);
        assert_eq!(settings.rate_limits.max_concurrent_dispatches, 5000);
        assert_eq!(settings.retry.max_attempts, 8);
        assert_eq!(settings.retry.max_retry_duration, Duration::from_hours(48));
        assert_eq!(settings.retry.max_doublings, 0);
        let routing = settings.app_engine.expect("routing");
        assert_eq!(routing.host, "v1.worker.p.l.r.appspot.com");
        assert!(!declared.is_paused);
    }

    #[test]
    fn defaults_are_those_of_app_engine() {
        let settings = one("queue:\n- name: q\n  rate: 5/s\n").settings;
        assert_eq!(settings.rate_limits.max_burst_size, 5);
        assert_eq!(settings.retry.max_attempts, -1);
        assert_eq!(settings.task_ttl.as_secs(), 315_360_000);
        let low = one(
            "queue:\n- name: q\n  rate: 5/s\n  retry_parameters:\n    max_backoff_seconds: 0.05\n",
        );
        assert_eq!(low.settings.retry.min_backoff, Duration::from_millis(50));
        assert!(one("queue:\n- name: q\n  rate: 0\n").is_paused);
        let pull =
            one("queue:\n- name: q\n  mode: pull\n  retry_parameters:\n    task_retry_limit: 0\n");
        assert_eq!(
            (pull.settings.kind, pull.settings.retry.max_attempts),
            (Kind::Pull, 1)
        );
    }

    #[test]
    fn queues_are_resumed_unless_the_file_says_otherwise() {
        assert!(read("", PARENT).expect("empty").resumes);
        assert!(
            !read("resume_paused_queues: False\n", PARENT)
                .expect("valid")
                .resumes
        );
    }

    #[test]
    fn what_no_queue_can_be_is_refused() {
        for text in [
            "queue:\n- name: a_b\n  rate: 1/s\n",
            "queue:\n- name: q\n",
            "queue:\n- name: q\n  rate: 501/s\n",
            "queue:\n- name: q\n  rate: fast\n",
            "queue:\n- name: q\n  mode: pull\n  rate: 1/s\n",
            "queue:\n- name: q\n  rate: 1/s\n  bucket_size: 501\n",
            "queue:\n- name: q\n  rate: 1/s\n  surprise: 1\n",
            "queue:\n- name: q\n  rate: 1/s\n- name: q\n  rate: 1/s\n",
            "queue:\n- name: q\n  rate: 1/s\n  retry_parameters:\n    task_retry_limit: -1\n",
            "queue:\n- name: q\n  rate: 1/s\n  retry_parameters:\n    task_age_limit: soon\n",
            "queue:\n- name: q\n  rate: 1/s\n  retry_parameters: {min_backoff_seconds: 5, max_backoff_seconds: 1}\n",
            "queue: [",
        ] {
            let refused = read(text, PARENT).expect_err(text);
            assert_eq!(refused.code, tonic::Code::InvalidArgument, "{text}");
        }
    }
}
