//! Notifications: mails, and messages to rooms and channels, that the server sends for its users.
//!
//! Each is a row before anybody tries to send it, so none that was accepted is lost; whoever sends
//! it has it for a while, and it is tried again when that passes. What was sent stays to be looked at,
//! and to tell what has been sent already.

use std::time::Duration;

use taskyard_events::{Event, outbox};
use taskyard_store::{Error, Migration, Row, Sequence, Topic, Tx, params};

use crate::by_ids::ByIds;
use crate::timestamp::Timestamp;

/// The tables of notifications.
pub(crate) const TABLES: Migration = Migration {
    component: "notifications",
    id: 1,
    name: "notifications, and whom none are sent to",
    sql: "
{sequence notification_numbers};
CREATE TABLE notifications (
  number {int} PRIMARY KEY,
  kind {text} NOT NULL,
  address {text} NOT NULL,
  -- JSON
  body {text} NOT NULL,
  -- what two have in common that say the same to the same
  digest {text} NOT NULL,
  created {int} NOT NULL,
  state {text} NOT NULL,
  attempts {int} NOT NULL,
  -- null once nobody is to try (any more)
  next_try {int},
  error {text} NOT NULL
) {strict};
CREATE INDEX notifications_waiting ON notifications (next_try) WHERE next_try IS NOT NULL;
CREATE INDEX notifications_by_digest ON notifications (digest, number);
CREATE INDEX notifications_by_address ON notifications (kind, address, created);
CREATE INDEX notifications_by_time ON notifications (created);

CREATE TABLE denied_addresses (
  kind {text} NOT NULL,
  address {text} NOT NULL,
  PRIMARY KEY (kind, address)
) {by_key};

-- tasks with routes that notify somebody
CREATE TABLE notifying_tasks (
  task_id {text} PRIMARY KEY,
  expires {int} NOT NULL
) {by_key};
CREATE INDEX notifying_tasks_by_expiry ON notifying_tasks (expires);
",
};

/// The kind of event that is to be published: its subject is the address, its body that of the
/// notification.
pub const PUBLISHED: &str = "notification";
/// The same, for a bot to say it on IRC.
pub const IRC_REQUESTED: &str = "irc-requested";

/// A notification equal to one of so many before it is not sent.
const REMEMBERED: i64 = 1000;
/// How long whoever tries to send one has it.
pub const LEASE: Duration = Duration::from_mins(5);
/// How long notifications are kept.
const KEPT: Duration = Duration::from_hours(7 * 24);
/// Pauses after failed attempts; after the last one it is given up.
const PAUSES: [Duration; 6] = [
    Duration::from_secs(30),
    Duration::from_mins(2),
    Duration::from_mins(10),
    Duration::from_hours(1),
    Duration::from_hours(4),
    Duration::from_hours(12),
];
/// The longest error that is remembered, in bytes.
const LONGEST_ERROR: usize = 1000;

/// A notification to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct New {
    /// What way it goes, in the API's words.
    pub kind: String,
    /// To whom.
    pub address: String,
    /// What is sent: JSON.
    pub body: String,
    /// Equal for notifications that say the same to the same.
    pub digest: String,
    /// No more than so many go to one address within so long.
    pub limit: Option<(usize, Duration)>,
}

/// How a new notification goes on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Somebody is to send it.
    Send,
    /// Whoever made it tries first, and has [`LEASE`] for it.
    SendByCaller,
    /// There is nothing to send it with: it is kept to be looked at.
    Keep,
    /// It is published as an event of this kind.
    Publish(&'static str),
}

/// What became of a new notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It will be sent, or has been published: its number.
    Accepted(i64),
    /// The same was sent before.
    Duplicate,
    /// Nothing is sent to this address.
    Denied,
    /// Too much was sent there lately.
    TooMany,
}

/// A notification and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Later ones have larger numbers.
    pub number: i64,
    /// See [`New::kind`].
    pub kind: String,
    /// See [`New::address`].
    pub address: String,
    /// See [`New::body`].
    pub body: String,
    /// When it was made.
    pub created: Timestamp,
    /// `waiting`, `sent`, `kept` or `failed`.
    pub state: String,
    /// How often somebody tried to send it.
    pub attempts: i64,
    /// Why the last attempt failed; empty if none did.
    pub error: String,
}

/// Woken when a notification waits to be sent.
pub fn topic() -> Topic {
    Topic::new("notifications", "")
}

fn read(row: &Row<'_>) -> Result<Notification, Error> {
    Ok(Notification {
        number: row.get(0)?,
        kind: row.get(1)?,
        address: row.get(2)?,
        body: row.get(3)?,
        created: row.get(4)?,
        state: row.get(5)?,
        attempts: row.get(6)?,
        error: row.get(7)?,
    })
}

// === sending ===

const NEWEST: &str = "SELECT max(number) FROM notifications";
const SAME: &str = "SELECT number FROM notifications WHERE digest = $1 AND number > $2 \
     AND state <> 'failed' LIMIT 1";
const DENIED: &str = "SELECT 1 FROM denied_addresses WHERE kind = $1 AND address = $2";
const RECENT: &str = "SELECT count(*) FROM notifications WHERE kind = $1 AND address = $2 \
     AND created > $3";
const INSERT: &str = "INSERT INTO notifications (number, kind, address, body, digest, created, \
     state, attempts, next_try, error) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '')";

/// Accepts a notification, unless it should not be sent.
pub fn send(tx: &mut Tx<'_>, now: Timestamp, new: &New, way: Way) -> Result<Verdict, Error> {
    let newest = tx.query_opt(NEWEST, &[], |row| row.get::<Option<i64>>(0))?;
    let oldest = newest.flatten().unwrap_or(0) - REMEMBERED;
    let same = tx.query_opt(SAME, params![&new.digest, oldest], |_| Ok(()))?;
    if same.is_some() {
        return Ok(Verdict::Duplicate);
    }
    if is_denied(tx, &new.kind, &new.address)? {
        return Ok(Verdict::Denied);
    }
    if let Some((most, within)) = new.limit {
        let since = now.minus(within);
        let sent = tx.query_opt(RECENT, params![&new.kind, &new.address, since], |row| {
            row.get::<i64>(0)
        })?;
        if sent.unwrap_or(0) >= most as i64 {
            return Ok(Verdict::TooMany);
        }
    }
    let (state, attempts, next_try) = match way {
        Way::Send => ("waiting", 0, Some(now)),
        Way::SendByCaller => ("waiting", 1, Some(now.plus(LEASE))),
        Way::Keep => ("kept", 0, None),
        Way::Publish(_) => ("sent", 1, None),
    };
    let numbers = tx.next_ids(Sequence("notification_numbers"), 1)?;
    let number = numbers.first().copied().unwrap_or_default();
    let row = params![
        number,
        &new.kind,
        &new.address,
        &new.body,
        &new.digest,
        now,
        state,
        attempts,
        next_try,
    ];
    tx.execute(INSERT, row)?;
    match way {
        Way::Publish(kind) => outbox::append(tx, now.0, kind, &new.address, &new.body)?,
        Way::Send | Way::SendByCaller => tx.wake_all(topic()),
        Way::Keep => {}
    }
    Ok(Verdict::Accepted(number))
}

const DUE: &str = "SELECT number FROM notifications WHERE next_try IS NOT NULL \
     AND next_try <= $1 ORDER BY next_try LIMIT $2";
const NEXT: &str = "SELECT min(next_try) FROM notifications WHERE next_try IS NOT NULL";
const CLAIM: &str = "UPDATE notifications SET attempts = attempts + 1, next_try = $3 \
     WHERE number = $1 AND next_try IS NOT NULL AND next_try <= $2";
const LOAD: &str = "SELECT number, kind, address, body, created, state, attempts, error \
     FROM notifications WHERE number = $1";

/// Up to `limit` numbers of notifications that somebody is to try to send now.
pub fn due(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<Vec<i64>, Error> {
    tx.query(DUE, params![now, limit as i64], |row| row.get(0))
}

/// When the next one is to be tried.
pub fn next_due(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, Error> {
    let next = tx.query_opt(NEXT, &[], |row| row.get::<Option<Timestamp>>(0))?;
    Ok(next.flatten())
}

/// Takes a notification that is due, to try to send it within [`LEASE`]; `None` if somebody else did.
pub fn claim(tx: &mut Tx<'_>, now: Timestamp, number: i64) -> Result<Option<Notification>, Error> {
    if tx.execute(CLAIM, params![number, now, now.plus(LEASE)])? == 0 {
        return Ok(None);
    }
    load(tx, number)
}

/// The notification of this number.
pub fn load(tx: &mut Tx<'_>, number: i64) -> Result<Option<Notification>, Error> {
    tx.query_opt(LOAD, params![number], read)
}

const SENT: &str =
    "UPDATE notifications SET state = 'sent', next_try = NULL, error = '' WHERE number = $1";
const FAILED: &str =
    "UPDATE notifications SET state = $2, next_try = $3, error = $4 WHERE number = $1";

/// It was sent.
pub fn sent(tx: &mut Tx<'_>, number: i64) -> Result<(), Error> {
    tx.execute(SENT, params![number]).map(drop)
}

/// It could not be sent: it is tried again later if that may help, and has not been tried too often.
pub fn failed(
    tx: &mut Tx<'_>,
    now: Timestamp,
    notification: &Notification,
    error: &str,
    is_temporary: bool,
) -> Result<(), Error> {
    let tried = usize::try_from(notification.attempts).unwrap_or(0);
    let pause = PAUSES.get(tried.saturating_sub(1));
    let next = pause.filter(|_| is_temporary).map(|pause| now.plus(*pause));
    let state = if next.is_some() { "waiting" } else { "failed" };
    let end = error.floor_char_boundary(LONGEST_ERROR);
    let error = error.get(..end).unwrap_or_default();
    tx.execute(FAILED, params![notification.number, state, next, error])?;
    tx.wake_all(topic());
    Ok(())
}

/// The body of a published notification, and its address.
pub fn published(event: &Event) -> (&str, &str) {
    (&event.body, &event.subject)
}

// === looking at them ===

const LIST: &str = "SELECT number, kind, address, body, created, state, attempts, error \
     FROM notifications WHERE number < $1 ORDER BY number DESC LIMIT $2";

/// Up to `limit` notifications, the newest first, beginning behind `before`.
pub fn list(tx: &mut Tx<'_>, before: i64, limit: usize) -> Result<Vec<Notification>, Error> {
    tx.query(LIST, params![before, limit as i64], read)
}

const EXPIRE: &str = "DELETE FROM notifications WHERE created < $1 AND number IN \
     (SELECT number FROM notifications WHERE created < $1 ORDER BY created LIMIT $2)";
const EXPIRE_TASKS: &str = "DELETE FROM notifying_tasks WHERE expires < $1 AND task_id IN \
     (SELECT task_id FROM notifying_tasks WHERE expires < $1 ORDER BY expires LIMIT $2)";

/// Forgets up to `limit` old notifications, and as many tasks that are gone; whether there may be
/// more.
pub(crate) fn expire(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<bool, Error> {
    let most = limit as i64;
    let notifications = tx.execute(EXPIRE, params![now.minus(KEPT), most])? as usize;
    let tasks = tx.execute(EXPIRE_TASKS, params![now, most])? as usize;
    Ok(notifications == limit || tasks == limit)
}

// === whom none are sent to ===

const DENY: &str = "INSERT INTO denied_addresses (kind, address) VALUES ($1, $2) \
     ON CONFLICT (kind, address) DO NOTHING";
const ALLOW: &str = "DELETE FROM denied_addresses WHERE kind = $1 AND address = $2";
const DENIED_ADDRESSES: &str = "SELECT kind, address FROM denied_addresses \
     WHERE (kind, address) > ($1, $2) ORDER BY kind, address LIMIT $3";

fn is_denied(tx: &mut Tx<'_>, kind: &str, address: &str) -> Result<bool, Error> {
    let found = tx.query_opt(DENIED, params![kind, address], |_| Ok(()))?;
    Ok(found.is_some())
}

/// Lets nothing of this kind be sent to an address any more.
pub fn deny(tx: &mut Tx<'_>, kind: &str, address: &str) -> Result<(), Error> {
    tx.execute(DENY, params![kind, address]).map(drop)
}

/// Lets it be sent again.
pub fn allow(tx: &mut Tx<'_>, kind: &str, address: &str) -> Result<(), Error> {
    tx.execute(ALLOW, params![kind, address]).map(drop)
}

/// Up to `limit` kinds and addresses to which nothing is sent, in order, beginning behind `after`.
pub fn denied(
    tx: &mut Tx<'_>,
    after: &(String, String),
    limit: usize,
) -> Result<Vec<(String, String)>, Error> {
    let wanted = params![&after.0, &after.1, limit as i64];
    tx.query(DENIED_ADDRESSES, wanted, |row| {
        Ok((row.get(0)?, row.get(1)?))
    })
}

// === tasks that notify ===

const NOTIFIES: &str = "INSERT INTO notifying_tasks (task_id, expires) VALUES ($1, $2) \
     ON CONFLICT (task_id) DO UPDATE SET expires = excluded.expires";
const ANY: &str = "SELECT 1 FROM notifying_tasks LIMIT 1";
static OF: ByIds = ByIds::new(
    "SELECT task_id FROM notifying_tasks WHERE task_id IN ({ids})",
    0,
);

/// Somebody is to be notified of what happens to a task.
pub(crate) fn notifies(tx: &mut Tx<'_>, task_id: &str, expires: Timestamp) -> Result<(), Error> {
    tx.execute(NOTIFIES, params![task_id, expires]).map(drop)
}

/// Whether there is any task of which somebody is to be notified.
pub fn is_any(tx: &mut Tx<'_>) -> Result<bool, Error> {
    Ok(tx.query_opt(ANY, &[], |_| Ok(()))?.is_some())
}

/// Those of these tasks of which somebody is to be notified.
pub fn notifying(tx: &mut Tx<'_>, task_ids: &[&str]) -> Result<Vec<String>, Error> {
    let ids: Vec<_> = task_ids
        .iter()
        .map(|id| taskyard_store::Value::from(*id))
        .collect();
    OF.query(tx, &[], &ids, |row| row.get(0))
}
