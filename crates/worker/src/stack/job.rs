//! One job, from the agent that takes it to the report of its end.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use taskyard_client::{
    Options, slugid,
    stacks::{
        Error, FinishedJob, JobState,
        agent::{Agent, JobEnd, NewAgent, TakenJob},
    },
    taskcluster::Queue,
};
use tokio::{sync::watch, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use super::{
    host::Host,
    kept_files,
    outcome::{Outcome, Stop},
    sent_log::{self, FLUSH_LIMIT},
    wishes::Wishes,
};
use crate::{
    directory::RunDirectory,
    log::{TaskLog, Tone},
    mounts,
    process::{self, Invocation},
};

/// How a job ended, as far as the stack is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// With success.
    Passed,
    /// Without.
    Failed,
    /// It was somebody else's, or was taken away.
    Lost,
}

/// Runs a job that is reserved for this stack.
pub(super) async fn run(host: Arc<Host>, job_uuid: String) -> Ended {
    let agent = match take(&host, &job_uuid).await {
        Ok(Some(taken)) => taken,
        Ok(None) => {
            tracing::info!(job = job_uuid, "a job went to somebody else");
            return Ended::Lost;
        }
        Err(error) => {
            tracing::warn!(job = job_uuid, %error, "cannot take a job");
            give_up(&host, &job_uuid, &error).await;
            return Ended::Lost;
        }
    };
    let (agent, taken) = agent;
    let ended = run_as_agent(&host, &agent, &taken).await;
    if let Err(error) = agent.disconnect().await {
        tracing::warn!(job = job_uuid, %error, "cannot disconnect an agent");
    }
    tracing::info!(job = job_uuid, ?ended, "job ended");
    ended
}

/// Registers an agent for one job and lets it take that job.
async fn take(host: &Host, job_uuid: &str) -> Result<Option<(Agent, TakenJob)>, Error> {
    let config = &host.config;
    let mut tags = vec![format!("queue={}", config.queue_key)];
    tags.extend(
        config
            .tags
            .iter()
            .map(|(name, value)| format!("{name}={value}")),
    );
    let short: String = job_uuid.chars().take(8).collect();
    let agent = host
        .agents
        .register(&NewAgent {
            name: format!("{}-{short}", config.stack_key),
            hostname: host.hostname.clone(),
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            script_eval_enabled: true,
            ignore_in_dispatches: true,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: "taskyard-stack".to_owned(),
            meta_data: tags,
            pid: std::process::id(),
            features: vec!["acquire-job".to_owned()],
        })
        .await?;
    agent.connect().await?;
    match agent.acquire(job_uuid).await {
        Ok(Some(taken)) => Ok(Some((agent, taken))),
        other => {
            // Nobody minds an agent that is merely forgotten.
            let _ = agent.disconnect().await;
            other.map(|_| None)
        }
    }
}

/// Tells the server that this stack cannot run a job, so that it does not wait in vain.
async fn give_up(host: &Host, job_uuid: &str, error: &Error) {
    let end = FinishedJob::stack_error(format!(
        "the stack {} cannot start the job: {error}",
        host.config.stack_key
    ));
    let told = host.stacks.finish(&host.config.stack_key, job_uuid, &end);
    if let Err(error) = told.await {
        // Its reservation runs out, and it is scheduled again.
        tracing::warn!(job = job_uuid, %error, "cannot give up a job");
    }
}

/// Runs a job that `agent` has taken, and reports it.
async fn run_as_agent(host: &Arc<Host>, agent: &Agent, taken: &TakenJob) -> Ended {
    let id = &taken.job.id;
    if let Err(error) = taken.start().await {
        tracing::warn!(job = id, %error, "a job may not start any more");
        return Ended::Lost;
    }
    let (told, stop) = watch::channel(None);
    let watching = watch_over(agent.clone(), taken.clone(), told);
    // Until the end is reported, the agent says that it is alive.
    let _watching = AbortOnDropHandle::new(tokio::spawn(watching));
    let (outcome, chunks_failed_count) = match prepare(host, taken).await {
        Ok((directory, log)) => {
            let sending = tokio::spawn(sent_log::send(taken.clone(), log.clone()));
            let mut sending = AbortOnDropHandle::new(sending);
            let job = Run {
                host,
                agent,
                taken,
                directory: &directory,
                log: &log,
                stop,
            };
            let outcome = job.work().await;
            log.close().await;
            let sent = tokio::time::timeout(FLUSH_LIMIT, &mut sending).await;
            directory.clean_up().await;
            (outcome, sent.map_or(1, |sent| sent.unwrap_or(1)))
        }
        Err(error) => {
            tracing::error!(job = id, %error, "cannot prepare a job's folder");
            (
                Outcome::broken(format!("cannot prepare a folder: {error}")),
                0,
            )
        }
    };
    if outcome.lost {
        return Ended::Lost;
    }
    let end = JobEnd {
        exit_status: outcome.exit_status,
        signal: outcome.signal,
        signal_reason: outcome.signal_reason.map(str::to_owned),
        chunks_failed_count,
    };
    match taken.finish(&end).await {
        Ok(()) if end.exit_status == 0 => Ended::Passed,
        Ok(()) => Ended::Failed,
        Err(error) => {
            tracing::warn!(job = id, %error, "the end of a job was not taken");
            Ended::Lost
        }
    }
}

/// The folders and the log of a run, in the place where a worker would have them.
async fn prepare(host: &Host, taken: &TakenJob) -> std::io::Result<(RunDirectory, TaskLog)> {
    let wrong = |text| std::io::Error::new(std::io::ErrorKind::InvalidData, text);
    let task_id = task_id(&taken.job.id).ok_or_else(|| wrong("the id of the job is no UUID"))?;
    let retry = taken.job.env.get("BUILDKITE_RETRY_COUNT");
    let run_id = retry.and_then(|text| text.parse().ok()).unwrap_or(0);
    let directory =
        RunDirectory::create(&host.work_dir, &task_id, run_id, host.config.keep).await?;
    let limit = host.config.max_log_bytes.min(taken.job.log_bytes());
    let log = TaskLog::create(&directory.log(), limit).await?;
    Ok((directory, log))
}

/// The id of the task that a job is: the same 128 bits.
fn task_id(job_uuid: &str) -> Option<String> {
    let uuid = uuid::Uuid::try_parse(job_uuid).ok()?;
    Some(slugid::encode(uuid.into_bytes()))
}

/// Says that the agent is alive and asks whether its job is still wanted, until there is a reason
/// to stop; goes on saying so afterwards.
async fn watch_over(agent: Agent, taken: TakenJob, told: watch::Sender<Option<Stop>>) {
    let heartbeats = async {
        loop {
            tokio::time::sleep(agent.heartbeat_interval).await;
            match agent.heartbeat().await {
                Err(error) if !error.is_transient() => {
                    tracing::warn!(job = taken.job.id, %error, "an agent is not known any more");
                    told.send_replace(Some(Stop::Lost));
                    return;
                }
                Err(error) => {
                    tracing::warn!(job = taken.job.id, %error, "no heartbeat got through");
                }
                Ok(()) => {}
            }
        }
    };
    let states = async {
        loop {
            tokio::time::sleep(agent.job_status_interval).await;
            let stop = match taken.state().await {
                Ok(JobState::TimingOut | JobState::TimedOut) => Stop::TimedOut,
                Ok(state) if state.must_stop() => Stop::Canceled,
                Err(error) if error.status() == Some(401) => Stop::Lost,
                Ok(_) => continue,
                Err(error) => {
                    tracing::debug!(job = taken.job.id, %error, "cannot ask about a job");
                    continue;
                }
            };
            told.send_replace(Some(stop));
            return;
        }
    };
    tokio::join!(heartbeats, states);
}

/// A job at work.
struct Run<'a> {
    host: &'a Host,
    agent: &'a Agent,
    taken: &'a TakenJob,
    directory: &'a RunDirectory,
    log: &'a TaskLog,
    stop: watch::Receiver<Option<Stop>>,
}

impl Run<'_> {
    /// Everything but the report.
    async fn work(&self) -> Outcome {
        let log = self.log;
        log.info(&format!("Job: {}", self.taken.job.id)).await;
        log.info(&format!(
            "Agent: {} on {}",
            self.agent.name, self.host.hostname
        ))
        .await;
        log.info(&format!("Queue: {}", self.host.config.queue_key))
            .await;
        let wishes = Wishes::read(&self.taken.job.env, self.host.config.max_run_time);
        let outcome = match wishes {
            Ok(wishes) => self.carry_out(&wishes).await,
            Err(text) => Outcome::refused(text),
        };
        if let Some(message) = &outcome.message {
            log.note(Tone::Error, message).await;
        }
        outcome
    }

    async fn carry_out(&self, wishes: &Wishes) -> Outcome {
        let deadline = Instant::now() + wishes.max_run_time;
        let work = self.directory.work();
        if !wishes.mounts.is_empty() {
            let queue = match self.files_of_tasks() {
                Ok(queue) => queue,
                Err(text) => return Outcome::refused(text),
            };
            let mounted = tokio::select! {
                stop = self.stopped(deadline) => return Outcome::stopped(stop, wishes),
                mounted = mounts::prepare(&wishes.mounts, &work, &queue, self.log) => mounted,
            };
            if let Err(fault) = mounted {
                return Outcome::failed(fault.message);
            }
        }
        let argv = ["sh", "-e", "-c", &wishes.command].map(str::to_owned);
        let invocation = Invocation {
            argv: &argv,
            env: &self.environment(),
            directory: &work,
            kill_grace: self.host.config.kill_grace,
        };
        let first = wishes.command.lines().next().unwrap_or_default();
        self.log.info(&format!("$ {first}")).await;
        let exit = process::run(&invocation, self.log, self.stopped(deadline)).await;
        let outcome = match exit {
            Ok(exit) => Outcome::of(exit, wishes),
            Err(error) => Outcome::broken(format!("cannot run a shell: {error}")),
        };
        if outcome.signal_reason == Some("agent_stop") || outcome.lost {
            return outcome;
        }
        let kept = tokio::select! {
            stop = self.given_up() => return Outcome::stopped(stop, wishes),
            kept = kept_files::upload(self.taken, wishes, &work, self.log) => kept,
        };
        match kept {
            Err(text) if outcome.exit_status == 0 => Outcome::broken(text),
            Err(text) => {
                self.log.note(Tone::Error, &text).await;
                outcome
            }
            Ok(()) => outcome,
        }
    }

    /// Where mounted files come from: the server of the job's task, without any credentials.
    fn files_of_tasks(&self) -> Result<Queue, String> {
        let root_url = self.taken.job.env.get("TASKCLUSTER_ROOT_URL");
        let root_url =
            root_url.ok_or("the job mounts files, but does not say where its tasks are")?;
        Queue::new(Options::new(root_url)).map_err(|error| error.to_string())
    }

    /// Ends when the job must.
    async fn stopped(&self, deadline: Instant) -> Stop {
        tokio::select! {
            biased;
            reason = self.told(|_| true) => reason,
            () = self.host.shutdown.cancelled() => Stop::Shutdown,
            () = tokio::time::sleep_until(deadline) => Stop::TimeLimit,
        }
    }

    /// Ends when nobody would want what the job leaves behind.
    async fn given_up(&self) -> Stop {
        tokio::select! {
            reason = self.told(|reason| reason == Stop::Lost) => reason,
            () = self.host.shutdown.cancelled() => Stop::Shutdown,
        }
    }

    /// Ends when the server has given a reason to stop that is `wanted`.
    async fn told(&self, wanted: impl Fn(Stop) -> bool) -> Stop {
        let mut stop = self.stop.clone();
        let told = stop.wait_for(|reason| reason.is_some_and(&wanted)).await;
        let told = told.ok().and_then(|reason| *reason);
        match told {
            Some(reason) => reason,
            // Nobody can tell any more.
            None => std::future::pending().await,
        }
    }

    /// A small clean environment and the job's own variables.
    fn environment(&self) -> BTreeMap<String, String> {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let inherited =
            |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        let job = &self.taken.job;
        let work = text(self.directory.work());
        let mut env = BTreeMap::from([
            (
                "PATH".to_owned(),
                inherited("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ),
            ("LANG".to_owned(), inherited("LANG", "C.UTF-8")),
            ("HOME".to_owned(), work.clone()),
            ("TMPDIR".to_owned(), text(self.directory.temporary())),
        ]);
        env.extend(job.env.clone());
        env.extend(self.host.config.env.clone());
        let group = job.env.get("BUILDKITE_BUILD_ID");
        let group = group.and_then(|uuid| task_id(uuid)).unwrap_or_default();
        let retry = job.env.get("BUILDKITE_RETRY_COUNT").cloned();
        let token = job.token.clone().unwrap_or_default();
        env.extend(
            [
                // What the agent's own program needs when a job calls it.
                ("BUILDKITE_AGENT_ENDPOINT", self.agent.endpoint().to_owned()),
                ("BUILDKITE_AGENT_ACCESS_TOKEN", token),
                ("BUILDKITE_AGENT_NAME", self.agent.name.clone()),
                ("BUILDKITE_BUILD_CHECKOUT_PATH", work.clone()),
                ("BUILDKITE_JOB_ID", job.id.clone()),
                // What a worker would set.
                ("TASK_ID", task_id(&job.id).unwrap_or_default()),
                ("RUN_ID", retry.unwrap_or_else(|| "0".to_owned())),
                ("TASK_GROUP_ID", group),
                ("TASK_WORKDIR", work),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        env
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_the_task_with_the_same_bits() {
        assert_eq!(
            task_id("d6c1f2a4-3b7e-4c59-9a10-5f0e2b8c7d61").as_deref(),
            Some("1sHypDt-TFmaEF8OK4x9YQ")
        );
        assert_eq!(task_id("../.."), None);
    }
}
