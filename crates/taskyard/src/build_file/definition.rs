//! From a checked build file to what the queue is told to do.

use std::time::Duration;

use serde_json::{Map, Value, json};
use taskyard_client::Timestamp;
use taskyard_client::taskcluster::{Metadata, Priority as WirePriority, Requires, TaskDefinition};

use super::graph;
use super::task::{BuildFile, Priority, Task, artifact_name};

/// The longest the queue lets a task wait and run.
const DEADLINE: Duration = Duration::from_hours(5 * 24);
/// How long records, logs and artifacts are kept: a month is enough to look something up.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// What the definitions need to know beyond the file.
#[derive(Debug, Clone)]
pub(crate) struct Submission {
    /// Queue that the worker claims from, `<provisioner>/<worker type>`.
    pub(crate) task_queue_id: String,
    /// The group all tasks belong to.
    pub(crate) task_group_id: String,
    /// Ids of the tasks, in the order of the file.
    pub(crate) task_ids: Vec<String>,
    /// The server, named as the tasks' source, which must be a URL.
    pub(crate) root_url: String,
    /// When the tasks are submitted.
    pub(crate) now: Timestamp,
    /// Who runs the tasks.
    pub(crate) runner: Runner,
}

/// Who runs the tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runner {
    /// A worker, which reads the payload.
    Worker,
    /// A stack, which knows a job by its command and its variables.
    Stack,
}

/// A definition and its position in the file.
pub(crate) type Positioned = (usize, TaskDefinition);

/// The definitions, ordered so that each comes after those it depends on: the queue refuses a
/// task whose dependencies it does not know yet.
pub(crate) fn definitions(build: &BuildFile, submission: &Submission) -> Vec<Positioned> {
    let needs: Vec<Vec<usize>> = build.tasks.iter().map(|task| task.needs.clone()).collect();
    // A checked build has no cycle.
    let order = graph::order(&needs).unwrap_or_default();
    order
        .into_iter()
        .map(|at| (at, definition(build, &build.tasks[at], submission)))
        .collect()
}

fn definition(build: &BuildFile, task: &Task, submission: &Submission) -> TaskDefinition {
    let id_of = |position: &usize| submission.task_ids[*position].clone();
    let metadata = Metadata {
        name: format!("{} / {}", build.name, task.id),
        description: task.description.clone(),
        owner: "taskyard-run@localhost".to_owned(),
        source: submission.root_url.clone(),
    };
    let created = submission.now;
    let deadline = later(created, DEADLINE);
    let payload = payload(build, task, submission);
    let mut definition = TaskDefinition::new(
        &submission.task_queue_id,
        created,
        deadline,
        payload,
        metadata,
    );
    definition.task_group_id = Some(submission.task_group_id.clone());
    definition.scheduler_id = Some("taskyard-run".to_owned());
    definition.dependencies = task.needs.iter().map(id_of).collect();
    definition.requires = Some(Requires::AllCompleted);
    definition.priority = Some(wire(task.priority));
    definition.retries = Some(task.retries);
    definition.expires = Some(later(created, KEPT));
    definition.scopes = scopes(task);
    definition.tags = [("build", &build.name), ("task", &task.id)]
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .into();
    definition
        .extra
        .insert("buildFile".to_owned(), json!(build.path.to_string_lossy()));
    if submission.runner == Runner::Stack {
        definition
            .extra
            .insert("stacks".to_owned(), about(build, task));
    }
    definition
}

/// A worker checks that a task may read what it mounts.
fn scopes(task: &Task) -> Vec<String> {
    let mut scopes: Vec<String> = task
        .inputs
        .iter()
        .map(|input| format!("queue:get-artifact:{}", artifact_name(&input.artifact)))
        .collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

/// What a stack is told about the job beyond what any task has.
fn about(build: &BuildFile, task: &Task) -> Value {
    let patterns = task.artifacts.iter().map(|artifact| {
        if artifact.directory {
            format!("{}/**/*", artifact.path)
        } else {
            artifact.path.clone()
        }
    });
    let patterns: Vec<String> = patterns.collect();
    json!({"pipeline": build.name, "step": task.id, "label": task.id, "artifactPaths": patterns})
}

fn payload(build: &BuildFile, task: &Task, submission: &Submission) -> Value {
    let mut payload = Map::new();
    let mut set = |key: &str, value: Value| payload.insert(key.to_owned(), value);
    let mut env = task.env.clone();
    env.insert(
        "SOURCE_DIR".to_owned(),
        build.source_dir.to_string_lossy().into_owned(),
    );
    let mounts: Vec<Value> = task
        .inputs
        .iter()
        .map(|input| {
            let from = &submission.task_ids[input.from];
            let content = json!({"taskId": from, "artifact": artifact_name(&input.artifact)});
            json!({"file": input.to, "content": content})
        })
        .collect();
    if submission.runner == Runner::Stack {
        let seconds = task.timeout.as_secs().to_string();
        env.insert("TASKYARD_MAX_RUN_TIME".to_owned(), seconds);
        let prefix = artifact_name("");
        env.insert("TASKYARD_ARTIFACT_PREFIX".to_owned(), prefix);
        if !mounts.is_empty() {
            env.insert("TASKYARD_MOUNTS".to_owned(), json!(mounts).to_string());
        }
    }
    set("command", json!([task.command]));
    set("env", json!(env));
    set("maxRunTime", json!(task.timeout.as_secs()));
    if !task.artifacts.is_empty() {
        let artifacts = task.artifacts.iter().map(|artifact| {
            let kind = if artifact.directory {
                "directory"
            } else {
                "file"
            };
            json!({"type": kind, "path": artifact.path, "name": artifact.name()})
        });
        set("artifacts", artifacts.collect());
    }
    if !mounts.is_empty() {
        set("mounts", mounts.into());
    }
    if !task.retry_on.is_empty() {
        set("onExitStatus", json!({"retry": task.retry_on}));
    }
    Value::Object(payload)
}

fn wire(priority: Priority) -> WirePriority {
    match priority {
        Priority::Highest => WirePriority::Highest,
        Priority::VeryHigh => WirePriority::VeryHigh,
        Priority::High => WirePriority::High,
        Priority::Medium => WirePriority::Medium,
        Priority::Low => WirePriority::Low,
        Priority::VeryLow => WirePriority::VeryLow,
        Priority::Lowest => WirePriority::Lowest,
    }
}

fn later(moment: Timestamp, by: Duration) -> Timestamp {
    let millis = moment.millis().saturating_add(by.as_millis() as i64);
    // Only a clock at the end of the calendar has no later moment.
    Timestamp::from_millis(millis).unwrap_or(moment)
}
