use std::path::PathBuf;

use crate::Resolution;

/// Something that happened to a task of this worker.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A run was claimed and begins.
    TaskStarted {
        /// The task.
        task_id: String,
        /// The run.
        run_id: u32,
        /// Name from the task's metadata.
        name: String,
        /// Its log on this machine, which grows while the task runs.
        log: PathBuf,
    },
    /// A run ended.
    TaskFinished {
        /// The task.
        task_id: String,
        /// The run.
        run_id: u32,
        /// What was reported.
        resolution: Resolution,
        /// Exit code of the last command, if one exited by itself.
        exit_code: Option<i32>,
        /// Why it did not complete.
        reason: Option<String>,
        /// Its log on this machine, gone if the worker keeps nothing.
        log: PathBuf,
    },
}
