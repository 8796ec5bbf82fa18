//! What a checked pipeline file says: nothing in here can be wrong any more.

use std::collections::BTreeMap;
use std::time::Duration;

/// A graph of steps that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pipeline {
    /// What it is called.
    pub(crate) name: String,
    /// The steps, in the order of the file.
    pub(crate) steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// Its key in the file, if it has one.
    pub(crate) key: Option<String>,
    /// What people call it.
    pub(crate) label: String,
    /// What a shell runs.
    pub(crate) command: String,
    /// Environment variables, those of the whole file included.
    pub(crate) env: BTreeMap<String, String>,
    /// Positions of the steps that must complete first.
    pub(crate) depends_on: Vec<usize>,
    /// Key of the queue; the pipeline's user decides if unset.
    pub(crate) queue: Option<String>,
    /// Tags that an agent must have, besides the queue.
    pub(crate) agents: BTreeMap<String, String>,
    /// 0 to 6; a higher one comes first.
    pub(crate) priority: u8,
    /// How many more runs it may get.
    pub(crate) retries: u32,
    /// Exit codes after which it is run again.
    pub(crate) retry_on: Vec<u32>,
    /// The step is killed, and fails, after this long.
    pub(crate) timeout: Duration,
    /// Patterns of files that are kept.
    pub(crate) artifact_paths: Vec<String>,
}
