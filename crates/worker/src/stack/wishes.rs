//! What a job asks of whoever runs it, by its variables.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use taskyard_client::Timestamp;

use crate::payload::{Bounds, Mount, mounts};

/// What a job asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wishes {
    /// For a shell.
    pub(super) command: String,
    /// Patterns of files to keep.
    pub(super) artifact_paths: Vec<String>,
    /// What the names of kept files begin with.
    pub(super) artifact_prefix: String,
    /// Files to put in place first.
    pub(super) mounts: Vec<Mount>,
    /// Limit for everything together.
    pub(super) max_run_time: Duration,
}

impl Wishes {
    /// Reads `env`.
    ///
    /// # Errors
    /// A sentence that names the variable and says what is wrong with it.
    pub(super) fn read(env: &BTreeMap<String, String>, longest: Duration) -> Result<Self, String> {
        let text = |name: &str| env.get(name).map_or("", |value| value.trim());
        let command = env.get("BUILDKITE_COMMAND").cloned().unwrap_or_default();
        if command.trim().is_empty() {
            return Err("the job has no command".to_owned());
        }
        if !matches!(text("BUILDKITE_PLUGINS"), "" | "[]" | "null") {
            return Err("the job asks for plugins, which this stack does not have".to_owned());
        }
        for (name, value) in env {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return Err(format!("`{name}` is no variable that can be set"));
            }
        }
        let artifact_paths = text("BUILDKITE_ARTIFACT_PATHS")
            .split([';', '\n'])
            .map(|pattern| pattern.trim().to_owned())
            .filter(|pattern| !pattern.is_empty())
            .collect();
        Ok(Self {
            command,
            artifact_paths,
            artifact_prefix: text("TASKYARD_ARTIFACT_PREFIX").to_owned(),
            mounts: wanted_mounts(text("TASKYARD_MOUNTS"))?,
            max_run_time: run_time(text("TASKYARD_MAX_RUN_TIME"), text("BUILDKITE_TIMEOUT"))?
                .unwrap_or(longest)
                .min(longest),
        })
    }
}

fn run_time(seconds: &str, minutes: &str) -> Result<Option<Duration>, String> {
    let (name, text, unit) = match (seconds, minutes) {
        ("", "" | "false" | "0") => return Ok(None),
        ("", minutes) => ("BUILDKITE_TIMEOUT", minutes, 60),
        (seconds, _) => ("TASKYARD_MAX_RUN_TIME", seconds, 1),
    };
    match text.parse::<u32>() {
        Ok(count) if count > 0 => Ok(Some(Duration::from_secs(u64::from(count) * unit))),
        _ => Err(format!("`{name}` must be a whole number, not `{text}`")),
    }
}

fn wanted_mounts(text: &str) -> Result<Vec<Mount>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let wrong = |reason: String| format!("`TASKYARD_MOUNTS` cannot be read: {reason}");
    let value: Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    // A job knows nothing of dependencies; what it may read is up to the server.
    let tasks: Vec<String> = value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|mount| mount["content"]["taskId"].as_str())
        .map(str::to_owned)
        .collect();
    let bounds = Bounds {
        max_run_time: Duration::MAX,
        task_expires: Timestamp::from_millis(0).ok_or_else(|| wrong(String::new()))?,
        dependencies: &tasks,
    };
    mounts(Some(&value), &bounds).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn read(pairs: &[(&str, &str)]) -> Result<Wishes, String> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Wishes::read(&pairs.collect(), DAY)
    }

    #[test]
    fn a_job_needs_nothing_but_a_command() {
        let wishes = read(&[("BUILDKITE_COMMAND", "make"), ("BUILDKITE_PLUGINS", "[]")]).unwrap();
        assert_eq!(
            (wishes.command.as_str(), wishes.max_run_time),
            ("make", DAY)
        );
        assert!(wishes.artifact_paths.is_empty() && wishes.mounts.is_empty());
    }

    #[test]
    fn seconds_win_over_minutes_and_neither_over_the_stack() {
        let time = |pairs: &[(&str, &str)]| {
            let pairs = [&[("BUILDKITE_COMMAND", "x")], pairs].concat();
            read(&pairs).map(|wishes| wishes.max_run_time.as_secs())
        };
        assert_eq!(time(&[("BUILDKITE_TIMEOUT", "2")]), Ok(120));
        assert_eq!(time(&[("BUILDKITE_TIMEOUT", "false")]), Ok(86_400));
        let both = [("BUILDKITE_TIMEOUT", "2"), ("TASKYARD_MAX_RUN_TIME", "90")];
        assert_eq!(time(&both), Ok(90));
        assert_eq!(time(&[("TASKYARD_MAX_RUN_TIME", "999999")]), Ok(86_400));
        assert!(time(&[("TASKYARD_MAX_RUN_TIME", "soon")]).is_err());
    }

    #[test]
    fn files_to_keep_and_to_put_in_place_are_read() {
        let mounts = r#"[{"file":"bin/x","content":{"taskId":"fN1SbArXTPSVFNUvaOlinQ",
            "artifact":"public/x"}}]"#;
        let wishes = read(&[
            ("BUILDKITE_COMMAND", "x"),
            ("BUILDKITE_ARTIFACT_PATHS", "out/**/*; *.log ;"),
            ("TASKYARD_MOUNTS", mounts),
        ])
        .unwrap();
        assert_eq!(wishes.artifact_paths, ["out/**/*", "*.log"]);
        assert_eq!(wishes.mounts[0].file, std::path::Path::new("bin/x"));
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        for (pairs, named) in [
            (&[][..], "command"),
            (
                &[("BUILDKITE_COMMAND", "x"), ("BUILDKITE_PLUGINS", "[{}]")],
                "plugins",
            ),
            (
                &[("BUILDKITE_COMMAND", "x"), ("TASKYARD_MOUNTS", "{")],
                "TASKYARD_MOUNTS",
            ),
            (&[("BUILDKITE_COMMAND", "x"), ("A=B", "")], "A=B"),
        ] {
            let error = read(pairs).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
