//! What was said about jobs: notifications of stacks, and how jobs ended.

use std::collections::HashMap;

use taskyard_store::{Error, Sequence, Tx, Value, params};

use super::job::{self, Standing};
use crate::by_ids::ByIds;
use crate::timestamp::Timestamp;

const NUMBERS: Sequence = Sequence("job_event_numbers");

/// The kind of a stack's notifications.
const NOTIFICATION: &str = "stack-notification";

/// Something that was said about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Grows with every event.
    pub number: i64,
    /// What kind of event it is.
    pub kind: String,
    /// Who said it.
    pub actor: String,
    /// What was said.
    pub detail: String,
    /// When it happened, as far as its sender knows.
    pub at: Timestamp,
}

/// An event to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent<'a> {
    /// The task.
    pub task_id: &'a str,
    /// What kind of event it is.
    pub kind: &'a str,
    /// Who says it.
    pub actor: &'a str,
    /// What is said.
    pub detail: &'a str,
    /// When it happened.
    pub at: Timestamp,
    /// When it may be forgotten.
    pub expires_at: Timestamp,
}

const INSERT: &str = "INSERT INTO job_events (number, task_id, kind, actor, detail, at, \
     expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)";
const LIST: &str = "SELECT number, kind, actor, detail, at FROM job_events WHERE task_id = $1 \
     AND number > $2 ORDER BY number LIMIT $3";

fn insert(tx: &mut Tx<'_>, number: i64, event: &NewEvent<'_>) -> Result<(), Error> {
    tx.execute(
        INSERT,
        params![
            number,
            event.task_id,
            event.kind,
            event.actor,
            event.detail,
            event.at,
            event.expires_at,
        ],
    )?;
    Ok(())
}

/// Records one event.
pub fn record(tx: &mut Tx<'_>, event: &NewEvent<'_>) -> Result<(), Error> {
    for number in tx.next_ids(NUMBERS, 1)? {
        insert(tx, number, event)?;
    }
    Ok(())
}

/// The events of a task behind `after`, in the order of their arrival.
pub fn events(
    tx: &mut Tx<'_>,
    task_id: &str,
    after: i64,
    limit: usize,
) -> Result<Vec<Event>, Error> {
    tx.query(LIST, params![task_id, after, limit as i64], |row| {
        Ok(Event {
            number: row.get(0)?,
            kind: row.get(1)?,
            actor: row.get(2)?,
            detail: row.get(3)?,
            at: row.get(4)?,
        })
    })
}

/// A notification of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The task.
    pub task_id: String,
    /// What the stack says.
    pub detail: String,
    /// When that happened.
    pub at: Timestamp,
}

/// Why a notification is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotesRefused {
    /// There is no such job, or the stack may not know of it.
    Unknown,
    /// The job has had all the notifications that a job can have.
    TooMany,
    /// It happened before the job was there.
    TooEarly,
    /// The job has been over for too long.
    Over,
}

/// What notifications are checked against.
#[derive(Clone, Copy)]
pub struct NoteRules<'a> {
    /// Whether the stack may speak about jobs of a task queue.
    pub may: &'a dyn Fn(&str) -> bool,
    /// Notifications that a job can have.
    pub at_most: i64,
    /// How long before the job was there something may have happened: clocks differ.
    pub skew: std::time::Duration,
    /// How long after the end of a job something may be said about it.
    pub after_end: std::time::Duration,
}

impl std::fmt::Debug for NoteRules<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NoteRules").finish_non_exhaustive()
    }
}

static COUNT: ByIds = ByIds::new(
    "SELECT task_id, count(*) FROM job_events WHERE kind = $1 AND task_id IN ({ids}) \
     GROUP BY task_id",
    1,
);

/// Takes the notifications of a stack that can be taken; answers for each whether it was.
pub fn take_notes(
    tx: &mut Tx<'_>,
    now: Timestamp,
    stack_key: &str,
    notes: &[Note],
    rules: NoteRules<'_>,
) -> Result<Vec<Result<(), NotesRefused>>, Error> {
    let mut ids: Vec<String> = notes.iter().map(|note| note.task_id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    let jobs: HashMap<String, Standing> = job::standings(tx, &ids)?
        .into_iter()
        .map(|job| (job.task_id.clone(), job))
        .collect();
    let values: Vec<Value<'_>> = ids.iter().map(Value::from).collect();
    let counted = COUNT.query(tx, params![NOTIFICATION], &values, |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let mut counts: HashMap<String, i64> = counted.into_iter().collect();
    let judged: Vec<Result<Timestamp, NotesRefused>> = notes
        .iter()
        .map(|note| {
            let job = jobs.get(&note.task_id).ok_or(NotesRefused::Unknown)?;
            judge(job, note, now, &rules)?;
            let count = counts.entry(note.task_id.clone()).or_insert(0);
            if *count >= rules.at_most {
                return Err(NotesRefused::TooMany);
            }
            *count += 1;
            Ok(job.expires)
        })
        .collect();
    let taken = judged.iter().filter(|judged| judged.is_ok()).count();
    let mut numbers = tx.next_ids(NUMBERS, taken)?.into_iter();
    for (note, judged) in notes.iter().zip(&judged) {
        if let Ok(expires_at) = judged
            && let Some(number) = numbers.next()
        {
            let event = NewEvent {
                task_id: &note.task_id,
                kind: NOTIFICATION,
                actor: stack_key,
                detail: &note.detail,
                at: note.at,
                expires_at: *expires_at,
            };
            insert(tx, number, &event)?;
        }
    }
    Ok(judged.into_iter().map(|judged| judged.map(drop)).collect())
}

fn judge(
    job: &Standing,
    note: &Note,
    now: Timestamp,
    rules: &NoteRules<'_>,
) -> Result<(), NotesRefused> {
    if !(rules.may)(&job.task_queue_id) {
        return Err(NotesRefused::Unknown);
    }
    if job
        .scheduled
        .is_some_and(|since| note.at.plus(rules.skew) < since)
    {
        return Err(NotesRefused::TooEarly);
    }
    let ended = job.run.as_ref().and_then(|(_, run)| run.resolved);
    if ended.is_some_and(|ended| ended.plus(rules.after_end) < now) {
        return Err(NotesRefused::Over);
    }
    Ok(())
}
