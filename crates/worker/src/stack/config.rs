use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use taskyard_client::stacks::Options;

use crate::Keep;

/// Most jobs that one stack runs at once.
const MAX_CONCURRENCY: u32 = 256;

/// What a stack needs to know.
#[derive(Debug, Clone)]
pub struct StackConfig {
    /// Where the API is, and the cluster's token. Jobs never see that token.
    pub options: Options,
    /// Key of the stack, 1 to 80 characters of `A-Za-z0-9_-`.
    pub stack_key: String,
    /// Queue to take jobs from.
    pub queue_key: String,
    /// Tags besides `queue`: a job that asks for others is left alone.
    pub tags: BTreeMap<String, String>,
    /// Jobs run at once, 1 to 256. Default 1.
    pub concurrency: u32,
    /// Everything the stack keeps on disk stands below this folder.
    pub work_dir: PathBuf,
    /// What stays on disk when a job has ended. Default: its log.
    pub keep: Keep,
    /// Variables added to those of every job.
    pub env: BTreeMap<String, String>,
    /// Time after which a job is killed whatever it asks for. Default 24 h.
    pub max_run_time: Duration,
    /// Bytes of output of a job that are kept; what follows is dropped. Default 256 MiB.
    pub max_log_bytes: u64,
    /// Time that killed processes have to end by themselves. Default 5 s.
    pub kill_grace: Duration,
    /// Time to end running jobs when the stack stops. Default 30 s.
    pub shutdown_limit: Duration,
    /// How often jobs are listed, unless the server says otherwise. Default 1 s.
    pub poll_interval: Duration,
    /// How long a reservation lasts; the server decides if unset.
    pub reservation: Option<Duration>,
}

// === impl StackConfig ===

impl StackConfig {
    /// A stack with every default.
    pub fn new(
        options: Options,
        stack_key: impl Into<String>,
        queue_key: impl Into<String>,
        work_dir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            options,
            stack_key: stack_key.into(),
            queue_key: queue_key.into(),
            tags: BTreeMap::new(),
            concurrency: 1,
            work_dir: work_dir.into(),
            keep: Keep::Logs,
            env: BTreeMap::new(),
            max_run_time: Duration::from_hours(24),
            max_log_bytes: 256 << 20,
            kill_grace: Duration::from_secs(5),
            shutdown_limit: Duration::from_secs(30),
            poll_interval: Duration::from_secs(1),
            reservation: None,
        }
    }

    /// Refuses values that the server would refuse later, naming the one that is wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        let key = &self.stack_key;
        let fits = (1..=80).contains(&key.len())
            && key
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if !fits {
            return Err(format!(
                "the key of the stack must be 1 to 80 letters, digits, `_` or `-`, not `{key}`"
            ));
        }
        if self.queue_key.is_empty() {
            return Err("the queue must not be empty".to_owned());
        }
        if !(1..=MAX_CONCURRENCY).contains(&self.concurrency) {
            return Err(format!(
                "concurrency must be 1 to {MAX_CONCURRENCY}, not {}",
                self.concurrency
            ));
        }
        if self.max_run_time.is_zero() || self.poll_interval.is_zero() {
            return Err("times must not be zero".to_owned());
        }
        Ok(())
    }

    /// Whether the stack's agents have all tags that `rules` ask for. A rule without `=` asks for
    /// nothing, `*` for any value.
    pub(super) fn matches(&self, rules: &[String]) -> bool {
        rules.iter().all(|rule| match rule.split_once('=') {
            // The queue was looked in, whatever it is called.
            None | Some(("queue", _)) => true,
            Some((name, wanted)) => self
                .tags
                .get(name)
                .is_some_and(|value| wanted == "*" || value == wanted),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> StackConfig {
        StackConfig::new(Options::new("t"), "stack_1", "default", "/nowhere")
    }

    #[test]
    fn the_defaults_are_accepted_and_a_wrong_value_is_named() {
        type Spoil = fn(&mut StackConfig);
        assert_eq!(config().check(), Ok(()));
        let cases: [(Spoil, &str); 4] = [
            (|c| c.stack_key = "a.b".to_owned(), "key of the stack"),
            (|c| c.stack_key = "x".repeat(81), "key of the stack"),
            (|c| c.queue_key = String::new(), "queue"),
            (|c| c.concurrency = 0, "concurrency"),
        ];
        for (spoil, named) in cases {
            let mut config = config();
            spoil(&mut config);
            let error = config.check().unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_job_is_taken_only_if_every_tag_fits() {
        let mut config = config();
        config.tags.insert("os".to_owned(), "linux".to_owned());
        let matches = |rules: &[&str]| {
            let rules: Vec<String> = rules.iter().map(|&rule| rule.to_owned()).collect();
            config.matches(&rules)
        };
        assert!(matches(&[]));
        assert!(matches(&["queue=other", "os=linux", "nonsense"]));
        assert!(matches(&["os=*"]));
        assert!(!matches(&["os=linux", "gpu=*"]));
        assert!(!matches(&["os=darwin"]));
    }
}
