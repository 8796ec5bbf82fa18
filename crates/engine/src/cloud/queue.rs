//! Queues: made, changed, paused, purged, deleted.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use taskyard_store::{Column, Error, Key, Row, Topic, Tx, Value, params};

use super::refusal::Refusal;
use super::settings::{Kind, Settings};
use super::{budget, tombstone, wait};
use crate::lease;
use crate::timestamp::Timestamp;

/// Whether a queue dispatches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Tasks are sent, or lent.
    Running,
    /// Tasks wait until the queue is resumed.
    Paused,
    /// Tasks wait, because a configuration file no longer names the queue.
    Disabled,
}

/// Where a queue comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A call.
    Api,
    /// A configuration file.
    Yaml,
}

/// A queue as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    /// Never given twice, unlike the name.
    pub number: i64,
    /// The full name, `projects/P/locations/L/queues/Q`.
    pub name: String,
    /// What it is told to do.
    pub settings: Settings,
    /// Whether it dispatches.
    pub state: State,
    /// Where it comes from.
    pub origin: Origin,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last purged.
    pub purge_time: Option<Timestamp>,
    /// Which tasks are its.
    pub(crate) generation: i64,
}

/// The key of everything that changes this queue or its tasks.
pub fn key(name: &str) -> Key {
    Key::of(("cloud queue", name))
}

/// What is woken when queues come, go or change.
pub fn changes() -> Topic {
    Topic::new("cloud queues", "")
}

impl Queue {
    /// What those wait for who dispatch its tasks.
    pub fn topic(&self) -> Topic {
        wait::waiting(self.generation).topic()
    }

    /// The last part of the name.
    pub fn id(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    /// The part of the name after `projects/`.
    pub fn project(&self) -> &str {
        self.name.split('/').nth(1).unwrap_or_default()
    }

    /// The part of the name after `locations/`.
    pub fn location(&self) -> &str {
        self.name.split('/').nth(3).unwrap_or_default()
    }

    /// Whether its tasks are sent now.
    pub fn dispatches(&self) -> bool {
        self.state == State::Running && self.settings.kind == Kind::Push
    }
}

// === rows ===

impl State {
    fn as_str(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Paused => "paused",
            State::Disabled => "disabled",
        }
    }
}

impl Column for State {
    fn read(row: &Row<'_>, index: usize) -> Result<Self, Error> {
        match row.get::<String>(index)?.as_str() {
            "running" => Ok(State::Running),
            "paused" => Ok(State::Paused),
            "disabled" => Ok(State::Disabled),
            other => Err(Error::Statement(format!("no queue state: {other}"))),
        }
    }
}

impl Origin {
    fn as_str(self) -> &'static str {
        match self {
            Origin::Api => "api",
            Origin::Yaml => "yaml",
        }
    }
}

impl Column for Origin {
    fn read(row: &Row<'_>, index: usize) -> Result<Self, Error> {
        match row.get::<String>(index)?.as_str() {
            "api" => Ok(Origin::Api),
            "yaml" => Ok(Origin::Yaml),
            other => Err(Error::Statement(format!("no origin of a queue: {other}"))),
        }
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT number, name, generation, state, origin, settings, created_at, purge_time \
             FROM cloud_queues ",
            $rest
        )
    };
}

fn read(row: &Row<'_>) -> Result<Queue, Error> {
    let settings = row.get::<String>(5)?;
    Ok(Queue {
        number: row.get(0)?,
        name: row.get(1)?,
        generation: row.get(2)?,
        state: row.get(3)?,
        origin: row.get(4)?,
        settings: serde_json::from_str(&settings)
            .map_err(|error| Error::Statement(format!("reading a queue's settings: {error}")))?,
        created_at: row.get(6)?,
        purge_time: row.get(7)?,
    })
}

fn write(settings: &Settings) -> Result<String, Error> {
    serde_json::to_string(settings)
        .map_err(|error| Error::Statement(format!("writing a queue's settings: {error}")))
}

const BY_NAME: &str = select!("WHERE name = $1");
const SHARED_BY_NAME: &str = select!("WHERE name = $1 FOR KEY SHARE");
const LOCKED_BY_NAME: &str = select!("WHERE name = $1 FOR UPDATE");
const BY_NUMBER: &str = select!("WHERE number = $1");
const BY_GENERATION: &str = select!("WHERE generation = $1");

/// The queue of this name.
pub fn get(tx: &mut Tx<'_>, name: &str) -> Result<Result<Queue, Refusal>, Error> {
    let found = tx.query_opt(BY_NAME, params![name], read)?;
    Ok(found.ok_or(Refusal::QueueMissing))
}

/// As [`get`], kept from being purged or deleted until the transaction ends.
pub(super) fn get_kept(tx: &mut Tx<'_>, name: &str) -> Result<Result<Queue, Refusal>, Error> {
    let found = tx.query_opt(SHARED_BY_NAME, params![name], read)?;
    Ok(found.ok_or(Refusal::QueueMissing))
}

/// What a new task is to know of its queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Home {
    pub(super) number: i64,
    pub(super) generation: i64,
    pub(super) kind: Kind,
}

impl Home {
    /// As [`Queue::topic`].
    pub(super) fn topic(&self) -> Topic {
        wait::waiting(self.generation).topic()
    }
}

const HOME: &str =
    "SELECT number, generation, is_pull FROM cloud_queues WHERE name = $1 FOR KEY SHARE";

/// As [`get_kept`], without the settings: they are many, and every task that is created asks.
pub(super) fn home_kept(tx: &mut Tx<'_>, name: &str) -> Result<Result<Home, Refusal>, Error> {
    let found = tx.query_opt(HOME, params![name], |row| {
        Ok(Home {
            number: row.get(0)?,
            generation: row.get(1)?,
            kind: if row.get(2)? { Kind::Pull } else { Kind::Push },
        })
    })?;
    Ok(found.ok_or(Refusal::QueueMissing))
}

/// As [`get`], kept from any change until the transaction ends.
pub(super) fn get_locked(tx: &mut Tx<'_>, name: &str) -> Result<Result<Queue, Refusal>, Error> {
    let found = tx.query_opt(LOCKED_BY_NAME, params![name], read)?;
    Ok(found.ok_or(Refusal::QueueMissing))
}

/// The queue with this number.
pub(super) fn by_number(tx: &mut Tx<'_>, number: i64) -> Result<Option<Queue>, Error> {
    tx.query_opt(BY_NUMBER, params![number], read)
}

/// The queue whose tasks are of this generation.
pub(super) fn by_generation(tx: &mut Tx<'_>, generation: i64) -> Result<Option<Queue>, Error> {
    tx.query_opt(BY_GENERATION, params![generation], read)
}

/// The queue with its budget, both locked. The budget comes first, as dispatching takes no other.
fn lock(tx: &mut Tx<'_>, name: &str) -> Result<Result<Queue, Refusal>, Error> {
    let Some(found) = tx.query_opt(BY_NAME, params![name], read)? else {
        return Ok(Err(Refusal::QueueMissing));
    };
    budget::lock(tx, found.number)?;
    let found = tx.query_opt(LOCKED_BY_NAME, params![name], read)?;
    Ok(found.ok_or(Refusal::QueueMissing))
}

// === calls ===

const INSERT: &str = "INSERT INTO cloud_queues \
     (number, name, generation, state, origin, settings, created_at, is_pull) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name) DO NOTHING";
const RESERVED: &str = "SELECT expires FROM cloud_queue_tombstones WHERE name = $1";

/// Whether the name belonged to a queue that was deleted too recently.
pub fn is_reserved(tx: &mut Tx<'_>, now: Timestamp, name: &str) -> Result<bool, Error> {
    let until = tx.query_opt(RESERVED, params![name], |row| row.get::<Timestamp>(0))?;
    Ok(until.is_some_and(|until| until > now))
}

/// Creates a running queue.
pub fn create(
    tx: &mut Tx<'_>,
    now: Timestamp,
    name: &str,
    settings: &Settings,
    origin: Origin,
) -> Result<Result<Queue, Refusal>, Error> {
    if get(tx, name)?.is_ok() {
        return Ok(Err(Refusal::QueueExists));
    }
    if is_reserved(tx, now, name)? {
        return Ok(Err(Refusal::QueueTombstoned));
    }
    let number = lease::new_id(tx)?;
    let queue = Queue {
        number,
        name: name.to_owned(),
        generation: number,
        settings: settings.clone(),
        state: State::Running,
        origin,
        created_at: now,
        purge_time: None,
    };
    let inserted = tx.execute(
        INSERT,
        params![
            number,
            name,
            queue.generation,
            queue.state.as_str(),
            origin.as_str(),
            &write(settings)?,
            now,
            settings.kind == Kind::Pull
        ],
    )?;
    if inserted == 0 {
        return Ok(Err(Refusal::QueueExists));
    }
    budget::create(tx, now, &queue)?;
    tx.wake_all(changes());
    Ok(Ok(queue))
}

const CHANGE: &str =
    "UPDATE cloud_queues SET settings = $2, origin = $3, state = $4 WHERE number = $1";

/// Changes a queue, or creates it if there is none. `revise` is given what there is and says what
/// shall be; its refusal is passed on. What it says holds for waiting tasks as well.
pub fn update<R>(
    tx: &mut Tx<'_>,
    now: Timestamp,
    name: &str,
    origin: Origin,
    revise: impl Fn(Option<&Queue>) -> Result<Settings, R>,
) -> Result<Result<Result<Queue, Refusal>, R>, Error> {
    let Ok(mut queue) = lock(tx, name)? else {
        return match revise(None) {
            Ok(settings) => create(tx, now, name, &settings, origin).map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        };
    };
    let settings = match revise(Some(&queue)) {
        Ok(settings) => settings,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if settings.kind != queue.settings.kind {
        return Ok(Ok(Err(Refusal::KindChange)));
    }
    budget::reset(tx, now, &queue, &settings)?;
    queue.settings = settings;
    if origin == Origin::Yaml {
        queue.origin = origin;
    }
    store(tx, &queue)?;
    Ok(Ok(Ok(queue)))
}

fn store(tx: &mut Tx<'_>, queue: &Queue) -> Result<(), Error> {
    tx.execute(
        CHANGE,
        params![
            queue.number,
            &write(&queue.settings)?,
            queue.origin.as_str(),
            queue.state.as_str()
        ],
    )?;
    tx.wake_all(changes());
    tx.wake_all(queue.topic());
    Ok(())
}

/// Lets a queue dispatch, or no longer. What is under way goes on.
pub fn set_state(
    tx: &mut Tx<'_>,
    name: &str,
    state: State,
) -> Result<Result<Queue, Refusal>, Error> {
    let mut queue = match lock(tx, name)? {
        Ok(queue) => queue,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if queue.state != state {
        queue.state = state;
        store(tx, &queue)?;
    }
    Ok(Ok(queue))
}

/// Stops a queue from dispatching.
pub fn pause(tx: &mut Tx<'_>, name: &str) -> Result<Result<Queue, Refusal>, Error> {
    set_state(tx, name, State::Paused)
}

/// Lets a paused or disabled queue dispatch again.
pub fn resume(tx: &mut Tx<'_>, name: &str) -> Result<Result<Queue, Refusal>, Error> {
    set_state(tx, name, State::Running)
}

const RENEW: &str = "UPDATE cloud_queues SET generation = $2, purge_time = $3 WHERE number = $1";

/// Removes all tasks of a queue, at once and whatever their number. What is under way goes on, and
/// its result is ignored.
pub fn purge(tx: &mut Tx<'_>, now: Timestamp, name: &str) -> Result<Result<Queue, Refusal>, Error> {
    let mut queue = match lock(tx, name)? {
        Ok(queue) => queue,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let names_until = now.plus(queue.settings.tombstone_ttl);
    bury(tx, &queue, names_until)?;
    // From now on they wait for another topic.
    tx.wake_all(queue.topic());
    queue.generation = lease::new_id(tx)?;
    queue.purge_time = Some(now);
    tx.execute(RENEW, params![queue.number, queue.generation, now])?;
    tx.wake_all(changes());
    Ok(Ok(queue))
}

const DELETE: [&str; 3] = [
    "DELETE FROM cloud_budgets WHERE queue = $1",
    "DELETE FROM cloud_policies WHERE queue = $1",
    "DELETE FROM cloud_queues WHERE number = $1",
];
const RESERVE: &str = "INSERT INTO cloud_queue_tombstones (name, expires) VALUES ($1, $2) \
     ON CONFLICT (name) DO UPDATE SET expires = excluded.expires";

/// Deletes a queue with all its tasks, its policy and the names of former tasks. Its name cannot be
/// used again for as long as `reserve`.
pub fn delete(
    tx: &mut Tx<'_>,
    now: Timestamp,
    name: &str,
    reserve: Duration,
) -> Result<Result<(), Refusal>, Error> {
    let queue = match lock(tx, name)? {
        Ok(queue) => queue,
        Err(refusal) => return Ok(Err(refusal)),
    };
    bury(tx, &queue, Timestamp(i64::MIN))?;
    for sql in DELETE {
        tx.execute(sql, params![queue.number])?;
    }
    if !reserve.is_zero() {
        tx.execute(RESERVE, params![name, now.plus(reserve)])?;
    }
    tx.wake_all(changes());
    tx.wake_all(queue.topic());
    Ok(Ok(()))
}

const BURY: &str = "INSERT INTO cloud_graves (generation, queue, names_until) VALUES ($1, $2, $3)";

fn bury(tx: &mut Tx<'_>, queue: &Queue, names_until: Timestamp) -> Result<(), Error> {
    tx.execute(BURY, params![queue.generation, queue.number, names_until])?;
    tx.wake_all(tombstone::graves());
    Ok(())
}

// === lists ===

/// A part of a list, with what to continue after.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T, C> {
    /// What was found.
    pub items: Vec<T>,
    /// What to ask for next; `None` at the end of the list.
    pub next: Option<C>,
}

const AFTER: &str = select!("WHERE name > $1 AND name < $2 ORDER BY name LIMIT $3");
const FROM: &str = select!("WHERE name >= $1 AND name < $2 ORDER BY name LIMIT $3");

/// Queues that one call looks at, whatever it keeps.
const LOOK_AT_MOST: usize = 2000;

/// Up to `limit` queues below `parent` (`projects/P/locations/L`) that `keep` keeps, by name, after
/// the one named `after`. A page may hold fewer, even none, and yet have a next one.
pub fn list(
    tx: &mut Tx<'_>,
    parent: &str,
    after: Option<&str>,
    limit: usize,
    keep: &dyn Fn(&Queue) -> bool,
) -> Result<Page<Queue, String>, Error> {
    let first = format!("{parent}/queues/");
    // `0` follows `/`.
    let end = format!("{parent}/queues0");
    let mut items = Vec::new();
    let mut last = after.map(str::to_owned);
    let mut looked_at = 0;
    loop {
        let portion = (limit - items.len() + 1).clamp(50, 500);
        let found = match &last {
            Some(after) => tx.query(AFTER, params![after, &end, portion as i64], read)?,
            None => tx.query(FROM, params![&first, &end, portion as i64], read)?,
        };
        let is_end = found.len() < portion;
        looked_at += found.len();
        for queue in found {
            if items.len() == limit {
                return Ok(Page { items, next: last });
            }
            last = Some(queue.name.clone());
            if keep(&queue) {
                items.push(queue);
            }
        }
        if is_end {
            return Ok(Page { items, next: None });
        }
        if looked_at >= LOOK_AT_MOST {
            return Ok(Page { items, next: last });
        }
    }
}

const ALL_AFTER: &str = select!("WHERE number > $1 ORDER BY number LIMIT $2");

/// Up to `limit` queues of any name, oldest first, after the one with number `after`.
pub fn all(tx: &mut Tx<'_>, after: i64, limit: usize) -> Result<Vec<Queue>, Error> {
    tx.query(ALL_AFTER, params![after, limit as i64], read)
}

impl From<State> for Value<'static> {
    fn from(state: State) -> Self {
        Value::Text(state.as_str())
    }
}
