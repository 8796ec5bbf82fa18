//! Jobs: tasks as stacks see them.

use std::collections::{HashMap, VecDeque};

use taskyard_store::{Error, Row, Tx, Value, params};

use super::agent_job::{self, AgentJob};
use super::outline::Outline;
use crate::by_ids::ByIds;
use crate::lease::{self, Queue};
use crate::reservation::Reservation;
use crate::task::{self, Priority, Resolved, Run, State, Task, Worker};
use crate::timestamp::{Nanos, Timestamp};

/// Where a job stands in the listing of its queue: by age, and of the same age by lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// When its run became pending.
    pub scheduled: Timestamp,
    /// The run's lease.
    pub lease_id: i64,
}

impl Position {
    /// Before all jobs.
    pub const START: Position = Position {
        scheduled: Timestamp(i64::MIN),
        lease_id: i64::MIN,
    };
}

/// A pending run that nobody has reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its task.
    pub task_id: String,
    /// The task's group.
    pub group_id: String,
    /// The [outline](super::Outline) of the job, as text.
    pub outline: String,
    /// The task's priority, as a number.
    pub priority: i64,
    /// Where it stands.
    pub at: Position,
    /// The task's deadline.
    pub deadline: Option<Timestamp>,
}

/// The index for claims has the priority before the age, so each priority is a range of it.
///
/// Tasks that were created before outlines were kept have an empty one, so theirs is made of the
/// definition.
const OF_PRIORITY: &str = "SELECT l.id, l.enqueued_at, l.expires_at, t.task_id, t.task_group_id, \
     t.outline, CASE WHEN t.outline = '' THEN (SELECT d.definition FROM task_definitions d \
     WHERE d.number = t.number) END \
     FROM leases l JOIN tasks t ON t.number = l.task_number \
     WHERE l.queue = $1 AND l.ready = 1 AND l.priority = $2 AND (l.enqueued_at, l.id) > ($3, $4) \
     ORDER BY l.enqueued_at, l.id LIMIT $5";

/// The pending runs of one priority, of which the next few are at hand.
struct Lane {
    priority: i64,
    at_hand: VecDeque<Listed>,
    /// Behind which the others are; `None` if there are none.
    rest: Option<Position>,
}

impl Lane {
    /// Where the next one stands. Takes a portion from the database if none is at hand.
    fn next(
        &mut self,
        tx: &mut Tx<'_>,
        queue: &Queue,
        portion: usize,
    ) -> Result<Option<Position>, Error> {
        if self.at_hand.is_empty()
            && let Some(after) = self.rest
        {
            let priority = self.priority;
            let taken = tx.query(
                OF_PRIORITY,
                params![
                    queue.as_str(),
                    priority,
                    after.scheduled,
                    after.lease_id,
                    portion as i64
                ],
                |row| {
                    let outline: String = row.get(5)?;
                    Ok(Listed {
                        task_id: row.get(3)?,
                        group_id: row.get(4)?,
                        outline: if outline.is_empty() {
                            outline_of(row.text(6)?)?
                        } else {
                            outline
                        },
                        priority,
                        at: Position {
                            scheduled: row.get(1)?,
                            lease_id: row.get(0)?,
                        },
                        deadline: row.get(2)?,
                    })
                },
            )?;
            let is_full = taken.len() == portion;
            self.rest = taken.last().filter(|_| is_full).map(|last| last.at);
            self.at_hand = taken.into();
        }
        Ok(self.at_hand.front().map(|listed| listed.at))
    }
}

fn outline_of(definition: &str) -> Result<String, Error> {
    serde_json::from_str(definition)
        .and_then(|definition| Outline::of(&definition).to_text())
        .map_err(|error| Error::Statement(format!("the definition of a task: {error}")))
}

/// The pending runs of a task queue behind `after` that nobody has reserved, longest waiting first.
/// Some may be past their deadline.
///
/// There are few priorities, so their ranges of the index that claims use are merged here, and
/// nobody pays for an index in another order.
pub fn pending(
    tx: &mut Tx<'_>,
    task_queue_id: &str,
    after: Position,
    limit: usize,
) -> Result<Vec<Listed>, Error> {
    let queue = Queue::runs(task_queue_id);
    // Enough for all if the priorities are evenly used, and not much too much if one is.
    let portion = limit / 4 + 8;
    let mut lanes = Priority::ALL.map(|priority| Lane {
        priority: priority as i64,
        at_hand: VecDeque::new(),
        rest: Some(after),
    });
    let mut listed: Vec<Listed> = Vec::with_capacity(limit);
    while listed.len() < limit {
        let mut first: Option<(Position, &mut Lane)> = None;
        for lane in &mut lanes {
            if let Some(at) = lane.next(tx, &queue, portion)?
                && first.as_ref().is_none_or(|(known, _)| at < *known)
            {
                first = Some((at, lane));
            }
        }
        let Some(next) = first.and_then(|(_, lane)| lane.at_hand.pop_front()) else {
            break;
        };
        // One that changes its priority meanwhile may be met twice.
        if listed.last().is_none_or(|last| last.at < next.at) {
            listed.push(next);
        }
    }
    Ok(listed)
}

/// What never changes about a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its id.
    pub task_id: String,
    /// Who may claim its runs.
    pub task_queue_id: String,
    /// Its group.
    pub group_id: String,
    /// After this it is resolved in any case.
    pub deadline: Timestamp,
    /// After this it may be forgotten.
    pub expires: Timestamp,
    /// All of it, as JSON text.
    pub text: String,
}

static DEFINITIONS: ByIds = ByIds::new(
    "SELECT t.task_id, t.task_queue_id, t.task_group_id, t.deadline, t.expires, d.definition \
     FROM tasks t JOIN task_definitions d ON d.number = t.number WHERE t.task_id IN ({ids})",
    0,
);

fn read_definition(row: &Row<'_>) -> Result<Definition, Error> {
    Ok(Definition {
        task_id: row.get(0)?,
        task_queue_id: row.get(1)?,
        group_id: row.get(2)?,
        deadline: row.get(3)?,
        expires: row.get(4)?,
        text: row.get(5)?,
    })
}

fn texts(ids: &[String]) -> Vec<Value<'_>> {
    ids.iter().map(Value::from).collect()
}

/// What these tasks are, as far as they exist, in no particular order.
pub fn definitions(tx: &mut Tx<'_>, task_ids: &[String]) -> Result<Vec<Definition>, Error> {
    DEFINITIONS.query(tx, &[], &texts(task_ids), read_definition)
}

/// How a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its task.
    pub task_id: String,
    /// Who may claim its runs.
    pub task_queue_id: String,
    /// The task's group.
    pub group_id: String,
    /// After this it may be forgotten.
    pub expires: Timestamp,
    /// When its first run became pending.
    pub scheduled: Option<Timestamp>,
    /// The last run's number and the run; `None` if the task was never scheduled.
    pub run: Option<(usize, Run)>,
    /// Who has reserved the run.
    pub reservation: Option<Reservation>,
    /// The agent that has or had the run.
    pub agent: Option<AgentJob>,
}

impl Standing {
    /// The state of the task.
    pub fn state(&self) -> State {
        self.run
            .as_ref()
            .map_or(State::Unscheduled, |(_, run)| run.state)
    }
}

static STANDINGS: ByIds = ByIds::new(
    "SELECT t.task_id, t.task_queue_id, t.task_group_id, t.expires, t.runs, l.ready, l.owner, \
     l.available_at FROM tasks t LEFT JOIN leases l ON l.id = t.lease_id \
     WHERE t.task_id IN ({ids})",
    0,
);

fn read_standing(row: &Row<'_>) -> Result<Standing, Error> {
    let mut runs: Vec<Run> = serde_json::from_str(row.text(4)?)
        .map_err(|error| Error::Statement(format!("the runs of a task: {error}")))?;
    let scheduled = runs.first().map(|run| run.scheduled);
    let last = runs.len().saturating_sub(1);
    let ready: Option<i64> = row.get(5)?;
    let reservation = match ready {
        Some(ready) => Reservation::of(ready, row.get(6)?, row.get::<Nanos>(7)?),
        None => None,
    };
    Ok(Standing {
        task_id: row.get(0)?,
        task_queue_id: row.get(1)?,
        group_id: row.get(2)?,
        expires: row.get(3)?,
        scheduled,
        run: runs.pop().map(|run| (last, run)),
        reservation,
        agent: None,
    })
}

/// How these jobs stand, as far as they exist, in no particular order.
pub fn standings(tx: &mut Tx<'_>, task_ids: &[String]) -> Result<Vec<Standing>, Error> {
    let mut found = STANDINGS.query(tx, &[], &texts(task_ids), read_standing)?;
    // Most jobs that are asked about still wait; no agent has those.
    let with_agents: Vec<Value<'_>> = found
        .iter()
        .filter(|standing| !matches!(standing.state(), State::Unscheduled | State::Pending))
        .map(|standing| Value::from(&standing.task_id))
        .collect();
    let mut agents: HashMap<(String, usize), AgentJob> = agent_job::of_tasks(tx, &with_agents)?
        .into_iter()
        .map(|job| ((job.task_id.clone(), job.run_id), job))
        .collect();
    if !agents.is_empty() {
        for standing in &mut found {
            if let Some((run_id, _)) = &standing.run {
                standing.agent = agents.remove(&(standing.task_id.clone(), *run_id));
            }
        }
    }
    Ok(found)
}

const WAITING: &str = "SELECT task_queue_id, lease_id FROM tasks WHERE is_open = 1 \
     ORDER BY deadline LIMIT $1";

/// How many tasks of each task queue wait for others, among the `at_most` whose deadlines are next.
pub fn waiting(tx: &mut Tx<'_>, at_most: usize) -> Result<HashMap<String, i64>, Error> {
    let mut counts = HashMap::new();
    tx.query(WAITING, params![at_most as i64], |row| {
        if row.get::<Option<i64>>(1)?.is_none() {
            *counts.entry(row.get(0)?).or_insert(0) += 1;
        }
        Ok(())
    })?;
    Ok(counts)
}

/// Why a job does not move as a stack or an agent asked. Nothing was changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such job.
    #[error("there is no such job")]
    Unknown,
    /// It waits for other jobs.
    #[error("the job waits for other jobs")]
    Waiting,
    /// Another stack has reserved it.
    #[error("the job is reserved by another stack")]
    Reserved,
    /// It is not, or not any more, assigned to the agent that accepts it.
    #[error("the job is not assigned to this agent")]
    NotAssigned,
    /// Somebody has it already.
    #[error("the job was already handed to an agent")]
    Taken,
    /// It is over.
    #[error("the job is already finished or cancelled")]
    Ended,
}

/// What a stack says about a job that never ran.
#[derive(Debug, Clone, Copy)]
pub struct Finish<'a> {
    /// The task.
    pub task_id: &'a str,
    /// Under which name the stack reserves.
    pub owner: &'a str,
    /// The stack as the worker of the run.
    pub worker: &'a Worker,
    /// How the run ends.
    pub resolved: Resolved,
}

/// A stack ends a job that was never handed to an agent. Returns the task, and whether this stack
/// had already ended it in the same way.
pub fn finish(
    tx: &mut Tx<'_>,
    now: Timestamp,
    what: Finish<'_>,
) -> Result<Result<(Task, bool), Refusal>, Error> {
    let Some(task) = task::lock(tx, what.task_id)? else {
        return Ok(Err(Refusal::Unknown));
    };
    match task.state() {
        State::Unscheduled => Ok(Err(Refusal::Waiting)),
        State::Running => Ok(Err(Refusal::Taken)),
        State::Completed | State::Failed | State::Exception => {
            let is_repeated = task.runs.last().is_some_and(|run| {
                run.worker.as_ref() == Some(what.worker)
                    && run.state == what.resolved.state()
                    && match what.resolved {
                        Resolved::Exception(exception) => run.exception == Some(exception),
                        Resolved::Completed | Resolved::Failed => true,
                    }
            });
            Ok(if is_repeated {
                Ok((task, true))
            } else {
                Err(Refusal::Ended)
            })
        }
        State::Pending => {
            let lease_id = task.lease_id;
            if is_reserved_by_other(tx, now, lease_id, what.owner)? {
                return Ok(Err(Refusal::Reserved));
            }
            let worker = what.worker.clone();
            let resolved = task::report_unclaimed(tx, now, task, worker, what.resolved)?;
            Ok(resolved
                .map(|task| (task, false))
                .map_err(|_| Refusal::Ended))
        }
    }
}

fn is_reserved_by_other(
    tx: &mut Tx<'_>,
    now: Timestamp,
    lease_id: Option<i64>,
    owner: &str,
) -> Result<bool, Error> {
    let Some(lease_id) = lease_id else {
        return Ok(false);
    };
    let reservation = lease::reservation(tx, lease_id)?;
    Ok(reservation.is_some_and(|known| known.excludes(owner, now)))
}
