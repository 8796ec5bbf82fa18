//! From a checked pipeline to what the queue is told to do.

use std::time::Duration;

use serde_json::{Map, Value, json};
use taskyard_client::Timestamp;
use taskyard_client::taskcluster::{Metadata, Priority, Requires, TaskDefinition};

use super::step::{Pipeline, Step};
use crate::build_file::graph;

/// The longest the queue lets a task wait and run.
const DEADLINE: Duration = Duration::from_hours(5 * 24);
/// How long records, logs and artifacts are kept: a month is enough to look something up.
const KEPT: Duration = Duration::from_hours(30 * 24);
/// By the number of a priority.
const PRIORITIES: [Priority; 7] = [
    Priority::Lowest,
    Priority::VeryLow,
    Priority::Low,
    Priority::Medium,
    Priority::High,
    Priority::VeryHigh,
    Priority::Highest,
];

/// What the definitions need to know beyond the file.
#[derive(Debug, Clone)]
pub(crate) struct Submission {
    /// Key of the queue of steps that name none.
    pub(crate) queue: String,
    /// The group all tasks belong to.
    pub(crate) task_group_id: String,
    /// Ids of the tasks, in the order of the file.
    pub(crate) task_ids: Vec<String>,
    /// The branch that is built, if any.
    pub(crate) branch: Option<String>,
    /// The server, named as the tasks' source, which must be a URL.
    pub(crate) root_url: String,
    /// When the tasks are submitted.
    pub(crate) now: Timestamp,
}

/// The definitions with their positions in the file, ordered so that each comes after those it
/// depends on: the queue refuses a task whose dependencies it does not know yet.
pub(crate) fn definitions(
    pipeline: &Pipeline,
    submission: &Submission,
) -> Vec<(usize, TaskDefinition)> {
    let needs: Vec<Vec<usize>> = pipeline
        .steps
        .iter()
        .map(|step| step.depends_on.clone())
        .collect();
    // A checked pipeline has no cycle.
    let order = graph::order(&needs).unwrap_or_default();
    order
        .into_iter()
        .map(|at| (at, definition(pipeline, &pipeline.steps[at], submission)))
        .collect()
}

fn definition(pipeline: &Pipeline, step: &Step, submission: &Submission) -> TaskDefinition {
    let queue = step.queue.as_ref().unwrap_or(&submission.queue);
    let metadata = Metadata {
        name: step.label.clone(),
        description: format!("A step of the pipeline {}", pipeline.name),
        owner: "taskyard-stacks@localhost".to_owned(),
        source: submission.root_url.clone(),
    };
    let created = submission.now;
    let mut definition = TaskDefinition::new(
        format!("stacks/{queue}"),
        created,
        later(created, DEADLINE),
        payload(step),
        metadata,
    );
    definition.task_group_id = Some(submission.task_group_id.clone());
    definition.scheduler_id = Some("taskyard-stacks".to_owned());
    definition.dependencies = step
        .depends_on
        .iter()
        .map(|position| submission.task_ids[*position].clone())
        .collect();
    definition.requires = Some(Requires::AllCompleted);
    definition.priority = PRIORITIES.get(usize::from(step.priority)).copied();
    definition.retries = Some(step.retries);
    definition.expires = Some(later(created, KEPT));
    definition
        .extra
        .insert("stacks".to_owned(), about(pipeline, step, submission));
    definition
}

fn payload(step: &Step) -> Value {
    let mut env = step.env.clone();
    // A step's timeout may be finer than the minutes that an agent is told.
    let seconds = step.timeout.as_secs().to_string();
    env.insert("TASKYARD_MAX_RUN_TIME".to_owned(), seconds);
    let mut payload = json!({
        "command": step.command,
        "env": env,
        "maxRunTime": step.timeout.as_secs(),
    });
    if !step.retry_on.is_empty() {
        payload["onExitStatus"] = json!({ "retry": step.retry_on });
    }
    payload
}

/// What a stack is told about the job beyond what any task has.
fn about(pipeline: &Pipeline, step: &Step, submission: &Submission) -> Value {
    let mut about = Map::new();
    let mut set = |key: &str, value: Value| about.insert(key.to_owned(), value);
    set("pipeline", slug(&pipeline.name).into());
    set("label", step.label.clone().into());
    if let Some(key) = &step.key {
        set("step", key.clone().into());
    }
    if let Some(branch) = &submission.branch {
        set("branch", branch.clone().into());
    }
    if !step.agents.is_empty() {
        set("agents", json!(step.agents));
    }
    if !step.artifact_paths.is_empty() {
        set("artifactPaths", json!(step.artifact_paths));
    }
    Value::Object(about)
}

/// A name as it stands in addresses.
fn slug(name: &str) -> String {
    let words: Vec<String> = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    if words.is_empty() {
        return "pipeline".to_owned();
    }
    words.join("-")
}

fn later(moment: Timestamp, by: Duration) -> Timestamp {
    let millis = moment.millis().saturating_add(by.as_millis() as i64);
    // Only a clock at the end of the calendar has no later moment.
    Timestamp::from_millis(millis).unwrap_or(moment)
}
