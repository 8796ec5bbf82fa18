//! A task's definition, read as a job.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use taskyard_engine::stacks::{Definition, Outline};

use crate::problem::Problem;
use crate::{job_id, secret};

/// What a job is called that nobody gave a name.
const UNNAMED: &str = "default";
/// The branch of a build that is of none.
const BRANCH: &str = "main";

/// A job.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    definition: &'a Definition,
    document: Value,
}

/// Which agents may run a job: those of its queue with all its labels.
pub(crate) fn rules(outline: &Outline<'_>, queue_key: &str) -> Vec<String> {
    let mut rules = Vec::with_capacity(1 + outline.labels.len());
    rules.push(format!("queue={queue_key}"));
    rules.extend_from_slice(&outline.labels);
    rules
}

/// The UUID of the pipeline of this name.
pub(crate) fn pipeline_uuid(name: &str) -> String {
    secret::uuid_of(&format!("pipeline:{name}")).to_string()
}

/// A text that is not empty.
pub(crate) fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

impl<'a> Job<'a> {
    /// Reads what a task is. Only what no task can have is refused; what a task has that a job
    /// cannot use is passed over.
    pub(crate) fn read(definition: &'a Definition) -> Result<Self, Problem> {
        let document = serde_json::from_str(&definition.text).map_err(Problem::internal)?;
        Ok(Job {
            definition,
            document,
        })
    }

    /// What a listing says of it.
    pub(crate) fn outline(&self) -> Outline<'_> {
        Outline::of(&self.document)
    }

    fn stacks(&self, name: &str) -> Option<&Value> {
        self.document.get("extra")?.get("stacks")?.get(name)
    }

    /// A text of `extra.stacks`.
    fn extra(&self, name: &str) -> Option<&str> {
        given(self.stacks(name)?.as_str()?)
    }

    fn payload(&self, name: &str) -> Option<&Value> {
        self.document.get("payload")?.get(name)
    }

    /// The job's UUID.
    pub(crate) fn uuid(&self) -> String {
        job_id::uuid(&self.definition.task_id)
    }

    /// The command as one text for a shell; empty without one.
    pub(crate) fn command(&self) -> String {
        match self.payload("command") {
            Some(Value::String(line)) => line.clone(),
            Some(Value::Array(items)) if items.iter().all(Value::is_array) => {
                let lines = items
                    .iter()
                    .filter_map(Value::as_array)
                    .map(|it| quoted(it));
                lines.collect::<Vec<_>>().join(" && ")
            }
            Some(Value::Array(items)) => quoted(items),
            _ => String::new(),
        }
    }

    /// How long the job may run.
    pub(crate) fn time_limit(&self) -> Option<Duration> {
        let seconds = self.payload("maxRunTime")?.as_f64()?;
        Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|limit| !limit.is_zero())
    }

    /// Whether a run that ends with this status is to be tried again.
    pub(crate) fn is_retried_after(&self, exit_status: i64) -> bool {
        let codes = self.payload("onExitStatus").and_then(|it| it.get("retry"));
        codes
            .and_then(Value::as_array)
            .is_some_and(|codes| codes.iter().any(|code| code.as_i64() == Some(exit_status)))
    }

    /// The job's environment, whoever runs it: what the task says, and over it what describes the
    /// job.
    pub(crate) fn environment(
        &self,
        organization: &str,
        root_url: &str,
        queue_key: &str,
    ) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        if let Some(Value::Object(given)) = self.payload("env") {
            for (name, value) in given {
                if let Some(value) = plain(value) {
                    env.insert(name.clone(), value);
                }
            }
        }
        let task_id = &self.definition.task_id;
        let group_id = &self.definition.group_id;
        let (job, build) = (self.uuid(), job_id::uuid(group_id));
        let outline = self.outline();
        let label = self.extra("label").or(given(&outline.step));
        let fixed = [
            ("BUILDKITE", "true".to_owned()),
            ("CI", "true".to_owned()),
            ("BUILDKITE_JOB_ID", job),
            ("BUILDKITE_BUILD_ID", build),
            ("BUILDKITE_BUILD_NUMBER", outline.build_number.to_string()),
            (
                "BUILDKITE_BUILD_URL",
                format!("{root_url}/tasks/groups/{group_id}"),
            ),
            ("BUILDKITE_COMMAND", self.command()),
            ("BUILDKITE_LABEL", label.unwrap_or(UNNAMED).to_owned()),
            ("BUILDKITE_ORGANIZATION_SLUG", organization.to_owned()),
            ("BUILDKITE_PIPELINE_SLUG", outline.pipeline.to_string()),
            ("BUILDKITE_PIPELINE_ID", pipeline_uuid(&outline.pipeline)),
            ("BUILDKITE_PIPELINE_NAME", outline.pipeline.to_string()),
            ("BUILDKITE_PIPELINE_PROVIDER", "none".to_owned()),
            ("BUILDKITE_PULL_REQUEST", "false".to_owned()),
            ("BUILDKITE_AGENT_META_DATA_QUEUE", queue_key.to_owned()),
            ("TASKCLUSTER_ROOT_URL", root_url.to_owned()),
            ("TASK_ID", task_id.clone()),
            ("TASK_GROUP_ID", group_id.clone()),
        ];
        for (name, value) in fixed {
            env.insert(name.to_owned(), value);
        }
        if let Some(step) = given(&outline.step) {
            env.insert("BUILDKITE_STEP_KEY".to_owned(), step.to_owned());
        }
        if let Some(limit) = self.time_limit() {
            let minutes = limit.as_secs().div_ceil(60);
            env.insert("BUILDKITE_TIMEOUT".to_owned(), minutes.to_string());
        }
        self.describe_source(&outline, &mut env);
        self.copy_lists(&mut env);
        env
    }

    /// Where the sources come from. Most tasks fetch what they need themselves.
    fn describe_source(&self, outline: &Outline<'_>, env: &mut BTreeMap<String, String>) {
        let mut put = |name: &str, value: &str| {
            env.entry(name.to_owned())
                .or_insert_with(|| value.to_owned());
        };
        let repository = self.extra("repository");
        put("BUILDKITE_REPO", repository.unwrap_or("none"));
        if repository.is_none() {
            put("BUILDKITE_SKIP_CHECKOUT", "true");
        }
        put("BUILDKITE_COMMIT", self.extra("commit").unwrap_or("HEAD"));
        put("BUILDKITE_BRANCH", given(&outline.branch).unwrap_or(BRANCH));
        let message = self.extra("message");
        let description = self
            .document
            .get("metadata")
            .and_then(|it| it.get("description")?.as_str());
        put(
            "BUILDKITE_MESSAGE",
            message.or(description).unwrap_or_default(),
        );
    }

    fn copy_lists(&self, env: &mut BTreeMap<String, String>) {
        if let Some(plugins @ Value::Array(_)) = self.stacks("plugins") {
            env.insert("BUILDKITE_PLUGINS".to_owned(), plugins.to_string());
        }
        if let Some(Value::Array(paths)) = self.stacks("artifactPaths") {
            let paths: Vec<&str> = paths.iter().filter_map(Value::as_str).collect();
            env.insert("BUILDKITE_ARTIFACT_PATHS".to_owned(), paths.join(";"));
        }
    }
}

/// A value as the text that an environment has of it; `None` for what has none.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// An argument list as a shell reads it.
fn quoted(arguments: &[Value]) -> String {
    let words = arguments.iter().filter_map(plain).map(|word| {
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
        if !word.is_empty() && word.bytes().all(is_safe) {
            word
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use taskyard_engine::Timestamp;

    use super::*;

    fn definition(document: &Value) -> Definition {
        Definition {
            task_id: "ASNFZ4mrTe-BI0VniavN7w".to_owned(),
            task_queue_id: "stacks/default".to_owned(),
            group_id: "1sHypDt-TFmaEF8OK4x9YQ".to_owned(),
            deadline: Timestamp(0),
            expires: Timestamp(0),
            text: document.to_string(),
        }
    }

    #[test]
    fn every_form_of_a_command_is_one_line_for_a_shell() {
        for (command, line) in [
            (json!("echo hi"), "echo hi"),
            (json!(["echo", "it's", ""]), r"echo 'it'\''s' ''"),
            (json!([["a", "b c"], ["d"]]), "a 'b c' && d"),
            (json!(null), ""),
        ] {
            let definition = definition(&json!({"payload": {"command": command}}));
            let job = Job::read(&definition).expect("a job");
            assert_eq!(job.command(), line);
        }
    }

    #[test]
    fn rules_begin_with_the_queue_and_name_it_once() {
        let document = json!({"payload": {"agents": {"queue": "other", "os": "linux"}}});
        let outline = Outline::of(&document);
        assert_eq!(rules(&outline, "gpu"), ["queue=gpu", "os=linux"]);
    }

    #[test]
    fn everything_that_an_agent_insists_on_is_there() {
        let definition =
            definition(&json!({"payload": {"env": {"A": 1, "BUILDKITE_JOB_ID": "x"}}}));
        let job = Job::read(&definition).expect("a job");
        let env = job.environment("taskyard", "http://localhost", "default");
        for name in [
            "BUILDKITE_JOB_ID",
            "BUILDKITE_REPO",
            "BUILDKITE_COMMIT",
            "BUILDKITE_BRANCH",
            "BUILDKITE_ORGANIZATION_SLUG",
            "BUILDKITE_PIPELINE_SLUG",
            "BUILDKITE_PIPELINE_PROVIDER",
        ] {
            assert!(
                env.get(name).is_some_and(|value| !value.is_empty()),
                "{name}"
            );
        }
        assert_eq!(
            env["BUILDKITE_JOB_ID"],
            "01234567-89ab-4def-8123-456789abcdef"
        );
        assert_eq!(env["A"], "1");
        assert_eq!(env["BUILDKITE_SKIP_CHECKOUT"], "true");
    }
}
