//! Forgetting what has expired.

use std::time::Duration;

use taskyard_store::{Error, Tx, params};

use super::log;
use crate::timestamp::Timestamp;

/// Agents that nothing was heard of for this long are gone for good.
const AGENT_KEPT: Duration = Duration::from_hours(24);

const ENDED_JOBS: &str = "SELECT task_id, run_id FROM agent_jobs WHERE expires_at < $1 \
     ORDER BY expires_at LIMIT $2";
const DELETE_JOB: &str = "DELETE FROM agent_jobs WHERE task_id = $1 AND run_id = $2";

/// Whoever reads the chunks of a log that became an artifact is done by then.
const CHUNKS_KEPT: Duration = Duration::from_mins(10);

const SPARE_CHUNKS: &str = "SELECT task_id, run_id FROM agent_jobs WHERE log_state = 1 \
     AND ended_at < $1 ORDER BY ended_at LIMIT $2";
const CHUNKS_GONE: &str = "UPDATE agent_jobs SET log_state = 2 WHERE task_id = $1 AND run_id = $2";

/// One statement a table; each forgets a portion.
const EXPIRED: [&str; 5] = [
    "DELETE FROM job_tokens WHERE hash IN (SELECT hash FROM job_tokens WHERE expires_at < $1 \
     ORDER BY expires_at LIMIT $2)",
    "DELETE FROM job_events WHERE number IN (SELECT number FROM job_events WHERE expires_at < $1 \
     ORDER BY expires_at LIMIT $2)",
    "DELETE FROM build_meta_data WHERE (task_group_id, name) IN (SELECT task_group_id, name \
     FROM build_meta_data WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
    "DELETE FROM annotations WHERE (place, context) IN (SELECT place, context FROM annotations \
     WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
    "DELETE FROM agent_artifacts WHERE artifact_id IN (SELECT artifact_id FROM agent_artifacts \
     WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
];

/// Agents without a job; those of jobs go after them.
const AGENTS: &str = "DELETE FROM agents WHERE agent_id IN (SELECT agent_id FROM agents \
     WHERE last_seen_at < $1 ORDER BY last_seen_at LIMIT $2) AND NOT EXISTS \
     (SELECT 1 FROM agent_jobs j WHERE j.agent_id = agents.agent_id)";

/// Forgets up to `limit` of each kind of thing that expired before `now`; `true` if there may be
/// more.
pub fn forget(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<bool, Error> {
    let limit = limit as i64;
    let jobs: Vec<(String, i64)> = tx.query(ENDED_JOBS, params![now, limit], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let mut more = jobs.len() as i64 == limit;
    for (task_id, run_id) in jobs {
        log::delete_log(tx, (&task_id, run_id))?;
        tx.execute(DELETE_JOB, params![&task_id, run_id])?;
    }
    let spare: Vec<(String, i64)> = tx.query(
        SPARE_CHUNKS,
        params![now.minus(CHUNKS_KEPT), limit],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    more |= spare.len() as i64 == limit;
    for (task_id, run_id) in spare {
        log::delete_log(tx, (&task_id, run_id))?;
        tx.execute(CHUNKS_GONE, params![&task_id, run_id])?;
    }
    for statement in EXPIRED {
        more |= tx.execute(statement, params![now, limit])? as i64 == limit;
    }
    tx.execute(AGENTS, params![now.minus(AGENT_KEPT), limit])?;
    Ok(more)
}
