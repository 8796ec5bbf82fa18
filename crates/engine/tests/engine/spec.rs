//! The tasks that histories are about, as generated values.

use proptest::prelude::*;
use taskyard_engine::task::{NewTask, Priority, Requires};

use crate::yard::{START, secs};

/// How many tasks a history may create.
pub(crate) const TASKS: usize = 8;
/// How many task queues they are in.
pub(crate) const QUEUES: usize = 2;
/// How many groups they belong to.
pub(crate) const GROUPS: usize = 2;

/// A task that may be created. It is named by its place in the history's list.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) queue: usize,
    pub(crate) group: usize,
    pub(crate) scheduler: &'static str,
    pub(crate) priority: Priority,
    /// Places of required tasks, its own perhaps among them; ascending.
    pub(crate) dependencies: Vec<usize>,
    pub(crate) all_resolved: bool,
    pub(crate) retries: u32,
    /// Microseconds since the epoch.
    pub(crate) deadline: i64,
    /// Microseconds since the epoch.
    pub(crate) expires: i64,
}

pub(crate) fn task_id(place: usize) -> String {
    format!("task-{place}")
}

pub(crate) fn place(task_id: &str) -> usize {
    task_id
        .strip_prefix("task-")
        .and_then(|place| place.parse().ok())
        .expect("a task of ours")
}

pub(crate) fn queue_id(queue: usize) -> String {
    format!("prov/queue-{queue}")
}

pub(crate) fn group_id(group: usize) -> String {
    format!("group-{group}")
}

impl Spec {
    /// What is asked of the engine; `altered` makes it another definition under the same id.
    pub(crate) fn new_task(&self, place: usize, altered: bool) -> NewTask {
        NewTask {
            id: task_id(place),
            definition: format!(r#"{{"place":{place},"altered":{altered}}}"#),
            outline: String::new(),
            notice: String::new(),
            promise: None,
            notifies: false,
            task_queue_id: queue_id(self.queue),
            scheduler_id: self.scheduler.to_owned(),
            project_id: "none".to_owned(),
            group_id: group_id(self.group),
            priority: self.priority,
            dependencies: self
                .dependencies
                .iter()
                .map(|place| task_id(*place))
                .collect(),
            requires: if self.all_resolved {
                Requires::AllResolved
            } else {
                Requires::AllCompleted
            },
            retries: self.retries,
            deadline: taskyard_engine::Timestamp(self.deadline),
            expires: taskyard_engine::Timestamp(self.expires),
        }
    }
}

/// Any task that could stand at `place`: it mostly requires tasks before it.
fn spec(place: usize) -> impl Strategy<Value = Spec> {
    let dependency = prop_oneof![12 => 0..place.max(1), 1 => Just(place), 1 => 0..TASKS];
    let count = prop_oneof![3 => Just(0), 3 => Just(1), 3 => Just(2), 2 => Just(3)];
    (
        0..QUEUES,
        0..GROUPS,
        prop_oneof![12 => Just("one"), 1 => Just("other")],
        prop_oneof![
            Just(Priority::Lowest),
            Just(Priority::Medium),
            Just(Priority::Highest)
        ],
        count.prop_flat_map(move |count| prop::collection::vec(dependency.clone(), count)),
        any::<bool>(),
        prop_oneof![Just(0_u32), Just(1), Just(2), Just(5)],
        prop_oneof![1 => Just(20_u64), 1 => Just(90), 2 => Just(300), 4 => Just(900)],
        prop_oneof![1 => Just(0_u64), 4 => Just(10_000)],
    )
        .prop_map(
            move |(queue, group, scheduler, priority, required, all_resolved, retries, d, e)| {
                let mut dependencies = required;
                // The first task has nobody before it.
                dependencies.retain(|required| place > 0 || *required != 0);
                dependencies.sort_unstable();
                dependencies.dedup();
                let deadline = START.plus(secs(d)).0;
                Spec {
                    queue,
                    group,
                    scheduler,
                    priority,
                    dependencies,
                    all_resolved,
                    retries,
                    deadline,
                    expires: deadline + secs(e).as_micros() as i64,
                }
            },
        )
}

/// The tasks of one history.
pub(crate) fn specs() -> impl Strategy<Value = Vec<Spec>> {
    (0..TASKS).map(spec).collect::<Vec<_>>()
}
