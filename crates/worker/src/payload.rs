//! What a task may ask this worker for.
//!
//! | key | meaning |
//! |---|---|
//! | `command` | a list of lists of strings: commands run one after the other until one fails; a list of strings: one command; a string: a command of `sh -c`. Required |
//! | `env` | environment variables |
//! | `maxRunTime` | seconds until the task is killed and fails; default 3600 |
//! | `artifacts` | files and directories kept after the task: a list of `{type, path, name?, expires?, contentType?, optional?}`, or a map from names to the rest |
//! | `mounts` | files put in place before the first command: `{file, content}`, where `content` is `{taskId, artifact, sha256?}`, `{url, sha256?}`, `{raw}` or `{base64}` |
//! | `onExitStatus` | `{retry: [exit codes]}`: the task is tried again |
//! | `logs` | `{live?, backing?}`: names of the log artifacts |
//! | `features` | `{liveLog?, backingLog?}`: logs can be turned off |
//!
//! Anything else makes the run an exception `malformed-payload`, and the log says why.

mod artifact;
mod mount;
mod place;

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use taskyard_client::Timestamp;

pub use artifact::{Artifact, ArtifactKind};
pub(crate) use mount::mounts;
pub use mount::{Mount, MountContent};
pub(crate) use place::check_name;

use crate::fields::Fields;

/// Keys of a payload.
const KEYS: [&str; 8] = [
    "command",
    "env",
    "maxRunTime",
    "artifacts",
    "mounts",
    "onExitStatus",
    "logs",
    "features",
];

/// Features that other workers have. They may be named, as long as they are off.
const OTHER_FEATURES: [&str; 8] = [
    "taskclusterProxy",
    "interactive",
    "loopbackVideo",
    "loopbackAudio",
    "resourceMonitor",
    "chainOfTrust",
    "runTaskAsCurrentUser",
    "hideCmdWindow",
];

/// `maxRunTime` of a task that names none.
const DEFAULT_RUN_TIME: Duration = Duration::from_hours(1);

/// A checked payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Argument lists, at least one, none empty.
    pub commands: Vec<Vec<String>>,
    /// Variables added to the environment.
    pub env: BTreeMap<String, String>,
    /// Limit for mounts and commands together.
    pub max_run_time: Duration,
    /// What is kept.
    pub artifacts: Vec<Artifact>,
    /// What is put in place first.
    pub mounts: Vec<Mount>,
    /// Exit codes after which the task is tried again.
    pub retry_codes: Vec<i64>,
    /// Names and existence of the logs.
    pub logs: Logs,
}

/// Names of the log artifacts; `None` when turned off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logs {
    /// The log while it grows.
    pub live: Option<String>,
    /// The whole log, once the task has ended.
    pub backing: Option<String>,
}

/// What a payload is checked against.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// Longest `maxRunTime`.
    pub max_run_time: Duration,
    /// When the task expires; artifacts may not outlive it.
    pub task_expires: Timestamp,
    /// Tasks that it depends on.
    pub dependencies: &'a [String],
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            live: Some("public/logs/live.log".to_owned()),
            backing: Some("public/logs/live_backing.log".to_owned()),
        }
    }
}

// === impl Payload ===

impl Payload {
    /// Reads a payload.
    ///
    /// # Errors
    /// A sentence that names the key and says what is wrong with it.
    pub fn parse(value: &Value, bounds: &Bounds<'_>) -> Result<Self, String> {
        let fields = Fields::new("", value, &KEYS)?;
        Ok(Self {
            commands: commands(fields.required("command")?)?,
            env: fields
                .get("env")
                .map(environment)
                .transpose()?
                .unwrap_or_default(),
            max_run_time: run_time(fields.get("maxRunTime"), bounds.max_run_time)?,
            artifacts: artifact::artifacts(fields.get("artifacts"), bounds)?,
            mounts: mounts(fields.get("mounts"), bounds)?,
            retry_codes: retry_codes(fields.get("onExitStatus"))?,
            logs: logs(fields.get("logs"), fields.get("features"))?,
        })
    }
}

fn commands(value: &Value) -> Result<Vec<Vec<String>>, String> {
    let wrong = || {
        "`command` must be a string, a list of strings or a list of lists of strings, none empty"
            .to_owned()
    };
    let commands = match value {
        Value::String(line) if !line.trim().is_empty() => {
            vec![["sh", "-c", line].map(str::to_owned).to_vec()]
        }
        Value::Array(items) if !items.is_empty() => {
            if items.iter().all(Value::is_array) {
                items
                    .iter()
                    .map(strings)
                    .collect::<Option<Vec<_>>>()
                    .ok_or_else(wrong)?
            } else {
                vec![strings(value).ok_or_else(wrong)?]
            }
        }
        _ => return Err(wrong()),
    };
    for argument in commands.iter().flatten() {
        if argument.contains('\0') {
            return Err("`command` must not contain NUL characters".to_owned());
        }
    }
    // An empty program name can never be started.
    if commands
        .iter()
        .any(|command| command.first().is_none_or(String::is_empty))
    {
        return Err(wrong());
    }
    Ok(commands)
}

fn strings(value: &Value) -> Option<Vec<String>> {
    value
        .as_array()?
        .iter()
        .map(|item| item.as_str().map(str::to_owned))
        .collect()
}

fn environment(value: &Value) -> Result<BTreeMap<String, String>, String> {
    let object = value
        .as_object()
        .ok_or("`env` must be an object of strings")?;
    let mut env = BTreeMap::new();
    for (name, value) in object {
        let text = value
            .as_str()
            .ok_or_else(|| format!("`env.{name}` must be a string"))?;
        if name.is_empty() || name.contains(['=', '\0']) || text.contains('\0') {
            return Err(format!(
                "`env.{name}` is not a usable variable: no `=` in names, no NUL anywhere"
            ));
        }
        env.insert(name.clone(), text.to_owned());
    }
    Ok(env)
}

fn run_time(value: Option<&Value>, longest: Duration) -> Result<Duration, String> {
    let Some(value) = value else {
        return Ok(DEFAULT_RUN_TIME.min(longest));
    };
    value
        .as_u64()
        .filter(|seconds| (1..=longest.as_secs()).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| {
            format!(
                "`maxRunTime` must be an integer from 1 to {} seconds",
                longest.as_secs()
            )
        })
}

fn retry_codes(value: Option<&Value>) -> Result<Vec<i64>, String> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let fields = Fields::new("onExitStatus", value, &["retry", "purgeCaches"])?;
    // There are no caches, so there is never one to purge.
    fields.integers("purgeCaches", 0)?;
    fields.integers("retry", 1)
}

fn logs(names: Option<&Value>, features: Option<&Value>) -> Result<Logs, String> {
    let mut logs = Logs::default();
    if let Some(names) = names {
        let fields = Fields::new("logs", names, &["live", "backing"])?;
        for (key, name) in [("live", &mut logs.live), ("backing", &mut logs.backing)] {
            if let Some(text) = fields.string(key)? {
                check_name(&fields.path(key), text)?;
                *name = Some(text.to_owned());
            }
        }
        if logs.live == logs.backing {
            return Err("`logs.live` and `logs.backing` must differ".to_owned());
        }
    }
    if let Some(features) = features {
        let known: Vec<&str> = ["liveLog", "backingLog"]
            .into_iter()
            .chain(OTHER_FEATURES)
            .collect();
        let fields = Fields::new("features", features, &known)?;
        if !fields.flag("liveLog", true)? {
            logs.live = None;
        }
        if !fields.flag("backingLog", true)? {
            logs.backing = None;
        }
        for other in OTHER_FEATURES {
            if fields.flag(other, false)? {
                return Err(format!(
                    "{} is not supported by this worker",
                    fields.path(other)
                ));
            }
        }
    }
    Ok(logs)
}
