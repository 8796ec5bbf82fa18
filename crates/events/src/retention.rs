//! Old rows of the log go.

use std::sync::Arc;
use std::time::Duration;

use taskyard_store::{Error, Key, Store, Tx, params};

use crate::{cursor, log};

/// Rows that are removed in one transaction.
pub const PORTION: usize = 2000;

/// What tells the time, in microseconds since 1970.
pub type Now = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How often old rows are looked for.
const EVERY: Duration = Duration::from_secs(30);

/// How much of the log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How long an event can be read again.
    pub keep: Duration,
    /// Most rows, however young they are.
    pub rows: u64,
    /// Most rows that are kept because a reader has not dealt with them, such as a relay whose
    /// broker is away. Beyond that the oldest are given up, and every one of them is counted.
    pub backlog: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Retention {
            keep: Duration::from_hours(24),
            rows: 2_000_000,
            backlog: 10_000_000,
        }
    }
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Everything up to here is forgotten.
    pub floor: i64,
    /// Rows that were removed although a reader has not dealt with them.
    pub given_up: u64,
    /// Whether there may be more to remove.
    pub more: bool,
}

const OLDEST: &str = "SELECT id, created FROM events WHERE id > $1 ORDER BY id LIMIT $2";
const DELETE: &str = "DELETE FROM events WHERE id <= $1 AND id < $2";
const RAISE: &str = "UPDATE events_floor SET floor = $1 WHERE floor < $1";
const LOCK: &str = "SELECT floor FROM events_floor WHERE only_row = 1 FOR UPDATE";

/// Forgets the oldest rows, a portion at most. `now` is in microseconds since 1970.
///
/// # Errors
/// As [`Tx::execute`].
pub fn sweep(tx: &mut Tx<'_>, now: i64, retention: &Retention) -> Result<Swept, Error> {
    // One node at a time.
    let floor = tx
        .query_opt(LOCK, &[], |row| row.get::<i64>(0))?
        .unwrap_or(0);
    let newest = log::newest(tx)?;
    let count = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
    let young = now.saturating_sub(i64::try_from(retention.keep.as_micros()).unwrap_or(i64::MAX));
    let beyond_rows = newest.saturating_sub(count(retention.rows));
    let beyond_backlog = newest.saturating_sub(count(retention.backlog));

    let oldest = tx.query(OLDEST, params![floor, PORTION as i64], |row| {
        Ok((row.get::<i64>(0)?, row.get::<i64>(1)?))
    })?;
    let goes = |(position, created): &(i64, i64)| *created < young || *position <= beyond_rows;
    let old = oldest.iter().take_while(|row| goes(row)).count();
    let Some((mut upto, _)) = oldest.get(old.wrapping_sub(1)).copied() else {
        return Ok(Swept {
            floor,
            ..Swept::default()
        });
    };
    let mut given_up = 0;
    let mut is_held = false;
    // A reader that was not heard of for as long as events are kept is none any more.
    if let Some(read) = cursor::oldest(tx, young)?
        && read < upto
    {
        let kept_from = read.max(upto.min(beyond_backlog)).max(floor);
        is_held = kept_from < upto;
        upto = kept_from;
        given_up = oldest
            .iter()
            .filter(|(position, _)| *position > read && *position <= upto)
            .count() as u64;
    }
    if upto > floor {
        tx.execute(DELETE, params![upto, newest])?;
        tx.execute(RAISE, params![upto])?;
    }
    Ok(Swept {
        floor: upto.max(floor),
        given_up,
        more: old == PORTION && !is_held,
    })
}

/// Forgets what is old, for ever. Errors of the store are waited out.
pub async fn run(store: Store, retention: Retention, now: Now) {
    loop {
        let at = now();
        let swept = store
            .write(Key::of("events-retention"), move |tx| {
                sweep(tx, at, &retention)
            })
            .await;
        match swept {
            Ok(swept) => {
                if swept.given_up > 0 {
                    metrics::counter!("taskyard_events_given_up_total").increment(swept.given_up);
                    tracing::error!(
                        events = swept.given_up,
                        "events were given up before they were published: the broker has been away \
                         for too long"
                    );
                }
                if swept.more {
                    continue;
                }
            }
            Err(error) => tracing::warn!(%error, "old events stay for a while"),
        }
        tokio::time::sleep(EVERY).await;
    }
}
