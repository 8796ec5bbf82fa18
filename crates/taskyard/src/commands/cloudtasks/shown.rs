//! How queues, tasks and attempts are printed.

use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Map, Value};
use taskyard_client::cloudtasks::{Queue, Task};

/// The largest page that the service gives.
const LARGEST_PAGE: usize = 1000;

/// Entries to print when the command line says `limit`, where 0 means all.
pub(super) fn count(limit: usize) -> usize {
    if limit == 0 { usize::MAX } else { limit }
}

/// Entries to ask for at once.
pub(super) fn page_size(limit: usize) -> u32 {
    count(limit).min(LARGEST_PAGE) as u32
}

/// A duration as the service reads it: seconds, such as `0.1s`.
pub(super) fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    match duration.subsec_nanos() {
        0 => format!("{whole}s"),
        nanos => format!("{whole}.{nanos:09}s"),
    }
}

/// A queue as the service shows it; what only the service says is no part of what is sent.
pub(super) fn queue_json(queue: &Queue) -> anyhow::Result<Value> {
    let mut object = object(queue)?;
    put(&mut object, "state", queue.state.as_ref())?;
    put(&mut object, "purgeTime", queue.purge_time.as_ref())?;
    put(&mut object, "stats", queue.stats.as_ref())?;
    Ok(object.into())
}

/// A task as the service shows it.
pub(super) fn task_json(task: &Task) -> anyhow::Result<Value> {
    let mut object = object(task)?;
    put(&mut object, "createTime", task.create_time.as_ref())?;
    put(&mut object, "dispatchCount", Some(&task.dispatch_count))?;
    put(&mut object, "responseCount", Some(&task.response_count))?;
    put(&mut object, "firstAttempt", task.first_attempt.as_ref())?;
    put(&mut object, "lastAttempt", task.last_attempt.as_ref())?;
    Ok(object.into())
}

fn object(it: &impl Serialize) -> anyhow::Result<Map<String, Value>> {
    match serde_json::to_value(it).context("cannot print the answer")? {
        Value::Object(object) => Ok(object),
        other => Ok(Map::from_iter([("value".to_owned(), other)])),
    }
}

fn put(
    object: &mut Map<String, Value>,
    name: &str,
    value: Option<&impl Serialize>,
) -> anyhow::Result<()> {
    if let Some(value) = value {
        let value = serde_json::to_value(value).context("cannot print the answer")?;
        object.insert(name.to_owned(), value);
    }
    Ok(())
}

/// Everything about one thing: an object, or for people a line for each of its fields.
pub(super) fn whole(it: &Value, json: bool) -> Vec<String> {
    if json {
        return vec![it.to_string()];
    }
    let mut lines = Vec::new();
    flatten("", it, &mut lines);
    lines
}

fn flatten(path: &str, value: &Value, lines: &mut Vec<String>) {
    let below = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                flatten(&below(name), value, lines);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                flatten(&below(&at.to_string()), item, lines);
            }
        }
        Value::String(text) => lines.push(format!("{path}\t{}", text.escape_debug())),
        other => lines.push(format!("{path}\t{other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_in_seconds() {
        assert_eq!(seconds(Duration::from_mins(10)), "600s");
        assert_eq!(seconds(Duration::from_millis(100)), "0.100000000s");
    }

    #[test]
    fn people_read_a_line_a_field() {
        let it = serde_json::json!({"a": {"b": 1, "c": ["x\ty"]}, "d": {}});
        assert_eq!(whole(&it, false), ["a.b\t1", "a.c.0\tx\\ty", "d\t{}"]);
        assert_eq!(whole(&it, true), [it.to_string()]);
    }
}
