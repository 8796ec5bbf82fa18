use std::{net::SocketAddr, path::PathBuf, time::Duration};

use taskyard_client::Credentials;
use tokio::sync::mpsc;

use crate::{Error, Event};

/// Most tasks that one worker runs at once: what one claim may ask for.
const MAX_CONCURRENCY: u32 = 32;

/// What a worker needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address of the server.
    pub root_url: String,
    /// The worker's own credentials, with `queue:claim-work:<taskQueueId>` and
    /// `queue:worker-id:<workerGroup>/<workerId>`. Tasks never see them.
    pub credentials: Option<Credentials>,
    /// Queue to take tasks from, `<provisionerId>/<workerType>`.
    pub task_queue_id: String,
    /// Group of the worker, 1 to 38 characters of `A-Za-z0-9_-`.
    pub worker_group: String,
    /// Name of the worker, of the same form.
    pub worker_id: String,
    /// Tasks run at once, 1 to 32. Default 1.
    pub concurrency: u32,
    /// Everything the worker keeps on disk stands below this folder.
    pub work_dir: PathBuf,
    /// What stays on disk when a task has ended. Default: its log.
    pub keep: Keep,
    /// Longest time a task may ask for. Default 24 h.
    pub max_run_time: Duration,
    /// Bytes of output of a task that are kept; what follows is dropped. Default 256 MiB.
    pub max_log_bytes: u64,
    /// Time that killed processes have to end by themselves. Default 5 s.
    pub kill_grace: Duration,
    /// Time to end running tasks when the worker stops. Default 30 s.
    pub shutdown_limit: Duration,
    /// How often a running task is checked for having been cancelled. Default 20 s.
    pub status_interval: Duration,
    /// Where running tasks' logs are served. Default any free port of 127.0.0.1.
    pub live_log_address: SocketAddr,
    /// Address under which others reach `live_log_address`, if it differs.
    pub live_log_url: Option<String>,
    /// Gets told what happens.
    pub events: Option<mpsc::UnboundedSender<Event>>,
}

/// What stays on disk when a task has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// The log, `<work_dir>/<taskId>/<runId>/live.log`.
    #[default]
    Logs,
    /// The log and the task's directory.
    Everything,
    /// Nothing.
    Nothing,
}

// === impl Config ===

impl Config {
    /// A worker with every default.
    pub fn new(
        root_url: impl Into<String>,
        task_queue_id: impl Into<String>,
        worker_group: impl Into<String>,
        worker_id: impl Into<String>,
        work_dir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            root_url: root_url.into(),
            credentials: None,
            task_queue_id: task_queue_id.into(),
            worker_group: worker_group.into(),
            worker_id: worker_id.into(),
            concurrency: 1,
            work_dir: work_dir.into(),
            keep: Keep::Logs,
            max_run_time: Duration::from_hours(24),
            max_log_bytes: 256 << 20,
            kill_grace: Duration::from_secs(5),
            shutdown_limit: Duration::from_secs(30),
            status_interval: Duration::from_secs(20),
            live_log_address: SocketAddr::from(([127, 0, 0, 1], 0)),
            live_log_url: None,
            events: None,
        }
    }

    /// Refuses values that the server would refuse later, naming the one that is wrong.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |text: String| Err(Error::Config(text));
        for (name, value) in [
            ("worker group", &self.worker_group),
            ("worker id", &self.worker_id),
        ] {
            if !is_word(value) {
                return wrong(format!(
                    "the {name} must be 1 to 38 letters, digits, `_` or `-`, not `{value}`"
                ));
            }
        }
        match self.task_queue_id.split_once('/') {
            Some((provisioner, worker_type)) if is_word(provisioner) && is_word(worker_type) => {}
            _ => {
                return wrong(format!(
                    "the queue must look like `provisioner/worker-type`, not `{}`",
                    self.task_queue_id
                ));
            }
        }
        if !(1..=MAX_CONCURRENCY).contains(&self.concurrency) {
            return wrong(format!(
                "concurrency must be 1 to {MAX_CONCURRENCY}, not {}",
                self.concurrency
            ));
        }
        if self.max_run_time.is_zero() {
            return wrong("the longest run time must not be zero".to_owned());
        }
        if self.status_interval.is_zero() {
            return wrong("the status interval must not be zero".to_owned());
        }
        Ok(())
    }

    /// Tells whoever listens.
    pub(crate) fn tell(&self, event: Event) {
        if let Some(events) = &self.events {
            // A listener that went away misses nothing it wants.
            let _ = events.send(event);
        }
    }
}

fn is_word(text: &str) -> bool {
    (1..=38).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new(
            "http://127.0.0.1:1",
            "local/shell",
            "here",
            "one",
            "/nowhere",
        )
    }

    #[test]
    fn the_defaults_are_accepted() {
        assert!(config().check().is_ok());
    }

    #[test]
    fn a_wrong_value_is_named() {
        type Spoil = fn(&mut Config);
        let cases: [(Spoil, &str); 5] = [
            (|c| c.worker_id = "a b".to_owned(), "worker id"),
            (|c| c.worker_group = String::new(), "worker group"),
            (
                |c| c.task_queue_id = "local".to_owned(),
                "provisioner/worker-type",
            ),
            (|c| c.concurrency = 0, "concurrency"),
            (|c| c.concurrency = 33, "concurrency"),
        ];
        for (spoil, named) in cases {
            let mut config = config();
            spoil(&mut config);
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
