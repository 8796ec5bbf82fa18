//! A stack of Buildkite-style jobs: takes those of one queue and runs them as processes of this
//! machine, each as an agent of its own.
//!
//! [`run`] registers, lists and reserves jobs as long as it has room, runs each in a fresh
//! directory and a process group of its own, reports its log while it grows, and deregisters when
//! it is told to stop. Jobs are not shielded from each other: they run as the stack's own user.
//!
//! Of a job's variables it heeds these itself:
//!
//! | variable | meaning |
//! |---|---|
//! | `BUILDKITE_COMMAND` | what is run, by `sh -e -c` |
//! | `BUILDKITE_ARTIFACT_PATHS` | patterns of files that are kept, separated by `;` |
//! | `TASKYARD_ARTIFACT_PREFIX` | what their names begin with, before the path |
//! | `BUILDKITE_TIMEOUT` | minutes until the job is killed and fails |
//! | `TASKYARD_MAX_RUN_TIME` | the same in seconds |
//! | `TASKYARD_MOUNTS` | files put in place first, in the form of the worker's `mounts`; those of other tasks come from `TASKCLUSTER_ROOT_URL`, as far as anybody may read them |

mod config;
mod host;
mod job;
mod kept_files;
mod outcome;
mod pattern;
mod sent_log;
mod wishes;

pub use config::StackConfig;
pub use host::{StackError, StackSummary, run};
