//! Hooks: templates of tasks that are created when somebody asks for it, when a message comes, or
//! on a schedule.
//!
//! What a template and a schedule mean is the API's business. Here stands what a hook is, when it
//! is to fire next and as which task, and what became of its last fires.

use std::time::Duration;

use serde_json::Value;
use taskyard_events::{log, outbox};
use taskyard_store::{Error, Migration, Row, Topic, Tx, params};

use crate::task::{self, State};
use crate::timestamp::Timestamp;

/// The tables of hooks.
pub(crate) const TABLES: Migration = Migration {
    component: "hooks",
    id: 1,
    name: "hooks and their last fires",
    sql: "
CREATE TABLE hooks (
  hook_group_id {text} NOT NULL,
  hook_id {text} NOT NULL,
  -- JSON, without the bindings
  definition {text} NOT NULL,
  -- JSON
  bindings {text} NOT NULL,
  sealed_token {text} NOT NULL,
  -- the task of the next scheduled fire, so that one that is tried again is the same
  next_task_id {text} NOT NULL,
  next_fire {int},
  -- the event log's end when the bindings were made; null without any
  bound_after {int},
  PRIMARY KEY (hook_group_id, hook_id)
) {strict};
CREATE INDEX hooks_by_fire ON hooks (next_fire) WHERE next_fire IS NOT NULL;
CREATE INDEX hooks_bound ON hooks (hook_group_id, hook_id) WHERE bound_after IS NOT NULL;

CREATE TABLE hook_fires (
  hook_group_id {text} NOT NULL,
  hook_id {text} NOT NULL,
  task_id {text} NOT NULL,
  fired_by {text} NOT NULL,
  created {int} NOT NULL,
  -- empty if all went well
  error {text} NOT NULL,
  PRIMARY KEY (hook_group_id, hook_id, task_id)
) {strict};
CREATE INDEX hook_fires_in_order ON hook_fires (hook_group_id, hook_id, created, task_id);
CREATE INDEX hook_fires_by_time ON hook_fires (created);
",
};

/// The kinds of events that tell of hooks; their subject is `<hookGroupId>/<hookId>`.
pub const CREATED: &str = "hook-created";
/// See [`CREATED`].
pub const UPDATED: &str = "hook-updated";
/// See [`CREATED`].
pub const DELETED: &str = "hook-deleted";

/// How long a fire is remembered.
const FIRES_KEPT: Duration = Duration::from_hours(365 * 24);
/// The longest error that is remembered, in bytes.
const LONGEST_ERROR: usize = 131_072;

/// What a hook is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// Hooks of one owner; has no slash.
    pub group_id: String,
    /// Unique within the group.
    pub hook_id: String,
}

/// A hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// What it is called.
    pub name: Name,
    /// What it does: JSON that only its API understands.
    pub definition: String,
    /// The messages it fires upon: a JSON list.
    pub bindings: String,
    /// Who knows this may fire it; encrypted.
    pub sealed_token: String,
    /// When it fires next, and as what.
    pub next: Next,
}

/// The next scheduled fire of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// The task that will be made. Told to nobody, who could make one of that name before.
    pub task_id: String,
    /// When; `None` for never.
    pub at: Option<Timestamp>,
}

/// A hook that fires upon messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Which.
    pub name: Name,
    /// As in [`Hook::bindings`].
    pub bindings: String,
    /// Messages of events up to this position are not for it.
    pub after: i64,
}

/// What came of firing a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fire {
    /// The task that was made, or should have been.
    pub task_id: String,
    /// Why it fired, in the API's words.
    pub fired_by: String,
    /// When.
    pub created: Timestamp,
    /// What went wrong; empty if nothing did.
    pub error: String,
}

// === impl Name ===

impl Name {
    /// The hook of a group.
    pub fn new(group_id: &str, hook_id: &str) -> Self {
        Name {
            group_id: group_id.to_owned(),
            hook_id: hook_id.to_owned(),
        }
    }

    /// The hook that an event is about.
    pub fn of_event(event: &taskyard_events::Event) -> Self {
        let (group_id, hook_id) = event.subject.split_once('/').unwrap_or_default();
        Self::new(group_id, hook_id)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.group_id, self.hook_id)
    }
}

/// Woken when a hook was made, changed or removed.
pub fn topic() -> Topic {
    Topic::new("hooks", "")
}

fn read(row: &Row<'_>) -> Result<Hook, Error> {
    Ok(Hook {
        name: Name {
            group_id: row.get(0)?,
            hook_id: row.get(1)?,
        },
        definition: row.get(2)?,
        bindings: row.get(3)?,
        sealed_token: row.get(4)?,
        next: Next {
            task_id: row.get(5)?,
            at: row.get(6)?,
        },
    })
}

fn tell(tx: &mut Tx<'_>, now: Timestamp, kind: &'static str, name: &Name) -> Result<(), Error> {
    tx.wake_all(topic());
    outbox::append(tx, now.0, kind, &name.to_string(), "{}")
}

// === what hooks there are ===

const LOAD: &str = "SELECT hook_group_id, hook_id, definition, bindings, sealed_token, \
     next_task_id, next_fire FROM hooks WHERE hook_group_id = $1 AND hook_id = $2";
const OF_GROUP: &str = "SELECT hook_group_id, hook_id, definition, bindings, sealed_token, \
     next_task_id, next_fire FROM hooks WHERE hook_group_id = $1 ORDER BY hook_id";
const GROUPS: &str = "SELECT DISTINCT hook_group_id FROM hooks ORDER BY hook_group_id";

/// The hook of this name.
pub fn load(tx: &mut Tx<'_>, name: &Name) -> Result<Option<Hook>, Error> {
    tx.query_opt(LOAD, params![&name.group_id, &name.hook_id], read)
}

/// The hooks of a group, by name.
pub fn of_group(tx: &mut Tx<'_>, group_id: &str) -> Result<Vec<Hook>, Error> {
    tx.query(OF_GROUP, params![group_id], read)
}

/// The groups that have hooks, in order.
pub fn groups(tx: &mut Tx<'_>) -> Result<Vec<String>, Error> {
    tx.query(GROUPS, &[], |row| row.get(0))
}

const CREATE: &str = "INSERT INTO hooks (hook_group_id, hook_id, definition, bindings, \
     sealed_token, next_task_id, next_fire, bound_after) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
     ON CONFLICT (hook_group_id, hook_id) DO NOTHING";

/// What came of making a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// There was none of its name.
    New,
    /// The same was made before; that is told of once more, and nothing is changed.
    Again,
    /// There is another one of its name; nothing is changed.
    Taken,
}

/// Makes a hook, unless there is one of this name.
pub fn create(tx: &mut Tx<'_>, now: Timestamp, new: &Hook) -> Result<Made, Error> {
    let bound_after = end_of_log(tx, &new.bindings)?;
    let row = params![
        &new.name.group_id,
        &new.name.hook_id,
        &new.definition,
        &new.bindings,
        &new.sealed_token,
        &new.next.task_id,
        new.next.at,
        bound_after,
    ];
    let mut made = Made::New;
    if tx.execute(CREATE, row)? == 0 {
        let known = load(tx, &new.name)?.ok_or_else(|| tx.overtaken("a hook vanished"))?;
        let is_same = say_the_same(&known.definition, &new.definition)
            && say_the_same(&known.bindings, &new.bindings);
        if !is_same {
            return Ok(Made::Taken);
        }
        made = Made::Again;
    }
    tell(tx, now, CREATED, &new.name)?;
    Ok(made)
}

/// Whether two JSON texts say the same.
fn say_the_same(one: &str, other: &str) -> bool {
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
    one == other || (parse(one).is_some() && parse(one) == parse(other))
}

/// Where the log ends, for a hook with bindings: what happened before is not for it.
fn end_of_log(tx: &mut Tx<'_>, bindings: &str) -> Result<Option<i64>, Error> {
    if bindings == "[]" {
        return Ok(None);
    }
    log::newest(tx).map(Some)
}

const UPDATE: &str = "UPDATE hooks SET definition = $3, bindings = $4, next_task_id = $5, \
     next_fire = $6, bound_after = CASE WHEN bindings = $4 THEN bound_after ELSE $7 END \
     WHERE hook_group_id = $1 AND hook_id = $2";
const LOCK: &str =
    "SELECT bindings FROM hooks WHERE hook_group_id = $1 AND hook_id = $2 FOR UPDATE";

/// Gives a hook another definition, and other bindings unless they stay as they are. Returns its
/// bindings; `None` if there is no such hook.
pub fn update(
    tx: &mut Tx<'_>,
    now: Timestamp,
    name: &Name,
    definition: &str,
    bindings: Option<&str>,
    next: &Next,
) -> Result<Option<String>, Error> {
    let key = params![&name.group_id, &name.hook_id];
    let Some(known) = tx.query_opt(LOCK, key, |row| row.get::<String>(0))? else {
        return Ok(None);
    };
    let bindings = bindings.map_or(known, str::to_owned);
    let bound_after = end_of_log(tx, &bindings)?;
    let row = params![
        &name.group_id,
        &name.hook_id,
        definition,
        &bindings,
        &next.task_id,
        next.at,
        bound_after,
    ];
    tx.execute(UPDATE, row)?;
    tell(tx, now, UPDATED, name)?;
    Ok(Some(bindings))
}

const REMOVE: &str = "DELETE FROM hooks WHERE hook_group_id = $1 AND hook_id = $2";
const REMOVE_FIRES: &str = "DELETE FROM hook_fires WHERE hook_group_id = $1 AND hook_id = $2";

/// Removes a hook and what is known of its fires; `false` if there was none.
pub fn remove(tx: &mut Tx<'_>, now: Timestamp, name: &Name) -> Result<bool, Error> {
    let key = params![&name.group_id, &name.hook_id];
    let removed = tx.execute(REMOVE, key)? > 0;
    tx.execute(REMOVE_FIRES, key)?;
    tell(tx, now, DELETED, name)?;
    Ok(removed)
}

const RESET_TOKEN: &str =
    "UPDATE hooks SET sealed_token = $3 WHERE hook_group_id = $1 AND hook_id = $2";

/// Gives a hook another token; `false` if there is no such hook.
pub fn reset_token(tx: &mut Tx<'_>, name: &Name, sealed_token: &str) -> Result<bool, Error> {
    let row = params![&name.group_id, &name.hook_id, sealed_token];
    Ok(tx.execute(RESET_TOKEN, row)? > 0)
}

// === when they fire ===

const DUE: &str = "SELECT hook_group_id, hook_id, definition, bindings, sealed_token, \
     next_task_id, next_fire FROM hooks WHERE next_fire IS NOT NULL AND next_fire <= $1 \
     ORDER BY next_fire LIMIT $2";
const NEXT: &str = "SELECT min(next_fire) FROM hooks WHERE next_fire IS NOT NULL";

/// Up to `limit` hooks whose time has come, the earliest first.
pub fn due(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<Vec<Hook>, Error> {
    tx.query(DUE, params![now, limit as i64], read)
}

/// When the next hook is due.
pub fn next_due(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, Error> {
    let next = tx.query_opt(NEXT, &[], |row| row.get::<Option<Timestamp>>(0))?;
    Ok(next.flatten())
}

const BOUND: &str = "SELECT hook_group_id, hook_id, bindings, bound_after FROM hooks \
     WHERE bound_after IS NOT NULL ORDER BY hook_group_id, hook_id";

/// All hooks that fire upon messages.
pub fn bound(tx: &mut Tx<'_>) -> Result<Vec<Bound>, Error> {
    tx.query(BOUND, &[], |row| {
        Ok(Bound {
            name: Name {
                group_id: row.get(0)?,
                hook_id: row.get(1)?,
            },
            bindings: row.get(2)?,
            after: row.get(3)?,
        })
    })
}

const ADVANCE: &str = "UPDATE hooks SET next_task_id = $4, next_fire = $5 \
     WHERE hook_group_id = $1 AND hook_id = $2 AND next_task_id = $3";

/// A scheduled fire is over: notes what came of it, unless nothing was to be made, and plans the
/// next one. Where another node, or a change to the hook, was faster, nothing is planned.
pub fn fired_on_schedule(
    tx: &mut Tx<'_>,
    name: &Name,
    task_id: &str,
    fire: Option<&Fire>,
    next: &Next,
) -> Result<(), Error> {
    let row = params![
        &name.group_id,
        &name.hook_id,
        task_id,
        &next.task_id,
        next.at
    ];
    if tx.execute(ADVANCE, row)? > 0 {
        tx.wake_all(topic());
    }
    match fire {
        Some(fire) => fired(tx, name, fire),
        None => Ok(()),
    }
}

// === what became of it ===

const NOTE: &str = "INSERT INTO hook_fires (hook_group_id, hook_id, task_id, fired_by, created, \
     error) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (hook_group_id, hook_id, task_id) \
     DO UPDATE SET fired_by = excluded.fired_by, created = excluded.created, \
     error = excluded.error";

/// Notes what came of firing a hook, in place of an earlier attempt at the same task. Of hooks that
/// are gone nothing is noted.
pub fn fired(tx: &mut Tx<'_>, name: &Name, fire: &Fire) -> Result<(), Error> {
    let key = params![&name.group_id, &name.hook_id];
    if tx.query_opt(LOCK, key, |_| Ok(()))?.is_none() {
        return Ok(());
    }
    let end = fire.error.floor_char_boundary(LONGEST_ERROR);
    let row = params![
        &name.group_id,
        &name.hook_id,
        &fire.task_id,
        &fire.fired_by,
        fire.created,
        fire.error.get(..end).unwrap_or_default(),
    ];
    tx.execute(NOTE, row).map(drop)
}

const FIRES: &str = "SELECT task_id, fired_by, created, error FROM hook_fires \
     WHERE hook_group_id = $1 AND hook_id = $2 AND (created, task_id) < ($3, $4) \
     ORDER BY created DESC, task_id DESC LIMIT $5";

/// Up to `limit` of the last fires of a hook, the newest first, beginning behind the one of this
/// time and task.
pub fn fires(
    tx: &mut Tx<'_>,
    name: &Name,
    (created, task_id): (Timestamp, &str),
    limit: usize,
) -> Result<Vec<Fire>, Error> {
    let wanted = params![
        &name.group_id,
        &name.hook_id,
        created,
        task_id,
        limit as i64
    ];
    tx.query(FIRES, wanted, |row| {
        Ok(Fire {
            task_id: row.get(0)?,
            fired_by: row.get(1)?,
            created: row.get(2)?,
            error: row.get(3)?,
        })
    })
}

/// How the task of a fire stands now; `None` if there is none (any more).
pub fn state_of(tx: &mut Tx<'_>, fire: &Fire) -> Result<Option<State>, Error> {
    Ok(task::load(tx, &fire.task_id)?.map(|task| task.state()))
}

const EXPIRE: &str = "DELETE FROM hook_fires WHERE created < $1 AND \
     (hook_group_id, hook_id, task_id) IN (SELECT hook_group_id, hook_id, task_id \
     FROM hook_fires WHERE created < $1 ORDER BY created LIMIT $2)";

/// Forgets up to `limit` fires that are a year old; whether there may be more.
pub(crate) fn expire(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<bool, Error> {
    let by = now.minus(FIRES_KEPT);
    Ok(tx.execute(EXPIRE, params![by, limit as i64])? as usize == limit)
}
