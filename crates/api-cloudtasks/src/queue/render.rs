//! A queue as a message of each version.

use prost_reflect::{DynamicMessage, Value};
use taskyard_engine::cloud::stats::Stats;
use taskyard_engine::cloud::{Kind, Queue, Settings, State};

use super::settings::put_retry;
use crate::message::{Kept as _, Put as _};
use crate::target;
use crate::version::Version;

/// Completes `into`, an empty queue of `version`.
pub(crate) fn queue(into: &mut DynamicMessage, queue: &Queue, version: Version) {
    into.put_text("name", &queue.name);
    settings(into, &queue.settings, version);
    let state = match queue.state {
        State::Running => 1,
        State::Paused => 2,
        State::Disabled => 3,
    };
    into.put("state", Value::EnumNumber(state));
    if let Some(time) = queue.purge_time {
        into.put_span("purge_time", time.into());
    }
}

/// The part of a queue that can be changed.
pub(crate) fn settings(into: &mut DynamicMessage, settings: &Settings, version: Version) {
    targets(into, settings, version);
    let words = version.words();
    let limits = &settings.rate_limits;
    into.put_child("rate_limits", |into| {
        into.put(words.rate, Value::F64(limits.max_dispatches_per_second));
        into.put_int("max_burst_size", limits.max_burst_size);
        let concurrent = match (settings.kind, version) {
            // No limit.
            (Kind::Pull, Version::V2beta2) => -1,
            _ => limits.max_concurrent_dispatches,
        };
        into.put_int(words.concurrent, concurrent);
    });
    into.put_child("retry_config", |into| {
        put_retry(into, &settings.retry, version);
    });
    into.put_span("task_ttl", settings.task_ttl.into());
    into.put_span("tombstone_ttl", settings.tombstone_ttl.into());
    if let Some(ratio) = settings.log_sampling_ratio {
        into.put_child("stackdriver_logging_config", |into| {
            if ratio > 0.0 {
                into.put("sampling_ratio", Value::F64(ratio));
            }
        });
    }
    let kind = match settings.kind {
        Kind::Pull => 1,
        Kind::Push => 2,
    };
    into.put("type", Value::EnumNumber(kind));
}

fn targets(into: &mut DynamicMessage, settings: &Settings, version: Version) {
    let routing = settings.app_engine.as_ref();
    let over = "app_engine_routing_override";
    let http = |into: &mut DynamicMessage| {
        if let Some(target) = &settings.http_target {
            into.put_child("http_target", |into| target::put_http_target(into, target));
        }
    };
    match version {
        Version::V2 => {
            if let Some(routing) = routing {
                target::put_routing(into, over, routing);
            }
            http(into);
        }
        Version::V2beta3 => {
            if settings.app_engine_set || routing.is_some() {
                into.put_child("app_engine_http_queue", |into| {
                    if let Some(routing) = routing {
                        target::put_routing(into, over, routing);
                    }
                });
            }
            http(into);
        }
        // One of three: such queues always have a target.
        Version::V2beta2 => {
            if settings.kind == Kind::Pull {
                into.put_child("pull_target", |_| {});
            } else if settings.http_target.is_some() {
                http(into);
            } else {
                into.put_child("app_engine_http_target", |into| {
                    if let Some(routing) = routing {
                        target::put_routing(into, over, routing);
                    }
                });
            }
        }
    }
}

/// Adds what goes on in a queue.
pub(crate) fn stats(into: &mut DynamicMessage, stats: &Stats) {
    into.put_child("stats", |into| {
        let mut count = |name: &str, count: i64| {
            if count != 0 {
                into.put(name, Value::I64(count));
            }
        };
        count("tasks_count", stats.tasks);
        count("executed_last_minute_count", stats.executed_last_minute);
        count("concurrent_dispatches_count", stats.under_way);
        if let Some(time) = stats.earliest {
            into.put_span("oldest_estimated_arrival_time", time.into());
        }
        if stats.rate != 0.0 {
            into.put("effective_execution_rate", Value::F64(stats.rate));
        }
    });
}
