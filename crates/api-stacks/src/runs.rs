//! An agent takes its job, starts it, asks how it stands, and says how it ended.

use std::time::Duration;

use serde_json::{Value, json};
use taskyard_engine::Timestamp;
use taskyard_engine::stacks::{self as engine, AgentJob, Definition, Ending, NewEvent, Refusal};
use taskyard_engine::task::{self, Exception, Resolved, Task};

use crate::caller::{Right, Who};
use crate::job::Job;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::secret::{self, Purpose};
use crate::service::Asked;
use crate::stacks::ORGANIZATION;
use crate::state::{JobState, LOST_AFTER};
use crate::{job_id, log};

/// What the log of a job comes in, in bytes and seconds; zero would be the end of the agent.
pub(crate) const CHUNK: usize = 102_400;
const CHUNK_INTERVAL: u32 = 1;

/// Why an agent does not get a job. Agents give up for good at this status alone.
fn not_for_you(text: String) -> Problem {
    Problem::Invalid(text)
}

/// How an agent comes to its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taking {
    /// It was started for this one.
    ByName,
    /// It asked for any, and was told of this one.
    Assigned,
}

/// Gives a job to an agent.
pub(crate) async fn take(asked: &Asked<'_>, taking: Taking) -> Result<Reply, Problem> {
    let agent = asked.agent()?.clone();
    let uuid = asked.segment(0);
    let unknown = || not_for_you(format!("No job found with the uuid {uuid}"));
    let id = job_id::task_id(uuid).ok_or_else(unknown)?;
    if agent.only_task.as_ref().is_some_and(|only| *only != id) {
        return Err(unknown());
    }
    let (is_sent, caller) = (agent.only_task.is_some(), asked.caller.clone());
    let queues = asked.parts().queues.clone();
    let may = move |queue: &str| is_sent || caller.may(Right::Agent, &queues.key(queue));
    let (definition, _) = asked.find(&id, may).await?.ok_or_else(unknown)?;
    let token = secret::new_token(Purpose::Job)?;
    let hash = secret::hash(&token);
    let (now, until) = (asked.now, asked.now.plus(LOST_AFTER));
    let for_agent = agent.clone();
    let acquired = asked
        .store()
        .write(task::group_key(&definition.group_id), move |tx| {
            let take = match taking {
                Taking::ByName => engine::acquire,
                Taking::Assigned => engine::accept,
            };
            take(tx, now, &id, &for_agent, &hash, until)
        })
        .await?;
    match acquired {
        Ok(task) => Ok(Reply::ok(&body(asked, &definition, &task, &agent, &token)?)),
        Err(Refusal::Waiting) => Err(Problem::Locked(format!(
            "The job {uuid} waits for other jobs"
        ))),
        Err(refusal) => Err(not_for_you(format!(
            "The job {uuid} cannot be acquired: {refusal}"
        ))),
    }
}

/// The job as an agent is told of it.
fn body(
    asked: &Asked<'_>,
    definition: &Definition,
    task: &Task,
    agent: &engine::Agent,
    token: &str,
) -> Result<Value, Problem> {
    let job = Job::read(definition)?;
    let queue_key = asked.parts().queues.key(&definition.task_queue_id);
    let mut env = job.environment(ORGANIZATION, &asked.parts().root_url, &queue_key);
    let run_id = task.runs.len().saturating_sub(1);
    for (name, value) in [
        ("BUILDKITE_AGENT_NAME", agent.name.clone()),
        ("BUILDKITE_AGENT_ID", agent.id.clone()),
        ("BUILDKITE_RETRY_COUNT", run_id.to_string()),
        ("RUN_ID", run_id.to_string()),
    ] {
        env.insert(name.to_owned(), value);
    }
    let runnable_at = task.runs.last().map(|run| run.scheduled.to_iso());
    Ok(json!({
        "id": job.uuid(),
        "state": JobState::Accepted.as_str(),
        "env": env,
        "token": token,
        "chunks_max_size_bytes": CHUNK,
        "chunks_interval_seconds": CHUNK_INTERVAL,
        "log_max_size_bytes": log::LONGEST,
        "priority": task.priority as i64 - 1,
        "runnable_at": runnable_at,
    }))
}

impl Asked<'_> {
    /// The job that the path names, which must be the caller's. A job's token ends with the job.
    pub(crate) async fn job(&self) -> Result<AgentJob, Problem> {
        let uuid = self.segment(0);
        let id = job_id::task_id(uuid).ok_or_else(|| Problem::no_job(uuid))?;
        let job = match &self.caller.who {
            Who::Job(job) if job.task_id == id => job.clone(),
            Who::Job(_) => return Err(Problem::no_job(uuid)),
            _ => {
                let agent_id = self.agent()?.id.clone();
                self.store()
                    .read(move |tx| engine::job_of_agent(tx, &agent_id, &id))
                    .await?
                    .ok_or_else(|| Problem::no_job(uuid))?
            }
        };
        if job.ended_at.is_some() {
            return Err(Problem::Unauthorized(format!("The job {uuid} has ended")));
        }
        Ok(job)
    }

    /// What the caller's job is.
    pub(crate) async fn definition(&self, job: &AgentJob) -> Result<Definition, Problem> {
        let ids = [job.task_id.clone()];
        let found = self
            .store()
            .read(move |tx| engine::definitions(tx, &ids))
            .await?;
        found
            .into_iter()
            .next()
            .ok_or_else(|| Problem::no_job(self.segment(0)))
    }
}

/// A job begins to run.
pub(crate) async fn start(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let job = asked.job().await?;
    let definition = asked.definition(&job).await?;
    let (now, limit) = (asked.now, Job::read(&definition)?.time_limit());
    let timeout_at = limit.map(|limit| now.plus(limit));
    let live = log::live(asked.parts(), &job, &definition)?;
    let started = asked
        .store()
        .write(task::group_key(&definition.group_id), move |tx| {
            let started = engine::start(tx, now, &job, timeout_at)?;
            if started.is_ok() {
                log::announce(tx, now, &live)?;
            }
            Ok(started)
        })
        .await?;
    started.map_err(|refusal| Problem::Invalid(format!("The job cannot be started: {refusal}")))?;
    Ok(Reply::ok(&json!({})))
}

/// How the run stands that the agent has. Whatever took the run from it makes it stop.
pub(crate) async fn state(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let job = asked.job().await?;
    let (ids, now) = ([job.task_id.clone()], asked.now);
    let standing = asked
        .store()
        .read(move |tx| Ok(engine::standings(tx, &ids)?.pop()))
        .await?;
    let state = standing
        .filter(|it| it.run.as_ref().is_some_and(|(id, _)| *id == job.run_id))
        .map(|it| JobState::of(&it, now));
    let state = match state {
        Some(
            state @ (JobState::Accepted
            | JobState::Running
            | JobState::Canceling
            | JobState::Canceled
            | JobState::TimingOut
            | JobState::TimedOut),
        ) => state,
        _ => JobState::Canceled,
    };
    let uuid = job_id::uuid(&job.task_id);
    Ok(Reply::ok(&json!({"id": uuid, "state": state.as_str()})))
}

/// A job changes its time limit, in minutes from its start.
pub(crate) async fn update(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let job = asked.job().await?;
    let payload = asked.payload()?;
    let wrong =
        || Problem::Invalid("only timeout_in_minutes can be changed, to a whole number".to_owned());
    let minutes = payload
        .text("timeout_in_minutes")?
        .or(payload.text("timeout")?)
        .and_then(|text| text.parse::<u32>().ok())
        .ok_or_else(wrong)?;
    let since = job.started_at.unwrap_or(asked.now);
    let timeout_at = since.plus(Duration::from_mins(minutes.into()));
    let uuid = job_id::uuid(&job.task_id);
    asked
        .store()
        .write(taskyard_store::Key::of(&job.task_id), move |tx| {
            engine::set_timeout(tx, &job, Some(timeout_at))
        })
        .await?;
    Ok(Reply::ok(&json!({ "id": uuid })))
}

/// What an agent says about the end of its job.
#[derive(Debug)]
struct Report {
    exit_status: i64,
    signal: Option<String>,
    signal_reason: Option<String>,
}

impl Report {
    fn read(asked: &Asked<'_>) -> Result<Self, Problem> {
        let payload = asked.payload()?;
        let wrong = || Problem::Invalid("exit_status must be a whole number".to_owned());
        let exit_status = match payload.get("exit_status") {
            Some(Value::String(text)) => text.parse().map_err(|_| wrong())?,
            Some(number) => number.as_i64().ok_or_else(wrong)?,
            None => return Err(wrong()),
        };
        let text = |name: &str| {
            let text = payload.text(name)?.filter(|text| !text.is_empty());
            Ok::<_, Problem>(text.map(str::to_owned))
        };
        Ok(Report {
            exit_status,
            signal: text("signal")?,
            signal_reason: text("signal_reason")?,
        })
    }

    /// How the run ends that is reported so.
    fn resolved(&self, job: &AgentJob, definition: &Job<'_>, now: Timestamp) -> Resolved {
        let exception = match self.signal_reason.as_deref() {
            Some("cancel") if job.timeout_at.is_some_and(|at| at <= now) => {
                return Resolved::Failed;
            }
            Some("cancel") => Exception::Canceled,
            Some("agent_stop") => Exception::WorkerShutdown,
            Some("agent_refused" | "agent_incompatible" | "signature_rejected") => {
                Exception::MalformedPayload
            }
            Some("process_run_error") => Exception::InternalError,
            _ if self.exit_status == 0 => return Resolved::Completed,
            _ if definition.is_retried_after(self.exit_status) => Exception::IntermittentTask,
            _ => return Resolved::Failed,
        };
        Resolved::Exception(exception)
    }
}

/// A job ended. The same again, or something late, changes nothing.
pub(crate) async fn finish(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let report = Report::read(asked)?;
    if let Who::Job(job) = &asked.caller.who
        && job.ended_at.is_some()
        && job_id::task_id(asked.segment(0)).as_ref() == Some(&job.task_id)
    {
        return Ok(Reply::ok(&json!({})));
    }
    let job = asked.job().await?;
    let definition = asked.definition(&job).await?;
    let resolved = report.resolved(&job, &Job::read(&definition)?, asked.now);
    let kept = log::keep(asked, &job, &definition).await;
    let detail = json!({
        "exit_status": report.exit_status,
        "signal": report.signal,
        "signal_reason": report.signal_reason,
    })
    .to_string();
    let (now, expires_at) = (asked.now, definition.expires);
    let is_last = asked.payload()?.flag("ignore_agent_in_dispatches")?;
    asked
        .store()
        .write(task::group_key(&definition.group_id), move |tx| {
            // The task first, as everybody locks it; then what hangs on it.
            engine::lock_job(tx, &job)?;
            if is_last {
                engine::ignore_in_dispatches(tx, &job.agent_id)?;
            }
            log::record(tx, now, &job, &kept)?;
            if engine::end(tx, now, &job, resolved)? == Ending::Resolved {
                let event = NewEvent {
                    task_id: &job.task_id,
                    kind: "finished",
                    actor: &job.agent_id,
                    detail: &detail,
                    at: now,
                    expires_at,
                };
                engine::record(tx, &event)?;
            }
            Ok(())
        })
        .await?;
    Ok(Reply::ok(&json!({})))
}
