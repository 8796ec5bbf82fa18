//! Reading the log in order, without skipping anything.
//!
//! An event's position is its row's number. Numbers are given when rows are inserted but become
//! visible when their transactions commit, which on PostgreSQL may be in another order. So a
//! reader stops at a gap until every transaction that had begun when the gap was seen has ended:
//! then what is missing will never come. Nothing is written for that, and any number of readers
//! may do so at once. Events of one subject keep their order, since a change takes its number while
//! it holds the subject's lock.

use taskyard_store::{Error, Horizon, Row, Tx, params};

/// One row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the log; grows, with gaps.
    pub position: i64,
    /// When it happened, in microseconds since 1970.
    pub created: i64,
    /// What happened.
    pub kind: String,
    /// What it happened to.
    pub subject: String,
    /// More about it, as JSON.
    pub body: String,
}

/// How far a reader has come. What lies before has all been read, and nothing will appear there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frontier {
    /// The last event that was read.
    pub position: i64,
    /// Up to here everything that will ever be there is there.
    settled: i64,
    /// The largest position seen at a gap, and where transactions stood then.
    gap: Option<(i64, Horizon)>,
}

/// What a look at the log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portion {
    /// The next events, in order.
    pub events: Vec<Event>,
    /// Where to go on.
    pub frontier: Frontier,
    /// Whether there is more to read at once.
    pub more: bool,
    /// Whether something stands behind a gap that may still be filled: look again soon, nobody
    /// gives a wake-up for a gap that stays one.
    pub waiting: bool,
}

const NEXT: &str = "SELECT id, created, kind, subject, body FROM events WHERE id > $1 \
     ORDER BY id LIMIT $2";
const BETWEEN: &str = "SELECT id, created, kind, subject, body FROM events WHERE id > $1 \
     AND id <= $2 ORDER BY id LIMIT $3";
const NEWEST: &str = "SELECT max(id) FROM events";
const FLOOR: &str = "SELECT floor FROM events_floor";

fn read(row: &Row<'_>) -> Result<Event, Error> {
    Ok(Event {
        position: row.get(0)?,
        created: row.get(1)?,
        kind: row.get(2)?,
        subject: row.get(3)?,
        body: row.get(4)?,
    })
}

/// The largest position in the log; 0 if nothing ever happened. Smaller ones may still appear.
///
/// # Errors
/// As [`Tx::query`].
pub fn newest(tx: &mut Tx<'_>) -> Result<i64, Error> {
    let newest = tx.query_opt(NEWEST, &[], |row| row.get::<Option<i64>>(0))?;
    Ok(newest.flatten().unwrap_or(0))
}

/// Everything up to this position is forgotten.
///
/// # Errors
/// As [`Tx::query`].
pub fn floor(tx: &mut Tx<'_>) -> Result<i64, Error> {
    Ok(tx.query_opt(FLOOR, &[], |row| row.get(0))?.unwrap_or(0))
}

/// Up to `limit` events behind `after` up to `upto`, which somebody's frontier has passed.
///
/// # Errors
/// As [`Tx::query`].
pub fn between(tx: &mut Tx<'_>, after: i64, upto: i64, limit: usize) -> Result<Vec<Event>, Error> {
    tx.query(BETWEEN, params![after, upto, limit as i64], read)
}

// === impl Frontier ===

impl Frontier {
    /// Behind `position`, which somebody has read before.
    pub fn after(position: i64) -> Self {
        Frontier {
            position,
            settled: position,
            gap: None,
        }
    }

    /// At the end of the log as it is now. What is being committed just now may end up before it;
    /// [`Frontier::is_settled`] tells once that is over.
    ///
    /// # Errors
    /// As [`Tx::query`].
    pub fn at_end(tx: &mut Tx<'_>) -> Result<Self, Error> {
        let position = newest(tx)?;
        let horizon = tx.horizon()?;
        let is_settled = horizon.is_past(horizon);
        Ok(Frontier {
            position,
            settled: if is_settled { position } else { 0 },
            gap: (!is_settled).then_some((position, horizon)),
        })
    }

    /// Whether nothing can appear any more before the position.
    pub fn is_settled(&self) -> bool {
        self.settled >= self.position
    }

    /// Looks whether nothing can appear any more before the position, without reading on.
    ///
    /// # Errors
    /// As [`Tx::query`].
    pub fn settle(mut self, tx: &mut Tx<'_>) -> Result<Self, Error> {
        let newest = newest(tx)?;
        self.look_back(tx.horizon()?, newest);
        Ok(self)
    }

    /// Reads up to `limit` events behind this frontier.
    ///
    /// # Errors
    /// As [`Tx::query`].
    pub fn read(self, tx: &mut Tx<'_>, limit: usize) -> Result<Portion, Error> {
        let mut events = tx.query(NEXT, params![self.position, limit as i64], read)?;
        let found = events.len();
        let mut frontier = self;
        let mut kept = frontier.without_gap(&events);
        if kept < found || !frontier.is_settled() {
            let newest = events.last().map_or(self.position, |event| event.position);
            frontier.look_back(tx.horizon()?, newest);
            kept = frontier.without_gap(&events);
        }
        events.truncate(kept);
        if let Some(last) = events.last() {
            frontier.position = last.position;
            frontier.settled = frontier.settled.max(last.position);
        }
        Ok(Portion {
            more: kept == limit,
            waiting: kept < found || !frontier.is_settled(),
            events,
            frontier,
        })
    }

    /// How many of `events`, which stand behind the position, can be read now.
    fn without_gap(&self, events: &[Event]) -> usize {
        let mut last = self.position.max(self.settled);
        for (at, event) in events.iter().enumerate() {
            if event.position > last + 1 {
                return at;
            }
            last = last.max(event.position);
        }
        events.len()
    }

    /// Learns from where transactions stand now, when events up to `newest` are seen.
    fn look_back(&mut self, now: Horizon, newest: i64) {
        if let Some((seen, then)) = self.gap
            && now.is_past(then)
        {
            self.settled = self.settled.max(seen);
            self.gap = None;
        }
        if now.is_past(now) {
            self.settled = self.settled.max(newest);
            self.gap = None;
        } else if self.gap.is_none() && newest > self.settled {
            self.gap = Some((newest, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(position: i64) -> Event {
        Event {
            position,
            created: 0,
            kind: String::new(),
            subject: String::new(),
            body: String::new(),
        }
    }

    #[test]
    fn a_gap_is_passed_when_all_that_might_fill_it_have_ended() {
        let mut frontier = Frontier::after(3);
        let events = [event(4), event(6)];
        assert_eq!(frontier.without_gap(&events), 1);
        frontier.look_back(
            Horizon {
                begun: 10,
                ended: 8,
            },
            6,
        );
        assert_eq!(frontier.without_gap(&events), 1);
        frontier.look_back(
            Horizon {
                begun: 12,
                ended: 9,
            },
            6,
        );
        assert_eq!(frontier.without_gap(&events), 1);
        frontier.look_back(
            Horizon {
                begun: 14,
                ended: 10,
            },
            6,
        );
        assert_eq!(frontier.without_gap(&events), 2);
    }

    #[test]
    fn a_gap_that_nobody_can_fill_does_not_hold_up() {
        let mut frontier = Frontier::after(3);
        frontier.look_back(Horizon { begun: 9, ended: 9 }, 6);
        assert_eq!(frontier.without_gap(&[event(6), event(7)]), 2);
        assert_eq!(frontier.without_gap(&[event(6), event(8)]), 1);
    }
}
