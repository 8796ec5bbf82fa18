//! Runs begin because somebody asks: schedule and rerun.

use taskyard_store::{Error, Tx};

use super::refusal::Refusal;
use super::resolve::step;
use super::{Task, transition};
use crate::timestamp::Timestamp;

/// Makes an unscheduled task pending, whatever its dependencies; others stay as they are.
pub fn schedule(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_id: &str,
) -> Result<Result<Task, Refusal>, Error> {
    step(tx, now, task_id, |task| transition::schedule(task, now))
}

/// Makes a resolved or unscheduled task pending again, with its retries renewed.
pub fn rerun(
    tx: &mut Tx<'_>,
    now: Timestamp,
    task_id: &str,
) -> Result<Result<Task, Refusal>, Error> {
    step(tx, now, task_id, |task| transition::rerun(task, now))
}
