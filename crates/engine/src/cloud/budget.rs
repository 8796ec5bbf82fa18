//! What a queue may still send: one row, locked by whoever claims from it, so that any number of
//! nodes together keep its rate and its concurrency.
//!
//! A claim takes the tokens of a whole batch at once, so the row is written once a batch. Attempts
//! under way are counted by the leases that hold them; nothing has to be given back when a node is
//! lost.

use std::time::Duration;

use taskyard_store::{Error, Tx, params};

use super::bucket::{Bucket, Flow, WHOLE};
use super::outcome::Outcome;
use super::queue::Queue;
use super::settings::Settings;
use crate::timestamp::Timestamp;

/// A queue's budget as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Its tokens.
    pub bucket: Bucket,
    /// The part of its rate that it uses.
    pub share: Share,
}

/// The part of its rate that a queue uses: handlers that are overwhelmed are sent less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Millionths.
    millionths: i64,
    since: Timestamp,
    window_at: Timestamp,
    answers: i64,
    failures: i64,
}

/// The share recovers this many millionths a second: a tenth.
const RECOVERY: i64 = 100_000;
/// The least share, so that a queue always finds out when its handler has recovered.
const LEAST: i64 = 10_000;
/// The share is halved at most once in this time, however many answers ask for it.
const CALM: Duration = Duration::from_secs(1);
/// Answers are counted for this long.
const WINDOW: Duration = Duration::from_secs(10);
/// Failures among fewer answers than this say little.
const TELLING: i64 = 20;

impl Share {
    /// All of the rate.
    pub fn whole(now: Timestamp) -> Self {
        Share {
            millionths: WHOLE,
            since: now,
            window_at: now,
            answers: 0,
            failures: 0,
        }
    }

    /// The share at `now`, in millionths.
    pub fn at(&self, now: Timestamp) -> i64 {
        let recovered =
            i128::from(now.since(self.since).as_micros() as u64) * i128::from(RECOVERY) / 1_000_000;
        i64::try_from(recovered)
            .unwrap_or(WHOLE)
            .saturating_add(self.millionths)
            .min(WHOLE)
    }

    /// Whether there were failures of late, or their consequences last.
    pub fn remembers(&self, now: Timestamp) -> bool {
        self.at(now) < WHOLE || (self.failures > 0 && now.since(self.window_at) < WINDOW)
    }

    /// The share after these outcomes: half as much after an answer that says "slow down" (429 or
    /// 503), or when more than half of a telling number of answers were failures.
    pub fn after(mut self, now: Timestamp, outcomes: &[Outcome]) -> Self {
        if now.since(self.window_at) >= WINDOW {
            (self.window_at, self.answers, self.failures) = (now, 0, 0);
        }
        self.answers += outcomes.len() as i64;
        let failures = outcomes.iter().filter(|outcome| !outcome.is_success());
        self.failures += failures.count() as i64;
        let asked = outcomes
            .iter()
            .any(|outcome| matches!(outcome, Outcome::Status(429 | 503)));
        let failing = self.answers >= TELLING && self.failures * 2 > self.answers;
        let share = self.at(now);
        if (asked || failing) && (self.millionths == WHOLE || now.since(self.since) >= CALM) {
            self.millionths = (share / 2).max(LEAST);
            self.since = now;
        }
        self
    }
}

const CREATE: &str = "INSERT INTO cloud_budgets \
     (queue, tokens, refilled_at, share, share_at, window_at, answers, failures) \
     VALUES ($1, $2, $3, $4, $3, $3, 0, 0)";

pub(super) fn create(tx: &mut Tx<'_>, now: Timestamp, queue: &Queue) -> Result<(), Error> {
    let full = Bucket::full(Flow::new(&queue.settings.rate_limits, WHOLE), now);
    tx.execute(CREATE, params![queue.number, full.tokens, now, WHOLE])?;
    Ok(())
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT tokens, refilled_at, share, share_at, window_at, answers, failures \
             FROM cloud_budgets WHERE queue = $1",
            $rest
        )
    };
}

const LOCK: &str = select!(" FOR UPDATE");
const LOCK_IF_FREE: &str = select!(" FOR UPDATE SKIP LOCKED");
const GET: &str = select!("");

fn read(row: &taskyard_store::Row<'_>) -> Result<Budget, Error> {
    Ok(Budget {
        bucket: Bucket {
            tokens: row.get(0)?,
            at: row.get(1)?,
        },
        share: Share {
            millionths: row.get(2)?,
            since: row.get(3)?,
            window_at: row.get(4)?,
            answers: row.get(5)?,
            failures: row.get(6)?,
        },
    })
}

/// The budget, kept from others until the transaction ends; `None` if the queue is gone.
pub(super) fn lock(tx: &mut Tx<'_>, queue: i64) -> Result<Option<Budget>, Error> {
    tx.query_opt(LOCK, params![queue], read)
}

/// The budget, kept from others until the transaction ends; `None` if the queue is gone, or if
/// somebody else has it right now.
pub(super) fn lock_if_free(tx: &mut Tx<'_>, queue: i64) -> Result<Option<Budget>, Error> {
    tx.query_opt(LOCK_IF_FREE, params![queue], read)
}

/// The budget as it stands.
pub(super) fn get(tx: &mut Tx<'_>, queue: i64) -> Result<Option<Budget>, Error> {
    tx.query_opt(GET, params![queue], read)
}

const SPEND: &str = "UPDATE cloud_budgets SET tokens = $2, refilled_at = $3 WHERE queue = $1";

pub(super) fn spend(tx: &mut Tx<'_>, queue: i64, bucket: Bucket) -> Result<(), Error> {
    tx.execute(SPEND, params![queue, bucket.tokens, bucket.at])?;
    Ok(())
}

const SHARE: &str = "UPDATE cloud_budgets SET tokens = $2, refilled_at = $3, share = $4, \
     share_at = $5, window_at = $6, answers = $7, failures = $8 WHERE queue = $1";

/// Lets the share follow these outcomes. What was earned until now was earned at the old share.
pub(super) fn learn(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: &Queue,
    outcomes: &[Outcome],
) -> Result<(), Error> {
    let Some(budget) = lock(tx, queue.number)? else {
        return Ok(());
    };
    let share = budget.share.after(now, outcomes);
    let flow = Flow::new(&queue.settings.rate_limits, budget.share.at(now));
    let bucket = budget.bucket.at(flow, now);
    tx.execute(
        SHARE,
        params![
            queue.number,
            bucket.tokens,
            bucket.at,
            share.millionths,
            share.since,
            share.window_at,
            share.answers,
            share.failures
        ],
    )?;
    Ok(())
}

/// Goes over to new settings: what was earned until now was earned at the old rate, and a bucket
/// that has become smaller spills.
pub(super) fn reset(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: &Queue,
    settings: &Settings,
) -> Result<(), Error> {
    let Some(budget) = lock(tx, queue.number)? else {
        return Ok(());
    };
    let share = budget.share.at(now);
    let old = Flow::new(&queue.settings.rate_limits, share);
    let new = Flow::new(&settings.rate_limits, share);
    spend(tx, queue.number, budget.bucket.at(old, now).at(new, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_800_000_000_000_000);

    fn later(millis: u64) -> Timestamp {
        START.plus(Duration::from_millis(millis))
    }

    #[test]
    fn an_overwhelmed_handler_is_sent_half_as_much_and_gets_back_a_tenth_each_second() {
        let share = Share::whole(START).after(START, &[Outcome::Status(429)]);
        assert_eq!(share.at(START), 500_000);
        assert_eq!(share.at(later(1000)), 600_000);
        assert_eq!(share.at(later(5000)), WHOLE);
        assert_eq!(share.at(later(50_000)), WHOLE);
    }

    #[test]
    fn a_burst_of_complaints_counts_once_a_second() {
        let complaints = [Outcome::Status(503); 5];
        let share = Share::whole(START)
            .after(START, &complaints)
            .after(later(500), &complaints);
        assert_eq!(share.at(START), 500_000);
        let share = share.after(later(1000), &complaints);
        assert_eq!(share.at(later(1000)), 300_000);
    }

    #[test]
    fn only_many_failures_slow_a_queue_down() {
        let failures = [Outcome::Status(500); 15];
        let share = Share::whole(START).after(START, &failures);
        assert_eq!(share.at(START), WHOLE);
        let share = share.after(later(10), &failures);
        assert_eq!(share.at(later(10)), 500_000);
        // Failures of long ago say nothing.
        let share = Share::whole(START)
            .after(START, &failures)
            .after(later(11_000), &failures[..10]);
        assert_eq!(share.at(later(11_000)), WHOLE);
    }

    #[test]
    fn a_queue_never_stops_altogether() {
        let mut share = Share::whole(START);
        for second in 0..100 {
            // Just before it would recover.
            share = share.after(later(second * 1000), &[Outcome::Status(503)]);
        }
        assert!(share.at(later(99_000)) >= LEAST);
    }
}
