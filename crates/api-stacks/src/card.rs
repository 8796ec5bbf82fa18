//! What a listing says of a job that never changes, kept ready to be sent: the head of a queue is
//! listed every second.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use taskyard_engine::Timestamp;
use taskyard_engine::stacks::{Definition, Listed};

use crate::job::Job;
use crate::problem::Problem;

/// The parts of a listed job between those that change.
#[derive(Debug)]
pub(crate) struct Card {
    /// Tells a task from a later one of the same id.
    deadline: Timestamp,
    /// `{"id":…,"agent_query_rules":…,"pipeline":…,"build":…,"step":…`
    text: String,
}

#[derive(Serialize)]
struct Face<'a> {
    id: String,
    agent_query_rules: Vec<String>,
    pipeline: Pipeline<'a>,
    build: Build<'a>,
    step: Step<'a>,
}

#[derive(Serialize)]
struct Pipeline<'a> {
    slug: &'a str,
    uuid: String,
}

#[derive(Serialize)]
struct Build<'a> {
    uuid: String,
    number: i64,
    branch: Option<&'a str>,
}

#[derive(Serialize)]
struct Step<'a> {
    key: Option<&'a str>,
}

impl Card {
    pub(crate) fn new(definition: &Definition, queue_key: &str) -> Result<Self, Problem> {
        let job = Job::read(definition)?;
        let face = Face {
            id: job.uuid(),
            agent_query_rules: job.rules(queue_key),
            pipeline: Pipeline {
                slug: job.pipeline(),
                uuid: job.pipeline_uuid(),
            },
            build: Build {
                uuid: job.build_uuid(),
                number: job.build_number(),
                branch: job.branch(),
            },
            step: Step { key: job.step() },
        };
        let mut text = serde_json::to_string(&face).map_err(Problem::internal)?;
        text.pop();
        Ok(Card {
            deadline: definition.deadline,
            text,
        })
    }

    /// Appends the job as it is listed.
    pub(crate) fn write(&self, listed: &Listed, into: &mut Vec<u8>) {
        let since = listed.at.scheduled.to_iso();
        // The lowest priority of a task is 1.
        let priority = listed.priority - 1;
        into.extend_from_slice(self.text.as_bytes());
        let rest = format!(
            ",\"priority\":{priority},\"scheduled_at\":\"{since}\",\"runnable_at\":\"{since}\"}}"
        );
        into.extend_from_slice(rest.as_bytes());
    }
}

/// Cards in each of the two halves.
const HALF: usize = 20_000;

/// The cards of jobs that were listed lately. When one half is full, the other, older one goes.
#[derive(Debug, Default)]
pub(crate) struct Cards {
    halves: Mutex<[HashMap<String, Arc<Card>>; 2]>,
}

impl Cards {
    /// The card of a listed job, if it is there.
    pub(crate) fn get(&self, listed: &Listed) -> Option<Arc<Card>> {
        let mut halves = self.halves.lock();
        let [young, old] = &mut *halves;
        let known = young.get(&listed.task_id).map(Arc::clone);
        let found = if let Some(card) = known {
            card
        } else {
            let card = old.remove(&listed.task_id)?;
            keep(&mut halves, listed.task_id.clone(), Arc::clone(&card));
            card
        };
        (Some(found.deadline) == listed.deadline).then_some(found)
    }

    pub(crate) fn put(&self, task_id: String, card: Arc<Card>) {
        keep(&mut self.halves.lock(), task_id, card);
    }
}

fn keep(halves: &mut [HashMap<String, Arc<Card>>; 2], task_id: String, card: Arc<Card>) {
    let [young, old] = halves;
    if young.len() >= HALF {
        std::mem::swap(young, old);
        young.clear();
    }
    young.insert(task_id, card);
}
