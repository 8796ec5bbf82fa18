//! What holds for every task at every moment, looked for in the tables themselves.

use std::collections::BTreeMap;

use taskyard_engine::Timestamp;
use taskyard_engine::task::{self, Task};
use taskyard_store::{Error, Tx, params};

use crate::operation::{RunView, View};

/// What a test says when something does not hold.
macro_rules! must {
    ($holds:expr, $($text:tt)*) => {
        if !$holds {
            return Err(format!($($text)*));
        }
    };
}
pub(crate) use must;

/// One row of the lease table.
#[derive(Debug, Clone)]
pub(crate) struct LeaseRow {
    pub(crate) id: i64,
    pub(crate) queue: String,
    pub(crate) ready: bool,
    /// Nanoseconds.
    pub(crate) available_at: i64,
    pub(crate) subject: String,
    pub(crate) attempt: i64,
}

const LEASES: &str = "SELECT id, queue, ready, available_at, subject, attempt FROM leases \
     WHERE subject <> '' ORDER BY id";
const TASKS: &str = "SELECT task_id, is_open FROM tasks ORDER BY task_id";

/// Everything there is about tasks, as of one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) tasks: BTreeMap<String, Task>,
    /// The column by which the timer finds deadlines.
    is_open: BTreeMap<String, bool>,
    pub(crate) leases: Vec<LeaseRow>,
}

impl Snapshot {
    pub(crate) fn read(tx: &mut Tx<'_>) -> Result<Self, Error> {
        let leases = tx.query(LEASES, &[], |row| {
            Ok(LeaseRow {
                id: row.get(0)?,
                queue: row.get(1)?,
                ready: row.get(2)?,
                available_at: row.get(3)?,
                subject: row.get(4)?,
                attempt: row.get(5)?,
            })
        })?;
        let is_open: Vec<(String, bool)> =
            tx.query(TASKS, params![], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut tasks = BTreeMap::new();
        for (id, _) in &is_open {
            if let Some(task) = task::load(tx, id)? {
                tasks.insert(id.clone(), task);
            }
        }
        Ok(Snapshot {
            tasks,
            is_open: is_open.into_iter().collect(),
            leases,
        })
    }

    /// Checks what must hold of every task at `now`.
    pub(crate) fn check(&self, now: Timestamp) -> Result<(), String> {
        for lease in &self.leases {
            must!(
                self.tasks.contains_key(&lease.subject),
                "{lease:?} belongs to no task"
            );
        }
        for (id, task) in &self.tasks {
            check_runs(&View::from(task), task.retries)
                .map_err(|text| format!("{id}: {text}: {task:#?}"))?;
            self.check_waits(now, task)
                .map_err(|text| format!("{id}: {text}: {task:#?}"))?;
        }
        Ok(())
    }

    /// I3: a pending run has exactly one queue entry. I4: a running one has a claim that ends, and
    /// an unresolved task a deadline that the timer will find.
    fn check_waits(&self, now: Timestamp, task: &Task) -> Result<(), String> {
        let leases: Vec<&LeaseRow> = self
            .leases
            .iter()
            .filter(|lease| lease.subject == task.id)
            .collect();
        must!(
            self.is_open.get(&task.id) == Some(&task.is_open()),
            "the timer would not find the deadline"
        );
        must!(
            leases.first().map(|lease| lease.id) == task.lease_id && leases.len() <= 1,
            "the leases {leases:?}"
        );
        let queue = format!("run:{}", task.task_queue_id);
        match (task.state().as_str(), leases.first()) {
            ("pending", Some(lease)) => {
                must!(lease.queue == queue, "waits in the wrong queue");
                must!(
                    lease.attempt as usize + 1 == task.runs.len(),
                    "waits for the wrong run"
                );
                must!(
                    lease.ready || task.deadline <= now,
                    "cannot be claimed though its deadline has not passed"
                );
            }
            ("pending", None) => return Err("a pending run is in no queue".to_owned()),
            ("running", Some(lease)) => {
                must!(!lease.ready, "can be claimed though it is running");
                must!(
                    lease.attempt as usize + 1 == task.runs.len(),
                    "holds the wrong run"
                );
                let taken_until = task.runs.last().and_then(|run| run.taken_until);
                must!(
                    taken_until.map(|until| until.0 * 1000) == Some(lease.available_at),
                    "its claim does not end at takenUntil"
                );
            }
            ("running", None) => {
                must!(task.deadline < now, "the claim of a running run never ends");
            }
            (_, lease) => must!(lease.is_none(), "waits though it has nothing to wait for"),
        }
        Ok(())
    }
}

/// Checks what must hold of a task's runs.
fn check_runs(task: &View, retries: u32) -> Result<(), String> {
    // I1
    must!(task.runs.len() <= 50, "has more than 50 runs");
    for (run_id, run) in task.runs.iter().enumerate() {
        let is_last = run_id + 1 == task.runs.len();
        check_run(run, is_last).map_err(|text| format!("run {run_id} {text}"))?;
    }
    // I5
    let renewed = task.runs.iter().rposition(|run| run.created == "rerun");
    let (since, used) = renewed.map_or((0, 0), |at| (at, at + 1));
    let automatic = |run: &&RunView| matches!(run.created, "retry" | "task-retry");
    let automatic = task.runs[since..].iter().filter(automatic).count();
    let allowed = (retries as usize).min(50 - used);
    must!(
        task.retries_left as usize + automatic == allowed,
        "{automatic} retries and {} left do not make {allowed}",
        task.retries_left
    );
    Ok(())
}

fn check_run(run: &RunView, is_last: bool) -> Result<(), String> {
    let is_resolved = match run.state {
        "pending" | "running" => false,
        "completed" | "failed" | "exception" => true,
        other => return Err(format!("is {other}")),
    };
    // I2
    must!(is_resolved || is_last, "is open but not the last");
    // I6
    must!(
        run.reason.is_some() == is_resolved,
        "has a reason without being resolved"
    );
    must!(
        run.resolved.is_some() == is_resolved,
        "is resolved without a time"
    );
    let was_claimed = run.worker.is_some();
    must!(
        run.started.is_some() == was_claimed && run.taken_until.is_some() == was_claimed,
        "is half claimed"
    );
    must!(
        was_claimed || matches!(run.state, "pending" | "exception"),
        "was never claimed"
    );
    must!(
        !was_claimed || run.state != "pending",
        "is pending but claimed"
    );
    must!(
        run.started.is_none_or(|started| run.scheduled <= started),
        "started too early"
    );
    let last = run.started.unwrap_or(run.scheduled);
    must!(
        run.resolved.is_none_or(|resolved| last <= resolved),
        "was resolved too early"
    );
    // I7
    match (run.state, run.reason) {
        ("completed", reason) => must!(reason == Some("completed"), "gives {reason:?}"),
        ("failed", reason) => must!(reason == Some("failed"), "gives {reason:?}"),
        (_, reason) => {
            must!(
                !matches!(reason, Some("completed" | "failed")),
                "gives {reason:?}"
            );
        }
    }
    Ok(())
}

/// Checks what must hold between an earlier and a later look at a task.
pub(crate) fn check_step(before: &View, after: &View) -> Result<(), String> {
    // I1: what was resolved stays as it was, and nothing vanishes.
    must!(before.runs.len() <= after.runs.len(), "lost a run");
    for (run_id, (old, new)) in before.runs.iter().zip(&after.runs).enumerate() {
        must!(
            old.resolved.is_none() || old == new,
            "changed the resolved run {run_id}"
        );
        must!(
            old.created == new.created && old.scheduled == new.scheduled,
            "changed run {run_id}"
        );
        // I13
        must!(
            old.taken_until <= new.taken_until,
            "took back the claim of run {run_id}"
        );
        // I17, as far as two looks tell: only these reasons bring about a retry.
        let follower = after.runs.get(run_id + 1).map(|run| run.created);
        let retried = match new.reason {
            Some("worker-shutdown" | "claim-expired") => Some("retry"),
            Some("intermittent-task") => Some("task-retry"),
            _ => None,
        };
        must!(
            follower.is_none_or(|created| created == "rerun" || Some(created) == retried),
            "run {run_id} was followed by a {follower:?}"
        );
    }
    must!(
        !before.ever_resolved || after.ever_resolved,
        "was never resolved after all"
    );
    Ok(())
}
