//! What a checked build file says: nothing in here can be wrong any more.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A graph of tasks that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuildFile {
    /// What the build is called.
    pub(crate) name: String,
    /// Absolute path of the file.
    pub(crate) path: PathBuf,
    /// Absolute path of the folder of the file; tasks see it as `SOURCE_DIR`.
    pub(crate) source_dir: PathBuf,
    /// The tasks, in the order of the file.
    pub(crate) tasks: Vec<Task>,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Task {
    /// Its name in the file: letters, digits, `.`, `_` and `-`.
    pub(crate) id: String,
    /// A sentence for people; empty when there is none.
    pub(crate) description: String,
    /// The words of the command to start; a shell script is `sh -e -c SCRIPT`.
    pub(crate) command: Vec<String>,
    /// Positions of the tasks that must complete first, each once: those named by `needs`, then
    /// those that only an input names.
    pub(crate) needs: Vec<usize>,
    /// Environment variables, defaults included.
    pub(crate) env: BTreeMap<String, String>,
    /// The task is killed, and fails, after this long.
    pub(crate) timeout: Duration,
    /// How many more runs it may get.
    pub(crate) retries: u32,
    /// Exit codes after which it is run again.
    pub(crate) retry_on: Vec<u32>,
    /// What it leaves behind.
    pub(crate) artifacts: Vec<Artifact>,
    /// What it takes from earlier tasks.
    pub(crate) inputs: Vec<Input>,
    /// Which of several tasks that are ready starts first.
    pub(crate) priority: Priority,
}

/// A file or folder that a task leaves behind, named by its path in the task's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Artifact {
    /// Relative path without `.` or `..`, and without a slash at its end.
    pub(crate) path: String,
    /// Whether the whole folder is taken.
    pub(crate) directory: bool,
}

/// An earlier task's file, put into a task's folder before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Input {
    /// Position of the task that makes it.
    pub(crate) from: usize,
    /// Its path there.
    pub(crate) artifact: String,
    /// Its path here.
    pub(crate) to: String,
}

/// Order among the tasks that are ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Priority {
    Highest,
    VeryHigh,
    High,
    Medium,
    Low,
    VeryLow,
    #[default]
    Lowest,
}

impl Priority {
    /// All of them, most urgent first.
    pub(crate) const ALL: [Self; 7] = [
        Self::Highest,
        Self::VeryHigh,
        Self::High,
        Self::Medium,
        Self::Low,
        Self::VeryLow,
        Self::Lowest,
    ];

    /// The word for it, in the file and on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Highest => "highest",
            Self::VeryHigh => "very-high",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::VeryLow => "very-low",
            Self::Lowest => "lowest",
        }
    }
}

impl Artifact {
    /// The name under which the queue keeps it.
    pub(crate) fn name(&self) -> String {
        artifact_name(&self.path)
    }

    /// Whether `path` is this file, or lies in this folder.
    pub(crate) fn provides(&self, path: &str) -> bool {
        if self.directory {
            path.strip_prefix(&self.path)
                .is_some_and(|rest| rest.starts_with('/'))
        } else {
            path == self.path
        }
    }
}

/// The name under which the queue keeps a file of a task's folder.
pub(crate) fn artifact_name(path: &str) -> String {
    format!("public/{path}")
}
