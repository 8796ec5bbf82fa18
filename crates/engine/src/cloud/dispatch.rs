//! Tasks are taken to be sent.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use taskyard_store::{Error, Topic, Tx, Value};

use super::bucket::Flow;
use super::portions::Portions;
use super::queue::{self, Queue};
use super::refusal::Refusal;
use super::remove::{self, Request};
use super::request::Payload;
use super::settings::Kind;
use super::task::{self, Attempt, Task};
use super::wait::{self, Move, Place};
use super::{budget, event, lookup};
use crate::lease;
use crate::timestamp::Timestamp;

/// A task that is to be sent now.
#[derive(Debug, Clone, PartialEq)]
pub struct Dispatch {
    /// Its queue as of now, whose overrides hold.
    pub queue: Arc<Queue>,
    /// The task with its bytes; `last_attempt` is this one.
    pub task: Task,
    /// Which attempt this is, counted from 1.
    pub attempt: i64,
    /// When it was to begin.
    pub schedule_time: Timestamp,
    /// When it was taken.
    pub dispatched_at: Timestamp,
    /// Whether somebody asked for it, against the queue's limits.
    pub is_forced: bool,
    /// How the attempt before came out.
    pub previous: Option<super::Outcome>,
    pub(crate) lease_id: i64,
}

/// How long a handler may take that was not told.
pub const DEFAULT_DEADLINE: Duration = Duration::from_mins(10);
/// An attempt is given up this long after its deadline if nobody says how it came out.
const GRACE: Duration = Duration::from_secs(30);

impl Dispatch {
    /// How long the handler may take.
    pub fn deadline(&self) -> Duration {
        deadline(&self.task)
    }
}

fn deadline(task: &Task) -> Duration {
    let given = task.dispatch_deadline.filter(|given| !given.is_zero());
    given.unwrap_or(DEFAULT_DEADLINE)
}

/// What a claim came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// What is to be sent now.
    pub dispatches: Vec<Dispatch>,
    /// When to claim again.
    pub next: Next,
    /// The queue's topic, which purging changes.
    pub topic: Topic,
}

/// When to claim again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// At once: there may be more.
    Now,
    /// When the rate allows more.
    At(Timestamp),
    /// When the queue's topic is woken: nothing is due, or nothing may be sent.
    WhenWoken,
    /// When an attempt has ended: as many are under way as may be.
    WhenOneEnds,
}

/// While tasks wait for tokens, those of this time are claimed together.
const SLICE: Duration = Duration::from_millis(20);

/// While another server claims from the queue, this one waits as long.
const TAKEN: Duration = Duration::from_millis(3);

/// Takes up to `most` due tasks of the queue with this number for `holder`, as many as its rate and
/// its concurrency allow. `None` if the queue is gone.
pub fn claim(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: i64,
    holder: &str,
    most: usize,
) -> Result<Option<Claim>, Error> {
    // Waiting for it would make others wait for what this transaction has locked already.
    let budget = budget::lock_if_free(tx, queue)?;
    let Some(queue) = queue::by_number(tx, queue)? else {
        return Ok(None);
    };
    let topic = queue.topic();
    let nothing = |next| {
        Ok(Some(Claim {
            dispatches: Vec::new(),
            next,
            topic,
        }))
    };
    if !queue.dispatches() {
        return nothing(Next::WhenWoken);
    }
    let Some(budget) = budget else {
        return nothing(Next::At(now.plus(TAKEN)));
    };
    let limits = &queue.settings.rate_limits;
    let allowed = i64::from(limits.max_concurrent_dispatches.max(1));
    let flying = wait::count_flying(tx, queue.generation, allowed)?;
    let room = usize::try_from(allowed - flying).unwrap_or(0);
    if room == 0 {
        return nothing(Next::WhenOneEnds);
    }
    let flow = Flow::new(limits, budget.share.at(now));
    let bucket = budget.bucket.at(flow, now);
    let tokens = bucket.whole();
    let slice = limits.max_dispatches_per_second * SLICE.as_secs_f64();
    let slice = (slice as usize).clamp(1, most.max(1));
    if tokens == 0 {
        return nothing(Next::At(bucket.holds(flow, slice)));
    }
    let count = most.min(room).min(tokens);
    let places = wait::pick(tx, queue.generation, now, count)?;
    if places.is_empty() {
        return nothing(Next::WhenWoken);
    }
    let queue = Arc::new(queue);
    let found = places.len();
    let tasks = lock_and_sort_out(tx, now, &queue, &places)?;
    let dispatches = begin(tx, now, &queue, holder, tasks, false)?;
    let bucket = bucket.take(dispatches.len());
    budget::spend(tx, queue.number, bucket)?;
    let next = if found < count {
        Next::WhenWoken
    } else if bucket.whole() == 0 {
        Next::At(bucket.holds(flow, slice))
    } else if dispatches.len() == room {
        Next::WhenOneEnds
    } else {
        Next::Now
    };
    Ok(Some(Claim {
        dispatches,
        next,
        topic,
    }))
}

static LOCK: LazyLock<Portions<1>> = LazyLock::new(|| {
    Portions::list(|numbers| {
        format!(
            "SELECT number, lease_id FROM cloud_tasks WHERE number IN ({numbers}) \
             FOR UPDATE SKIP LOCKED"
        )
    })
});

/// The tasks at these places that can be sent, in their order. What somebody else is changing right
/// now is left alone; what has outlived its time is removed.
fn lock_and_sort_out(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: &Queue,
    places: &[Place],
) -> Result<Vec<Task>, Error> {
    let rows: Vec<[Value<'_>; 1]> = places.iter().map(|place| [place.task.into()]).collect();
    let locked: std::collections::BTreeSet<i64> = LOCK
        .query(tx, &[], &rows, |row| row.get(0))?
        .into_iter()
        .collect();
    let numbers: Vec<i64> = places
        .iter()
        .map(|place| place.task)
        .filter(|number| locked.contains(number))
        .collect();
    let mut tasks: std::collections::BTreeMap<i64, Task> = task::all(tx, &numbers, true)?
        .into_iter()
        .map(|task| (task.number, task))
        .collect();
    let (mut live, mut expired) = (Vec::new(), Vec::new());
    for place in places {
        let Some(task) = tasks.remove(&place.task) else {
            continue;
        };
        if task.expires(queue) <= now {
            expired.push(task);
        } else {
            live.push(task);
        }
    }
    let expired: Vec<&Task> = expired.iter().collect();
    remove::remove(tx, now, queue, event::EXPIRED, &expired, Request::Removed)?;
    Ok(live)
}

static BEGIN: LazyLock<Portions<2>> = LazyLock::new(|| {
    Portions::table(1, |rows| {
        format!(
            "WITH begun(number, lease_id) AS (VALUES {rows}) \
             UPDATE cloud_tasks SET lease_id = begun.lease_id, dispatches = dispatches + 1, \
             first_dispatch_at = COALESCE(first_dispatch_at, $1), \
             last_schedule_time = schedule_time, last_dispatch_at = $1, last_response_at = NULL \
             FROM begun WHERE cloud_tasks.number = begun.number"
        )
    })
});

/// Begins an attempt at each of these tasks, which are locked.
fn begin(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: &Arc<Queue>,
    holder: &str,
    tasks: Vec<Task>,
    is_forced: bool,
) -> Result<Vec<Dispatch>, Error> {
    let lease_ids = lease::new_ids(tx, tasks.len())?;
    let mut moves = Vec::with_capacity(tasks.len());
    let mut rows: Vec<[Value<'_>; 2]> = Vec::with_capacity(tasks.len());
    let mut dispatches = Vec::with_capacity(tasks.len());
    for (mut task, lease_id) in tasks.into_iter().zip(lease_ids) {
        let Some(from) = task.lease_id.replace(lease_id) else {
            return Err(Error::Statement(
                "a task to be sent waits nowhere".to_owned(),
            ));
        };
        moves.push(Move {
            from,
            to: lease_id,
            until: now.plus(deadline(&task)).plus(GRACE),
        });
        rows.push([task.number.into(), lease_id.into()]);
        let previous = task.previous_outcome;
        task.dispatch_count += 1;
        task.first_dispatch_time.get_or_insert(now);
        task.last_attempt = Some(Attempt {
            schedule_time: task.schedule_time,
            dispatch_time: now,
            response: None,
        });
        dispatches.push(Dispatch {
            queue: Arc::clone(queue),
            attempt: task.dispatch_count,
            schedule_time: task.schedule_time,
            dispatched_at: now,
            is_forced,
            previous,
            lease_id,
            task,
        });
    }
    wait::hold(tx, queue.generation, holder, &moves)?;
    for dispatch in &dispatches {
        event::append(tx, now, event::DISPATCHED, &queue.name, &dispatch.task)?;
    }
    let begun = BEGIN.execute(tx, &[now.into()], &rows)?;
    if begun != rows.len() as u64 {
        return Err(tx.overtaken("a locked task was changed"));
    }
    Ok(dispatches)
}

/// Takes one task now, whatever the queue's state, rate and concurrency, and even while another
/// attempt is under way; what that one comes to counts only if it is a success. The caller sends
/// it.
pub fn run(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: &str,
    id: &str,
    holder: &str,
) -> Result<Result<Dispatch, Refusal>, Error> {
    let queue = match queue::get(tx, queue)? {
        Ok(queue) => queue,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Some(number) = lookup::number(tx, &queue, id)? else {
        return Ok(Err(Refusal::TaskMissing));
    };
    if queue.settings.kind == Kind::Pull {
        return Ok(Err(Refusal::NotPush));
    }
    if lookup::lock(tx, number)?.is_none() {
        return Ok(Err(Refusal::TaskMissing));
    }
    let Some(task) = task::by_number(tx, number)? else {
        return Ok(Err(Refusal::TaskMissing));
    };
    if matches!(task.payload, Payload::Pull(_)) {
        return Ok(Err(Refusal::NotPush));
    }
    let queue = Arc::new(queue);
    let begun = begin(tx, now, &queue, holder, vec![task], true)?;
    let Some(dispatch) = begun.into_iter().next() else {
        return Err(tx.overtaken("a locked task was changed"));
    };
    Ok(Ok(dispatch))
}
