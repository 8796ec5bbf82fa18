//! Groups of entries that carry their own bytes: what taskstore's clients see.
//!
//! A group is nothing but the entries that name it: it appears with the first and vanishes with
//! the last. An entry may be claimed when its time has come, `available_at <= now`, and that alone
//! decides here; the mark only serves those who wait. All statements run along one index,
//! in the order of that time.

use taskyard_store::{Error, Migration, Tx, Value, params};

use crate::lease::{self, Depth, Entry, HELD_IN_GROUP, IN_GROUP, Overview, Queue};
use crate::timestamp::{Nanos, Timestamp};

/// The index of groups.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "taskstore",
    id: 1,
    name: "groups by time",
    sql: "
-- claims, listings and counts of groups; runs have a subject and cost nothing here
CREATE INDEX leases_in_groups ON leases (queue, available_at, id) WHERE subject = '';
-- the timer: whose time has come
CREATE INDEX leases_due_in_groups ON leases (available_at) WHERE ready = 4;
",
}];

/// The name of the group an entry is in; `None` for an entry of another realm.
pub fn name_of(entry: &Entry) -> Option<&str> {
    name(entry.queue.as_str())
}

/// How all groups' queues begin.
const REALM: &str = "group:";
/// The first text after everything that begins so.
const AFTER_REALM: &str = "group;";

fn name(queue: &str) -> Option<&str> {
    queue.strip_prefix(REALM)
}

const NEXT_NAME: &str = "SELECT queue FROM leases WHERE subject = '' AND queue > $1 \
     AND queue < $2 ORDER BY queue LIMIT 1";

/// The names of all groups, sorted by bytes. Costs one look for each group, however full.
pub fn names(tx: &mut Tx<'_>) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    let mut after = REALM.to_owned();
    while let Some(queue) = tx.query_opt(NEXT_NAME, params![&after, AFTER_REALM], |row| {
        row.get::<String>(0)
    })? {
        names.extend(name(&queue).map(str::to_owned));
        after = queue;
    }
    Ok(names)
}

/// How many entries a group has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Its name.
    pub group: String,
    /// Entries that anybody may claim now.
    pub available: i64,
    /// All of them; the rest is held, or waits for a later time.
    pub total: i64,
}

const COUNTS: &str = "SELECT queue, \
     CAST(sum(CASE WHEN available_at <= $3 THEN 1 ELSE 0 END) AS BIGINT), count(*) \
     FROM leases WHERE subject = '' AND queue > $1 AND queue < $2 GROUP BY queue ORDER BY queue";
const COUNT: &str = "SELECT queue, \
     CAST(sum(CASE WHEN available_at <= $2 THEN 1 ELSE 0 END) AS BIGINT), count(*) \
     FROM leases WHERE subject = '' AND queue = $1 GROUP BY queue";

/// Counts the entries of all groups, or of one. The cost grows with their number.
pub fn counts(tx: &mut Tx<'_>, now: Timestamp, group: Option<&str>) -> Result<Vec<Count>, Error> {
    let read = |row: &taskyard_store::Row<'_>| {
        let queue: String = row.get(0)?;
        let group = name(&queue).unwrap_or_default().to_owned();
        Ok(Count {
            group,
            available: row.get(1)?,
            total: row.get(2)?,
        })
    };
    let now = Nanos::from(now);
    match group {
        None => tx.query(COUNTS, params![REALM, AFTER_REALM, now], read),
        Some(group) => tx.query(COUNT, params![Queue::group(group).as_str(), now], read),
    }
}

const OVERVIEW: &str = "SELECT queue, \
     CAST(sum(CASE WHEN available_at <= $3 THEN 1 ELSE 0 END) AS BIGINT), count(*), \
     min(available_at) FROM leases WHERE subject = '' AND queue > $1 AND queue < $2 \
     GROUP BY queue ORDER BY queue LIMIT $4";

/// How full the first `limit` groups are. Reads one index whole: for metrics that are asked for
/// now and then.
pub fn overview(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<Vec<Overview>, Error> {
    let at = Nanos::from(now);
    tx.query(
        OVERVIEW,
        params![REALM, AFTER_REALM, at, limit as i64],
        |row| {
            let (ready, total): (i64, i64) = (row.get(1)?, row.get(2)?);
            Ok(Overview {
                queue: Queue::group(name(&row.get::<String>(0)?).unwrap_or_default()),
                depth: Depth {
                    ready,
                    held: total - ready,
                },
                oldest: (ready > 0)
                    .then(|| row.get::<Nanos>(3))
                    .transpose()?
                    .map(Nanos::ceil_micros),
            })
        },
    )
}

const NEXT_DUE: &str = "SELECT min(available_at) FROM leases WHERE ready = 4";
const DUE: &str = "SELECT id, queue FROM leases WHERE ready = 4 AND available_at <= $1 \
     ORDER BY available_at LIMIT $2 FOR UPDATE SKIP LOCKED";
const RETURN: &str = "UPDATE leases SET ready = 3 WHERE id = $1";

/// When the next held entry of a group may be claimed.
pub fn next_due(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, Error> {
    let at = tx.query_opt(NEXT_DUE, &[], |row| row.get::<Option<Nanos>>(0))?;
    Ok(at.flatten().map(Nanos::ceil_micros))
}

/// Whether a held entry may be claimed by `now`.
pub fn is_any_due(tx: &mut Tx<'_>, now: Timestamp) -> Result<bool, Error> {
    Ok(next_due(tx)?.is_some_and(|at| at <= now))
}

/// Wakes those who wait for up to `limit` entries whose time has come; returns how many.
pub fn return_due(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<usize, Error> {
    let due = tx.query(DUE, params![Nanos::from(now), limit as i64], |row| {
        Ok((row.get::<i64>(0)?, row.get::<String>(1)?))
    })?;
    for (id, queue) in &due {
        tx.execute(RETURN, params![*id])?;
        tx.wake(Queue::group(name(queue).unwrap_or_default()).topic());
    }
    Ok(due.len())
}

/// Which entries of a group to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Those after this time and id, in the order of listings; `None` begins at the first.
    pub after: Option<(Nanos, i64)>,
    /// At most so many.
    pub limit: Option<usize>,
    /// Also those that are held or wait for a later time.
    pub with_held: bool,
}

const LIST: &str = "SELECT id, available_at, owner, attempt, data FROM leases \
     WHERE subject = '' AND queue = $1 AND (available_at, id) > ($2, $3) AND available_at <= $4 \
     ORDER BY available_at, id LIMIT $5";

/// The entries of a group, by time and id.
pub fn list(tx: &mut Tx<'_>, now: Timestamp, group: &str, page: Page) -> Result<Vec<Entry>, Error> {
    let queue = Queue::group(group);
    let (time, id) = page.after.unwrap_or((Nanos(i64::MIN), 0));
    let until = if page.with_held {
        Nanos(i64::MAX)
    } else {
        now.into()
    };
    let limit = page.limit.map_or(i64::MAX, |limit| limit as i64);
    tx.query(
        LIST,
        params![queue.as_str(), time, id, until, limit],
        |row| {
            Ok(Entry {
                id: row.get(0)?,
                queue: queue.clone(),
                priority: 0,
                enqueued_at: Timestamp::default(),
                available_at: row.get(1)?,
                owner: row.get(2)?,
                subject: String::new(),
                attempt: row.get(3)?,
                data: row.get(4)?,
            })
        },
    )
}

const FIND: &str = "SELECT queue, available_at, owner, attempt, data FROM leases WHERE id = $1 \
     AND subject = ''";

/// The entry of this exact version, if there is one and it is in a group.
pub fn find(tx: &mut Tx<'_>, id: i64) -> Result<Option<Entry>, Error> {
    let found = tx.query_opt(FIND, params![id], |row| {
        let queue: String = row.get(0)?;
        let Some(group) = name(&queue) else {
            return Ok(None);
        };
        Ok(Some(Entry {
            id,
            queue: Queue::group(group),
            priority: 0,
            enqueued_at: Timestamp::default(),
            available_at: row.get(1)?,
            owner: row.get(2)?,
            subject: String::new(),
            attempt: row.get(3)?,
            data: row.get(4)?,
        }))
    })?;
    Ok(found.flatten())
}

/// A claim of entries of one group or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who asks, and holds what is given.
    pub owner: String,
    /// Looked through in this order until enough is found.
    pub groups: Vec<String>,
    /// How many entries at most.
    pub count: usize,
    /// Until when they are held; a time that is not in the future leaves them available, under
    /// new ids.
    pub until: Nanos,
    /// Versions that must exist, whoever holds them.
    pub depends: Vec<i64>,
    /// What is claimed too often moves elsewhere instead.
    pub give_up: Option<GiveUp>,
}

/// What happens to entries that nobody brings to an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GiveUp {
    /// After so many claims an entry is not given again, but
    pub after: i64,
    /// moves to this group, available to whoever looks there. Not one of the claim's own groups.
    pub group: String,
}

/// Entries that a claim chooses from: the first of the group. Choosing keeps an entry at which
/// every claimer fails from being given to all of them while others wait.
const CHOICE: usize = 32;
/// Entries that one claim moves away at most; it may find nothing then though there is more.
const MOVE_AT_MOST: usize = 1000;
/// Rounds until a claim that is always overtaken gives up; each means that others got something.
const ROUNDS: usize = 1000;

const FIRST: &str = "SELECT id, available_at FROM leases WHERE subject = '' AND queue = $1 \
     ORDER BY available_at, id LIMIT $2";
const LOCK: &str = "SELECT id, priority, enqueued_at, available_at, attempt, data FROM leases \
     WHERE id = $1 FOR UPDATE";
const LOCK_IF_FREE: &str = "SELECT id, priority, enqueued_at, available_at, attempt, data \
     FROM leases WHERE id = $1 FOR UPDATE SKIP LOCKED";
const LOCK_NTH: &str = "SELECT id, priority, enqueued_at, available_at, attempt, data \
     FROM leases WHERE id = (SELECT id FROM leases WHERE subject = '' AND queue = $1 \
     AND available_at <= $2 ORDER BY available_at, id LIMIT 1 OFFSET $3) \
     FOR UPDATE SKIP LOCKED";

/// What a claim found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claimed {
    /// What the claimer holds now.
    pub entries: Vec<Entry>,
    /// When, as far as was looked, the next entry becomes available. If that time has come by the
    /// time the caller learns of it, an empty answer was out of date: a claim that took its time
    /// to get here did not see as available what was put there meanwhile.
    pub next: Option<Nanos>,
}

/// Claims entries at random among the first that are available. `Err` names the versions depended
/// on that are gone. Nothing is found only if at some moment nothing was available, unless
/// entries had to be given up. `seed` is any number; the same one chooses the same entries.
pub fn claim(
    tx: &mut Tx<'_>,
    now: Timestamp,
    claim: &Claim,
    seed: u64,
) -> Result<Result<Claimed, Vec<i64>>, Error> {
    let missing = missing(tx, &claim.depends)?;
    if !missing.is_empty() {
        return Ok(Err(missing));
    }
    let mut claiming = Claiming {
        claim,
        now,
        dice: Dice(seed),
        found: Claimed::default(),
        moved: 0,
    };
    for group in &claim.groups {
        claiming.look_in(tx, &Queue::group(group))?;
    }
    Ok(Ok(claiming.found))
}

/// A claim under way.
struct Claiming<'a> {
    claim: &'a Claim,
    now: Timestamp,
    dice: Dice,
    found: Claimed,
    /// Entries moved away for having been claimed too often.
    moved: usize,
}

impl Claiming<'_> {
    fn wanted(&self) -> usize {
        self.claim.count.saturating_sub(self.found.entries.len())
    }

    fn look_in(&mut self, tx: &mut Tx<'_>, queue: &Queue) -> Result<(), Error> {
        let before = self.found.entries.len();
        if self.wanted() == 1 {
            // In a group with enough entries one look does, and passes over those before.
            let nth = self.dice.below(CHOICE) as i64;
            let now = Nanos::from(self.now);
            self.take(tx, queue, LOCK_NTH, params![queue.as_str(), now, nth])?;
        }
        for _ in 0..ROUNDS {
            if self.wanted() == 0 || self.moved >= MOVE_AT_MOST {
                return Ok(());
            }
            // A hold that does not last leaves entries available; they are not to be found again.
            let given = self.found.entries.get(before..).unwrap_or_default();
            let size = CHOICE.max(self.wanted()).saturating_add(given.len());
            let first = tx.query(FIRST, params![queue.as_str(), size as i64], |row| {
                Ok((row.get::<i64>(0)?, row.get::<Nanos>(1)?))
            })?;
            let now = Nanos::from(self.now);
            let available = first.iter().take_while(|(_, at)| *at <= now);
            let mut ids: Vec<i64> = available.map(|(id, _)| *id).collect();
            if !given.is_empty() {
                ids.retain(|id| given.iter().all(|entry| entry.id != *id));
            }
            if ids.is_empty() {
                let next = first.iter().map(|(_, at)| *at).find(|at| *at > now);
                self.found.next = self.found.next.into_iter().chain(next).min();
                return Ok(());
            }
            let patient = ids[self.dice.below(ids.len())];
            let mut progress = false;
            while self.wanted() > 0 && !ids.is_empty() {
                let id = ids.swap_remove(self.dice.below(ids.len()));
                progress |= self.take(tx, queue, LOCK_IF_FREE, params![id])?;
            }
            // All are locked by others. What they do with them is not known before they commit.
            if !progress {
                self.take(tx, queue, LOCK, params![patient])?;
            }
        }
        Err(tx.overtaken("a claim was overtaken again and again"))
    }

    /// Claims the entry that `lock` finds, or moves it away if it has been claimed too often;
    /// `false` if it is gone, not available any more, or locked.
    fn take(
        &mut self,
        tx: &mut Tx<'_>,
        queue: &Queue,
        lock: &'static str,
        params: &[Value<'_>],
    ) -> Result<bool, Error> {
        let locked = tx.query_opt(lock, params, |row| {
            Ok(Entry {
                id: row.get(0)?,
                queue: queue.clone(),
                priority: row.get(1)?,
                enqueued_at: row.get(2)?,
                available_at: row.get(3)?,
                owner: self.claim.owner.clone(),
                subject: String::new(),
                attempt: row.get(4)?,
                data: row.get(5)?,
            })
        })?;
        let Some(mut entry) = locked.filter(|entry| !entry.is_held(self.now)) else {
            return Ok(false);
        };
        let id = entry.id;
        entry.id = lease::new_id(tx)?;
        if let Some(give_up) = &self.claim.give_up
            && entry.attempt >= give_up.after
        {
            move_away(tx, self.now, id, entry.id, &give_up.group)?;
            self.moved += 1;
            return Ok(true);
        }
        entry.attempt += 1;
        entry.available_at = self.claim.until;
        hold(tx, self.now, id, &entry)?;
        self.found.entries.push(entry);
        Ok(true)
    }
}

const HOLD: &str = "UPDATE leases SET id = $2, ready = $3, available_at = $4, owner = $5, \
     attempt = $6 WHERE id = $1";

fn hold(tx: &mut Tx<'_>, now: Timestamp, id: i64, entry: &Entry) -> Result<(), Error> {
    let ready = !entry.is_held(now);
    let changed = tx.execute(
        HOLD,
        params![
            id,
            entry.id,
            if ready { IN_GROUP } else { HELD_IN_GROUP },
            entry.available_at,
            &entry.owner,
            entry.attempt
        ],
    )?;
    if changed == 0 {
        return Err(tx.overtaken("a locked entry was changed"));
    }
    if ready {
        tx.wake(entry.queue.topic());
    } else {
        tx.alarm(entry.available_at.ceil_micros().0);
    }
    Ok(())
}

const MOVE: &str = "UPDATE leases SET id = $2, queue = $3, ready = 3, enqueued_at = $4, \
     available_at = $5, attempt = 0 WHERE id = $1";

fn move_away(
    tx: &mut Tx<'_>,
    now: Timestamp,
    id: i64,
    new_id: i64,
    group: &str,
) -> Result<(), Error> {
    let queue = Queue::group(group);
    let changed = tx.execute(
        MOVE,
        params![id, new_id, queue.as_str(), now, Nanos::from(now)],
    )?;
    if changed == 0 {
        return Err(tx.overtaken("a locked entry was changed"));
    }
    tx.wake(queue.topic());
    Ok(())
}

const EXISTS: &str = "SELECT queue FROM leases WHERE id = $1 AND subject = '' FOR KEY SHARE";

/// Which of `ids` are not there, in their order and as often as they are named. The others are
/// locked, so that they are still there when the transaction commits.
fn missing(tx: &mut Tx<'_>, ids: &[i64]) -> Result<Vec<i64>, Error> {
    let mut sorted = ids.to_vec();
    // In one order everywhere, so that two claims cannot wait for each other.
    sorted.sort_unstable();
    sorted.dedup();
    let mut there = Vec::with_capacity(sorted.len());
    for id in sorted {
        let queue: Option<String> = tx.query_opt(EXISTS, params![id], |row| row.get(0))?;
        if queue.is_some_and(|queue| name(&queue).is_some()) {
            there.push(id);
        }
    }
    Ok(ids
        .iter()
        .copied()
        .filter(|id| there.binary_search(id).is_err())
        .collect())
}

/// Numbers that look random, from a seed (SplitMix64).
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    /// A number from 0 up to, but not including, `bound`; 0 if that is 0.
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        ((u128::from(mixed) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_realm_is_the_one_of_the_queues() {
        assert_eq!(name(Queue::group("a/b").as_str()), Some("a/b"));
        assert_eq!(name(Queue::runs("a/b").as_str()), None);
        let names = ["", "\u{0}", "a", "\u{10ffff}"].map(Queue::group);
        assert!(
            names
                .iter()
                .all(|queue| queue.as_str() >= REALM && queue.as_str() < AFTER_REALM)
        );
    }

    #[test]
    fn dice_reach_every_number_and_none_beyond() {
        let mut seen = [false; CHOICE];
        let mut dice = Dice(7);
        for _ in 0..1000 {
            seen[dice.below(CHOICE)] = true;
        }
        assert_eq!(seen, [true; CHOICE]);
        assert_eq!(dice.below(0), 0);
    }
}
