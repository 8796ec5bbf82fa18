//! What is set about a queue of jobs.

use std::collections::HashSet;

use taskyard_store::{Error, Tx, params};

const PAUSED: &str = "SELECT queue_key FROM stack_queues WHERE is_paused = 1";
const IS_PAUSED: &str = "SELECT is_paused FROM stack_queues WHERE queue_key = $1";
const SET: &str = "INSERT INTO stack_queues (queue_key, is_paused) VALUES ($1, $2) \
     ON CONFLICT (queue_key) DO UPDATE SET is_paused = excluded.is_paused";

/// The keys of the queues from which no jobs are handed out at present.
pub fn paused(tx: &mut Tx<'_>) -> Result<HashSet<String>, Error> {
    Ok(tx
        .query(PAUSED, &[], |row| row.get(0))?
        .into_iter()
        .collect())
}

/// Whether no jobs of this queue are handed out at present.
pub fn is_paused(tx: &mut Tx<'_>, queue_key: &str) -> Result<bool, Error> {
    Ok(tx
        .query_opt(IS_PAUSED, params![queue_key], |row| row.get(0))?
        .unwrap_or(false))
}

/// Stops or resumes the handing out of a queue's jobs.
pub fn pause(tx: &mut Tx<'_>, queue_key: &str, is_paused: bool) -> Result<(), Error> {
    tx.execute(SET, params![queue_key, is_paused])?;
    Ok(())
}
