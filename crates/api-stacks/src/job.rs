//! A task's definition, read as a job.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use taskyard_engine::stacks::Definition;

use crate::problem::Problem;
use crate::{job_id, secret};

/// What a job is called that nobody gave another name.
const UNNAMED: &str = "default";
/// The branch of a build that is of none.
const BRANCH: &str = "main";

/// What is read of a definition. Listings read a thousand at once and need little of each, so its
/// largest part stays unread until somebody asks for it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document<'a> {
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    metadata: Metadata,
    tags: Tags,
    extra: Extra,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tags {
    branch: Value,
}

/// The part of a payload that a listing needs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Labels {
    agents: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    description: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Extra {
    stacks: Value,
}

/// A job.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    definition: &'a Definition,
    document: Document<'a>,
    payload: OnceCell<Value>,
}

impl<'a> Job<'a> {
    /// Reads what a task is. Only what no task can have is refused; what a task has that a job
    /// cannot use is passed over.
    pub(crate) fn read(definition: &'a Definition) -> Result<Self, Problem> {
        let document = serde_json::from_str(&definition.text).map_err(Problem::internal)?;
        Ok(Job {
            definition,
            document,
            payload: OnceCell::new(),
        })
    }

    /// A text of `extra.stacks`.
    fn extra(&self, name: &str) -> Option<&str> {
        let text = self.document.extra.stacks.get(name)?.as_str()?;
        (!text.is_empty()).then_some(text)
    }

    fn payload(&self, name: &str) -> Option<&Value> {
        let read = || {
            let text = self.document.payload.map_or("null", RawValue::get);
            serde_json::from_str(text).unwrap_or_default()
        };
        self.payload.get_or_init(read).get(name)
    }

    /// `agents` of the payload; nothing if there is none, or the payload is no object.
    fn payload_labels(&self) -> Value {
        let text = self.document.payload.map_or("{}", RawValue::get);
        if !text.contains("\"agents\"") {
            return Value::Null;
        }
        serde_json::from_str::<Labels>(text)
            .unwrap_or_default()
            .agents
    }

    /// The job's UUID.
    pub(crate) fn uuid(&self) -> String {
        job_id::uuid(&self.definition.task_id)
    }

    /// The name of the pipeline: the task's project, or else its scheduler.
    pub(crate) fn pipeline(&self) -> &str {
        if let Some(name) = self.extra("pipeline") {
            return name;
        }
        match (
            self.definition.project_id.as_str(),
            self.definition.scheduler_id.as_str(),
        ) {
            ("none" | "", "-" | "") => UNNAMED,
            ("none" | "", scheduler) => scheduler,
            (project, _) => project,
        }
    }

    pub(crate) fn pipeline_uuid(&self) -> String {
        secret::uuid_of(&format!("pipeline:{}", self.pipeline())).to_string()
    }

    pub(crate) fn build_uuid(&self) -> String {
        job_id::uuid(&self.definition.group_id)
    }

    pub(crate) fn build_number(&self) -> i64 {
        let number = self.document.extra.stacks.get("buildNumber");
        number.and_then(Value::as_i64).unwrap_or(0)
    }

    /// The branch, if the task names one.
    pub(crate) fn branch(&self) -> Option<&str> {
        self.extra("branch")
            .or_else(|| self.document.tags.branch.as_str())
            .filter(|branch| !branch.is_empty())
    }

    /// The key of the step, if the task has any name.
    pub(crate) fn step(&self) -> Option<&str> {
        self.extra("step")
            .or(Some(self.document.metadata.name.as_str()))
            .filter(|step| !step.is_empty())
    }

    fn label(&self) -> &str {
        self.extra("label").or(self.step()).unwrap_or(UNNAMED)
    }

    /// Which agents may run the job: those of its queue with all its labels.
    pub(crate) fn rules(&self, queue_key: &str) -> Vec<String> {
        let mut rules = Vec::new();
        let of_payload = self.payload_labels();
        let of_extra = self.document.extra.stacks.get("agents");
        for labels in std::iter::once(&of_payload).chain(of_extra) {
            match labels {
                Value::Object(labels) => rules.extend(
                    labels
                        .iter()
                        .filter_map(|(name, value)| Some(format!("{name}={}", plain(value)?))),
                ),
                Value::Array(labels) => {
                    rules.extend(labels.iter().filter_map(Value::as_str).map(str::to_owned));
                }
                _ => {}
            }
        }
        rules.retain(|rule| !rule.starts_with("queue="));
        rules.insert(0, format!("queue={queue_key}"));
        rules
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
        let (job, build) = (self.uuid(), self.build_uuid());
        let fixed = [
            ("BUILDKITE", "true".to_owned()),
            ("CI", "true".to_owned()),
            ("BUILDKITE_JOB_ID", job),
            ("BUILDKITE_BUILD_ID", build),
            ("BUILDKITE_BUILD_NUMBER", self.build_number().to_string()),
            (
                "BUILDKITE_BUILD_URL",
                format!("{root_url}/tasks/groups/{group_id}"),
            ),
            ("BUILDKITE_COMMAND", self.command()),
            ("BUILDKITE_LABEL", self.label().to_owned()),
            ("BUILDKITE_ORGANIZATION_SLUG", organization.to_owned()),
            ("BUILDKITE_PIPELINE_SLUG", self.pipeline().to_owned()),
            ("BUILDKITE_PIPELINE_ID", self.pipeline_uuid()),
            ("BUILDKITE_PIPELINE_NAME", self.pipeline().to_owned()),
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
        if let Some(step) = self.step() {
            env.insert("BUILDKITE_STEP_KEY".to_owned(), step.to_owned());
        }
        if let Some(limit) = self.time_limit() {
            let minutes = limit.as_secs().div_ceil(60);
            env.insert("BUILDKITE_TIMEOUT".to_owned(), minutes.to_string());
        }
        self.describe_source(&mut env);
        self.copy_lists(&mut env);
        env
    }

    /// Where the sources come from. Most tasks fetch what they need themselves.
    fn describe_source(&self, env: &mut BTreeMap<String, String>) {
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
        put("BUILDKITE_BRANCH", self.branch().unwrap_or(BRANCH));
        let message = self.extra("message");
        put(
            "BUILDKITE_MESSAGE",
            message.unwrap_or(&self.document.metadata.description),
        );
    }

    fn copy_lists(&self, env: &mut BTreeMap<String, String>) {
        let extra = &self.document.extra.stacks;
        if let Some(plugins @ Value::Array(_)) = extra.get("plugins") {
            env.insert("BUILDKITE_PLUGINS".to_owned(), plugins.to_string());
        }
        if let Some(Value::Array(paths)) = extra.get("artifactPaths") {
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
            task_number: 1,
            task_queue_id: "stacks/default".to_owned(),
            scheduler_id: "-".to_owned(),
            project_id: "none".to_owned(),
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
        let labels = json!({"agents": {"queue": "other", "os": "linux", "cpus": 4}});
        for document in [
            json!({"payload": labels}),
            json!({"payload": {}, "extra": {"stacks": labels}}),
        ] {
            let definition = definition(&document);
            let job = Job::read(&definition).expect("a job");
            assert_eq!(job.rules("gpu"), ["queue=gpu", "os=linux", "cpus=4"]);
        }
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
