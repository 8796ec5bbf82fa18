//! A run that an agent has: from the moment it acquires the job until it says how that ended.

use taskyard_store::{Error, Row, Tx, Value, params};

use super::agent::Agent;
use super::job::Refusal;
use super::worker;
use crate::by_ids::ByIds;
use crate::task::{self, Resolved, State, Task};
use crate::timestamp::Timestamp;

/// A run that an agent has or had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentJob {
    /// The task.
    pub task_id: String,
    /// Which run.
    pub run_id: usize,
    /// The agent.
    pub agent_id: String,
    /// When the agent acquired it.
    pub accepted_at: Timestamp,
    /// When it began to run.
    pub started_at: Option<Timestamp>,
    /// When it is to be stopped.
    pub timeout_at: Option<Timestamp>,
    /// When the agent said that it is over.
    pub ended_at: Option<Timestamp>,
    /// When it may be forgotten.
    pub expires_at: Timestamp,
    /// When the agent was last heard of.
    pub agent_seen_at: Timestamp,
}

macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "SELECT j.task_id, j.run_id, j.agent_id, j.accepted_at, j.started_at, j.timeout_at, \
             j.ended_at, j.expires_at, a.last_seen_at FROM agent_jobs j \
             JOIN agents a ON a.agent_id = j.agent_id WHERE ",
            $rest
        )
    };
}

fn read(row: &Row<'_>) -> Result<AgentJob, Error> {
    Ok(AgentJob {
        task_id: row.get(0)?,
        run_id: usize::try_from(row.get::<i64>(1)?).unwrap_or_default(),
        agent_id: row.get(2)?,
        accepted_at: row.get(3)?,
        started_at: row.get(4)?,
        timeout_at: row.get(5)?,
        ended_at: row.get(6)?,
        expires_at: row.get(7)?,
        agent_seen_at: row.get(8)?,
    })
}

static OF_TASKS: ByIds = ByIds::new(columns!("j.task_id IN ({ids})"), 0);

/// What agents have or had of these tasks.
pub(super) fn of_tasks(tx: &mut Tx<'_>, task_ids: &[Value<'_>]) -> Result<Vec<AgentJob>, Error> {
    OF_TASKS.query(tx, &[], task_ids, read)
}

const BY_TOKEN: &str = columns!("j.token_hash = $1");
const OF_AGENT: &str =
    columns!("j.agent_id = $1 AND j.task_id = $2 ORDER BY j.run_id DESC LIMIT 1");
const OPEN: &str = "SELECT task_id, run_id FROM agent_jobs WHERE agent_id = $1 \
     AND ended_at IS NULL LIMIT 100";

/// The job whose own token has this hash.
pub fn job_by_token(tx: &mut Tx<'_>, hash: &str) -> Result<Option<AgentJob>, Error> {
    tx.query_opt(BY_TOKEN, params![hash], read)
}

/// The last run of the task that this agent had.
pub fn job_of_agent(
    tx: &mut Tx<'_>,
    agent_id: &str,
    task_id: &str,
) -> Result<Option<AgentJob>, Error> {
    tx.query_opt(OF_AGENT, params![agent_id, task_id], read)
}

/// The runs that an agent is at, as (task id, run id).
pub fn open_jobs(tx: &mut Tx<'_>, agent_id: &str) -> Result<Vec<(String, usize)>, Error> {
    tx.query(OPEN, params![agent_id], |row| {
        let run_id = usize::try_from(row.get::<i64>(1)?).unwrap_or_default();
        Ok((row.get(0)?, run_id))
    })
}

const INSERT: &str = "INSERT INTO agent_jobs (task_id, run_id, agent_id, token_hash, accepted_at, \
     log_state, expires_at) VALUES ($1, $2, $3, $4, $5, 0, $6) \
     ON CONFLICT (task_id, run_id) DO UPDATE \
     SET token_hash = excluded.token_hash WHERE agent_jobs.agent_id = excluded.agent_id";

/// Gives the pending run of a task to `agent` until `until`, whoever has reserved it. The same agent
/// asking again gets the same run; its job token is then the last one.
pub fn acquire(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_id: &str,
    agent: &Agent,
    token_hash: &str,
    until: Timestamp,
) -> Result<Result<Task, Refusal>, Error> {
    let Some(task) = task::lock(tx, task_id)? else {
        return Ok(Err(Refusal::Unknown));
    };
    let worker = worker(&agent.id);
    let task = match task.state() {
        State::Unscheduled => return Ok(Err(Refusal::Waiting)),
        State::Completed | State::Failed | State::Exception => return Ok(Err(Refusal::Ended)),
        State::Running => {
            let is_theirs = task
                .runs
                .last()
                .is_some_and(|run| run.worker.as_ref() == Some(&worker));
            if !is_theirs {
                return Ok(Err(Refusal::Taken));
            }
            task
        }
        State::Pending => match task::claim_locked(tx, now, task, worker, until)? {
            Ok(task) => task,
            Err(_) => return Ok(Err(Refusal::Ended)),
        },
    };
    let run_id = task.runs.len() as i64 - 1;
    let written = tx.execute(
        INSERT,
        params![&task.id, run_id, &agent.id, token_hash, now, task.expires],
    )?;
    if written == 0 {
        return Err(tx.overtaken("a run has another agent"));
    }
    Ok(Ok(task))
}

const START: &str = "UPDATE agent_jobs SET started_at = $3, timeout_at = $4 \
     WHERE task_id = $1 AND run_id = $2 AND started_at IS NULL AND ended_at IS NULL";

/// Whether the run is still the agent's.
fn is_running(task: Option<&Task>, job: &AgentJob) -> bool {
    task.is_some_and(|task| {
        task.runs.len() == job.run_id + 1
            && task.runs.last().is_some_and(|run| {
                run.state == State::Running && run.worker.as_ref() == Some(&worker(&job.agent_id))
            })
    })
}

/// An agent starts its job, which is to be stopped at `timeout_at`. Again, it changes nothing.
pub fn start(
    tx: &mut Tx<'_>,
    now: Timestamp,
    job: &AgentJob,
    timeout_at: Option<Timestamp>,
) -> Result<Result<(), Refusal>, Error> {
    let task = task::lock(tx, &job.task_id)?;
    if job.ended_at.is_some() || !is_running(task.as_ref(), job) {
        return Ok(Err(Refusal::Ended));
    }
    tx.execute(
        START,
        params![&job.task_id, job.run_id as i64, now, timeout_at],
    )?;
    Ok(Ok(()))
}

const SET_TIMEOUT: &str = "UPDATE agent_jobs SET timeout_at = $3 \
     WHERE task_id = $1 AND run_id = $2 AND ended_at IS NULL";

/// Changes when a job is to be stopped.
pub fn set_timeout(
    tx: &mut Tx<'_>,
    job: &AgentJob,
    timeout_at: Option<Timestamp>,
) -> Result<(), Error> {
    tx.execute(
        SET_TIMEOUT,
        params![&job.task_id, job.run_id as i64, timeout_at],
    )?;
    Ok(())
}

/// What came of an agent's report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The run ended as it says.
    Resolved,
    /// The run had ended before: this report was made already, or something else came between.
    Over,
}

const LOG_KEPT: &str = "UPDATE agent_jobs SET log_state = 1 WHERE task_id = $1 AND run_id = $2 \
     AND log_state = 0";

/// Notes that the log of a run is kept elsewhere by now, so that its chunks may go.
pub fn log_is_kept(tx: &mut Tx<'_>, job: &AgentJob) -> Result<(), Error> {
    tx.execute(LOG_KEPT, params![&job.task_id, job.run_id as i64])?;
    Ok(())
}

const END: &str = "UPDATE agent_jobs SET ended_at = $3 WHERE task_id = $1 AND run_id = $2 \
     AND ended_at IS NULL";

/// Locks the task of a job until the transaction ends, before anything that hangs on it is changed.
pub fn lock_job(tx: &mut Tx<'_>, job: &AgentJob) -> Result<(), Error> {
    task::lock(tx, &job.task_id).map(drop)
}

/// An agent reports how its job ended. A run that has ended by other means stays as it is.
pub fn end(
    tx: &mut Tx<'_>,
    now: Timestamp,
    job: &AgentJob,
    resolved: Resolved,
) -> Result<Ending, Error> {
    let task = task::lock(tx, &job.task_id)?;
    let is_running = is_running(task.as_ref(), job);
    tx.execute(END, params![&job.task_id, job.run_id as i64, now])?;
    if is_running && task::report(tx, now, &job.task_id, job.run_id, resolved)?.is_ok() {
        return Ok(Ending::Resolved);
    }
    Ok(Ending::Over)
}
