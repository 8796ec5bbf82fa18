//! The tasks of one build on the server.

use std::collections::HashMap;

use anyhow::Context as _;
use taskyard_client::taskcluster::{Queue, TaskDefinition, TaskStatus};
use taskyard_client::{Error, Timestamp, slugid};

use crate::build_file::BuildFile;
use crate::build_file::definition::{Runner, Submission, definitions};

/// A build as a task group of the queue.
#[derive(Debug)]
pub(super) struct Group {
    queue: Queue,
    submission: Submission,
    /// Position of a task in the file, by its id on the server.
    positions: HashMap<String, usize>,
    /// With the positions in the file, in the order of submission.
    definitions: Vec<(usize, TaskDefinition)>,
}

impl Group {
    /// Gives the tasks their ids. Nothing is sent yet.
    pub(super) fn new(
        queue: Queue,
        build: &BuildFile,
        root_url: &str,
        now: Timestamp,
        runner: Runner,
    ) -> Self {
        let task_group_id = slugid::nice();
        let submission = Submission {
            task_queue_id: queue_of(&task_group_id, runner),
            task_group_id,
            task_ids: build.tasks.iter().map(|_| slugid::nice()).collect(),
            root_url: root_url.to_owned(),
            now,
            runner,
        };
        let ids = submission.task_ids.iter().cloned();
        Self {
            queue,
            positions: ids
                .enumerate()
                .map(|(position, id)| (id, position))
                .collect(),
            definitions: definitions(build, &submission),
            submission,
        }
    }

    /// The server.
    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The queue that the worker of this build claims from. Each build has its own, so that no
    /// worker picks up what an earlier build left in the same database.
    pub(super) fn task_queue_id(&self) -> &str {
        &self.submission.task_queue_id
    }

    /// Creates all tasks.
    pub(super) async fn submit(&self) -> anyhow::Result<()> {
        for (position, definition) in &self.definitions {
            self.queue
                .create_task(&self.submission.task_ids[*position], definition)
                .await
                .with_context(|| {
                    format!("cannot create the task `{}`", definition.metadata.name)
                })?;
        }
        Ok(())
    }

    /// The status of each task, by its position in the file; `None` for what is not created yet.
    pub(super) async fn statuses(&self) -> anyhow::Result<Vec<Option<TaskStatus>>> {
        let mut statuses = vec![None; self.submission.task_ids.len()];
        let members = match self
            .queue
            .list_task_group_all(&self.submission.task_group_id)
            .await
        {
            Err(error) if error.status() == Some(404) => Vec::new(),
            members => members.context("cannot ask how the tasks are going")?,
        };
        for member in members {
            if let Some(position) = self.positions.get(&member.status.task_id) {
                statuses[*position] = Some(member.status);
            }
        }
        Ok(statuses)
    }

    /// Cancels every task that has not ended, those that wait for others first: otherwise one
    /// could start when the task before it ends.
    pub(super) async fn cancel_rest(&self) -> anyhow::Result<()> {
        let statuses = self.statuses().await?;
        for (position, _) in self.definitions.iter().rev() {
            match &statuses[*position] {
                Some(status) if !status.state.is_resolved() => {}
                _ => continue,
            }
            match self
                .queue
                .cancel_task(&self.submission.task_ids[*position])
                .await
            {
                // 409: its deadline has passed, so the server ends it by itself.
                Ok(_) | Err(Error::Api { status: 409, .. }) => {}
                Err(error) => return Err(error).context("cannot cancel the remaining tasks"),
            }
        }
        Ok(())
    }
}

/// A queue name of its own for a group: worker types are lower-case.
fn queue_of(task_group_id: &str, runner: Runner) -> String {
    let provisioner = match runner {
        Runner::Worker => "local",
        Runner::Stack => "stacks",
    };
    let letters: String = task_group_id
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .take(12)
        .collect();
    format!("{provisioner}/run-{letters}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_named_in_the_letters_that_queues_allow() {
        let queue = |runner| queue_of("fN-_bArXTPSVFNUvaOlinQ", runner);
        assert_eq!(queue(Runner::Worker), "local/run-fnbarxtpsvfn");
        assert_eq!(queue(Runner::Stack), "stacks/run-fnbarxtpsvfn");
    }
}
