//! What a taskstore is, in a few lines: a map from ids to tasks.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A task. Times are in seconds on the test's own clock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Task {
    pub(crate) group: &'static str,
    pub(crate) owner: i32,
    pub(crate) at: i64,
    /// Its data: given once, so that it tells which task was claimed.
    pub(crate) label: u64,
}

/// A task to be added, or what a change makes of one: its label and how far off its time is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) label: u64,
    pub(crate) after: i64,
}

/// An update. An empty group is a bug that the store must find.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Update {
    pub(crate) owner: i32,
    pub(crate) adds: Vec<(&'static str, Given)>,
    pub(crate) changes: Vec<(i64, Given)>,
    pub(crate) deletes: Vec<i64>,
    pub(crate) depends: Vec<i64>,
}

/// A claim of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) owner: i32,
    pub(crate) group: &'static str,
    pub(crate) seconds: i64,
    pub(crate) depends: Vec<i64>,
}

/// The lists of a refusal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) changes: Vec<i64>,
    pub(crate) deletes: Vec<i64>,
    pub(crate) depends: Vec<i64>,
    pub(crate) owned: Vec<i64>,
    pub(crate) bugs: usize,
}

/// The whole store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Model {
    pub(crate) tasks: BTreeMap<i64, Task>,
}

impl Model {
    fn missing(&self, ids: &[i64]) -> Vec<i64> {
        ids.iter()
            .copied()
            .filter(|id| !self.tasks.contains_key(id))
            .collect()
    }

    /// Why an update is refused at `now`, if it is.
    pub(crate) fn judge(&self, now: i64, update: &Update) -> Option<Refusal> {
        let Update {
            owner,
            adds,
            changes,
            deletes,
            depends,
        } = update;
        if adds.is_empty() && changes.is_empty() && deletes.is_empty() {
            return Some(Refusal {
                bugs: 1,
                ..Refusal::default()
            });
        }
        let changed: Vec<i64> = changes.iter().map(|(id, _)| *id).collect();
        let owned = deletes.iter().chain(&changed).copied().filter(|id| {
            self.tasks
                .get(id)
                .is_some_and(|task| task.at > now && task.owner != *owner)
        });
        let refusal = Refusal {
            changes: self.missing(&changed),
            deletes: self.missing(deletes),
            depends: self.missing(depends),
            owned: owned.collect(),
            bugs: adds.iter().filter(|(group, _)| group.is_empty()).count(),
        };
        (refusal != Refusal::default()).then_some(refusal)
    }

    /// Applies an update that is not refused; `ids` are the new tasks'.
    pub(crate) fn apply(&mut self, now: i64, update: &Update, ids: &[i64]) {
        assert_eq!(ids.len(), update.adds.len() + update.changes.len());
        let before = self.tasks.clone();
        for id in update
            .deletes
            .iter()
            .chain(update.changes.iter().map(|(id, _)| id))
        {
            self.tasks.remove(id);
        }
        let changed = update
            .changes
            .iter()
            .map(|(id, given)| (before[id].group, given));
        let added = update.adds.iter().map(|(group, given)| (*group, given));
        for ((group, given), id) in added.chain(changed).zip(ids) {
            let at = now + given.after;
            let task = Task {
                group,
                owner: update.owner,
                at,
                label: given.label,
            };
            assert_eq!(self.tasks.insert(*id, task), None, "an id was given twice");
        }
    }

    /// Versions that a claim depends on and that are gone.
    pub(crate) fn gone(&self, claim: &Claim) -> Vec<i64> {
        self.missing(&claim.depends)
    }

    /// What a claim may choose from at `now`.
    pub(crate) fn available(&self, now: i64, group: &str) -> Vec<i64> {
        let found = self
            .tasks
            .iter()
            .filter(|(_, task)| task.group == group && task.at <= now);
        found.map(|(id, _)| *id).collect()
    }

    /// Gives the task with `label` to a claimer under a new id; `false` if it may not.
    pub(crate) fn claim(&mut self, now: i64, claim: &Claim, label: u64, new_id: i64) -> bool {
        let available = self.available(now, claim.group);
        let Some(id) = available
            .into_iter()
            .find(|id| self.tasks[id].label == label)
        else {
            return false;
        };
        let Some(task) = self.tasks.remove(&id) else {
            return false;
        };
        let task = Task {
            owner: claim.owner,
            at: now + claim.seconds,
            ..task
        };
        self.tasks.insert(new_id, task).is_none()
    }
}

// === on the wire ===

fn nanos_off(seconds: i64) -> i64 {
    -seconds * 1_000_000_000
}

impl Update {
    pub(crate) fn json(&self) -> Value {
        let adds: Vec<Value> = self.adds.iter().map(|(group, given)| json!({
            "group": group, "data": given.label.to_string(), "duration": nanos_off(given.after),
        })).collect();
        let updates: Vec<Value> = self
            .changes
            .iter()
            .map(|(id, given)| {
                json!({
                    "id": id, "data": given.label.to_string(), "timespec": -1000 * given.after,
                })
            })
            .collect();
        json!({"clientid": self.owner, "adds": adds, "updates": updates,
            "deletes": self.deletes, "depends": self.depends})
    }
}

impl Claim {
    pub(crate) fn json(&self) -> Value {
        json!({"clientid": self.owner, "group": self.group,
            "duration": self.seconds * 1_000_000_000, "depends": self.depends})
    }
}

/// What the server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Refused(Refusal),
    /// Ids and labels of the new tasks.
    Done(Vec<(i64, u64)>),
    /// A claim that found nothing.
    Nothing,
}

impl Outcome {
    pub(crate) fn read(answer: &Value) -> Self {
        let ids = |list: &str| -> Vec<i64> {
            let list = answer["error"][list].as_array().expect("a list");
            list.iter().map(|id| id.as_i64().expect("an id")).collect()
        };
        if !answer["error"].is_null() {
            return Outcome::Refused(Refusal {
                changes: ids("changes"),
                deletes: ids("deletes"),
                depends: ids("depends"),
                owned: ids("owned"),
                bugs: answer["error"]["bugs"].as_array().expect("a list").len(),
            });
        }
        let Some(tasks) = answer["tasks"].as_array() else {
            return Outcome::Nothing;
        };
        Outcome::Done(
            tasks
                .iter()
                .map(|task| (task["id"].as_i64().expect("an id"), label(task)))
                .collect(),
        )
    }
}

pub(crate) fn label(task: &Value) -> u64 {
    task["data"]
        .as_str()
        .expect("data")
        .parse()
        .expect("a label")
}
