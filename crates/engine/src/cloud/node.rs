//! Which servers are alive, so that what a lost one had under way is taken up by others.

use std::collections::BTreeMap;

use taskyard_store::{Error, Tx, params};

use super::{record, wait};
use crate::timestamp::Timestamp;

const BEAT: &str = "INSERT INTO cloud_nodes (node, alive_until) VALUES ($1, $2) \
     ON CONFLICT (node) DO UPDATE SET alive_until = excluded.alive_until";

/// Says that `node` lives until `until` at least. To be said before it claims anything.
pub fn beat(tx: &mut Tx<'_>, node: &str, until: Timestamp) -> Result<(), Error> {
    tx.execute(BEAT, params![node, until]).map(drop)
}

const LEAVE: &str = "DELETE FROM cloud_nodes WHERE node = $1";

/// Says that `node` is gone: whatever it still has under way is due again at once.
pub fn leave(tx: &mut Tx<'_>, now: Timestamp, node: &str) -> Result<(), Error> {
    tx.execute(LEAVE, params![node])?;
    while take_over(tx, now)? == LOOK_AT_MOST {}
    Ok(())
}

const STAY_ALONE: &str = "DELETE FROM cloud_nodes WHERE node <> $1";

/// Says that there is no node but `node`, as is so where one process has the database to itself.
pub fn stay_alone(tx: &mut Tx<'_>, node: &str) -> Result<(), Error> {
    tx.execute(STAY_ALONE, params![node]).map(drop)
}

const IS_ANY_DEAD: &str = "SELECT node FROM cloud_nodes WHERE alive_until <= $1 LIMIT 1";

/// Whether a node has stopped saying that it lives.
pub fn is_any_dead(tx: &mut Tx<'_>, now: Timestamp) -> Result<bool, Error> {
    let found = tx.query_opt(IS_ANY_DEAD, params![now], |_| Ok(()))?;
    Ok(found.is_some())
}

const DEAD: &str = "DELETE FROM cloud_nodes WHERE alive_until <= $1";

/// Attempts that are ended at once.
const LOOK_AT_MOST: usize = 500;

/// Ends attempts of nodes that no longer live, up to 500: their tasks are due again at once.
/// Returns how many attempts there were; call it again until there are none.
pub fn take_over(tx: &mut Tx<'_>, now: Timestamp) -> Result<usize, Error> {
    let lost = wait::lost(tx, now, LOOK_AT_MOST)?;
    let mut by_queue: BTreeMap<i64, Vec<wait::Place>> = BTreeMap::new();
    for flight in &lost {
        by_queue
            .entry(flight.generation)
            .or_default()
            .push(flight.place);
    }
    for (generation, places) in by_queue {
        record::lose(tx, now, generation, &places)?;
    }
    if lost.len() < LOOK_AT_MOST {
        tx.execute(DEAD, params![now])?;
    }
    Ok(lost.len())
}
