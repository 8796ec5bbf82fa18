//! One run from claim to report.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use taskyard_client::{
    Timestamp,
    taskcluster::{Claim, ExceptionReason, Queue},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Event, Resolution, artifacts,
    claim::Held,
    delivery,
    directory::RunDirectory,
    fault::Fault,
    live_log::LiveLogs,
    log::{TaskLog, Tone},
    mounts,
    payload::{Bounds, Logs, Payload},
    process::{self, Exit, Invocation},
    report,
};

/// What all runs of a worker share.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) config: Config,
    /// Absolute.
    pub(crate) work_dir: PathBuf,
    /// With the worker's own credentials.
    pub(crate) queue: Queue,
    pub(crate) live_logs: LiveLogs,
    /// The worker is going away.
    pub(crate) shutdown: CancellationToken,
}

/// One run that this worker has claimed.
struct Job {
    host: Arc<Host>,
    claim: Claim,
    held: Held,
    expires: Timestamp,
    exit_code: Option<i32>,
}

/// Why commands are stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    TimeLimit,
    Lost,
    Shutdown,
}

/// Runs a claim to its end and reports it.
pub(crate) async fn run(host: Arc<Host>, claim: Claim, received: Instant) -> Resolution {
    let held = Held::start(&claim, received, &host.queue, host.config.status_interval);
    let expires = claim.status.expires;
    let mut job = Job {
        host,
        claim,
        held,
        expires,
        exit_code: None,
    };
    let (task_id, run_id) = (job.held.task_id().to_owned(), job.held.run_id());
    let host = Arc::clone(&job.host);
    let prepared = job.prepare().await;
    let (directory, log) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            tracing::error!(task_id, run_id, %error, "cannot prepare a task's folder");
            let reason = Resolution::Exception(ExceptionReason::InternalError);
            return report::report(&job.held, reason).await;
        }
    };
    host.config.tell(Event::TaskStarted {
        task_id: task_id.clone(),
        run_id,
        name: job.claim.task.metadata.name.clone(),
        log: log.path().to_owned(),
    });
    let outcome = job.work(&directory, &log).await;
    let intended = outcome
        .as_ref()
        .map_or_else(|fault| fault.resolution, |()| Resolution::Completed);
    let resolution = report::report(&job.held, intended).await;
    directory.clean_up().await;
    tracing::info!(task_id, run_id, %resolution, "run ended");
    host.config.tell(Event::TaskFinished {
        task_id,
        run_id,
        resolution,
        exit_code: job.exit_code,
        reason: outcome.err().map(|fault| fault.message),
        log: log.path().to_owned(),
    });
    resolution
}

// === impl Job ===

impl Job {
    async fn prepare(&self) -> std::io::Result<(RunDirectory, TaskLog)> {
        let config = &self.host.config;
        let (task_id, run_id) = (self.held.task_id(), self.held.run_id());
        let directory =
            RunDirectory::create(&self.host.work_dir, task_id, run_id, config.keep).await?;
        let log = TaskLog::create(&directory.log(), config.max_log_bytes).await?;
        Ok((directory, log))
    }

    /// Everything but the report. The first fault decides.
    async fn work(&mut self, directory: &RunDirectory, log: &TaskLog) -> Result<(), Fault> {
        self.introduce(log).await;
        let bounds = Bounds {
            max_run_time: self.host.config.max_run_time,
            task_expires: self.expires,
            dependencies: &self.claim.task.dependencies,
        };
        let payload = Payload::parse(&self.claim.task.payload, &bounds);
        let (logs, published, outcome) = match payload {
            Err(message) => {
                let text = format!("The payload is malformed: {message}");
                (Logs::default(), None, Err(Fault::malformed(text)))
            }
            Ok(payload) => {
                let published = delivery::announce_live(
                    &payload.logs,
                    &self.host.live_logs,
                    log,
                    &self.held,
                    payload.max_run_time,
                    self.expires,
                )
                .await;
                let outcome = self.execute(&payload, directory, log).await;
                let outcome = self.keep_artifacts(outcome, &payload, directory, log).await;
                (payload.logs, published, outcome)
            }
        };
        self.conclude(log, &outcome).await;
        if let Err(Fault {
            resolution: Resolution::Lost,
            ..
        }) = outcome
        {
            return outcome;
        }
        let delivered = tokio::select! {
            () = self.held.lost().cancelled() => Err(lost()),
            delivered =
                delivery::deliver(&logs, log, &self.held, self.expires)
                => delivered,
        };
        // From here on the name leads to the stored log.
        drop(published);
        outcome.and(delivered)
    }

    async fn introduce(&self, log: &TaskLog) {
        let config = &self.host.config;
        let (task_id, run_id) = (self.held.task_id(), self.held.run_id());
        log.info(&format!("Task ID: {task_id}")).await;
        log.info(&format!("Run ID: {run_id}")).await;
        log.info(&format!(
            "Worker: {}/{}",
            config.worker_group, config.worker_id
        ))
        .await;
        log.info(&format!("Queue: {}", config.task_queue_id)).await;
        log.info("=== Task Starting ===").await;
    }

    /// Mounts and commands, within the time limit.
    async fn execute(
        &mut self,
        payload: &Payload,
        directory: &RunDirectory,
        log: &TaskLog,
    ) -> Result<(), Fault> {
        let deadline = Instant::now() + payload.max_run_time;
        let work = directory.work();
        let queue = self.held.queue();
        tokio::select! {
            stop = self.stop(deadline) => return Err(stopped(stop, payload)),
            mounted = mounts::prepare(&payload.mounts, &work, &queue, log) => mounted?,
        }
        let env = self.environment(payload, directory);
        for (index, argv) in payload.commands.iter().enumerate() {
            log.info(&format!("Executing command {index}: {argv:?}"))
                .await;
            let began = Instant::now();
            let invocation = Invocation {
                argv,
                env: &env,
                directory: &work,
                kill_grace: self.host.config.kill_grace,
            };
            let exit = process::run(&invocation, log, self.stop(deadline)).await;
            let took = began.elapsed().as_secs_f64();
            match exit {
                Err(error) => {
                    let program = argv.first().map_or("", String::as_str);
                    return Err(Fault::failed(format!("cannot run `{program}`: {error}")));
                }
                Ok(Exit::Stopped(stop)) => return Err(stopped(stop, payload)),
                Ok(Exit::Signal(signal)) => {
                    return Err(Fault::failed(format!(
                        "command {index} was killed by signal {signal}"
                    )));
                }
                Ok(Exit::Code(code)) => {
                    self.exit_code = Some(code);
                    log.info(&format!("Exit code: {code} after {took:.3} s"))
                        .await;
                    if payload.retry_codes.contains(&i64::from(code)) {
                        return Err(Fault::exception(
                            ExceptionReason::IntermittentTask,
                            format!(
                                "command {index} exited with {code}, after which it is retried"
                            ),
                        ));
                    }
                    if code != 0 {
                        return Err(Fault::failed(format!("command {index} exited with {code}")));
                    }
                }
            }
        }
        Ok(())
    }

    /// Uploads artifacts, unless nobody would want them.
    async fn keep_artifacts(
        &self,
        outcome: Result<(), Fault>,
        payload: &Payload,
        directory: &RunDirectory,
        log: &TaskLog,
    ) -> Result<(), Fault> {
        let resolution = outcome.as_ref().err().map(|fault| fault.resolution);
        let in_vain = Resolution::Exception(ExceptionReason::WorkerShutdown);
        if resolution == Some(Resolution::Lost) || resolution == Some(in_vain) {
            return outcome;
        }
        let (work, temporary) = (directory.work(), directory.temporary());
        let folders = artifacts::Folders {
            work: &work,
            temporary: &temporary,
        };
        let uploads =
            artifacts::upload_all(&payload.artifacts, folders, self.expires, &self.held, log);
        let uploaded = tokio::select! {
            () = self.held.lost().cancelled() => return Err(lost()),
            uploaded = uploads => uploaded,
        };
        outcome.and(uploaded)
    }

    /// The last lines of the log.
    async fn conclude(&self, log: &TaskLog, outcome: &Result<(), Fault>) {
        if let Err(fault) = outcome {
            log.note(Tone::Error, &fault.message).await;
        }
        log.info("=== Task Finished ===").await;
        let resolution = outcome
            .as_ref()
            .map_or_else(|fault| fault.resolution, |()| Resolution::Completed);
        log.info(&format!("Result: {resolution}")).await;
        log.close().await;
    }

    /// Ends when the run must.
    async fn stop(&self, deadline: Instant) -> Stop {
        tokio::select! {
            biased;
            () = self.held.lost().cancelled() => Stop::Lost,
            () = self.host.shutdown.cancelled() => Stop::Shutdown,
            () = tokio::time::sleep_until(deadline) => Stop::TimeLimit,
        }
    }

    /// A small clean environment: nothing of the worker's own but where programs are found.
    fn environment(&self, payload: &Payload, directory: &RunDirectory) -> BTreeMap<String, String> {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let inherited =
            |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        let mut env = BTreeMap::from([
            (
                "PATH".to_owned(),
                inherited("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ),
            ("LANG".to_owned(), inherited("LANG", "C.UTF-8")),
            ("HOME".to_owned(), text(directory.work())),
            ("TMPDIR".to_owned(), text(directory.temporary())),
        ]);
        env.extend(payload.env.clone());
        // These say who the task is, and no payload may claim otherwise.
        env.extend([
            ("TASK_ID".to_owned(), self.held.task_id().to_owned()),
            ("RUN_ID".to_owned(), self.held.run_id().to_string()),
            (
                "TASK_GROUP_ID".to_owned(),
                self.claim.status.task_group_id.clone(),
            ),
            ("TASK_WORKDIR".to_owned(), text(directory.work())),
            (
                "TASKCLUSTER_ROOT_URL".to_owned(),
                self.host.queue.service().root_url().to_owned(),
            ),
        ]);
        env
    }
}

fn stopped(stop: Stop, payload: &Payload) -> Fault {
    match stop {
        Stop::TimeLimit => Fault::failed(format!(
            "the task was killed because it ran longer than its maxRunTime of {} s",
            payload.max_run_time.as_secs()
        )),
        Stop::Lost => lost(),
        Stop::Shutdown => Fault::exception(
            ExceptionReason::WorkerShutdown,
            "the task was killed because its worker is shutting down",
        ),
    }
}

fn lost() -> Fault {
    Fault::lost("the claim has ended: the task was cancelled, or its time is over")
}
