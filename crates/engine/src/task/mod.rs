//! Tasks: an immutable definition, and a small state that moves.
//!
//! [`transition`] decides, purely, what each event makes of a task; the other modules load, lock,
//! apply, and store. Every function here runs inside one transaction of the store and may be run
//! again.

mod claim;
mod create;
mod dependency;
pub mod event;
mod expiry;
mod group;
mod list;
mod priority;
mod record;
mod refusal;
mod reopen;
mod resolve;
mod run;
pub mod transition;

pub(crate) use claim::claim_locked;
pub use claim::{Claimed, claim_run, claim_work, reclaim};
pub use create::{NewTask, create};
pub(crate) use dependency::lock_against_resolution;
pub use dependency::{continue_resolution, unfinished_resolutions};
pub use expiry::{Expired, expire_groups, expire_tasks, forget_definitions};
pub use group::{
    Group, Place, Portion, announce_priority, cancel_members, group, group_size, seal,
    settle_again, unsettled_groups,
};
pub use list::{
    ClaimedPlace, Listed, PendingRun, claimed_runs, dependents, group_members, listed_tasks,
    member_numbers, pending_runs, statuses,
};
pub use priority::{Redefine, change_group_priority, change_priority};
pub(crate) use record::lock;
pub use record::{definition_by_number, load, load_definition, next_deadline, open_past_deadline};
pub use refusal::Refusal;
pub use reopen::{rerun, schedule};
pub(crate) use resolve::report_unclaimed;
pub use resolve::{cancel, exceed_deadline, expire_claim, report};
pub use run::{Created, Exception, Resolved, Run, State, Worker};

use std::time::Duration;

use taskyard_store::Key;

use crate::timestamp::Timestamp;

/// Most runs of one task: the first and 49 more.
pub const MAX_RUNS: usize = 50;
/// An open task is resolved this long after its deadline, so that answers under way still count.
pub const DEADLINE_DELAY: Duration = Duration::from_mins(1);

/// When dependents follow a required task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requires {
    /// Once it has completed.
    AllCompleted,
    /// Once it is resolved in any way.
    AllResolved,
}

impl Requires {
    /// The name in task definitions.
    pub fn as_str(self) -> &'static str {
        match self {
            Requires::AllCompleted => "all-completed",
            Requires::AllResolved => "all-resolved",
        }
    }

    fn parse(text: &str) -> Self {
        if text == "all-resolved" {
            Requires::AllResolved
        } else {
            Requires::AllCompleted
        }
    }
}

/// How soon a task is claimed, against others of its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// 1
    Lowest = 1,
    /// 2
    VeryLow,
    /// 3
    Low,
    /// 4
    Medium,
    /// 5
    High,
    /// 6
    VeryHigh,
    /// 7
    Highest,
}

impl Priority {
    /// All priorities, the lowest first.
    pub const ALL: [Priority; 7] = [
        Priority::Lowest,
        Priority::VeryLow,
        Priority::Low,
        Priority::Medium,
        Priority::High,
        Priority::VeryHigh,
        Priority::Highest,
    ];

    /// The name in task definitions.
    pub fn as_str(self) -> &'static str {
        match self {
            Priority::Lowest => "lowest",
            Priority::VeryLow => "very-low",
            Priority::Low => "low",
            Priority::Medium => "medium",
            Priority::High => "high",
            Priority::VeryHigh => "very-high",
            Priority::Highest => "highest",
        }
    }

    /// The priority of this name; `normal` is an old name of the lowest.
    pub fn parse(text: &str) -> Option<Self> {
        let text = if text == "normal" { "lowest" } else { text };
        Priority::ALL
            .into_iter()
            .find(|priority| priority.as_str() == text)
    }

    fn from_number(number: i64) -> Self {
        Priority::ALL
            .into_iter()
            .find(|priority| *priority as i64 == number)
            .unwrap_or(Priority::Lowest)
    }
}

/// A task's mutable state, with what of its definition its life depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Keys its rows; later tasks have larger numbers.
    pub number: i64,
    /// 22 characters, chosen by whoever creates the task.
    pub id: String,
    /// `<provisionerId>/<workerType>`: who may claim its runs.
    pub task_queue_id: String,
    /// Who schedules the group's tasks.
    pub scheduler_id: String,
    /// The project it belongs to.
    pub project_id: String,
    /// The group it belongs to.
    pub group_id: String,
    /// How soon it is claimed.
    pub priority: Priority,
    /// When its own dependencies are satisfied.
    pub requires: Requires,
    /// Automatic retries it was created with.
    pub retries: u32,
    /// Automatic retries still left.
    pub retries_left: u32,
    /// After this it is resolved in any case.
    pub deadline: Timestamp,
    /// After this it may be forgotten.
    pub expires: Timestamp,
    /// Whether it was ever finally resolved.
    pub ever_resolved: bool,
    /// All its runs; only the last may be pending or running.
    pub runs: Vec<Run>,
    /// The lease of the last run while that is pending or running.
    pub lease_id: Option<i64>,
    /// Whether it is to be found in the [index](crate::index) once it completes.
    pub promises: bool,
}

impl Task {
    /// The state of the last run, or unscheduled if there is none.
    pub fn state(&self) -> State {
        self.runs.last().map_or(State::Unscheduled, |run| run.state)
    }

    /// Whether it may still be resolved.
    pub fn is_open(&self) -> bool {
        matches!(
            self.state(),
            State::Unscheduled | State::Pending | State::Running
        )
    }

    /// The key under which all changes of this task's group meet.
    pub fn key(&self) -> Key {
        group_key(&self.group_id)
    }
}

/// The key under which all changes of a task group meet.
pub fn group_key(group_id: &str) -> Key {
    Key::of(("task-group", group_id))
}
