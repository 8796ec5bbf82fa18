//! Atomic changes of many entries that depend on others: the semantics of taskstore.
//!
//! All problems are collected before anything is written, so a refused update changes nothing and
//! uses no ids.

use std::collections::BTreeMap;

use taskyard_store::{Error, Key, Tx};

use crate::group;
use crate::lease::{self, Entry, NewEntry, Queue};
use crate::timestamp::{Nanos, Timestamp};

/// An entry to be added by an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// The group it belongs to; must not be empty.
    pub group: String,
    /// Its bytes.
    pub data: Vec<u8>,
    /// Until when it is held for the one who adds it.
    pub available_at: Nanos,
}

/// A change of an entry's data and time; its group stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The exact version to be changed.
    pub id: i64,
    /// Its new bytes.
    pub data: Vec<u8>,
    /// Until when it is held for the one who changes it.
    pub available_at: Nanos,
}

/// What is to happen together or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Update {
    /// Who asks; becomes the owner of what is added and changed.
    pub owner: String,
    /// Entries to add.
    pub adds: Vec<Add>,
    /// Entries to change.
    pub changes: Vec<Change>,
    /// Versions to delete.
    pub deletes: Vec<i64>,
    /// Versions that must exist, whoever holds them.
    pub depends: Vec<i64>,
}

/// Why an update was refused: the offending ids, in the order of the request, repeated as often as
/// they stand there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusal {
    /// Versions to be changed that are gone.
    pub changes: Vec<i64>,
    /// Versions to be deleted that are gone.
    pub deletes: Vec<i64>,
    /// Versions depended on that are gone.
    pub depends: Vec<i64>,
    /// Versions held by somebody else: those to be deleted first, then those to be changed.
    pub owned: Vec<i64>,
    /// What is wrong with the request itself.
    pub bugs: Vec<String>,
}

impl Refusal {
    fn is_empty(&self) -> bool {
        *self == Refusal::default()
    }
}

/// The key under which all updates meet: they may name any entries in any order, and so never wait
/// for each other's locks within one node.
pub fn key() -> Key {
    Key::of("update")
}

/// Applies an update and returns the new entries: adds first, then changes, in the order of the
/// request. An id named twice in `changes` results in two entries.
pub fn apply(
    tx: &mut Tx<'_>,
    now: Timestamp,
    update: &Update,
) -> Result<Result<Vec<Entry>, Refusal>, Error> {
    if update.adds.is_empty() && update.changes.is_empty() && update.deletes.is_empty() {
        let bugs = vec!["empty update requested".to_owned()];
        return Ok(Err(Refusal {
            bugs,
            ..Refusal::default()
        }));
    }
    let known = lock_all(tx, update)?;
    let refusal = examine(update, &known, now);
    if !refusal.is_empty() {
        return Ok(Err(refusal));
    }
    let mut results = add_all(tx, now, update)?;
    // A version changed twice lives on as two entries: the first change moves it, every further
    // one is put beside it.
    let mut left: BTreeMap<i64, Entry> = known;
    let new_ids = lease::new_ids(tx, update.changes.len())?;
    let mut moved: BTreeMap<i64, Entry> = BTreeMap::new();
    for (change, new_id) in update.changes.iter().zip(new_ids) {
        let entry = if let Some(entry) = left.remove(&change.id) {
            let (at, owner) = (change.available_at, &update.owner);
            lease::replace(tx, &entry, new_id, now, at, owner, &change.data)?;
            moved.insert(change.id, entry.clone());
            entry
        } else if let Some(original) = moved.get(&change.id).cloned() {
            put_beside(tx, now, &original, change, &update.owner, new_id)?;
            Entry {
                enqueued_at: now,
                ..original
            }
        } else {
            return Err(tx.overtaken("an examined entry vanished"));
        };
        results.push(Entry {
            id: new_id,
            available_at: change.available_at,
            owner: update.owner.clone(),
            data: change.data.clone(),
            ..entry
        });
    }
    for id in &update.deletes {
        // What the same update changed lives on under its new id.
        if left.remove(id).is_some() && !lease::delete(tx, *id)? {
            return Err(tx.overtaken("an examined entry vanished"));
        }
    }
    Ok(Ok(results))
}

/// Locks every entry the update names, in ascending order of ids so that two updates cannot wait
/// for each other.
fn lock_all(tx: &mut Tx<'_>, update: &Update) -> Result<BTreeMap<i64, Entry>, Error> {
    let mut ids: Vec<i64> = update
        .depends
        .iter()
        .chain(&update.deletes)
        .copied()
        .chain(update.changes.iter().map(|change| change.id))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let mut known = BTreeMap::new();
    for id in ids {
        // Ids are given in one row to all realms; what is in no group is not there.
        if let Some(entry) = lease::get(tx, id)?
            && group::name_of(&entry).is_some()
        {
            known.insert(id, entry);
        }
    }
    Ok(known)
}

fn examine(update: &Update, known: &BTreeMap<i64, Entry>, now: Timestamp) -> Refusal {
    let mut refusal = Refusal::default();
    let others = |id: &i64| {
        known
            .get(id)
            .is_some_and(|entry| entry.is_held(now) && entry.owner != update.owner)
    };
    refusal
        .depends
        .extend(update.depends.iter().filter(|id| !known.contains_key(id)));
    for id in &update.deletes {
        if !known.contains_key(id) {
            refusal.deletes.push(*id);
        } else if others(id) {
            refusal.owned.push(*id);
        }
    }
    for add in &update.adds {
        if add.group.is_empty() {
            refusal
                .bugs
                .push("adding a task with empty group name".to_owned());
        }
    }
    for change in &update.changes {
        if !known.contains_key(&change.id) {
            refusal.changes.push(change.id);
        } else if others(&change.id) {
            refusal.owned.push(change.id);
        }
    }
    refusal
}

fn add_all(tx: &mut Tx<'_>, now: Timestamp, update: &Update) -> Result<Vec<Entry>, Error> {
    let queues: Vec<Queue> = update
        .adds
        .iter()
        .map(|add| Queue::group(&add.group))
        .collect();
    let new: Vec<NewEntry<'_>> = update
        .adds
        .iter()
        .zip(&queues)
        .map(|(add, queue)| NewEntry {
            available_at: add.available_at,
            owner: &update.owner,
            data: &add.data,
            ..NewEntry::ready(queue, now)
        })
        .collect();
    let ids = lease::put(tx, now, &new)?;
    Ok(ids
        .into_iter()
        .zip(&update.adds)
        .zip(queues)
        .map(|((id, add), queue)| Entry {
            id,
            queue,
            priority: 0,
            enqueued_at: now,
            available_at: add.available_at,
            owner: update.owner.clone(),
            subject: String::new(),
            attempt: 0,
            data: add.data.clone(),
        })
        .collect())
}

fn put_beside(
    tx: &mut Tx<'_>,
    now: Timestamp,
    original: &Entry,
    change: &Change,
    owner: &str,
    new_id: i64,
) -> Result<(), Error> {
    let entry = NewEntry {
        priority: original.priority,
        available_at: change.available_at,
        owner,
        data: &change.data,
        ..NewEntry::ready(&original.queue, now)
    };
    lease::put_as(tx, now, &entry, new_id)
}
