//! A task as it stands.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use taskyard_store::{Error, Row, Tx, Value, params};

use super::outcome::Outcome;
use super::portions::Portions;
use super::queue::Queue;
use super::request::Payload;
use super::settings::RetryConfig;
use crate::timestamp::Timestamp;

/// One try at a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it was to begin.
    pub schedule_time: Timestamp,
    /// When it began.
    pub dispatch_time: Timestamp,
    /// When it ended and how; `None` while it is under way.
    pub response: Option<(Timestamp, Outcome)>,
}

/// A task as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Grows with every task of any queue.
    pub number: i64,
    /// Its id within its queue.
    pub id: String,
    /// Whether the id was chosen by whoever created it.
    pub is_named: bool,
    /// What it asks for.
    pub payload: Payload,
    /// When it is next to be tried, or until when it is lent.
    pub schedule_time: Timestamp,
    /// When it was created.
    pub create_time: Timestamp,
    /// How long its handler may take; `None` means the default.
    pub dispatch_deadline: Option<Duration>,
    /// Replaces the queue's law of retries.
    pub retry: Option<RetryConfig>,
    /// Attempts so far, those under way included.
    pub dispatch_count: i64,
    /// Attempts that were answered.
    pub response_count: i64,
    /// Attempts that were answered with anything but 5xx.
    pub execution_count: i64,
    /// When the first attempt began.
    pub first_dispatch_time: Option<Timestamp>,
    /// The last attempt; none for a pull task.
    pub last_attempt: Option<Attempt>,
    /// How the last attempt that ended came out.
    pub previous_outcome: Option<Outcome>,
    /// Where it waits or is under way.
    pub(crate) lease_id: Option<i64>,
}

impl Task {
    /// The law of retries that holds for it.
    pub fn retry_of<'a>(&'a self, queue: &'a Queue) -> &'a RetryConfig {
        self.retry.as_ref().unwrap_or(&queue.settings.retry)
    }

    /// When it is forgotten whatever its state.
    pub fn expires(&self, queue: &Queue) -> Timestamp {
        self.create_time.plus(queue.settings.task_ttl)
    }
}

/// The immutable part as it is stored, but for the bytes of the payload.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head<P = Payload> {
    pub(super) payload: P,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) dispatch_deadline: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) retry: Option<RetryConfig>,
}

/// The mutable part with the head, or with the body as well.
macro_rules! select {
    ($body:literal, $rest:literal) => {
        concat!(
            "SELECT t.number, t.task_id, t.named, t.created_at, t.schedule_time, t.lease_id, \
             t.dispatches, t.responses, t.executions, t.first_dispatch_at, \
             t.last_schedule_time, t.last_dispatch_at, t.last_response_at, t.last_outcome, \
             r.head",
            $body,
            " FROM cloud_tasks t JOIN cloud_requests r ON r.number = t.number ",
            $rest
        )
    };
}

pub(super) use select;

/// Reads a row of [`select!`].
pub(super) fn read(row: &Row<'_>, with_body: bool) -> Result<Task, Error> {
    let head: Head = serde_json::from_str(&row.get::<String>(14)?)
        .map_err(|error| Error::Statement(format!("reading a stored request: {error}")))?;
    let payload = if with_body {
        head.payload.with_body(row.get(15)?)
    } else {
        head.payload
    };
    let previous_outcome = row.get::<Option<i64>>(13)?.map(Outcome::from_stored);
    let last_attempt = match (
        row.get::<Option<Timestamp>>(10)?,
        row.get::<Option<Timestamp>>(11)?,
    ) {
        (Some(schedule_time), Some(dispatch_time)) => Some(Attempt {
            schedule_time,
            dispatch_time,
            response: row.get::<Option<Timestamp>>(12)?.zip(previous_outcome),
        }),
        _ => None,
    };
    Ok(Task {
        number: row.get(0)?,
        id: row.get(1)?,
        is_named: row.get(2)?,
        payload,
        create_time: row.get(3)?,
        schedule_time: row.get(4)?,
        lease_id: row.get(5)?,
        dispatch_deadline: head.dispatch_deadline,
        retry: head.retry,
        dispatch_count: row.get(6)?,
        response_count: row.get(7)?,
        execution_count: row.get(8)?,
        first_dispatch_time: row.get(9)?,
        last_attempt,
        previous_outcome,
    })
}

const BY_NUMBER: &str = select!(", r.body", "WHERE t.number = $1");

/// The task with this number.
pub(super) fn by_number(tx: &mut Tx<'_>, number: i64) -> Result<Option<Task>, Error> {
    tx.query_opt(BY_NUMBER, params![number], |row| read(row, true))
}

static WITH_BODY: std::sync::LazyLock<Portions<1>> = std::sync::LazyLock::new(|| {
    Portions::list(|numbers| format!("{} IN ({numbers})", select!(", r.body", "WHERE t.number")))
});
static WITHOUT_BODY: std::sync::LazyLock<Portions<1>> = std::sync::LazyLock::new(|| {
    Portions::list(|numbers| format!("{} IN ({numbers})", select!("", "WHERE t.number")))
});

/// The tasks with these numbers that are there, in no order.
pub(super) fn all(tx: &mut Tx<'_>, numbers: &[i64], with_body: bool) -> Result<Vec<Task>, Error> {
    let rows: Vec<[Value<'_>; 1]> = numbers.iter().map(|number| [(*number).into()]).collect();
    let portions = if with_body {
        &*WITH_BODY
    } else {
        &*WITHOUT_BODY
    };
    portions.query(tx, &[], &rows, |row| read(row, with_body))
}
