//! Why a task does not move as somebody asked. Nothing was changed then.

/// Why a task does not move as somebody asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such task.
    #[error("task {0} does not exist")]
    NoSuchTask(String),
    /// The task has no such run.
    #[error("task {task_id} has no run {run_id}")]
    NoSuchRun {
        /// Which task.
        task_id: String,
        /// Which run.
        run_id: usize,
    },
    /// There is no such task group.
    #[error("task group {0} does not exist")]
    NoSuchGroup(String),
    /// The id is taken by a task with another definition.
    #[error("task {0} already exists, with a different definition")]
    Different(String),
    /// A group has one scheduler.
    #[error("task group {group_id} belongs to schedulerId {known}, not to {asked}")]
    OtherScheduler {
        /// Which group.
        group_id: String,
        /// Its scheduler.
        known: String,
        /// The scheduler of the task.
        asked: String,
    },
    /// The group takes no more tasks.
    #[error("task group {0} is sealed; no task can be added to it")]
    Sealed(String),
    /// Dependencies that do not exist, or will be forgotten before the task's deadline.
    #[error(
        "the task depends on tasks that do not exist or expire before its deadline: missing \
         {missing:?}, expiring {expiring:?}"
    )]
    Dependencies {
        /// Those that do not exist.
        missing: Vec<String>,
        /// Those that expire too early.
        expiring: Vec<String>,
    },
    /// The time for it is over.
    #[error("task {0} has passed its deadline")]
    DeadlinePassed(String),
    /// The run is not the task's last one, or not in a state from which this can follow.
    #[error("run {run_id} of task {task_id} is {state}; {wanted}")]
    WrongState {
        /// Which task.
        task_id: String,
        /// Which run.
        run_id: usize,
        /// Where the run stands.
        state: &'static str,
        /// What it would have had to be.
        wanted: &'static str,
    },
    /// The task was resolved once, so that its priority matters to nobody.
    #[error("task {0} has been resolved; its priority cannot be changed")]
    Resolved(String),
    /// Only a group that takes no more tasks can be ended.
    #[error("task group {0} is not sealed; seal it first")]
    NotSealed(String),
    /// Somebody keeps the worker from getting work.
    #[error("worker {group}/{id} of {task_queue_id} is quarantined and gets no work")]
    Quarantined {
        /// Where it asked.
        task_queue_id: String,
        /// The worker's group.
        group: String,
        /// The worker within its group.
        id: String,
    },
    /// Every run a task can have is used.
    #[error("task {0} has had all the runs a task can have")]
    TooManyRuns(String),
}
