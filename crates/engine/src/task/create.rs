//! A task comes into being, once, whatever number of times it is asked for.

use std::time::Duration;

use serde_json::Value as Json;
use taskyard_store::{Error, Tx, params};

use super::event;
use super::refusal::Refusal;
use super::run::{Created, Run, State};
use super::{Group, Priority, Requires, Task, dependency, group, record};
use crate::index::{self, Promise};
use crate::lease;
use crate::notification;
use crate::timestamp::Timestamp;

/// A task to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// Its id.
    pub id: String,
    /// Everything it is defined by, as JSON text with defaults filled in. Two requests with equal
    /// JSON ask for the same task.
    pub definition: String,
    /// What a listing of jobs says of it: the text of its [`Outline`](crate::stacks::Outline).
    pub outline: String,
    /// What messages say of its definition, as JSON: told with its creation, so that whoever makes
    /// them need not read the definition. Empty if they have to.
    pub notice: String,
    /// What it is to be found by once it completes.
    pub promise: Option<Box<Promise>>,
    /// Whether somebody wants to be notified of what happens to it.
    pub notifies: bool,
    /// `<provisionerId>/<workerType>`.
    pub task_queue_id: String,
    /// Who schedules the group's tasks.
    pub scheduler_id: String,
    /// The project it belongs to.
    pub project_id: String,
    /// The group it belongs to.
    pub group_id: String,
    /// How soon it is claimed.
    pub priority: Priority,
    /// Ids of tasks it waits for; its own keeps it unscheduled until somebody schedules it.
    pub dependencies: Vec<String>,
    /// When those are satisfied.
    pub requires: Requires,
    /// Automatic retries.
    pub retries: u32,
    /// After this it is resolved in any case.
    pub deadline: Timestamp,
    /// After this it may be forgotten.
    pub expires: Timestamp,
}

/// A group is kept this much longer than its tasks.
const GROUP_OUTLIVES_TASKS: Duration = Duration::from_hours(1);

/// Creates a task, or finds the one that the same request created before; returns its state now.
///
/// A task without dependencies, or whose dependencies are satisfied already, is pending at once.
pub fn create(
    tx: &mut Tx<'_>,
    now: Timestamp,
    new: &NewTask,
) -> Result<Result<Task, Refusal>, Error> {
    let known_group = group::lock(tx, &new.group_id)?;
    let group = known_group.as_ref().map(|stored| &stored.group);
    let dependencies = match examine(tx, new, group)? {
        Ok(dependencies) => dependencies,
        // What a first request was allowed to do, its repetition finds done, whatever came between.
        Err(refusal) => return Ok(existing(tx, now, new)?.unwrap_or(Err(refusal))),
    };
    let [number, lease_id] = lease::new_ids(tx, 2)?[..] else {
        return Err(Error::Statement(
            "the sequence gave too few numbers".to_owned(),
        ));
    };
    let mut task = unscheduled(new, number);
    let is_pending = dependencies.iter().all(|(_, satisfied)| *satisfied);
    if is_pending {
        task.runs.push(Run::pending(Created::Scheduled, now));
        task.lease_id = Some(lease_id);
    }
    let group_number = known_group.as_ref().map_or(number, |stored| stored.number);
    // The first write, and the one that tells whether the task is there already.
    if !record::insert(tx, &task, group_number, &new.outline)? {
        let outcome = existing(tx, now, new)?;
        return outcome.ok_or_else(|| tx.overtaken("the same task was created and removed"));
    }
    tx.execute(INSERT_DEFINITION, params![task.number, &new.definition])?;
    if let Some(promise) = &new.promise {
        index::promise(tx, task.number, promise)?;
    }
    if new.notifies {
        notification::notifies(tx, &new.id, new.expires)?;
    }
    let group_expires = new.expires.plus(GROUP_OUTLIVES_TASKS);
    match known_group {
        None => group::insert(tx, &task, group_expires)?,
        Some(known) if known.group.expires < new.expires => {
            group::extend(tx, &new.group_id, group_expires)?;
        }
        Some(_) => {}
    }
    for (required, satisfied) in &dependencies {
        dependency::insert(tx, required, new, *satisfied)?;
    }
    if is_pending {
        record::put_lease(tx, now, &task, lease_id)?;
    }
    event::created(tx, now, &task, &new.notice)?;
    tx.alarm(task.deadline.plus(super::DEADLINE_DELAY).0);
    Ok(Ok(task))
}

/// The task that the same request created before, or the conflict with another one of its id;
/// `None` if the id is free. What was created again is told again.
fn existing(
    tx: &mut Tx<'_>,
    now: Timestamp,
    new: &NewTask,
) -> Result<Option<Result<Task, Refusal>>, Error> {
    let Some(known) = record::load_definition(tx, &new.id)? else {
        return Ok(None);
    };
    if !same_json(&known, &new.definition) {
        return Ok(Some(Err(Refusal::Different(new.id.clone()))));
    }
    // Locked, so that the event tells of no state that is over when others read of it.
    let Some(task) = record::lock(tx, &new.id)? else {
        return Ok(None);
    };
    event::created(tx, now, &task, &new.notice)?;
    Ok(Some(Ok(task)))
}

/// Whether the group takes the task, and each of its dependencies with whether it is satisfied.
fn examine(
    tx: &mut Tx<'_>,
    new: &NewTask,
    group: Option<&Group>,
) -> Result<Result<Vec<(String, bool)>, Refusal>, Error> {
    if let Some(known) = group {
        if known.scheduler_id != new.scheduler_id {
            return Ok(Err(Refusal::OtherScheduler {
                group_id: new.group_id.clone(),
                known: known.scheduler_id.clone(),
                asked: new.scheduler_id.clone(),
            }));
        }
        if known.sealed.is_some() {
            return Ok(Err(Refusal::Sealed(new.group_id.clone())));
        }
    }
    examine_dependencies(tx, new)
}

fn unscheduled(new: &NewTask, number: i64) -> Task {
    Task {
        number,
        id: new.id.clone(),
        task_queue_id: new.task_queue_id.clone(),
        scheduler_id: new.scheduler_id.clone(),
        project_id: new.project_id.clone(),
        group_id: new.group_id.clone(),
        priority: new.priority,
        requires: new.requires,
        retries: new.retries,
        retries_left: new.retries,
        deadline: new.deadline,
        expires: new.expires,
        ever_resolved: false,
        runs: Vec::new(),
        lease_id: None,
        promises: new.promise.is_some(),
    }
}

/// Each dependency with whether it is satisfied. They are locked against being resolved meanwhile,
/// in ascending order so that two creations cannot wait for each other.
fn examine_dependencies(
    tx: &mut Tx<'_>,
    new: &NewTask,
) -> Result<Result<Vec<(String, bool)>, Refusal>, Error> {
    let mut ids = new.dependencies.clone();
    ids.sort_unstable();
    ids.dedup();
    let (mut examined, mut missing, mut expiring) = (Vec::new(), Vec::new(), Vec::new());
    for id in ids {
        if id == new.id {
            // Its own id counts as a task that is there, and is never satisfied by itself.
            if new.expires < new.deadline {
                expiring.push(id);
            } else {
                examined.push((id, false));
            }
            continue;
        }
        match dependency::lock_against_resolution(tx, &id)? {
            None => missing.push(id),
            Some(required) if required.expires < new.deadline => expiring.push(id),
            Some(required) => {
                let satisfied = is_satisfied(new.requires, required.state());
                examined.push((id, satisfied));
            }
        }
    }
    if missing.is_empty() && expiring.is_empty() {
        Ok(Ok(examined))
    } else {
        Ok(Err(Refusal::Dependencies { missing, expiring }))
    }
}

pub(super) fn is_satisfied(requires: Requires, state: State) -> bool {
    match requires {
        Requires::AllCompleted => state == State::Completed,
        Requires::AllResolved => state.is_resolved(),
    }
}

const INSERT_DEFINITION: &str = "INSERT INTO task_definitions (number, definition) VALUES ($1, $2)";

/// Whether two JSON texts say the same: the order of keys does not matter, and numbers compare as
/// doubles, so `1` equals `1.0`.
fn same_json(left: &str, right: &str) -> bool {
    fn same(left: &Json, right: &Json) -> bool {
        match (left, right) {
            (Json::Number(left), Json::Number(right)) => {
                left == right || left.as_f64() == right.as_f64()
            }
            (Json::Array(left), Json::Array(right)) => {
                left.len() == right.len() && left.iter().zip(right).all(|(l, r)| same(l, r))
            }
            (Json::Object(left), Json::Object(right)) => {
                left.len() == right.len()
                    && left
                        .iter()
                        .all(|(key, value)| right.get(key).is_some_and(|other| same(value, other)))
            }
            _ => left == right,
        }
    }
    if left == right {
        return true;
    }
    match (serde_json::from_str(left), serde_json::from_str(right)) {
        (Ok(left), Ok(right)) => same(&left, &right),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::same_json;

    #[test]
    fn definitions_compare_by_what_they_say() {
        assert!(same_json(r#"{"a":1,"b":[2]}"#, r#"{"b":[2.0],"a":1.0}"#));
        assert!(!same_json(r#"{"a":1}"#, r#"{"a":1,"b":null}"#));
        assert!(!same_json("[1,2]", "[2,1]"));
        assert!(!same_json(r#"{"a":"1"}"#, r#"{"a":1}"#));
    }
}
