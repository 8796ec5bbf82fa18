//! A pipeline as a group of tasks on the server.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use taskyard_client::taskcluster::{Queue, TaskDefinition, TaskState, TaskStatus};
use taskyard_client::{Options, slugid};
use uuid::Uuid;

use crate::commands::lines::print;
use crate::commands::run::now;
use crate::pipeline_file::Pipeline;
use crate::pipeline_file::definition::{Submission, definitions};

/// How often the server is asked how the jobs are going.
const POLL: Duration = Duration::from_secs(1);

/// One build.
#[derive(Debug)]
pub(super) struct Build {
    queue: Queue,
    group_id: String,
    /// In the order of the file.
    jobs: Vec<Job>,
    /// With the positions in the file, in the order of submission.
    definitions: Vec<(usize, TaskDefinition)>,
}

#[derive(Debug)]
struct Job {
    task_id: String,
    label: String,
    queue: String,
}

impl Build {
    /// Gives the jobs their ids. Nothing is sent yet.
    pub(super) fn new(
        options: Options,
        pipeline: &Pipeline,
        queue: String,
        branch: Option<String>,
    ) -> anyhow::Result<Self> {
        let submission = Submission {
            queue,
            task_group_id: slugid::nice(),
            task_ids: pipeline.steps.iter().map(|_| slugid::nice()).collect(),
            branch,
            root_url: options.root_url.clone(),
            now: now()?,
        };
        let jobs = pipeline.steps.iter().zip(&submission.task_ids);
        let jobs = jobs.map(|(step, task_id)| Job {
            task_id: task_id.clone(),
            label: step.label.clone(),
            queue: step.queue.clone().unwrap_or(submission.queue.clone()),
        });
        Ok(Self {
            queue: Queue::new(options)?,
            jobs: jobs.collect(),
            definitions: definitions(pipeline, &submission),
            group_id: submission.task_group_id,
        })
    }

    /// Creates all jobs.
    pub(super) async fn submit(&self) -> anyhow::Result<()> {
        for (position, definition) in &self.definitions {
            let job = &self.jobs[*position];
            self.queue
                .create_task(&job.task_id, definition)
                .await
                .with_context(|| {
                    format!(
                        "cannot create the job `{}` in the queue `{}`",
                        job.label, job.queue
                    )
                })?;
        }
        Ok(())
    }

    /// Prints the ids.
    pub(super) fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            return print(self.jobs.iter().map(|job| self.line(job)));
        }
        let build = format!("build {}", uuid(&self.group_id));
        let jobs = self.jobs.iter().map(|job| {
            let Job {
                task_id,
                label,
                queue,
            } = job;
            format!("{}\t{queue}\t{}", uuid(task_id), label.escape_debug())
        });
        print(std::iter::once(build).chain(jobs))
    }

    fn line(&self, job: &Job) -> String {
        json!({"build": uuid(&self.group_id), "job": uuid(&job.task_id), "taskId": job.task_id,
            "taskGroupId": self.group_id, "queue": job.queue, "label": job.label})
        .to_string()
    }

    /// Prints each job when it has ended, until all have or cannot start any more; then the rest.
    pub(super) async fn wait(&self, json: bool) -> anyhow::Result<ExitCode> {
        let mut told = vec![false; self.jobs.len()];
        loop {
            let members = self.queue.list_task_group_all(&self.group_id).await;
            let statuses: HashMap<String, TaskStatus> = members
                .context("cannot ask how the jobs are going")?
                .into_iter()
                .map(|member| (member.status.task_id.clone(), member.status))
                .collect();
            let state = |job: &Job| statuses.get(&job.task_id).map(|status| status.state);
            for (told, job) in told.iter_mut().zip(&self.jobs) {
                let Some(state) = state(job).filter(|state| state.is_resolved()) else {
                    continue;
                };
                if !std::mem::replace(told, true) {
                    print([Self::end(job, state, json)])?;
                }
            }
            let states: Vec<_> = self.jobs.iter().map(state).collect();
            let moves = |state: &Option<TaskState>| {
                matches!(state, Some(TaskState::Pending | TaskState::Running))
            };
            // What is left waits for something that will never complete.
            if !states.iter().any(moves) {
                let left = self.jobs.iter().zip(&told).filter(|(_, told)| !**told);
                let left = left.filter_map(|(job, _)| Some(Self::end(job, state(job)?, json)));
                print(left)?;
                let passed = |state: &Option<TaskState>| *state == Some(TaskState::Completed);
                return Ok(if states.iter().all(passed) {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::FAILURE
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The line that tells how a job ended.
    fn end(job: &Job, state: TaskState, json: bool) -> String {
        let state = state.as_str();
        if json {
            return json!({"job": uuid(&job.task_id), "taskId": job.task_id, "label": job.label,
                "state": state})
            .to_string();
        }
        let label = job.label.escape_debug();
        format!("{}\t{state}\t{label}", uuid(&job.task_id))
    }
}

/// The same 128 bits as a UUID.
fn uuid(slug: &str) -> String {
    slugid::decode(slug).map_or_else(
        || slug.to_owned(),
        |bytes| Uuid::from_bytes(bytes).to_string(),
    )
}
