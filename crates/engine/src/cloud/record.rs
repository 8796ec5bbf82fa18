//! What handlers answered: tasks are done, tried again, or given up.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use taskyard_store::{Error, Tx, Value};

use super::attempt::{self, Entry};
use super::dispatch::Dispatch;
use super::law::{self, Ended, Verdict};
use super::outcome::Outcome;
use super::portions::{Portions, column};
use super::queue::{self, Queue};
use super::remove::{self, Request};
use super::task::{self, Task};
use super::wait::{self, Move, Place};
use super::{budget, event, failure};
use crate::lease;
use crate::timestamp::Timestamp;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The task's number.
    pub task: i64,
    /// Its id.
    pub task_id: String,
    /// Its queue's number.
    pub queue: i64,
    /// Which attempt it was.
    pub attempt: i64,
    /// When it was to begin.
    pub schedule_time: Timestamp,
    /// When it began.
    pub dispatched_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Whether somebody had asked for it.
    pub is_forced: bool,
    /// How it came out.
    pub outcome: Outcome,
    /// How long the handler asked to be left alone.
    pub retry_after: Option<Duration>,
    /// How the answer began, or what went wrong.
    pub excerpt: String,
    is_named: bool,
    generation: i64,
    lease_id: i64,
}

impl Report {
    /// The report on an attempt that came out so.
    pub fn new(dispatch: &Dispatch, ended_at: Timestamp, outcome: Outcome) -> Self {
        Report {
            task: dispatch.task.number,
            task_id: dispatch.task.id.clone(),
            queue: dispatch.queue.number,
            attempt: dispatch.attempt,
            schedule_time: dispatch.schedule_time,
            dispatched_at: dispatch.dispatched_at,
            ended_at: ended_at.max(dispatch.dispatched_at),
            is_forced: dispatch.is_forced,
            outcome,
            retry_after: None,
            excerpt: String::new(),
            is_named: dispatch.task.is_named,
            generation: dispatch.queue.generation,
            lease_id: dispatch.lease_id,
        }
    }
}

/// What is done beyond the law of retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conduct {
    /// How long tasks that were given up are kept for inspection; zero keeps none.
    pub keep_failures: Duration,
    /// Whether queues slow down when handlers are overwhelmed.
    pub slow_down: bool,
}

impl Default for Conduct {
    fn default() -> Self {
        Conduct {
            keep_failures: Duration::from_hours(24 * 7),
            slow_down: false,
        }
    }
}

static LOCK: LazyLock<Portions<1>> = LazyLock::new(|| {
    Portions::list(|numbers| {
        format!("SELECT number FROM cloud_tasks WHERE number IN ({numbers}) FOR UPDATE")
    })
});

/// Records how attempts ended; returns how each of their tasks stands, in the order of the reports:
/// `None` for one whose attempt no longer decides anything.
pub fn record(
    tx: &mut Tx<'_>,
    now: Timestamp,
    conduct: &Conduct,
    reports: &[Report],
) -> Result<Vec<Option<Verdict>>, Error> {
    // In one order, so that two recorders cannot wait for each other.
    let mut numbers: Vec<i64> = reports.iter().map(|report| report.task).collect();
    numbers.sort_unstable();
    numbers.dedup();
    LOCK.query(tx, &[], &column(&numbers), |_| Ok(()))?;
    let mut tasks: BTreeMap<i64, Task> = task::all(tx, &numbers, false)?
        .into_iter()
        .map(|task| (task.number, task))
        .collect();
    let mut verdicts = vec![None; reports.len()];
    let mut generations: Vec<i64> = reports.iter().map(|report| report.generation).collect();
    generations.sort_unstable();
    generations.dedup();
    for generation in generations {
        let of_queue: Vec<usize> = (0..reports.len())
            .filter(|at| reports.get(*at).is_some_and(|r| r.generation == generation))
            .collect();
        let theirs = of_queue.iter().filter_map(|at| reports.get(*at));
        if let Some(queue) = queue::by_generation(tx, generation)? {
            let theirs: Vec<&Report> = theirs.collect();
            let found = record_of(tx, now, conduct, &queue, &theirs, &mut tasks)?;
            for (at, verdict) in of_queue.into_iter().zip(found) {
                if let Some(slot) = verdicts.get_mut(at) {
                    *slot = verdict;
                }
            }
        } else {
            // Purged or deleted: nothing is left but the entries that counted the attempts.
            let leases: Vec<i64> = theirs.map(|report| report.lease_id).collect();
            wait::delete(tx, &leases)?;
        }
    }
    log(tx, reports)?;
    Ok(verdicts)
}

fn log(tx: &mut Tx<'_>, reports: &[Report]) -> Result<(), Error> {
    let entries: Vec<Entry<'_>> = reports
        .iter()
        .map(|report| Entry {
            queue: report.queue,
            task: report.task,
            task_id: &report.task_id,
            is_named: report.is_named,
            dispatch: report.attempt,
            schedule_time: report.schedule_time,
            dispatched_at: report.dispatched_at,
            ended_at: report.ended_at,
            outcome: report.outcome,
            excerpt: &report.excerpt,
        })
        .collect();
    attempt::log(tx, &entries)
}

/// What becomes of tasks of one queue.
#[derive(Default)]
struct Ends {
    done: Vec<Task>,
    given_up: Vec<Task>,
    retried: Vec<(Task, Timestamp)>,
    /// Answered, but decided by another attempt.
    noted: Vec<Task>,
    /// Entries of attempts whose tasks are gone.
    orphans: Vec<i64>,
}

fn record_of(
    tx: &mut Tx<'_>,
    now: Timestamp,
    conduct: &Conduct,
    queue: &Queue,
    reports: &[&Report],
    tasks: &mut BTreeMap<i64, Task>,
) -> Result<Vec<Option<Verdict>>, Error> {
    let limit = i64::from(queue.settings.rate_limits.max_concurrent_dispatches.max(1));
    let was_full = wait::count_flying(tx, queue.generation, limit)? >= limit;
    let mut ends = Ends::default();
    let mut verdicts = Vec::with_capacity(reports.len());
    for report in reports {
        let Some(mut task) = tasks.remove(&report.task) else {
            ends.orphans.push(report.lease_id);
            verdicts.push(None);
            continue;
        };
        note(&mut task, report);
        let verdict = judge(queue, &task, report);
        verdicts.push(verdict);
        match verdict {
            Some(Verdict::Done) => ends.done.push(task),
            Some(Verdict::GivenUp) => ends.given_up.push(task),
            Some(Verdict::Retry(at)) => ends.retried.push((task, at)),
            // Another report of this batch may be about the same task.
            None => match reports.iter().filter(|r| r.task == task.number).count() {
                1 => ends.noted.push(task),
                _ => drop(tasks.insert(task.number, task)),
            },
        }
    }
    settle(tx, now, conduct, queue, ends)?;
    if conduct.slow_down && must_learn(tx, now, queue, reports)? {
        let outcomes: Vec<Outcome> = reports.iter().map(|report| report.outcome).collect();
        budget::learn(tx, now, queue, &outcomes)?;
    }
    if was_full {
        tx.wake_all(wait::topic(queue.generation));
    }
    Ok(verdicts)
}

/// Whether these outcomes say something about the handler that the budget does not know.
fn must_learn(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: &Queue,
    reports: &[&Report],
) -> Result<bool, Error> {
    if reports.iter().any(|report| !report.outcome.is_success()) {
        return Ok(true);
    }
    // Successes only matter beside failures of late.
    let known = budget::get(tx, queue.number)?;
    Ok(known.is_some_and(|budget| budget.share.remembers(now)))
}

fn note(task: &mut Task, report: &Report) {
    if report.outcome.is_answer() {
        task.response_count += 1;
    }
    if report.outcome.is_execution() {
        task.execution_count += 1;
    }
    task.previous_outcome = Some(report.outcome);
    if let Some(last) = &mut task.last_attempt
        && report.attempt == task.dispatch_count
    {
        last.response = Some((report.ended_at, report.outcome));
    }
}

/// What follows for the task; `None` if another attempt decides about it. A success counts whichever
/// attempt it is of: the task was done.
fn judge(queue: &Queue, task: &Task, report: &Report) -> Option<Verdict> {
    let is_current = task.lease_id == Some(report.lease_id);
    if !is_current && !report.outcome.is_success() {
        return None;
    }
    Some(law::judge(
        task.retry_of(queue),
        &Ended {
            outcome: report.outcome,
            attempt: report.attempt,
            first_attempt: task.first_dispatch_time.unwrap_or(report.dispatched_at),
            counted_from: if report.is_forced {
                report.dispatched_at
            } else {
                report.ended_at
            },
            ended_at: report.ended_at,
            retry_after: report.retry_after,
        },
    ))
}

fn settle(
    tx: &mut Tx<'_>,
    now: Timestamp,
    conduct: &Conduct,
    queue: &Queue,
    ends: Ends,
) -> Result<(), Error> {
    wait::delete(tx, &ends.orphans)?;
    let done: Vec<&Task> = ends.done.iter().collect();
    remove::remove(tx, now, queue, event::COMPLETED, &done, Request::Removed)?;
    let given_up: Vec<&Task> = ends.given_up.iter().collect();
    let request = if conduct.keep_failures.is_zero() {
        Request::Removed
    } else {
        Request::Kept
    };
    remove::remove(tx, now, queue, event::FAILED, &given_up, request)?;
    if request == Request::Kept {
        let expires = now.plus(conduct.keep_failures);
        failure::keep(tx, now, queue, &ends.given_up, expires)?;
    }
    update(tx, &ends.noted)?;
    try_again(tx, now, queue, ends.retried)
}

fn try_again(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: &Queue,
    retried: Vec<(Task, Timestamp)>,
) -> Result<(), Error> {
    let lease_ids = lease::new_ids(tx, retried.len())?;
    let mut moves = Vec::with_capacity(retried.len());
    let mut tasks = Vec::with_capacity(retried.len());
    for ((mut task, at), to) in retried.into_iter().zip(lease_ids) {
        if let Some(from) = task.lease_id.replace(to) {
            moves.push(Move {
                from,
                to,
                until: at,
            });
        }
        task.schedule_time = at;
        tasks.push(task);
    }
    wait::put_back(tx, now, queue.generation, &moves)?;
    for task in &tasks {
        event::append(tx, now, event::RETRIED, &queue.name, task)?;
    }
    update(tx, &tasks)
}

/// Stands for NULL in a row of integers.
const NONE: i64 = i64::MIN;

static UPDATE: LazyLock<Portions<7>> = LazyLock::new(|| {
    Portions::table(1, |rows| {
        format!(
            "WITH ended(number, lease_id, schedule_time, responses, executions, response_at, \
             outcome) AS (VALUES {rows}) \
             UPDATE cloud_tasks SET lease_id = ended.lease_id, \
             schedule_time = ended.schedule_time, responses = ended.responses, \
             executions = ended.executions, \
             last_response_at = NULLIF(ended.response_at, $1), \
             last_outcome = NULLIF(ended.outcome, $1) \
             FROM ended WHERE cloud_tasks.number = ended.number"
        )
    })
});

/// Stores these tasks, which are locked.
fn update(tx: &mut Tx<'_>, tasks: &[Task]) -> Result<(), Error> {
    let rows: Vec<[Value<'_>; 7]> = tasks
        .iter()
        .map(|task| {
            let response = task.last_attempt.and_then(|last| last.response);
            [
                task.number.into(),
                task.lease_id.unwrap_or(NONE).into(),
                task.schedule_time.into(),
                task.response_count.into(),
                task.execution_count.into(),
                response.map_or(NONE, |(at, _)| at.0).into(),
                task.previous_outcome.map_or(NONE, Outcome::stored).into(),
            ]
        })
        .collect();
    let updated = UPDATE.execute(tx, &[NONE.into()], &rows)?;
    if updated != rows.len() as u64 {
        return Err(tx.overtaken("a locked task was changed"));
    }
    Ok(())
}

/// Ends attempts that nobody will report on: their tasks are due again at once. Such an attempt
/// counts as sent and not answered. Returns how many tasks that were.
pub(super) fn lose(
    tx: &mut Tx<'_>,
    now: Timestamp,
    generation: i64,
    places: &[Place],
) -> Result<usize, Error> {
    let Some(queue) = queue::by_generation(tx, generation)? else {
        let leases: Vec<i64> = places.iter().map(|place| place.lease_id).collect();
        wait::delete(tx, &leases)?;
        return Ok(0);
    };
    let mut numbers: Vec<i64> = places.iter().map(|place| place.task).collect();
    numbers.sort_unstable();
    LOCK.query(tx, &[], &column(&numbers), |_| Ok(()))?;
    let mut tasks: BTreeMap<i64, Task> = task::all(tx, &numbers, false)?
        .into_iter()
        .map(|task| (task.number, task))
        .collect();
    let (mut lost, mut orphans) = (Vec::new(), Vec::new());
    for place in places {
        match tasks.remove(&place.task) {
            Some(mut task) if task.lease_id == Some(place.lease_id) => {
                task.previous_outcome = Some(Outcome::TimedOut);
                lost.push((task, now));
            }
            // The task is gone, or its newest attempt is another one.
            _ => orphans.push(place.lease_id),
        }
    }
    wait::delete(tx, &orphans)?;
    let count = lost.len();
    try_again(tx, now, &queue, lost)?;
    Ok(count)
}

/// Up to this many attempts are ended at once.
const PORTION: usize = 256;

/// Ends the attempts at tasks of this generation that should have ended long ago: whoever made them
/// is lost.
pub(crate) fn end_overdue(
    tx: &mut Tx<'_>,
    now: Timestamp,
    generation: i64,
) -> Result<usize, Error> {
    let places = wait::overdue(tx, generation, now, PORTION)?;
    lose(tx, now, generation, &places)
}
