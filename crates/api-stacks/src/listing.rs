//! Jobs as a listing has them.

use serde::Serialize;
use taskyard_engine::stacks::{Listed, Outline};

use crate::job;
use crate::job_id;
use crate::problem::Problem;

/// Room for a job; most are smaller.
const JOB: usize = 512;

#[derive(Serialize)]
struct Face<'a> {
    id: String,
    agent_query_rules: Vec<String>,
    pipeline: Pipeline<'a>,
    build: Build<'a>,
    step: Step<'a>,
    priority: i64,
    scheduled_at: &'a str,
    runnable_at: &'a str,
}

#[derive(Serialize)]
struct Pipeline<'a> {
    slug: &'a str,
    uuid: &'a str,
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

/// Writes `[job, …]` behind what stands in `into`.
pub(crate) fn write_jobs(
    into: &mut Vec<u8>,
    queue_key: &str,
    listed: &[Listed],
) -> Result<(), Problem> {
    into.reserve(listed.len() * JOB);
    into.push(b'[');
    // Jobs that stand together are mostly of one pipeline.
    let mut pipeline = (String::new(), String::new());
    for (at, job) in listed.iter().enumerate() {
        if at > 0 {
            into.push(b',');
        }
        let outline = Outline::read(&job.outline).map_err(Problem::internal)?;
        if pipeline.0 != outline.pipeline {
            let uuid = job::pipeline_uuid(&outline.pipeline);
            pipeline = (outline.pipeline.clone().into_owned(), uuid);
        }
        let since = job.at.scheduled.to_iso();
        let face = Face {
            id: job_id::uuid(&job.task_id),
            agent_query_rules: job::rules(&outline, queue_key),
            pipeline: Pipeline {
                slug: &outline.pipeline,
                uuid: &pipeline.1,
            },
            build: Build {
                uuid: job_id::uuid(&job.group_id),
                number: outline.build_number,
                branch: job::given(&outline.branch),
            },
            step: Step {
                key: job::given(&outline.step),
            },
            // The lowest priority of a task is 1.
            priority: job.priority - 1,
            scheduled_at: &since,
            runnable_at: &since,
        };
        serde_json::to_writer(&mut *into, &face).map_err(Problem::internal)?;
    }
    into.push(b']');
    Ok(())
}
